// A fault of a plugin that the pipeline catches ends one exchange; one that nobody catches ends the worker that it happens in,
// and another one takes its place; one of the main thread ends the process with a status of its own, after it was logged.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RawClient } from "../support/raw-client.ts";
import { Folder, Running } from "./headgate.ts";

const PLUGIN = `
import { isMainThread } from "node:worker_threads";
const plugin = {
  name: "faulty",
  request(exchange) {
    const { path } = exchange.request;
    if (path === "/throw") throw new Error("thrown by a hook");
    if (path === "/crash") setImmediate(() => { throw new Error("thrown by nobody's business"); });
    if (path === "/reject") void Promise.reject(new Error("rejected and forgotten"));
  },
};
if (isMainThread) process.on("SIGUSR2", () => { throw new Error("thrown in the main thread"); });
export default {
  workers: 1,
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
    test(`that nobody catches ends the worker, and another one takes its place (${path})`, async () => {
      using folder = new Folder();
      folder.file("headgate.ts", PLUGIN);
      await using running = await Running.start(folder.path, "run");
      {
        using client = await RawClient.connect(running.port("web"));
        client.send(get(path));
        await client.untilEnded();
      }
      const { level, msg } = await running.untilLogged(/^worker 1 died/);
      assert.deepEqual(
        [level, msg],
        ["error", `worker 1 died of a fault that nobody caught: ${message}; another one takes its place`],
      );
      assert.match(running.stderr, /headgate\.ts/, "with its stack");
      await running.untilLogged(/^worker 1 serves again$/);
      await running.untilStdout((text) => text.includes("\n"));
      assert.equal(running.stdout, `${path} 204\n`, "what was logged before is not lost");
      using client = await RawClient.connect(running.port("web"));
      assert.equal((await client.send(get("/")).answer()).status, 204);
    });
  }

  test("that nobody catches in the main thread ends the process with status 70", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", PLUGIN);
    await using running = await Running.start(folder.path, "run");
    running.signal("SIGUSR2");
    assert.equal(await running.ended(), 70);
    const { level, msg } = running.entries.at(-1) ?? {};
    assert.deepEqual([level, msg], ["fatal", "a fault that nobody caught: the process ends"]);
    assert.ok(running.stderr.includes("thrown in the main thread"));
  });
});
