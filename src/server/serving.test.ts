// From a configuration to answers on real sockets: every way in which a route can end, the features in between, and what
// is said of us on the way.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { bodyOf, Origin } from "../../test/support/origin.ts";
import { configOf, ProxyUnderTest } from "../../test/support/proxy-under-test.ts";
import { RawClient } from "../../test/support/raw-client.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { composeForInspection } from "./explain.ts";

function get(target: string, ...fields: readonly string[]): string {
  return `GET ${target} HTTP/1.1\r\n${["Host: app.example.org", ...fields].join("\r\n")}\r\n\r\n`;
}

describe("a server of the configuration", () => {
  test("sends requests through its features to an upstream, and answers back through them", async () => {
    await using origin = await Origin.start((request, response) => {
      response.setHeader("X-Secret", "1");
      response.end(`${request.url} ${request.headers["x-set"]}`);
    });
    await using proxy = await ProxyUnderTest.start({
      upstreams: { app: { servers: [origin.url] } },
      servers: {
        web: {
          listen: "127.0.0.1:0",
          routes: [
            {
              match: { path: "/app/*" },
              use: [
                { stripPrefix: "/app" },
                { headers: { request: { set: { "x-set": "yes" } }, response: { remove: ["x-secret"] } } },
              ],
              proxy: "app",
            },
          ],
        },
      },
    });
    using client = await RawClient.connect(proxy.port("web"));
    const answer = await client.send(get("/app/x?y=1")).answer();
    assert.equal(answer.body, "/x?y=1 yes");
    assert.equal(answer.fields.has("x-secret"), false);
    assert.match(answer.fields.get("via") ?? "", /^1\.1 headgate-[0-9a-f]{12}$/);
    assert.equal(origin.asked[0]?.headers.host, "app.example.org");
    assert.equal((await client.send(get("/other")).answer()).status, 404);
    assert.equal(origin.accepted, 1);
  });

  test("takes a body to the upstream, and refuses one that is too large", async () => {
    await using origin = await Origin.start(async (request, response) => response.end(await bodyOf(request)));
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: "127.0.0.1:0", proxy: origin.url, limits: { body: 10 } } },
    });
    using client = await RawClient.connect(proxy.port("web"));
    const post = (body: string) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    assert.equal((await client.send(post("0123456789")).answer()).body, "0123456789");
    assert.equal((await client.send(post("0123456789x")).answer()).status, 413);
  });

  test("answers by itself: respond, redirect, handle", async () => {
    const seen: (string | null)[] = [];
    await using proxy = await ProxyUnderTest.start({
      servers: {
        web: {
          listen: "127.0.0.1:0",
          routes: [
            { match: { path: "/ok" }, respond: { status: 201, body: "made é", headers: { "x-list": ["a", "b"] } } },
            { match: { path: "/empty" }, respond: 204 },
            { match: { path: "/old/*" }, redirect: "https://{host}{uri}" },
            { match: { path: "/temporary" }, redirect: { to: "/new?from={path}&{query}", status: 307 } },
            {
              match: { path: "/function" },
              // What a function returns besides a promise means nothing.
              handle: (exchange: Exchange) => exchange.respond({ status: 202, body: exchange.routeName }),
            },
            {
              match: { path: "/promise" },
              handle: async (exchange: Exchange) => {
                await Promise.resolve();
                seen.push(exchange.routeName);
                exchange.respond({ status: 203 });
              },
            },
          ],
        },
      },
    });
    using client = await RawClient.connect(proxy.port("web"));
    const made = await client.send(get("/ok")).answer();
    assert.deepEqual([made.status, Buffer.from(made.body, "latin1").toString()], [201, "made é"]);
    assert.equal(made.fields.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(made.fields.get("x-list"), "a, b");
    assert.equal((await client.send(get("/empty")).answer()).status, 204);
    const moved = await client.send(get("/old/../old/x?q=1")).answer();
    assert.deepEqual([moved.status, moved.fields.get("location")], [308, "https://app.example.org/old/x?q=1"]);
    const temporary = await client.send(get("/temporary?a=b")).answer();
    assert.deepEqual([temporary.status, temporary.fields.get("location")], [307, "/new?from=/temporary&a=b"]);
    const handled = await client.send(get("/function")).answer();
    assert.deepEqual([handled.status, handled.body], [202, "web.routes[4]"]);
    assert.equal((await client.send(get("/promise")).answer()).status, 203);
    assert.deepEqual(seen, ["web.routes[5]"]);
  });

  test("does not redirect to a host that the request does not name", async () => {
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: "127.0.0.1:0", redirect: "https://{host}{uri}" } },
    });
    using client = await RawClient.connect(proxy.port("web"));
    assert.equal((await client.send("GET / HTTP/1.0\r\n\r\n").answer()).status, 400);
  });

  test("runs a plugin's hooks, and tells the log when one throws", async () => {
    const plugin = {
      name: "thrower",
      request(exchange: Exchange) {
        if (exchange.request.path === "/throw") throw new Error("a plugin's own mistake");
      },
    };
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: "127.0.0.1:0", use: [plugin], respond: 204 } },
    });
    using client = await RawClient.connect(proxy.port("web"));
    assert.equal((await client.send(get("/")).answer()).status, 204);
    const failed = await client.send(get("/throw")).answer();
    assert.equal(failed.status, 500);
    assert.doesNotMatch(failed.body, /mistake/);
    const entry = await proxy.untilLogged("an exchange failed by a fault");
    assert.equal(entry.err?.message, "a plugin's own mistake");
    assert.match(entry.err?.stack ?? "", /serving\.test\.ts/);
    await client.send(get("/throw")).answer();
    assert.equal(proxy.logged.filter(({ level }) => level === "error").length, 1, "a flood of faults is one line");
  });

  test("believes forwarding fields of trusted proxies only", async () => {
    await using origin = await Origin.start((request, response) => {
      response.end(String(request.headers["x-forwarded-for"]));
    });
    const servers = { web: { listen: "127.0.0.1:0", proxy: origin.url } };
    await using proxy = await ProxyUnderTest.start({ servers });
    using client = await RawClient.connect(proxy.port("web"));
    const asked = get("/", "X-Forwarded-For: 192.0.2.7");
    assert.equal((await client.send(asked).answer()).body, "127.0.0.1");
    await proxy.reload({ servers, trustedProxies: ["127.0.0.0/8"] });
    assert.equal((await client.send(asked).answer()).body, "192.0.2.7, 127.0.0.1");
  });

  test("is reached on a unix socket", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-serving-"));
    try {
      const socket = path.join(folder, "web.sock");
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: `unix:${socket}`, respond: 204 } } });
      assert.equal(proxy.server.listening[0]?.address.address, socket);
      using client = await RawClient.connect({ path: socket });
      assert.equal((await client.send(get("/")).answer()).status, 204);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the limits of a route", () => {
  test("hold whatever answers its requests", async () => {
    const endings = [{ respond: 204 }, { proxy: "http://127.0.0.1:1" }, { redirect: "/a" }, { handle: "kisscache" }];
    const routes = endings.map((ending) => ({ match: { path: "/a" }, limits: { bodyTimeout: "7s" }, ...ending }));
    const forward = { allow: [{ networks: "127.0.0.0/8" }] };
    const servers = { web: { listen: "127.0.0.1:0", limits: { bodyTimeout: "5s" }, forward, routes } };
    const [web] = await composeForInspection(configOf({ caches: { default: { memory: "1MiB" } }, servers }));
    assert.deepEqual(
      web!.entries.map(({ route }) => route.limits.bodyTimeoutMs),
      endings.map(() => 7_000),
    );
    assert.equal(web!.site.forward?.limits.bodyTimeoutMs, 5_000);
  });
});

describe("our name in Via", () => {
  async function nameOf(config: Readonly<Record<string, unknown>>, server: string): Promise<string | null> {
    const composed = (await composeForInspection(configOf(config))).find(({ config }) => config.name === server);
    return composed?.site.via?.name ?? null;
  }

  const servers = {
    web: { listen: ":8080", respond: 204 },
    other: { listen: ":8081", respond: 204 },
  };

  test("is the configuration's, or none", async () => {
    assert.equal(await nameOf({ servers, via: "edge-1" }, "web"), "edge-1");
    assert.equal(await nameOf({ servers, via: "off" }, "web"), null);
  });

  test("is made once for a host and an address, and tells nobody the host's name", async () => {
    const name = await nameOf({ servers }, "web");
    assert.match(name ?? "", /^headgate-[0-9a-f]{12}$/);
    assert.equal(name, await nameOf({ servers, limits: { body: 1 } }, "web"));
    assert.notEqual(name, await nameOf({ servers }, "other"));
    assert.ok(!name?.includes(os.hostname()));
  });

  test("lets one server send to another of the same process, and finds a server that sends to itself", async () => {
    await using proxy = await ProxyUnderTest.start({
      servers: {
        inner: { listen: "127.0.0.1:0", respond: { body: "inner" } },
        outer: { listen: "127.0.0.1:0", respond: 204 },
      },
    });
    const inner = `http://127.0.0.1:${proxy.port("inner")}`;
    const outer = `http://127.0.0.1:${proxy.port("outer")}`;
    const chained = (to: string) => ({
      servers: {
        inner: { listen: "127.0.0.1:0", respond: { body: "inner" } },
        outer: { listen: "127.0.0.1:0", proxy: to },
      },
    });
    using client = await RawClient.connect(proxy.port("outer"));
    await proxy.reload(chained(inner));
    assert.equal((await client.send(get("/")).answer()).body, "inner");
    await proxy.reload(chained(outer));
    const looped = await client.send(get("/")).answer();
    assert.equal(looped.status, 502);
    assert.match(looped.fields.get("proxy-status") ?? "", /proxy_loop_detected/);
  });
});
