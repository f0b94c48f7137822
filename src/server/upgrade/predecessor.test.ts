// What a process makes of the environment that it was started with: handed sockets are what Headgate has written, and nothing else is.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { describe, it } from "node:test";

const COMMAND = path.join(import.meta.dirname, "..", "..", "cli", "main.ts");

describe("a process whose environment says that it is to take another's place", () => {
  const address = { family: 4, address: "127.0.0.1", port: 80 };
  const texts = [
    "garbage",
    "null",
    "{}",
    "[null]",
    JSON.stringify([{ listen: ":80", address }]),
    JSON.stringify([{ listen: ":80", address: null, descriptors: [] }]),
    JSON.stringify([{ listen: ":80", address, descriptors: ["4"] }]),
  ];
  for (const text of texts) {
    it(`says in a line that it cannot read ${text}`, async () => {
      const child = fork(COMMAND, ["schema"], { env: { ...process.env, HEADGATE_HANDOVER: text }, silent: true });
      const stderr = child.stderr!.setEncoding("utf8").toArray();
      const [status] = await once(child, "close");
      assert.match((await stderr).join(""), /^HEADGATE_HANDOVER in the environment is not what .*\n$/);
      assert.equal(status, 1);
    });
  }
});
