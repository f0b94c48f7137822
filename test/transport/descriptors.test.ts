// Listening on a socket that somebody else has bound, as the worker threads of one process and an upgraded process do.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { DescriptorProcess } from "../support/descriptor-process.ts";
import { transportUnderTest } from "../support/transport-under-test.ts";

/** Node closes what it listens on, and io/net alone has no way to duplicate it (src/io/net/listen.ts). */
const keepsDescriptor = transportUnderTest === "native";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-descriptors-"));
after(() => rmSync(folder, { recursive: true }));

test("clients of a TCP socket are served, and its address is told", async () => {
  await using listening = await DescriptorProcess.start(null);
  assert.equal(listening.address.family, 4);
  assert.equal(listening.address.address, "127.0.0.1");
  for (let count = 0; count < 3; count++) assert.equal(await listening.greeting(), "hello from the descriptor");
  assert.equal(await listening.close(), keepsDescriptor);
});

test("clients of a unix socket are served, and its file is left alone", async () => {
  const file = path.join(folder, "inherited.sock");
  await using listening = await DescriptorProcess.start(file);
  assert.deepEqual(listening.address, { family: 0, address: file, port: 0 });
  assert.equal(await listening.greeting(), "hello from the descriptor");
  assert.equal(await listening.close(), keepsDescriptor);
  assert.equal(existsSync(file), true);
});
