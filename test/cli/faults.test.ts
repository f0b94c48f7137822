// A fault that nobody catches ends the process with a status of its own, after it was logged; a fault of a plugin that
// the pipeline catches ends one exchange.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RawClient } from "../support/raw-client.ts";
import { Folder, Running } from "./headgate.ts";

const PLUGIN = `
const plugin = {
  name: "faulty",
  request(exchange) {
    const { path } = exchange.request;
    if (path === "/throw") throw new Error("thrown by a hook");
    if (path === "/crash") setImmediate(() => { throw new Error("thrown by nobody's business"); });
    if (path === "/reject") void Promise.reject(new Error("rejected and forgotten"));
  },
};
export default {
  log: { access: { format: "{path} {status}" } },
  servers: { web: { listen: "127.0.0.1:0", use: [plugin], respond: 204 } },
};
`;

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

describe("a fault of a plugin", () => {
  test("that the pipeline catches ends one exchange with 500, and is logged with its stack", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", PLUGIN);
    await using running = await Running.start(folder.path, "run");
    using client = await RawClient.connect(running.port("web"));
    assert.equal((await client.send(get("/throw")).answer()).status, 500);
    await running.untilLogged(/^an exchange failed by a fault/);
    assert.match(running.stderr, /thrown by a hook.*headgate\.ts/);
    assert.equal((await client.send(get("/")).answer()).status, 204);
  });

  for (const [path, message] of [
    ["/crash", "thrown by nobody's business"],
    ["/reject", "rejected and forgotten"],
  ] as const) {
    test(`that nobody catches ends the process with status 70 (${path})`, async () => {
      using folder = new Folder();
      folder.file("headgate.ts", PLUGIN);
      await using running = await Running.start(folder.path, "run");
      using client = await RawClient.connect(running.port("web"));
      client.send(get(path));
      assert.equal(await running.ended(), 70);
      const { level, msg } = running.entries.at(-1) ?? {};
      assert.deepEqual([level, msg], ["fatal", "a fault that nobody caught: the process ends"]);
      assert.ok(running.stderr.includes(message));
      assert.equal(running.stdout, `${path} 204\n`, "what was logged before is not lost");
    });
  }
});
