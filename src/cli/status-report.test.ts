// The parts of `headgate status` that depend on numbers: times in their two largest units, columns as wide as they must be.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Status, WorkerStatus } from "../server/control.ts";
import { formatBytes, formatUptime, statusReport } from "./status-report.ts";

describe("the time that it runs", () => {
  const times: readonly [seconds: number, text: string][] = [
    [0, "0 s"],
    [0.9, "0 s"],
    [59.99, "59 s"],
    [60, "1 min 0 s"],
    [3_599, "59 min 59 s"],
    [3_600, "1 h 0 min"],
    [86_399, "23 h 59 min"],
    [86_400, "1 d 0 h"],
    [100 * 86_400 + 7_200 + 59, "100 d 2 h"],
  ];
  for (const [seconds, text] of times) test(text, () => assert.equal(formatUptime(seconds), text));
});

const WORKER: WorkerStatus = {
  id: 1,
  state: "serving",
  startedAt: "2026-01-01T00:00:00.000Z",
  restarts: 0,
  lastFault: null,
  connections: 0,
  requests: 0,
  faults: 0,
  upstreamConnections: 0,
};

const STATUS: Status = {
  version: "1.0.0",
  node: "26.0.0",
  pid: 1,
  state: "draining",
  startedAt: "2026-01-01T00:00:00.000Z",
  uptimeSeconds: 1,
  config: null,
  transport: "net",
  listeners: [],
  workers: [WORKER],
  upstreams: [],
  forward: null,
  caches: [],
  lastReload: null,
};

test("columns are as wide as the widest number, and aligned to its end", () => {
  const workers = [
    { ...WORKER, connections: 10_000, requests: 1_234_567_890 },
    { ...WORKER, id: 64, state: "draining", faults: 7 },
  ] as const;
  assert.deepEqual(statusReport({ ...STATUS, workers }, "127.0.0.1:1").slice(-3), [
    "worker  state     connections  upstream    requests  faults  restarts",
    "     1  serving         10000         0  1234567890       0         0",
    "    64  draining            0         0           0       7         0",
  ]);
});

test("a proxy of flags that was never reloaded", () => {
  assert.deepEqual(statusReport(STATUS, "127.0.0.1:1").slice(0, 7), [
    "headgate 1.0.0",
    "state        draining, up for 1 s",
    "process      1, admin on 127.0.0.1:1",
    "config       from the command line",
    "transport    net, Node 26.0.0",
    "last reload  none",
    "",
  ]);
});

test("a reload that was loaded says what it changed", () => {
  const outcome = { kind: "loaded", change: "servers changed: web", warnings: [] } as const;
  const report = statusReport({ ...STATUS, lastReload: { at: "2026-01-01T00:00:01.000Z", outcome } }, "127.0.0.1:1");
  assert.ok(report.includes("last reload  2026-01-01T00:00:01.000Z: servers changed: web"));
});

test("bytes in the largest unit that keeps them at one or more", () => {
  const cases: readonly [bytes: number, text: string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [1024 * 1024 - 1, "1.0 MiB"],
    [3 * 2 ** 30, "3.0 GiB"],
    [2 ** 60, "1024.0 PiB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

test("the users of the forward proxy, twenty at most, and who has no name", () => {
  const counts = { requests: 3, tunnels: 2, openTunnels: 1, requestBytes: 10, responseBytes: 2048 };
  const users = Array.from({ length: 22 }, (_, index) => ({ user: `user-${index}`, ...counts }));
  const lines = statusReport({ ...STATUS, forward: { users, unnamed: counts, others: null } }, "127.0.0.1:1");
  const from = lines.findIndex((line) => line.startsWith("user "));
  assert.deepEqual(lines.slice(from, from + 2), [
    "user       requests  tunnels  open  from client  to client",
    "user-0            3        2     1         10 B    2.0 KiB",
  ]);
  assert.deepEqual(lines.slice(-2), [
    "(no name)         3        2     1         10 B    2.0 KiB",
    "and 2 more, which --json lists",
  ]);
});
