// Which exchanges are written, and where their lines go: shares by route, failures always, a file that is rotated, and
// reloads that change the format or the file.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { Origin } from "../../test/support/origin.ts";
import { configOf, ProxyUnderTest } from "../../test/support/proxy-under-test.ts";
import { RawClient } from "../../test/support/raw-client.ts";
import { StandInExchange, standInResponse } from "../../test/support/stand-in-exchange.ts";
import { ProxyError } from "../core/errors.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { AccessLog } from "./access-log.ts";
import { clock } from "./surroundings.ts";

describe("the share of exchanges that is written", () => {
  const config = configOf({
    log: { access: { format: "{path} {status}", sample: 0.25 } },
    servers: {
      web: {
        listen: ":1",
        routes: [
          { match: { path: "/often" }, respond: 200, log: { access: { sample: 1 } } },
          { match: { path: "/never" }, respond: 200, log: { access: { sample: 0 } } },
          { match: { path: "/off" }, respond: 200, log: { access: "off" } },
          { respond: 200 },
        ],
      },
    },
  });

  class OnRoute extends StandInExchange {
    readonly #route: string | null;

    constructor(target: string, route: string | null) {
      super({ target });
      this.#route = route;
    }

    override get routeName(): string | null {
      return this.#route;
    }
  }

  /** What is written of an exchange on each route, when chance gives `chance`. */
  function written(status: number, chance: number, error: ProxyError | null = null): readonly string[] {
    const lines: string[] = [];
    const log = new AccessLog({ clock, random: { next: () => chance } });
    log.sink = { write: (line) => lines.push(line) };
    const observer = log.observer(config.log.access!, config.servers[0]!);
    for (const [target, route] of [
      ["/often", "web.routes[0]"],
      ["/never", "web.routes[1]"],
      ["/off", "web.routes[2]"],
      ["/other", "web.routes[3]"],
      ["/nowhere", null],
    ] as const) {
      const exchange = new OnRoute(target, route);
      exchange.response = standInResponse(status, 0, []);
      exchange.error = error;
      observer.onExchangeEnd(exchange);
    }
    return lines.map((line) => line.trim());
  }

  test("is the route's own, else the log's", () => {
    assert.deepEqual(written(200, 0.24), ["/often 200", "/other 200", "/nowhere 200"]);
    assert.deepEqual(written(404, 0.26), ["/often 404"]);
  });

  test("is everything of what failed, except where the log is off", () => {
    const all = (status: number) => ["/often", "/never", "/other", "/nowhere"].map((target) => `${target} ${status}`);
    assert.deepEqual(written(500, 0.99), all(500));
    assert.deepEqual(written(200, 0.99, new ProxyError("http_request_error", "gone")), all(200));
  });
});

describe("the file of the access log", () => {
  async function inFolder(run: (file: (name: string) => string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-access-"));
    try {
      await run((name) => path.join(folder, name));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  const GET = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

  test("gets one line for each exchange, what a tunnel carried and what was refused included", () =>
    inFolder(async (file) => {
      await using origin = await Origin.start((_request, response) => response.end("hello"));
      origin.server.on("upgrade", (_request, socket) => {
        socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes");
      });
      const log = { access: { output: file("access.log"), format: "{method} {uri} {status} {responseBytes} {error}" } };
      {
        await using proxy = await ProxyUnderTest.start({
          log,
          servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } },
        });
        const port = proxy.port("web");
        using client = await RawClient.connect(port);
        await client.send(GET("/a?b=c")).answer();
        await client.send("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        using upgrading = await RawClient.connect(port);
        upgrading.send("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        await upgrading.untilEnded();
        for (const { socket } of [client, upgrading]) socket.end();
        await proxy.server.close(60_000);
      }
      assert.equal(
        readFileSync(file("access.log"), "latin1").replace(
          /request refused: .*/,
          "request refused: (the codec's words)",
        ),
        [
          "GET /a?b=c 200 5 -",
          "- - 400 67 http_request_error (client): request refused: (the codec's words)",
          "GET /up 101 5 -",
          "",
        ].join("\n"),
      );
    }));

  test("is opened anew after it was renamed", () =>
    inFolder(async (file) => {
      const log = { access: { output: file("access.log"), format: "{path}" } };
      {
        await using proxy = await ProxyUnderTest.start({
          log,
          servers: { web: { listen: "127.0.0.1:0", respond: 204 } },
        });
        using client = await RawClient.connect(proxy.port("web"));
        await client.send(GET("/before")).answer();
        renameSync(file("access.log"), file("access.log.1"));
        await client.send(GET("/between")).answer();
        await proxy.server.reopenLogs();
        await client.send(GET("/after")).answer();
      }
      const lines = ["access.log.1", "access.log"].map((name) => readFileSync(file(name), "latin1")).join("");
      assert.equal(lines, "/before\n/between\n/after\n");
      assert.match(readFileSync(file("access.log"), "latin1"), /\/after\n$/);
    }));

  test("changes with a reload; an exchange that began before is written as it began, to where the log goes now", () =>
    inFolder(async (file) => {
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
      const handle = async (exchange: Exchange) => {
        arrive();
        await released;
        exchange.respond({ status: 200 });
      };
      const configuration = (name: string, format: string) => ({
        log: { access: { output: file(name), format } },
        servers: { web: { listen: "127.0.0.1:0", routes: [{ match: { path: "/slow" }, handle }, { respond: 204 }] } },
      });
      {
        await using proxy = await ProxyUnderTest.start(configuration("old.log", "old {path}"));
        const port = proxy.port("web");
        using slow = await RawClient.connect(port);
        slow.send(GET("/slow"));
        await arrived;
        using client = await RawClient.connect(port);
        await client.send(GET("/1")).answer();
        await proxy.reload(configuration("new.log", "new {path}"));
        await client.send(GET("/2")).answer();
        release();
        await slow.answer();
      }
      assert.equal(readFileSync(file("old.log"), "latin1"), "old /1\n");
      assert.equal(readFileSync(file("new.log"), "latin1"), "new /2\nold /slow\n");
    }));
});
