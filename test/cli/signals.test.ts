// A running proxy is told by signals: SIGHUP loads the file again and opens the logs anew, SIGTERM lets exchanges end, a
// second one does not; and a file is loaded again when it changes, if that was asked for.

import assert from "node:assert/strict";
import { readFileSync, renameSync } from "node:fs";
import { describe, test } from "node:test";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { Folder, Running } from "./headgate.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** With one worker, which starts sooner: what several do is tested in test/threads. */
function answering(body: string): string {
  return `servers: { web: { listen: "127.0.0.1:0", respond: { body: ${body} } } }\nlog: { access: "off" }\nworkers: 1\n`;
}

async function bodyAt(client: RawClient): Promise<string> {
  return (await client.send(GET).answer()).body;
}

describe("SIGHUP", () => {
  test("loads the file again, for connections that are open too", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run");
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyAt(client), "old");
    folder.file("headgate.yaml", answering("new"));
    running.signal("SIGHUP");
    await running.untilLogged(/^headgate\.yaml: SIGHUP, loaded again: servers changed: web$/);
    assert.equal(await bodyAt(client), "new");
    running.signal("SIGHUP");
    await running.untilLogged(/^headgate\.yaml: SIGHUP, loaded again: nothing has changed$/);
  });

  test("that comes while the configuration is read first ends nothing, and is obeyed behind the start", async () => {
    using folder = new Folder();
    const hangUp = 'if (!globalThis.wasHere) process.kill(process.pid, "SIGHUP"); globalThis.wasHere = true;';
    const config = 'export default { servers: { web: { listen: "127.0.0.1:0", respond: 204 } }, workers: 1 };';
    folder.file("headgate.ts", `${hangUp}\nawait new Promise((resolve) => setTimeout(resolve, 100));\n${config}\n`);
    await using running = await Running.start(folder.path, "run");
    await running.untilLogged(/^headgate\.ts: SIGHUP, loaded again: nothing has changed$/);
  });

  test("with a file that is wrong changes nothing and says why", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run");
    using client = await RawClient.connect(running.port("web"));
    folder.file("headgate.yaml", answering("new").replace("respond", "respnd"));
    running.signal("SIGHUP");
    const problem = await running.untilLogged(
      /^headgate\.yaml:1:42: servers\.web\.respnd: unknown field; did you mean "respond"\?$/,
    );
    assert.equal(problem.level, "error");
    await running.untilLogged(/^headgate\.yaml: SIGHUP, not loaded: the old configuration goes on serving$/);
    assert.equal(await bodyAt(client), "old");
  });

  test("opens the access log anew after it was renamed", async () => {
    using folder = new Folder();
    const log = 'log: { access: { format: "{path}", output: access.log } }';
    folder.file("headgate.yaml", `servers: { web: { listen: "127.0.0.1:0", respond: 204 } }\n${log}\n`);
    {
      await using running = await Running.start(folder.path, "run");
      using client = await RawClient.connect(running.port("web"));
      await client.send(GET.replace("/", "/one")).answer();
      renameSync(folder.file("access.log"), folder.file("access.log.1"));
      running.signal("SIGHUP");
      await running.untilLogged(/^SIGHUP: log files were opened anew$/);
      await client.send(GET.replace("/", "/two")).answer();
    }
    assert.match(readFileSync(folder.file("access.log"), "utf8"), /^(\/one\n)?\/two\n$/);
  });
});

describe("--watch", () => {
  test("loads the file again whenever it changes", async () => {
    using folder = new Folder();
    const file = folder.file("web.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run", "--config", "web.yaml", "--watch");
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyAt(client), "old");
    folder.file("web.yaml", answering("new"));
    await running.untilLogged(/^web\.yaml: has changed, loaded again: servers changed: web$/);
    assert.equal(await bodyAt(client), "new");
    // As editors write: a new file that takes the old one's name.
    renameSync(folder.file("web.yaml.new", answering("newer")), file);
    await running.untilLogged(/^web\.yaml: has changed, loaded again: servers changed: web$/);
    assert.equal(await bodyAt(client), "newer");
  });
});

describe("--watch, while the proxy starts", () => {
  test("loads what has changed since the file was read", async () => {
    using folder = new Folder();
    const served = (body: string) =>
      `{ log: { access: "off" }, servers: { web: { listen: "127.0.0.1:0", respond: { body: "${body}" } } } }`;
    // It changes itself as soon as it has been read.
    const program = `
      import { writeFileSync } from "node:fs";
      writeFileSync(import.meta.filename, ${JSON.stringify(`export default ${served("new")};\n`)});
      export default ${served("old")};
    `;
    folder.file("web.ts", program);
    await using running = await Running.start(folder.path, "run", "web.ts", "--watch");
    await running.untilLogged(/^web\.ts: has changed, loaded again: servers changed: web$/);
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyAt(client), "new");
  });
});

describe("SIGTERM", () => {
  async function withSlowOrigin(
    run: (running: Running, client: RawClient, answer: (body: string) => void) => Promise<void>,
    drainTimeout = "60s",
  ): Promise<void> {
    const { promise: asked, resolve } = Promise.withResolvers<(body: string) => void>();
    await using origin = await Origin.start((_request, response) => resolve((body) => response.end(body)));
    using folder = new Folder();
    const web = `servers: { web: { listen: "127.0.0.1:0", proxy: "${origin.url}" } }`;
    folder.file("headgate.yaml", `${web}\nlog: { access: "off" }\ndrainTimeout: ${drainTimeout}\nworkers: 1\n`);
    await using running = await Running.start(folder.path, "run");
    using client = await RawClient.connect(running.port("web"));
    client.send(GET);
    await run(running, client, await asked);
  }

  test("lets a request end, and then the process", () =>
    withSlowOrigin(async (running, client, answer) => {
      running.signal("SIGTERM");
      await running.untilLogged(
        /^SIGTERM: no new connections; what is under way may take 60 s, a second signal cuts it off$/,
      );
      answer("done");
      const { body, fields } = await client.answer();
      assert.deepEqual([body, fields.get("connection")], ["done", "close"]);
      client.socket.end();
      assert.equal(await running.ended(), 0);
      assert.equal(running.entries.at(-1)?.msg, "stopped");
    }));

  test("given again cuts off what has not ended", () =>
    withSlowOrigin(async (running, client) => {
      running.signal("SIGTERM");
      await running.untilLogged(/^SIGTERM: no new connections/);
      running.signal("SIGINT");
      await client.untilEnded();
      assert.equal(await running.ended(), 0);
    }));

  test("cuts off what has not ended in time", () =>
    withSlowOrigin(async (running, client) => {
      running.signal("SIGTERM");
      await running.untilLogged(/^the time is up: 1 connection was cut off$/);
      await client.untilEnded();
      assert.equal(await running.ended(), 0);
    }, "100ms"));
});

describe("SIGUSR1", () => {
  test("opens no inspector", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("here"));
    await using running = await Running.start(folder.path, "run");
    running.signal("SIGUSR1");
    await running.untilLogged(/^SIGUSR1 does nothing$/);
    assert.doesNotMatch(running.stderr, /Debugger listening/);
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyAt(client), "here");
  });
});
