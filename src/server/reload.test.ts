// A reload changes what it says and nothing else: connections go on, the next request meets the new routes, pools that
// are configured as before keep their connections, and a reload that cannot be done leaves everything as it was.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { describe, mock, test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { type Issued, issueCertificate } from "../../test/support/certificates.ts";
import { freePort, isRefused } from "../../test/support/free-port.ts";
import { Origin } from "../../test/support/origin.ts";
import { configOf, ProxyUnderTest } from "../../test/support/proxy-under-test.ts";
import { RawClient } from "../../test/support/raw-client.ts";
import { listenerKey } from "../config/diff.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { Places } from "../upstreams/places.ts";
import { createAppLog } from "./app-log.ts";
import { ProxyServer } from "./proxy.ts";
import { SetupError } from "./setup-error.ts";

function get(target: string, ...fields: readonly string[]): string {
  return `GET ${target} HTTP/1.1\r\n${["Host: a", ...fields].join("\r\n")}\r\n\r\n`;
}

const ANY = "127.0.0.1:0";

describe("a reload", () => {
  test("gives new routes to the next request on the same connection", async () => {
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: ANY, respond: { body: "old" } } } });
    const port = proxy.port("web");
    using client = await RawClient.connect(port);
    assert.equal((await client.send(get("/")).answer()).body, "old");
    await proxy.reload({ servers: { web: { listen: ANY, respond: { body: "new" } } } });
    assert.equal((await client.send(get("/")).answer()).body, "new");
    assert.equal(proxy.port("web"), port);
  });

  test("lets an exchange end by the configuration that it began with", async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const handle = async (exchange: Exchange) => {
      arrive();
      await released;
      exchange.respond({ status: 200, body: "old" });
    };
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: ANY, handle } } });
    using client = await RawClient.connect(proxy.port("web"));
    client.send(get("/"));
    await arrived;
    await proxy.reload({ servers: { web: { listen: ANY, respond: { body: "new" } } } });
    release();
    assert.equal((await client.answer()).body, "old");
    assert.equal((await client.send(get("/")).answer()).body, "new");
  });

  test("keeps a WebSocket open, and its upstream's other connections", async () => {
    const server = http.createServer((_request, response) => response.end("origin"));
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    let accepted = 0;
    server.on("connection", () => accepted++);
    const to = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    try {
      const routes = [{ match: { path: "/up" }, proxy: to }];
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: ANY, routes } } });
      const port = proxy.port("web");
      const socket = new WebSocket(`ws://127.0.0.1:${port}/up`);
      await once(socket, "open");
      using client = await RawClient.connect(port);
      assert.equal((await client.send(get("/up")).answer()).body, "origin");
      await proxy.reload({
        servers: {
          web: { listen: ANY, routes: [...routes, { match: { path: "/new" }, respond: 204 }] },
          more: { listen: ANY, respond: 204 },
        },
      });
      socket.send("hello");
      const [answer] = await once(socket, "message");
      assert.equal(String(answer), "echo hello");
      assert.equal((await client.send(get("/new")).answer()).status, 204);
      assert.equal((await client.send(get("/up")).answer()).body, "origin");
      assert.equal(accepted, 2, "the pool of an upstream that did not change keeps its connection");
      socket.close();
      await once(socket, "close");
    } finally {
      server.closeAllConnections();
      server.close();
      sockets.close();
    }
  });

  test("closes the idle connections of an upstream that has changed, and those of one that is gone", async () => {
    await using changed = await Origin.start((_request, response) => response.end("changed"));
    await using gone = await Origin.start((_request, response) => response.end("gone"));
    const configOf = (idle: string, withGone: boolean) => ({
      servers: {
        web: {
          listen: ANY,
          routes: [
            { match: { path: "/changed" }, proxy: { to: changed.url, timeouts: { idle } } },
            ...(withGone ? [{ match: { path: "/gone" }, proxy: gone.url }] : []),
          ],
        },
      },
    });
    await using proxy = await ProxyUnderTest.start(configOf("60s", true));
    using client = await RawClient.connect(proxy.port("web"));
    for (const name of ["changed", "gone"]) assert.equal((await client.send(get(`/${name}`)).answer()).body, name);
    await proxy.reload(configOf("50s", false));
    await Promise.all([changed.until(() => changed.sockets.size === 0), gone.until(() => gone.sockets.size === 0)]);
    assert.equal((await client.send(get("/changed")).answer()).body, "changed");
    assert.equal((await client.send(get("/gone")).answer()).status, 404);
  });

  test("opens new addresses and closes old ones, whose connections end when they are idle", async () => {
    const [first, second] = [await freePort(), await freePort()];
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: `127.0.0.1:${first}`, respond: 204 } },
    });
    using idle = await RawClient.connect(first);
    assert.equal((await idle.send(get("/")).answer()).status, 204);
    await proxy.reload({ servers: { web: { listen: `127.0.0.1:${second}`, respond: 200 } } });
    await idle.untilEnded();
    assert.ok(await isRefused(first));
    using client = await RawClient.connect(second);
    assert.equal((await client.send(get("/")).answer()).status, 200);
  });

  test("answers who waits to be accepted at an address that it closes", async () => {
    await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: ANY, respond: 204 } } });
    const other = { servers: { web: { listen: `127.0.0.1:${await freePort()}`, respond: 204 } } };
    const prepared = await proxy.server.prepare(configOf(other), null);
    const client = net.connect(proxy.port("web"), "127.0.0.1");
    client.write(get("/"));
    const answer = client.setEncoding("latin1").toArray();
    // Node connects in the next tick; the system then needs nobody to accept.
    await new Promise<void>(process.nextTick);
    await prepared.commit();
    assert.match((await answer).join(""), /^HTTP\/1\.1 204 .*\r\nConnection: close\r\n/is);
  });

  test("goes on at an address until another one, which may be opened beside it, is taken into use", async () => {
    const port = await freePort();
    const config = (host: string, body: string) =>
      configOf({ servers: { web: { listen: `${host}:${port}`, respond: { body } } } });
    const socketsOf = ({ servers: [server] }: ReturnType<typeof config>) =>
      new Map([
        [listenerKey(server!.listen[0]!, server!, 0), { port, descriptor: null, further: [], reusePort: true }],
      ]);
    const proxy = new ProxyServer(createAppLog({ level: "fatal", isForPeople: false, write() {} }));
    const body = async () => {
      using client = await RawClient.connect(port);
      return (await client.send(get("/")).answer()).body;
    };
    const [before, after] = [config("127.0.0.1", "old"), config("0.0.0.0", "new")];
    try {
      await proxy.load(before);
      await proxy.listen(socketsOf(before));
      const bodies: string[] = [];
      for (const end of ["rollback", "commit"] as const) {
        const prepared = await proxy.prepare(after, socketsOf(after));
        bodies.push(await body());
        await prepared[end]();
        bodies.push(await body());
      }
      assert.deepEqual(bodies, ["old", "old", "old", "new"]);
    } finally {
      await proxy.close(0);
    }
  });

  test("passes an address from one server to another without closing its connections", async () => {
    const port = await freePort();
    const here = `127.0.0.1:${port}`;
    await using proxy = await ProxyUnderTest.start({ servers: { one: { listen: here, respond: { body: "one" } } } });
    using client = await RawClient.connect(port);
    assert.equal((await client.send(get("/")).answer()).body, "one");
    await proxy.reload({ servers: { two: { listen: here, respond: { body: "two" } } } });
    assert.equal((await client.send(get("/")).answer()).body, "two");
  });

  test("moves from all addresses of a port to one of them", async () => {
    const port = await freePort();
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: `:${port}`, respond: { body: "all" } } },
    });
    await proxy.reload({ servers: { web: { listen: `127.0.0.1:${port}`, respond: { body: "one" } } } });
    using client = await RawClient.connect(port);
    assert.equal((await client.send(get("/")).answer()).body, "one");
    await proxy.reload({ servers: { web: { listen: `:${port}`, respond: { body: "all" } } } });
    using other = await RawClient.connect(port);
    assert.equal((await other.send(get("/")).answer()).body, "all");
  });
});

describe("a reload that cannot be done", () => {
  test("changes nothing when a port is taken, and says which", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const takenPort = (taken.address() as net.AddressInfo).port;
    const free = await freePort();
    try {
      await using origin = await Origin.start((_request, response) => response.end("origin"));
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: ANY, proxy: origin.url } } });
      using client = await RawClient.connect(proxy.port("web"));
      assert.equal((await client.send(get("/")).answer()).body, "origin");
      const reload = proxy.reload({
        servers: { web: { listen: [ANY, `127.0.0.1:${free}`, `127.0.0.1:${takenPort}`], respond: { body: "new" } } },
      });
      await assert.rejects(reload, (error: SetupError) => {
        assert.ok(error instanceof SetupError);
        const message = `cannot listen on 127.0.0.1:${takenPort}: the port is already in use`;
        assert.deepEqual(error.problems, [{ path: ["servers", "web", "listen", 2], message }]);
        return true;
      });
      assert.ok(await isRefused(free), "what was opened before the failure is closed again");
      assert.equal((await client.send(get("/")).answer()).body, "origin");
      assert.equal(origin.accepted, 1);
    } finally {
      taken.close();
    }
  });

  test("leaves nobody behind among those who share the places of an upstream", async () => {
    const places = Places.ofOneThread(1);
    const users = mock.method(places, "addUser").mock;
    const gone = mock.method(places, "removeUser").mock;
    const log = createAppLog({ level: "fatal", isForPeople: false, write() {} });
    const proxy = new ProxyServer(log, { places: () => places });
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const configured = (maxConnections: number, listen: string) =>
      configOf({
        upstreams: { app: { servers: ["http://127.0.0.1:1"], maxConnections } },
        servers: { web: { listen, proxy: "app" } },
      });
    try {
      await proxy.load(configured(1, "127.0.0.1:0"));
      await proxy.listen();
      await assert.rejects(proxy.load(configured(2, `127.0.0.1:${port}`)), SetupError);
      assert.deepEqual([users.callCount(), gone.callCount()], [2, 1]);
    } finally {
      taken.close();
      await proxy.close(0);
    }
  });

  test("gives an address back that it had to close first", async () => {
    const port = await freePort();
    const stranger = net.createServer().listen(port, "127.0.0.2");
    await once(stranger, "listening");
    try {
      const here = `127.0.0.1:${port}`;
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: here, respond: { body: "old" } } } });
      using client = await RawClient.connect(port);
      assert.equal((await client.send(get("/")).answer()).body, "old");
      // Our own socket stands in the way of all addresses, and so does the stranger's.
      const reload = proxy.reload({ servers: { web: { listen: `:${port}`, respond: { body: "new" } } } });
      await assert.rejects(reload, /cannot listen on :\d+: the port is already in use/);
      assert.equal((await client.send(get("/")).answer()).body, "old");
      using later = await RawClient.connect(port);
      assert.equal((await later.send(get("/")).answer()).body, "old");
      assert.deepEqual(proxy.ports("web"), [port]);
    } finally {
      stranger.close();
    }
  });
});

describe("certificates", () => {
  async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-reload-"));
    try {
      await run(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  function write(folder: string, { cert, key }: Issued): { readonly cert: string; readonly key: string } {
    const files = { cert: path.join(folder, "cert.pem"), key: path.join(folder, "key.pem") };
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
    return files;
  }

  test("of a listener are served anew when their files have changed, and connections go on", () =>
    inFolder(async (folder) => {
      const [first, second] = [issueCertificate({ names: ["a.test"] }), issueCertificate({ names: ["a.test"] })];
      const files = write(folder, first);
      const listen = { address: ANY, tls: { certificates: [files] } };
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen, respond: 204 } } });
      const port = proxy.port("web");
      using before = await RawClient.connect({ port, tls: { ca: first.cert, servername: "a.test" } });
      write(folder, second);
      await proxy.untilLogged("files that have changed were read again");
      using after = await RawClient.connect({ port, tls: { ca: second.cert, servername: "a.test" } });
      for (const client of [before, after]) assert.equal((await client.send(get("/")).answer()).status, 204);
    }));

  test("that change while a reload is under way are read again for the configuration that it brings", () =>
    inFolder(async (folder) => {
      const [first, second] = [issueCertificate({ names: ["a.test"] }), issueCertificate({ names: ["a.test"] })];
      const tls = { certificates: [write(folder, first)] };
      const servers = (status: number) => ({ servers: { web: { listen: { address: ANY, tls }, respond: status } } });
      await using proxy = await ProxyUnderTest.start(servers(200));
      // It watches the same files: what it notices, the other one has noticed about now.
      await using witness = await ProxyUnderTest.start(servers(200));
      const prepared = await proxy.server.prepare(configOf(servers(204)), null);
      // Behind the reading, or it would be no change for the configuration that comes.
      write(folder, second);
      await witness.untilLogged("files that have changed were read again");
      await prepared.commit();
      await proxy.untilLogged("files that have changed were read again");
      using client = await RawClient.connect({
        port: proxy.port("web"),
        tls: { ca: second.cert, servername: "a.test" },
      });
      assert.equal((await client.send(get("/")).answer()).status, 204);
    }));

  test("that cannot be used leave the old ones in place", () =>
    inFolder(async (folder) => {
      const issued = issueCertificate({ names: ["a.test"] });
      const files = write(folder, issued);
      const listen = { address: ANY, tls: { certificates: [files] } };
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen, respond: 204 } } });
      writeFileSync(files.key, "nothing");
      const entry = await proxy.untilLogged("what they held before stays");
      assert.match(entry.msg, /key\.pem: no private key is in this file/);
      using client = await RawClient.connect({
        port: proxy.port("web"),
        tls: { ca: issued.cert, servername: "a.test" },
      });
      assert.equal((await client.send(get("/")).answer()).status, 204);
    }));

  test("come and go on the same address", () =>
    inFolder(async (folder) => {
      const issued = issueCertificate({ names: ["a.test"] });
      const files = write(folder, issued);
      const port = await freePort();
      const address = `127.0.0.1:${port}`;
      const plain = { servers: { web: { listen: address, respond: { body: "plain" } } } };
      const secured = {
        servers: { web: { listen: { address, tls: { certificates: [files] } }, respond: { body: "tls" } } },
      };
      await using proxy = await ProxyUnderTest.start(plain);
      await proxy.reload(secured);
      using client = await RawClient.connect({ port, tls: { ca: issued.cert, servername: "a.test" } });
      assert.equal((await client.send(get("/")).answer()).body, "tls");
      await proxy.reload(plain);
      using other = await RawClient.connect(port);
      assert.equal((await other.send(get("/")).answer()).body, "plain");
    }));
});
