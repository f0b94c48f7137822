// The proxy as a part of a program: made of an object, listening or mounted or both, reloaded and closed.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import type net from "node:net";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import WebSocket, { WebSocketServer } from "ws";
import { TestFolder } from "../../test/support/folder.ts";
import { Origin } from "../../test/support/origin.ts";
import { until } from "../../test/support/redis.ts";
import {
  ConfigError,
  createProxy,
  defineConfig,
  type Exchange,
  type Feature,
  ProxyError,
  SetupError,
} from "../index.ts";

async function text(port: number, path: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  return `${answer.status} ${await answer.text()}`;
}

/** A server of node:http that hands everything to the proxy. */
async function mounted(proxy: Pick<ReturnType<typeof createProxy>, "handle" | "handleUpgrade">): Promise<http.Server> {
  const server = http.createServer(proxy.handle);
  server.on("upgrade", proxy.handleUpgrade);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function portOf(server: http.Server): number {
  return (server.address() as net.AddressInfo).port;
}

describe("createProxy", () => {
  test("is closed for good by who has less patience than who closes it already", async () => {
    const asked = Promise.withResolvers<void>();
    await using origin = await Origin.start(() => asked.resolve());
    const proxy = createProxy({ listen: "127.0.0.1:0", proxy: origin.url });
    const [web] = await proxy.listen();
    const answer = assert.rejects(text(web!.address.port, "/"));
    await asked.promise;
    // Both would wait for an answer that never comes: by far longer than a test may take.
    const patient = proxy.close({ timeoutMs: 3_600_000 });
    await proxy.close({ timeoutMs: 0 });
    await patient;
    await answer;
  });

  test("takes what is undefined for what is not said", async () => {
    const given = { listen: undefined, use: undefined, servers: undefined, respond: 204 } as object as { respond: 204 };
    const proxy = createProxy(given);
    await assert.rejects(proxy.listen(), /the configuration has no "listen"/);
    await proxy.close();
  });

  test("listens where the configuration says, takes another one, and closes", async () => {
    await using origin = await Origin.start((request, response) => response.end(`origin ${request.url}`));
    const proxy = createProxy(
      defineConfig({
        servers: { web: { listen: "127.0.0.1:0", routes: [{ match: { path: "/a" }, proxy: origin.url }] } },
      }),
    );
    assert.deepEqual(proxy.listening, []);
    const [web] = await proxy.listen();
    assert.ok(web !== undefined);
    assert.deepEqual([web.server, web.isTls, web.address.address], ["web", false, "127.0.0.1"]);
    const { port } = web.address;
    assert.equal(await text(port, "/a"), "200 origin /a");
    await proxy.reload({ servers: { web: { listen: "127.0.0.1:0", respond: { body: "new" } } } });
    assert.equal(await text(port, "/a"), "200 new");
    await proxy.close();
    await assert.rejects(text(port, "/a"));
  });

  test("is closed at the end of its block", async () => {
    let port: number;
    {
      await using proxy = createProxy({ listen: "127.0.0.1:0", respond: { body: "here" } });
      port = (await proxy.listen())[0]!.address.port;
      assert.equal(await text(port, "/"), "200 here");
    }
    await assert.rejects(text(port, "/"));
  });

  test("checks servers when it is mounted as well", async () => {
    await using one = await Origin.start((_request, response) => response.end("one"));
    let checks = 0;
    await using other = await Origin.start((request, response) => {
      if (request.url === "/healthz") checks++;
      response.statusCode = request.url === "/healthz" ? 503 : 200;
      response.end("other");
    });
    const app = { servers: [one.url, other.url], health: { path: "/healthz", interval: "20ms" } };
    const proxy = createProxy({ upstreams: { app }, proxy: "app", log: { level: "error" } });
    const server = await mounted(proxy);
    // Of two in a row one is the other's, unless that is left out.
    const answers = () => Promise.all([text(portOf(server), "/"), text(portOf(server), "/")]);
    await until(async () => (await answers()).every((answer) => answer === "200 one"));
    await until(async () => checks > 2);
    server.close();
    await proxy.close();
  });

  test("takes one server without a name, and plugins", async () => {
    await using origin = await Origin.start((request, response) => response.end(String(request.headers["x-user"])));
    const plugin: Feature = {
      name: "user",
      request(exchange) {
        if (exchange.request.path === "/denied") exchange.fail(new ProxyError("http_request_denied", "not you"));
      },
      upstreamRequest({ request }) {
        request.fields.set("x-user", "alice");
      },
    };
    const proxy = createProxy({ listen: "127.0.0.1:0", use: [plugin, { compress: true }], proxy: origin.url });
    const [main] = await proxy.listen();
    const port = main!.address.port;
    assert.equal(await text(port, "/"), "200 alice");
    assert.match(await text(port, "/denied"), /^403 /);
    await proxy.close();
  });

  test("writes what a plugin throws to standard error, once for each line that throws, and nothing else", async () => {
    const program = `
      const { createProxy } = await import(${JSON.stringify(import.meta.resolve("../index.ts"))});
      const bugs = {
        "/one": () => { throw new Error("a bug of the plugin\\n    at another place " + Math.random()); },
        "/two": () => { throw new TypeError("another bug"); },
        "/hostile": () => { throw Object.defineProperty(new Error(), "stack", { get() { throw new Error("no"); } }); },
        "/worse": () => { throw Object.defineProperty(new Error(), "message", { get() { throw new Error("no"); } }); },
      };
      const use = [{ name: "broken", request: ({ request }) => bugs[request.path]() }];
      const proxy = createProxy({ listen: "127.0.0.1:0", use, respond: 204, ...JSON.parse(process.argv[1]) });
      const [{ address }] = await proxy.listen();
      for (const path of ["/one", "/one", "/one", "/two", "/hostile", "/worse"]) {
        const { status } = await fetch("http://127.0.0.1:" + address.port + path);
        if (status !== 500) process.exitCode = 1;
      }
      await proxy.close();
    `;
    const run = (more: object) =>
      promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program, JSON.stringify(more)]);
    const { stdout, stderr } = await run({});
    assert.equal(stdout, "");
    const [one, two, hostile, ...others] = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.match(one.err.message, /^a bug of the plugin/);
    assert.match(one.err.stack, /at Object\.request/);
    assert.deepEqual([two.level, two.err.message, others], ["error", "another bug", []]);
    assert.match(hostile.msg, /^an exchange failed by a fault of the proxy or of a plugin/);
    assert.deepEqual(await run({ log: { level: "silent" } }), { stdout: "", stderr: "" });
  });

  test("lets a plugin send an exchange to another upstream", async () => {
    await using one = await Origin.start((_request, response) => response.end("one"));
    await using two = await Origin.start((_request, response) => response.end("two"));
    const chooser: Feature = {
      name: "chooser",
      selectUpstream(exchange) {
        if (exchange.request.query === "two") exchange.upstream = proxy.upstream("two");
      },
    };
    const proxy = createProxy({
      listen: "127.0.0.1:0",
      upstreams: { one: { servers: [one.url] }, two: { servers: [two.url] } },
      use: [chooser],
      proxy: "one",
    });
    const [main] = await proxy.listen();
    assert.equal(await text(main!.address.port, "/"), "200 one");
    assert.equal(await text(main!.address.port, "/?two"), "200 two");
    assert.equal(proxy.upstream("three"), null);
    await proxy.close();
  });

  test("throws everything that is wrong with a configuration", () => {
    const wrong = () => createProxy({ servers: { web: { listen: "nowhere", proxi: "http://127.0.0.1:1" } } } as never);
    assert.throws(wrong, (error: ConfigError) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(
        error.problems.map(({ path, suggestion }) => [path, suggestion]),
        [
          ["servers.web.listen", null],
          ["servers.web.proxi", "proxy"],
        ],
      );
      assert.match(error.message, /^configuration: servers\.web\.listen: expected an address/);
      return true;
    });
    assert.throws(() => createProxy({ listen: ":1", proxy: "127.0.0.1:3000" }), {
      message: 'configuration: proxy: no upstream has the name "127.0.0.1:3000"; did you mean "http://127.0.0.1:3000"?',
    });
    assert.throws(() => createProxy(null as never), ConfigError);
    // @ts-expect-error: the compiler knows the names too
    assert.throws(() => createProxy({ lisen: ":1", proxy: "http://127.0.0.1:3000" }), ConfigError);
    assert.throws(
      () => createProxy({ workers: 2, proxy: "http://127.0.0.1:3000" }),
      /workers: .*the program's own thread/,
    );
  });

  test("knows what was meant where a field of its only server is misspelled", () => {
    assert.throws(() => createProxy({ proxi: "http://127.0.0.1:1" } as never), {
      name: "ConfigError",
      message: 'configuration: proxi: unknown field; did you mean "proxy"?',
    });
    assert.throws(() => createProxy({ upstream: {}, respond: 204 } as never), /did you mean "upstreams"\?/);
  });

  test("rejects a reload that is wrong, and goes on as before", async () => {
    const proxy = createProxy({ listen: "127.0.0.1:0", respond: { body: "old" } });
    const [main] = await proxy.listen();
    await assert.rejects(proxy.reload({ listen: "127.0.0.1:0" } as never), ConfigError);
    assert.equal(await text(main!.address.port, "/"), "200 old");
    await proxy.close();
  });

  test("tells of a file that cannot be read when it is asked to listen", async () => {
    const proxy = createProxy({
      listen: "127.0.0.1:0",
      proxy: { to: "https://127.0.0.1:1", tls: { ca: "/no/such.pem" } },
    });
    await assert.rejects(
      proxy.listen(),
      (error) => error instanceof SetupError && /\/no\/such\.pem/.test(error.message),
    );
    // Another configuration may be had, and is then the first.
    await assert.rejects(
      proxy.reload({ proxy: { to: "https://127.0.0.1:1", tls: { ca: "/nor/this.pem" } } }),
      SetupError,
    );
    await proxy.reload({ listen: "127.0.0.1:0", respond: { body: "at last" } });
    const [main] = await proxy.listen();
    assert.equal(await text(main!.address.port, "/"), "200 at last");
    await proxy.close();
  });
});

describe("a mounted proxy", () => {
  test("serves the requests and upgrades of another server", async () => {
    await using origin = await Origin.start((request, response) => response.end(`origin ${request.url}`));
    const sockets = new WebSocketServer({ server: origin.server });
    sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
    const proxy = createProxy({ routes: [{ match: { path: "/up/*" }, proxy: origin.url }] });
    const server = await mounted(proxy);
    assert.equal(await text(portOf(server), "/up/x?y"), "200 origin /up/x?y");
    assert.match(await text(portOf(server), "/other"), /^404 /);
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(server)}/up/socket`);
    await once(socket, "open");
    socket.send("hi");
    assert.equal(String((await once(socket, "message"))[0]), "echo hi");
    const closed = once(socket, "close");
    await proxy.close();
    await closed;
    sockets.close();
    server.close();
    server.closeAllConnections();
  });

  test("logs what it cuts of another server's upgraded connections when it closes", async () => {
    using folder = new TestFolder();
    const log = folder.file("access.log");
    await using origin = await Origin.start((_request, response) => response.end());
    const sockets = new WebSocketServer({ server: origin.server });
    const proxy = createProxy({
      proxy: origin.url,
      log: { access: { output: log, format: "{status} {path} {ended}" } },
    });
    const server = await mounted(proxy);
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(server)}/socket`);
    await once(socket, "open");
    const closed = once(socket, "close");
    await proxy.close();
    assert.equal(folder.read("access.log"), "101 /socket stopped\n");
    await closed;
    sockets.close();
    server.close();
  });

  test("has nowhere to listen on", async () => {
    const proxy = createProxy({
      handle: (exchange: Exchange) => void exchange.respond({ status: 200, body: "handled" }),
    });
    await assert.rejects(proxy.listen(), /nowhere to listen on/);
    const server = await mounted(proxy);
    assert.equal(await text(portOf(server), "/"), "200 handled");
    await proxy.reload({ respond: { body: "new" } });
    assert.equal(await text(portOf(server), "/"), "200 new");
    await proxy.close();
    server.close();
  });

  test("gives the framework what keeps it from serving", async () => {
    const proxy = createProxy({ proxy: { to: "https://127.0.0.1:1", tls: { ca: "/no/such.pem" } } });
    const server = http.createServer((request, response) => {
      proxy.handle(request, response, (error) => response.writeHead(599).end(String(error)));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    assert.match(await text(portOf(server), "/"), /^599 SetupError: \/no\/such\.pem/);
    await proxy.close();
    server.close();
  });
});
