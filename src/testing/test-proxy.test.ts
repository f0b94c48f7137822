// The proxy that plugin authors test with: a plugin in the middle of a dialogue between a client and an origin.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PassThrough } from "../pipeline/body.ts";
import type { Feature } from "../pipeline/phases.ts";
import { createTestProxy, SeededRandom, SimulatedNetwork } from "./index.ts";

const GET = "GET /a?b=1 HTTP/1.1\r\nHost: a.example\r\n\r\n";

describe("createTestProxy", () => {
  it("forwards a request and its answer", () => {
    const proxy = createTestProxy();
    const client = proxy.connect({ from: "192.0.2.7" }).sends(GET);
    const server = proxy.origin.accepts();
    const head = server.receivesHead();
    assert.equal(head.startLine, "GET /a?b=1 HTTP/1.1");
    assert.equal(head.get("host"), "a.example");
    assert.equal(head.get("x-forwarded-for"), "192.0.2.7");
    server.receivesNothing().sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    client.receives("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nhi");
    assert.equal(proxy.ended.length, 1);
    assert.equal(proxy.ended[0]!.upstreamAddress, "origin:80");
    assert.deepEqual(proxy.finish(), []);
  });

  it("runs the hooks of a plugin", () => {
    const seen: string[] = [];
    const plugin: Feature = {
      name: "plugin",
      request(exchange) {
        exchange.request.fields.set("X-User", "alice");
      },
      response(exchange, response) {
        response.fields.set("X-Plugin", exchange.request.path);
      },
      log(exchange) {
        seen.push(`${exchange.request.method} ${exchange.request.path} ${exchange.response?.status}`);
      },
    };
    const proxy = createTestProxy({ use: [plugin] });
    const client = proxy.connect().sends(GET);
    const server = proxy.origin.accepts();
    assert.equal(server.receivesHead().get("x-user"), "alice");
    server.sends("HTTP/1.1 204 No Content\r\n\r\n");
    assert.equal(client.receivesHead().get("x-plugin"), "/a");
    client.receivesNothing().staysOpen();
    assert.deepEqual(seen, ["GET /a 204"]);
    assert.deepEqual(proxy.finish(), []);
  });

  it("tells what a plugin has thrown", () => {
    const faults: Error[] = [];
    const thrown = new Error("a bug of the plugin");
    const plugin: Feature = {
      name: "throwing",
      request() {
        throw thrown;
      },
    };
    const proxy = createTestProxy({ use: [plugin], onFault: (error) => void faults.push(error) });
    const client = proxy.connect().sends(GET);
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 500 /);
    assert.deepEqual(faults, [thrown]);
  });

  it("lets a plugin answer, and never asks the origin", () => {
    const plugin: Feature = {
      name: "forbidding",
      request(exchange) {
        exchange.respond({ status: 403, body: "no" });
      },
    };
    const proxy = createTestProxy({ use: [plugin] });
    const client = proxy.connect().sends(GET);
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 403 /);
    client.receives("no");
    proxy.origin.acceptsNothing();
    assert.deepEqual(proxy.finish(), []);
  });

  it("waits for hooks that wait, once the test settles", async () => {
    const proxy = createTestProxy({
      use: [
        {
          name: "waiting",
          async request(exchange) {
            await Promise.resolve();
            exchange.request.fields.set("X-Waited", "yes");
          },
        },
      ],
    });
    proxy.connect().sends(GET);
    proxy.origin.acceptsNothing();
    await proxy.network.settle();
    assert.equal(proxy.origin.accepts().receivesHead().get("x-waited"), "yes");
    assert.deepEqual(proxy.finish(), []);
  });

  it("shows a transform the bytes of a body, however they are cut", () => {
    class Shouting extends PassThrough {
      override write(bytes: Buffer, start: number, end: number): void {
        const text = Buffer.from(bytes.toString("latin1", start, end).toUpperCase());
        super.write(text, 0, text.length);
      }
    }
    const proxy = createTestProxy({
      network: new SimulatedNetwork({ fragmentation: "bytes", latencyMs: 3, random: new SeededRandom(1) }),
      use: [{ name: "shouting", responseBody: (_exchange, next, source) => new Shouting(next, source) }],
    });
    const client = proxy.connect().sends(GET);
    proxy.network.advance(100);
    proxy.origin.accepts().sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    proxy.network.advance(100);
    client.receivesHead();
    client.receives("HELLO");
    assert.deepEqual(proxy.finish(), []);
  });

  it("takes a handler in the origin's place, and the options of a route", () => {
    const proxy = createTestProxy({
      handler: (exchange) => void exchange.respond({ status: 200, body: exchange.request.path }),
      limits: { bodyBytesMax: 3 },
      via: "gate",
    });
    const client = proxy.connect().sends(GET);
    assert.equal(client.receivesHead().get("content-length"), "2");
    client.receives("/a");
    client.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n1234");
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 413 /);
    client.takes();
    assert.deepEqual(proxy.finish(), []);
  });

  it("closes what a test left open", () => {
    const proxy = createTestProxy();
    const client = proxy.connect().sends(GET);
    const server = proxy.origin.accepts();
    assert.deepEqual(proxy.finish(), []);
    assert.ok(client.ended || client.closed);
    assert.ok(server.ended || server.closed);
  });
});
