// Which descriptors connections may have: all but some at the end, and more when the limit is raised meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DESCRIPTORS_BESIDE_CLIENTS, DESCRIPTORS_KEPT, DescriptorLimit } from "./descriptor-limit.ts";

function limitOf(first: number | null) {
  const system = { most: first, asked: 0, nowMs: 0 };
  const read = (): number | null => {
    system.asked++;
    return system.most;
  };
  return { system, limit: new DescriptorLimit(read, () => system.nowMs) };
}

test("the last descriptors are left to others; the system is asked once", () => {
  const { system, limit } = limitOf(1024);
  const end = 1024 - DESCRIPTORS_KEPT;
  for (const [descriptor, isAdmitted] of [
    [0, true],
    [end - 1, true],
    [end, false],
    [1023, false],
  ] as const) {
    assert.equal(limit.admits(descriptor), isAdmitted, `${descriptor}`);
  }
  assert.equal(system.asked, 1);
});

test("more are kept from clients", () => {
  const { limit } = limitOf(20_000);
  const end = 20_000 - DESCRIPTORS_KEPT - DESCRIPTORS_BESIDE_CLIENTS;
  assert.deepEqual([limit.admitsClient(end - 1), limit.admitsClient(end), limit.admits(end)], [true, false, true]);
});

test("of few descriptors an eighth is left, and another one is kept from clients", () => {
  const { limit } = limitOf(64);
  assert.deepEqual([limit.admits(55), limit.admits(56)], [true, false]);
  assert.deepEqual([limit.admitsClient(47), limit.admitsClient(48)], [true, false]);
});

test("a limit that is raised is seen within a second, and one that cannot be read stays", () => {
  const { system, limit } = limitOf(100);
  assert.equal(limit.admits(99), false);
  system.most = 4096;
  assert.equal(limit.admits(99), false);
  system.nowMs = 1_000;
  assert.deepEqual([limit.admits(99), limit.admitsClient(99)], [true, true]);
  system.most = null;
  system.nowMs = 2_000;
  assert.deepEqual([limit.admits(5_000), limit.admits(99)], [false, true]);
});

test("where no limit is known there is none", () => {
  const { limit } = limitOf(null);
  assert.deepEqual([limit.admits(1_000_000), limit.admitsClient(1_000_000)], [true, true]);
});

test("no descriptor at all is admitted: the socket is closed already", () => {
  assert.equal(limitOf(64).limit.admits(-1), true);
});
