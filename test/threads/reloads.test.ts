// A reload reaches every worker or none. Data is changed in place, and connections stay; other code is served by new
// workers, while the old ones finish what they have.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { bodyFrom, Clients, get, MANY, program, statusOf } from "./workers.ts";

function answering(body: string, more = ""): string {
  const web = `servers: { web: { listen: "127.0.0.1:0", respond: { body: ${body} } } }`;
  return `workers: 2\n${web}\nlog: { access: "off" }\n${more}`;
}

/** A plugin that does nothing. */
const HANDLE = 'export const plugin = { name: "quiet", request() {} };\n';

describe("a change of data", () => {
  test("is served by all workers, on connections that were there before too", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run");
    using clients = await Clients.connect(running.port("web"));
    folder.file("headgate.yaml", answering("new"));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: servers changed: web$/);
    assert.deepEqual(await clients.bodiesNow(), ["new"]);
    using later = await Clients.connect(running.port("web"));
    assert.deepEqual(later.bodies, ["new"]);
  });

  test("that the machine cannot give changes nothing anywhere", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run");
    using clients = await Clients.connect(running.port("web"));
    // Found out by the workers, after the main thread has opened the new address.
    const secure = 'tls: { certificates: [{ cert: "missing.crt", key: "missing.key" }] }';
    const other = `other: { listen: [{ address: "127.0.0.1:0", ${secure} }], respond: 204 }`;
    folder.file("headgate.yaml", answering("new").replace("servers: {", `servers: { ${other},`));
    running.signal("SIGHUP");
    await running.untilLogged(/missing\.crt: cannot be read: there is no such file$/);
    await running.untilLogged(/not loaded: the old configuration goes on serving$/);
    assert.deepEqual(await clients.bodiesNow(), ["old"]);
    folder.file("headgate.yaml", answering("new"));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: servers changed: web$/);
    assert.deepEqual(await clients.bodiesNow(), ["new"], "and the next one is taken");
  });

  test("in the middle of which a worker dies changes nothing anywhere, and the next one is taken", async () => {
    using folder = new Folder();
    // The trap is in the file itself.
    folder.file("handle.ts", HANDLE);
    const file = (body: string, trap = "") => `
      import { isMainThread } from "node:worker_threads";
      import { plugin } from "./handle.ts";
      ${trap}
      const web = { listen: "127.0.0.1:0", use: [plugin], respond: { body: "${body}" } };
      export default { workers: 2, log: { access: "off" }, servers: { web } };
    `;
    folder.file("headgate.ts", file("old"));
    await using running = await Running.start(folder.path, "run");
    const port = running.port("web");
    folder.file("headgate.ts", file("new", "if (!isMainThread) process.exit(1);"));
    running.signal("SIGHUP");
    await running.untilLogged(/not loaded: the old configuration goes on serving$/);
    folder.file("headgate.ts", file("newer"));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: servers changed: web$/);
    using clients = await Clients.connect(port, 8);
    assert.deepEqual(clients.bodies, ["newer"]);
  });

  test("of the number of workers waits for a restart, and each reload says so, unless it is what runs", async () => {
    using folder = new Folder();
    folder.file("headgate.yaml", answering("old"));
    await using running = await Running.start(folder.path, "run");
    folder.file("headgate.yaml", answering("old").replace("workers: 2", "workers: 3"));
    running.signal("SIGHUP");
    await running.untilLogged(/^workers: has changed, which takes effect with an upgrade or a restart$/);
    await running.untilLogged(/loaded again: settings changed$/);
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: nothing has changed$/);
    assert.equal(running.entries.filter(({ msg }) => msg.startsWith("workers: ")).length, 2, "it waits still");
    folder.file("headgate.yaml", answering("old"));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: settings changed$/);
    assert.equal(running.entries.filter(({ msg }) => msg.startsWith("workers: ")).length, 2, "it is as it was");
  });

  test("of whom a cache is shared with waits for a restart", async () => {
    using folder = new Folder();
    const sharedWith = (port: number): string =>
      `caches: { artifacts: { directory: cache, size: 10MiB, shared: "redis://127.0.0.1:${port}" } }\n${answering("old")}`;
    folder.file("headgate.yaml", sharedWith(1));
    await using running = await Running.start(folder.path, "run");
    folder.file("headgate.yaml", sharedWith(2));
    running.signal("SIGHUP");
    await running.untilLogged(/^caches\.artifacts\.shared: has changed, which takes effect with a restart$/);
    await running.untilLogged(/loaded again: /);
    folder.file("headgate.yaml", sharedWith(1));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: /);
    assert.equal(running.entries.filter(({ msg }) => msg.startsWith("caches.")).length, 1, "it is as it was");
  });
});

describe("a change of code", () => {
  test("is served by new workers; the old ones finish what they have", async () => {
    const { promise: asked, resolve } = Promise.withResolvers<(body: string) => void>();
    await using origin = await Origin.start((_request, response) => resolve((body) => response.end(body)));
    using folder = new Folder();
    const withOrigin = (text: string) =>
      text.replace("handle } }", `routes: [{ match: { path: "/slow" }, proxy: "${origin.url}" }, { handle }] } }`);
    folder.file("headgate.ts", withOrigin(program("")));
    await using running = await Running.start(folder.path, "run");
    const port = running.port("web");
    using slow = await RawClient.connect(port);
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    const answer = await asked;
    using before = await Clients.connect(port);
    folder.file("headgate.ts", withOrigin(program("", '"new thread " + threadId')));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: servers changed: web$/);
    using after = await Clients.connect(port);
    assert.equal(after.bodies.length, 2, after.bodies.join());
    assert.ok(after.bodies.every((body) => body.startsWith("new thread ")));
    // Idle connections of the old workers are closed, and what was under way ends as it began.
    await Promise.all(before.all.map(({ client }) => client.untilEnded()));
    answer("done");
    assert.equal((await slow.answer()).body, "done");
  });

  for (const [place, fields, target] of [
    ["a route", "use: [plugin], respond: 204", "/"],
    ["forward", 'forward: { use: [plugin], allow: [{ networks: "127.0.0.1", ports: [1] }] }', "http://127.0.0.1:1/"],
  ] as const) {
    test(`of a module that the file imports for ${place} comes with another text of the file`, async () => {
      using folder = new Folder();
      const module = (body: string) =>
        `const request = (exchange) => exchange.respond({ status: 200, fields: [], body: Buffer.from("${body}") });
        export const plugin = { name: "p", request };`;
      const file = (comment: string) =>
        `import { plugin } from "./module.ts";
        const web = { listen: "127.0.0.1:0", ${fields} };
        export default { workers: 2, log: { access: "off" }, servers: { web } }; // ${comment}`;
      folder.file("module.ts", module("one"));
      folder.file("headgate.ts", file("first"));
      await using running = await Running.start(folder.path, "run");
      const body = async (): Promise<string> => {
        using client = await RawClient.connect(running.port("web"));
        return (await client.send(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n`).answer()).body;
      };
      assert.equal(await body(), "one");
      folder.file("module.ts", module("two"));
      folder.file("headgate.ts", file("second"));
      running.signal("SIGHUP");
      await running.untilLogged(/loaded again: the program is imported anew$/);
      for (let i = 0; i < MANY; i++) assert.equal(await body(), "two");
    });
  }

  test("leaves what the file imports where no other worker can listen beside the first one, and says so", async () => {
    using folder = new Folder();
    const socket = `unix:${folder.path}/web.sock`;
    const file = (comment: string) =>
      `import { plugin } from "./module.ts";
      const web = { listen: ${JSON.stringify(socket)}, use: [plugin], respond: 204 };
      export default { workers: 1, transport: "net", log: { access: "off" }, servers: { web } }; // ${comment}`;
    folder.file("module.ts", 'export const plugin = { name: "p", request() {} };');
    folder.file("headgate.ts", file("first"));
    await using running = await Running.start(folder.path, "run");
    folder.file("headgate.ts", file("second"));
    running.signal("SIGHUP");
    await running.untilLogged(/^modules that the file imports are as before until an upgrade or a restart: /);
    await running.untilLogged(/loaded again: nothing has changed$/);
  });

  test("that one of the new workers refuses reaches no connection", async () => {
    const { promise: asked, resolve } = Promise.withResolvers<() => void>();
    await using origin = await Origin.start((_request, response) => resolve(() => response.end()));
    using folder = new Folder();
    folder.file("headgate.ts", program(""));
    await using running = await Running.start(folder.path, "run");
    using clients = await Clients.connect(running.port("web"));
    const old = clients.bodies;
    // The second worker waits while it is imported; by then the first one is ready.
    const trap = `
      import { workerData } from "node:worker_threads";
      if (workerData?.id === 2) {
        await fetch("${origin.url}");
        throw new Error("no good");
      }
    `;
    folder.file("headgate.ts", program("", '"new thread " + threadId') + trap);
    running.signal("SIGHUP");
    const answer = await asked;
    for (let i = 0; i < 8 * MANY; i++) await clients.add(running.port("web"));
    answer();
    await running.untilLogged(/cannot be imported: no good$/);
    await running.untilLogged(/not loaded: the old configuration goes on serving$/);
    assert.deepEqual(await clients.bodiesNow(), old);
    assert.deepEqual(clients.bodies, old, "none was served by the new code");
  });

  test("that cannot be imported changes nothing", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", program(""));
    await using running = await Running.start(folder.path, "run");
    using clients = await Clients.connect(running.port("web"));
    folder.file("headgate.ts", `${program("")}\nthrow new Error("no good");\n`);
    running.signal("SIGHUP");
    await running.untilLogged(/^headgate\.ts:\d+:\d+: cannot be imported: no good$/);
    assert.deepEqual(await clients.bodiesNow(), clients.bodies);
    using later = await RawClient.connect(running.port("web"));
    assert.match(await bodyFrom(later), /^thread /);
  });

  test("that dies in the workers alone changes nothing", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", program(""));
    await using running = await Running.start(folder.path, "run");
    using clients = await Clients.connect(running.port("web"));
    folder.file("headgate.ts", `${program("")}\nif (threadId !== 0) process.exit(1);\n`);
    running.signal("SIGHUP");
    await running.untilLogged(/^worker \d ended: process\.exit\(1\) was called in it$/);
    await running.untilLogged(/not loaded: the old configuration goes on serving$/);
    assert.deepEqual(await clients.bodiesNow(), clients.bodies);
  });

  test("does not wait for an old worker that is in a loop for ever", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", program(""));
    await using running = await Running.start(folder.path, "run");
    using stuck = await RawClient.connect(running.port("web"));
    stuck.send(get("/spin"));
    // It answers before it begins.
    await stuck.answer();
    folder.file("headgate.ts", program("", '"new thread " + threadId'));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: servers changed: web$/);
    assert.deepEqual(
      running.entries.filter(({ level }) => level === "error"),
      [],
      "it is there still",
    );
    const { workers, transport } = await statusOf(running);
    assert.deepEqual(
      workers.slice(0, 2).map(({ id, state }) => [id, state]),
      [
        [1, "serving"],
        [2, "serving"],
      ],
    );
    assert.equal(workers.filter(({ state, connections }) => state === "draining" && connections === 1).length, 1);
    // On node:net it has a listening socket of its own, in whose queue clients wait.
    if (transport === "net") return;
    using after = await Clients.connect(running.port("web"));
    assert.ok(after.bodies.every((body) => body.startsWith("new thread ")));
  });

  test("may want an address again that the last one gave up, though an old worker still accepts there", async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const served = (listen: string, body: string): string =>
      program("", body)
        .replace('"127.0.0.1:0"', listen)
        .replace("for (;;);", "for (const end = Date.now() + 3_000; Date.now() < end; );");
    const both = `["127.0.0.1:0", "${address}"]`;
    using folder = new Folder();
    folder.file("headgate.ts", served(both, '"old"'));
    await using running = await Running.start(folder.path, "run");
    using busy = await RawClient.connect(running.port("web"));
    busy.send(get("/spin"));
    await busy.answer();
    folder.file("headgate.ts", served('"127.0.0.1:0"', '"without"'));
    running.signal("SIGHUP");
    const { msg } = await running.untilLogged(/loaded again|not loaded/);
    assert.match(msg, new RegExp(`closed ${address}`));
    folder.file("headgate.ts", served(both, '"again"'));
    running.signal("SIGHUP");
    assert.match((await running.untilLogged(/loaded again|not loaded/)).msg, new RegExp(`opened ${address}`));
    using client = await RawClient.connect(Number(address.split(":")[1]));
    assert.equal(await bodyFrom(client), "again");
  });
});
