// The memory of field sections goes back to the pool when an exchange is over, trailers included.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { acquireStorage, pooledStorages, releaseStorage } from "../../src/core/fields.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy } from "../../src/testing/index.ts";

const POST = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const TRANSFORMING: Feature = {
  name: "transforming",
  responseBody: (_exchange, next, source) => new PassThrough(next, source),
};
const WAITING: Feature = { name: "waiting", response: () => Promise.resolve() };

/** Storages that an exchange took out of the pool and did not give back, while its connections are still open. */
async function heldAfter(use: readonly Feature[], answer: string, closes = false): Promise<number> {
  const storages = Array.from({ length: 20 }, () => acquireStorage());
  for (const storage of storages) releaseStorage(storage);
  const before = pooledStorages();
  const proxy = createTestProxy({ use });
  const client = proxy.connect().sends(`${POST}3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n`);
  const server = proxy.origin.accepts();
  server.takes();
  server.sends(answer);
  if (closes) server.ends();
  await proxy.network.settle();
  client.takes();
  const held = before - pooledStorages();
  assert.deepEqual(proxy.finish(), []);
  assert.equal(before - pooledStorages(), 0, "when the connections are closed");
  return held;
}

describe("the memory of fields", () => {
  for (const [name, use] of [
    ["straight through", []],
    ["through a transform", [TRANSFORMING]],
    ["behind a hook that waits", [WAITING]],
    ["both", [WAITING, TRANSFORMING]],
  ] as const) {
    it(`is given back ${name}`, async () => {
      assert.equal(await heldAfter(use, `${CHUNKED}3\r\nabc\r\n0\r\nX-Sum: 2\r\n\r\n`), 0);
      assert.equal(await heldAfter(use, `${CHUNKED}3\r\nabc\r\n0\r\n\r\n`), 0);
    });

    it(`is given back ${name} when the answer is cut`, async () => {
      assert.equal(await heldAfter(use, `${CHUNKED}3\r\nabc\r\n0\r\nX-Sum`, true), 0);
      assert.equal(await heldAfter(use, "HTTP/1.1 200 OK\r\nX-Half: a he", true), 0);
    });
  }

  it("is given back while a tunnel stands, and what the log wants to know of it is still there", async () => {
    const logged: (string | null)[] = [];
    const logging: Feature = {
      name: "logging",
      log({ request, response }) {
        logged.push(
          request.receivedTarget,
          request.authority,
          request.fields.get("x-id"),
          response!.fields.get("x-of"),
        );
      },
    };
    const storages = Array.from({ length: 20 }, () => acquireStorage());
    for (const storage of storages) releaseStorage(storage);
    const before = pooledStorages();
    const proxy = createTestProxy({ use: [logging] });
    const client = proxy.connect();
    client.sends("GET /ws?a HTTP/1.1\r\nHost: Name\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Id: 7\r\n\r\n");
    const server = proxy.origin.accepts();
    server.takes();
    server.sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Of: b\r\n\r\n");
    client.receivesHead();
    assert.equal(pooledStorages(), before);
    client.sends("to");
    server.receives("to");
    server.sends("fro");
    client.receives("fro");
    assert.deepEqual(logged, []);
    client.resets();
    await proxy.network.settle();
    assert.deepEqual(logged, ["/ws?a", "name", "7", "b"]);
    assert.deepEqual(proxy.finish(), []);
    assert.equal(pooledStorages(), before);
  });

  it("is given back when the client leaves while a hook looks at the head of a whole answer", async () => {
    const before = pooledStorages();
    let resolve = () => {};
    const waiting = new Promise<void>((done) => {
      resolve = done;
    });
    const proxy = createTestProxy({ use: [{ name: "waiting", response: () => waiting }] });
    const client = proxy.connect().sends(`${POST}0\r\n\r\n`);
    const server = proxy.origin.accepts();
    server.takes();
    server.sends(`${CHUNKED}3\r\nabc\r\n0\r\nX-Sum: 2\r\n\r\n`);
    await proxy.network.settle();
    client.resets();
    await proxy.network.settle();
    resolve();
    await proxy.network.settle();
    assert.deepEqual(proxy.finish(), []);
    assert.equal(before - pooledStorages(), 0);
  });
});
