// A process that starts the program again in its place: the sockets stay open, what is under way ends, and whatever goes wrong with the
// other one, the first goes on.

import assert from "node:assert/strict";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import http, { type ServerResponse } from "node:http";
import path from "node:path";
import { describe, test } from "node:test";
import { run } from "../admin/command-run.ts";
import { Folder, Running } from "../cli/headgate.ts";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { testOnNative } from "../support/transport-under-test.ts";
import { bodyFrom, get, program, statusOf } from "./workers.ts";

const TIMEOUT = { timeout: 60_000 };

interface Given {
  readonly workers?: number;
  readonly servers?: object;
  readonly [field: string]: unknown;
}

function configOf(body: string, given: Given = {}): string {
  const servers = { web: { listen: "127.0.0.1:0", respond: { body } } };
  return JSON.stringify({ workers: 2, log: { access: "off" }, servers, ...given });
}

/** Ends whatever process has taken the place, which the first one knows nothing of. */
function successorOf(running: Running): Disposable {
  return {
    [Symbol.dispose]() {
      for (const { msg } of running.entries) {
        const pid = /process (\d+) is to take the place/.exec(msg)?.[1];
        if (pid !== undefined) kill(Number(pid));
      }
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function upgraded(running: Running, folder: Folder): Promise<number> {
  const { pid } = running.process;
  const { status, stdout, stderr } = await run(folder.path, "upgrade");
  assert.deepEqual([status, stderr], [0, ""]);
  const match = /^process (\d+) serves; process (\d+) ends when what is under way has ended\n$/.exec(stdout);
  assert.equal(Number(match?.[2]), pid, stdout);
  return Number(match?.[1]);
}

/** New connections one after the other, until it is told to stop: what each was answered. */
class Knocking {
  readonly bodies: string[] = [];
  #isOver = false;
  readonly #ended: Promise<void>;

  constructor(where: http.RequestOptions) {
    this.#ended = this.#knock(where);
  }

  async #knock(where: http.RequestOptions): Promise<void> {
    while (!this.#isOver) this.bodies.push(await bodyOf(where));
  }

  async end(): Promise<readonly string[]> {
    this.#isOver = true;
    await this.#ended;
    return this.bodies;
  }
}

function bodyOf(where: http.RequestOptions): Promise<string> {
  return new Promise((resolve) => {
    const request = http.get({ ...where, path: "/", agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve(text));
      response.on("error", (error) => resolve(String(error)));
    });
    request.on("error", (error) => resolve(String(error)));
  });
}

describe("an upgrade", () => {
  test(
    "answers everybody who connects meanwhile, with the configuration of before or the one that is there now",
    TIMEOUT,
    async () => {
      using folder = new Folder();
      folder.file("headgate.json", configOf("before"));
      await using running = await Running.start(folder.path, "run");
      using _ = successorOf(running);
      const port = running.port("web");
      folder.file("headgate.json", configOf("after"));
      const knocking = [1, 2, 3, 4].map(() => new Knocking({ host: "127.0.0.1", port }));
      const pid = await upgraded(running, folder);
      await running.untilLogged(/^stopped$/);
      const bodies = (await Promise.all(knocking.map((one) => one.end()))).flat();
      const { transport, ...status } = await statusOf(running);
      // On Node's sockets the queues of the old process end with it: who comes in that moment may be reset.
      const answers = transport === "net" ? bodies.filter((body) => !body.includes("ECONNRESET")) : bodies;
      assert.deepEqual([...new Set(answers)].sort(), ["after", "before"]);
      assert.equal(answers.at(-1), "after");
      assert.deepEqual(
        [status.pid, status.state, status.listeners[0]?.url],
        [pid, "serving", `http://127.0.0.1:${port}`],
      );
    },
  );

  test("lets what is under way end in the first process", TIMEOUT, async () => {
    using folder = new Folder();
    const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
    await using origin = await Origin.start((_request, response) => resolve(response));
    folder.file("headgate.json", configOf("", { servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } }));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    using client = await RawClient.connect(running.port("web"));
    client.send(get());
    const response = await asked;
    await upgraded(running, folder);
    response.end("from before");
    assert.equal((await client.answer()).body, "from before");
    client.socket.end();
    await running.untilLogged(/^stopped$/);
  });

  test("may be made again, by the process that took the place, and by a signal", TIMEOUT, async () => {
    using folder = new Folder();
    folder.file("headgate.json", configOf("web"));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    const port = running.port("web");
    running.signal("SIGUSR2");
    await running.untilLogged(/^stopped$/);
    const { pid } = await statusOf(running);
    process.kill(pid, "SIGUSR2");
    await running.untilLogged(/^stopped$/);
    const later = await statusOf(running);
    assert.notEqual(later.pid, pid);
    assert.equal(await bodyOf({ host: "127.0.0.1", port }), "web");
  });

  for (const workers of [1, 3]) {
    test(`has ${workers} workers where there were two`, TIMEOUT, async () => {
      using folder = new Folder();
      folder.file("headgate.json", configOf("before"));
      await using running = await Running.start(folder.path, "run");
      using _ = successorOf(running);
      const port = running.port("web");
      folder.file("headgate.json", configOf("after", { workers }));
      await upgraded(running, folder);
      await running.untilLogged(/^stopped$/);
      const bodies = [];
      for (let i = 0; i < 32; i++) bodies.push(await bodyOf({ host: "127.0.0.1", port }));
      assert.deepEqual([...new Set(bodies)], ["after"], "no socket is left that nobody accepts on");
      assert.equal((await statusOf(running)).workers.length, workers);
    });
  }

  // Where threads bind for themselves, what waits at a socket of the first process is reset when that closes.
  testOnNative("to fewer workers answers everybody who connects meanwhile", async () => {
    using folder = new Folder();
    folder.file("headgate.json", configOf("before", { workers: 4 }));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    const port = running.port("web");
    folder.file("headgate.json", configOf("after", { workers: 1 }));
    const knocking = Array.from({ length: 16 }, () => new Knocking({ host: "127.0.0.1", port }));
    await upgraded(running, folder);
    await running.untilLogged(/^stopped$/);
    const bodies = (await Promise.all(knocking.map((one) => one.end()))).flat();
    assert.deepEqual([...new Set(bodies)].sort(), ["after", "before"]);
  });

  test("leaves addresses that are configured no more, and opens new ones", TIMEOUT, async () => {
    using folder = new Folder();
    const web = { listen: "127.0.0.1:0", respond: { body: "web" } };
    const old = { listen: "localhost:0", respond: { body: "old" } };
    const fresh = { listen: "127.0.0.2:0", respond: { body: "fresh" } };
    folder.file("headgate.json", configOf("", { servers: { web, old } }));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    const before = await statusOf(running);
    folder.file("headgate.json", configOf("", { servers: { web, fresh } }));
    await upgraded(running, folder);
    await running.untilLogged(/^stopped$/);
    const { listeners } = await statusOf(running);
    assert.deepEqual(
      listeners.map(({ server }) => server),
      ["web", "fresh"],
    );
    assert.equal(listeners[0]?.url, before.listeners[0]?.url);
    const freshPort = Number(new URL(listeners[1]!.url).port);
    assert.equal(await bodyOf({ host: "127.0.0.2", port: freshPort }), "fresh");
    const oldPort = Number(new URL(before.listeners[1]!.url).port);
    assert.match(await bodyOf({ host: "localhost", port: oldPort }), /ECONNREFUSED/);
  });
});

test("an upgrade listens at one address where the first process listens at all of them", TIMEOUT, async () => {
  using folder = new Folder();
  const port = await freePort();
  const servers = (listen: string, body: string) => ({ servers: { web: { listen, respond: { body } } } });
  folder.file("headgate.json", configOf("", servers(`:${port}`, "before")));
  await using running = await Running.start(folder.path, "run");
  using _ = successorOf(running);
  folder.file("headgate.json", configOf("", servers(`127.0.0.1:${port}`, "after")));
  await upgraded(running, folder);
  await running.untilLogged(/^stopped$/);
  assert.equal(await bodyOf({ host: "127.0.0.1", port }), "after");
});

describe("an upgrade from a unix socket", () => {
  const servers = (folder: Folder, body: string) => ({
    web: { listen: "127.0.0.1:0", respond: { body } },
    local: { listen: `unix:${folder.path}/local.sock`, respond: { body } },
  });

  test("that is configured no more removes its file, once nobody is to come back to it", TIMEOUT, async () => {
    using folder = new Folder();
    const { web, local } = servers(folder, "");
    folder.file("headgate.json", configOf("", { servers: { web, local } }));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    const socketPath = path.join(folder.path, "local.sock");
    folder.file("headgate.json", configOf("", { servers: { web }, admin: `unix:${folder.path}/nowhere/admin.sock` }));
    assert.equal((await run(folder.path, "upgrade", "--admin", adminOf(running))).status, 1);
    assert.ok(existsSync(socketPath));
    folder.file("headgate.json", configOf("", { servers: { web } }));
    await upgraded(running, folder);
    await running.untilLogged(/^stopped$/);
    assert.ok(!existsSync(socketPath));
  });

  test("of Node fails on the addon, which cannot go on at it", TIMEOUT, async (context) => {
    using folder = new Folder();
    const transport = (name: string) => configOf("", { transport: name, servers: servers(folder, name) });
    folder.file("headgate.json", configOf("", { servers: servers(folder, "") }));
    {
      await using tried = await Running.start(folder.path, "run");
      if ((await statusOf(tried)).transport === "net") return context.skip("there is no addon");
    }
    folder.file("headgate.json", transport("net"));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    folder.file("headgate.json", transport("native"));
    assert.match((await run(folder.path, "upgrade")).stderr, /: the socket is already in use\n/);
    assert.equal(await bodyOf({ socketPath: path.join(folder.path, "local.sock") }), "net");
  });
});

test(
  "an upgrade is no matter of the program that configures: whatever it says on the channel, and it hears nothing",
  TIMEOUT,
  async () => {
    using folder = new Folder();
    const says = '["x", null, {}, { kind: "toString" }].forEach((each) => process.send?.(each));\n';
    const body = "String(process.env.HEADGATE_HANDOVER)";
    folder.file("headgate.ts", says + program("", body));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    await upgraded(running, folder);
    await running.untilLogged(/^stopped$/);
    assert.equal(await bodyOf({ host: "127.0.0.1", port: running.port("web") }), "undefined");
  },
);

test(
  "an upgrade goes on at a unix socket, or fails on Node's own sockets, where no other can listen at one",
  TIMEOUT,
  async () => {
    using folder = new Folder();
    const socketPath = path.join(folder.path, "web.sock");
    const servers = (body: string) => ({ servers: { web: { listen: `unix:${socketPath}`, respond: { body } } } });
    folder.file("headgate.json", configOf("", servers("before")));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    folder.file("headgate.json", configOf("", servers("after")));
    if ((await statusOf(running)).transport === "net") {
      const { status, stderr } = await run(folder.path, "upgrade");
      assert.equal(status, 1);
      assert.match(stderr, /: the socket is already in use\n/);
      assert.equal(await bodyOf({ socketPath }), "before");
      return;
    }
    const knocking = new Knocking({ socketPath });
    await upgraded(running, folder);
    await running.untilLogged(/^stopped$/);
    assert.equal(await bodyOf({ socketPath }), "after", "its file is there");
    assert.deepEqual([...new Set(await knocking.end())], ["before", "after"]);
  },
);

describe("an upgrade that fails", () => {
  test("because of the configuration, changes nothing", TIMEOUT, async () => {
    using folder = new Folder();
    folder.file("headgate.json", configOf("before"));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    writeFileSync(path.join(folder.path, "headgate.json"), '{ "servers": 1 }');
    const { status, stderr } = await run(folder.path, "upgrade", "--admin", adminOf(running));
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^headgate\.json:1:14: servers: expected .*\nprocess \d+, which was to take the place, ended with status 1; process \d+ goes on serving\n$/,
    );
    assert.equal((await statusOf(running)).pid, running.process.pid);
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyFrom(client), "before");
    running.signal("SIGTERM");
    assert.equal(await running.ended(), 0);
  });

  test("because the admin interface is to be had nowhere, gives it back", TIMEOUT, async () => {
    using folder = new Folder();
    folder.file("headgate.json", configOf("before"));
    await using running = await Running.start(folder.path, "run");
    using _ = successorOf(running);
    folder.file("headgate.json", configOf("after", { admin: `unix:${folder.path}/nowhere/admin.sock` }));
    const { status, stderr } = await run(folder.path, "upgrade", "--admin", adminOf(running));
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^headgate\.json:.* admin: .*its folder is not there\n.* ended with status 1; process \d+ goes on serving\n$/,
    );
    await running.untilLogged(/this one goes on serving$/);
    assert.equal((await statusOf(running)).pid, running.process.pid);
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyFrom(client), "before");
    running.signal("SIGTERM");
    assert.equal(await running.ended(), 0);
  });

  test("because systemd cannot be told of it, leaves the first process as it was", TIMEOUT, async () => {
    using folder = new Folder();
    chmodSync(folder.file("systemd-notify", "#!/bin/sh\necho no such socket >&2\nexit 1\n"), 0o755);
    folder.file("headgate.json", configOf("before"));
    const environment = { NOTIFY_SOCKET: "/run/notify", PATH: `${folder.path}:${process.env.PATH}` };
    await using running = await Running.startWith(environment, folder.path, "run");
    using _ = successorOf(running);
    const { status, stderr } = await run(folder.path, "upgrade");
    assert.equal(status, 1);
    assert.match(stderr, /^systemd could not be told that process \d+ is the main one: .*no such socket/s);
    assert.equal((await statusOf(running)).pid, running.process.pid);
    using client = await RawClient.connect(running.port("web"));
    assert.equal(await bodyFrom(client), "before");
    running.signal("SIGTERM");
    // Its output is closed by both.
    assert.equal(await running.ended(), 0);
  });

  test("because there are caches, is refused", TIMEOUT, async () => {
    using folder = new Folder();
    const caches = { objects: { directory: path.join(folder.path, "cache"), minFree: 0 } };
    folder.file("headgate.json", configOf("before", { caches }));
    await using _running = await Running.start(folder.path, "run");
    const { status, stderr } = await run(folder.path, "upgrade");
    assert.deepEqual(
      [status, stderr],
      [1, "the folder of cache objects belongs to one process: restart this one instead\n"],
    );
    assert.ok(existsSync(path.join(folder.path, "cache")));
  });

  test("because the process is told to end meanwhile, leaves nobody behind", TIMEOUT, async () => {
    using folder = new Folder();
    folder.file("headgate.json", configOf("before"));
    await using running = await Running.start(folder.path, "run");
    running.signal("SIGUSR2");
    await running.untilLogged(/is to take the place/);
    running.signal("SIGTERM");
    // Its output is closed by both.
    assert.equal(await running.ended(), 0);
  });
});

function adminOf(running: Running): string {
  return running.entries.find(({ msg }) => msg.startsWith("admin on "))!.msg.slice("admin on ".length);
}
