// A feature may see the whole body of a request before it goes on; it is sent to the upstream all the same, to the
// byte.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy, type TestProxy, type TestProxyOptions } from "../../src/testing/index.ts";

const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Notes the body, and may act on it. */
function holder(max: number, act: (exchange: Exchange, body: string) => void = () => {}) {
  const bodies: (string | ProxyError)[] = [];
  const feature: Feature = {
    name: "holder",
    async request(exchange) {
      const body = await exchange.wholeBody(max).catch((error: ProxyError) => {
        bodies.push(error);
        throw error;
      });
      bodies.push(body.toString("latin1"));
      act(exchange, body.toString("latin1"));
    },
  };
  return { feature, bodies };
}

async function finish(proxy: TestProxy): Promise<void> {
  await proxy.network.settle();
  assert.deepEqual(proxy.finish(), []);
}

function stage(feature: Feature, options: TestProxyOptions = {}) {
  const proxy = createTestProxy({ ...options, use: [...(options.use ?? []), feature] });
  return { proxy, client: proxy.connect() };
}

describe("a whole body", () => {
  it("is there before the request is sent, which it then follows", async () => {
    const { feature, bodies } = holder(6);
    const { proxy, client } = stage(feature);
    client.sends(`${POST}abc`);
    await proxy.network.settle();
    proxy.origin.acceptsNothing();
    client.sends("def");
    await proxy.network.settle();
    assert.deepEqual(bodies, ["abcdef"]);
    const server = proxy.origin.accepts();
    server.receives(/^POST \/ HTTP\/1\.1\r\n.*Content-Length: 6\r\n.*\r\n\r\nabcdef$/s);
    server.sends(OK);
    client.receives(OK);
    await finish(proxy);
  });

  it("stays chunked, with its trailers", async () => {
    const { feature, bodies } = holder(100);
    const { proxy, client } = stage(feature);
    client.sends(`${CHUNKED}2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n`);
    await proxy.network.settle();
    assert.deepEqual(bodies, ["abc"]);
    proxy.origin.accepts().receives(/Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n$/);
    await finish(proxy);
  });

  it("loses the trailers when an identity was proved, or a feature says so", async () => {
    for (const act of [
      (exchange: Exchange) => void Object.assign(exchange, { identity: { subject: "ann", by: "test" } }),
      (exchange: Exchange) => void Object.assign(exchange, { passesTrailers: false }),
    ]) {
      // Found out before the trailers came, and when they were there already.
      for (const feature of [{ name: "act", request: act }, holder(100, act).feature]) {
        const { proxy, client } = stage(feature);
        client.sends(`${CHUNKED}1\r\na\r\n0\r\nX-User: eve\r\n\r\n`);
        await proxy.network.settle();
        proxy.origin.accepts().receives(/\r\n\r\n1\r\na\r\n0\r\n\r\n$/);
        await finish(proxy);
      }
    }
  });

  it("loses the trailers when the feature behind the one that holds it says so", async () => {
    const { feature } = holder(100);
    const behind: Feature = {
      name: "behind",
      upstreamRequest: (exchange) => void Object.assign(exchange, { passesTrailers: false }),
    };
    const { proxy, client } = stage(behind, { use: [feature] });
    client.sends(`${CHUNKED}1\r\na\r\n0\r\nX-User: eve\r\n\r\n`);
    await proxy.network.settle();
    proxy.origin.accepts().receives(/\r\n\r\n1\r\na\r\n0\r\n\r\n$/);
    await finish(proxy);
  });

  it("is empty when there is none", async () => {
    const { feature, bodies } = holder(0);
    const { proxy, client } = stage(feature);
    client.sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await proxy.network.settle();
    assert.deepEqual(bodies, [""]);
    proxy.origin.accepts().receivesHead();
    await finish(proxy);
  });

  it("is asked for at once where the client waits for 100 (Continue)", async () => {
    const { feature } = holder(6);
    const { proxy, client } = stage(feature);
    client.sends(POST.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    client.receives("HTTP/1.1 100 Continue\r\n\r\n");
    client.sends("abcdef");
    await proxy.network.settle();
    const server = proxy.origin.accepts();
    server.receives(/abcdef$/);
    server.sends(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    client.receives(OK);
    await finish(proxy);
  });

  for (const [what, body] of [
    ["by its length", POST],
    ["by its bytes", `${CHUNKED}3\r\nabc\r\n3\r\ndef\r\n`],
  ] as const) {
    it(`is answered with 413 when it is too long ${what}`, async () => {
      const { feature, bodies } = holder(5);
      const { proxy, client } = stage(feature);
      client.sends(body);
      await proxy.network.settle();
      client.receives(/^HTTP\/1\.1 413 /);
      assert.equal(bodies.length, 1);
      proxy.origin.acceptsNothing();
      await finish(proxy);
    });
  }

  it("is bound by the limit of the route too, and features in front see the answer", async () => {
    for (const body of [POST, `${CHUNKED}3\r\nabc\r\n3\r\ndef\r\n`]) {
      const { feature } = holder(1000);
      const front: Feature = { name: "front", response: (_exchange, { fields }) => fields.set("X-Front", "1") };
      const { proxy, client } = stage(feature, { use: [front], limits: { bodyBytesMax: 5 } });
      client.sends(body);
      await proxy.network.settle();
      client.receives(/^HTTP\/1\.1 413 .*X-Front: 1\r\n/s);
      await finish(proxy);
    }
  });

  it("that is too long is never sent in part, even when the feature goes on", async () => {
    const careless: Feature = { name: "careless", request: (exchange) => void exchange.wholeBody(3).catch(() => {}) };
    const patient: Feature = {
      name: "patient",
      request: async (exchange) => void (await exchange.wholeBody(100).catch(() => {})),
    };
    const { proxy, client } = stage(patient, { use: [careless] });
    client.sends(`${CHUNKED}3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n`);
    await proxy.network.settle();
    client.receives(/^HTTP\/1\.1 413 /);
    await finish(proxy);
  });

  it("may be asked for by two features, each with its own limit", async () => {
    const first = holder(100);
    const second = holder(6);
    const third = holder(5);
    const { proxy, client } = stage(third.feature, { use: [first.feature, second.feature] });
    client.sends(`${CHUNKED}6\r\nabcdef\r\n0\r\n\r\n`);
    await proxy.network.settle();
    assert.deepEqual([first.bodies, second.bodies], [["abcdef"], ["abcdef"]]);
    client.receives(/^HTTP\/1\.1 413 /);
    await finish(proxy);
  });

  it("passes through when nobody waits for it", async () => {
    const asking: Feature = { name: "asking", request: (exchange) => void exchange.wholeBody(100) };
    const { proxy, client } = stage(asking);
    client.sends(`${POST}abc`);
    const server = proxy.origin.accepts();
    server.receives(/\r\n\r\nabc$/);
    client.sends("def");
    server.receives("def");
    server.sends(OK);
    client.receives(OK);
    await finish(proxy);
  });

  it("that the client does not finish rejects, and nothing is sent", async () => {
    const { feature, bodies } = holder(100);
    const { proxy, client } = stage(feature);
    client.sends(`${POST}abc`);
    proxy.network.run();
    client.resets();
    await proxy.network.settle();
    assert.ok(bodies[0] instanceof ProxyError);
    proxy.origin.acceptsNothing();
    await finish(proxy);
  });

  it("is sent again with another attempt, as any other", async () => {
    const { feature } = holder(100);
    const { proxy, client } = stage(feature);
    client.sends(`${POST.replace("POST", "PUT")}abcdef`);
    await proxy.network.settle();
    const first = proxy.origin.accepts();
    first.receives(/abcdef$/);
    first.closes();
    const second = proxy.origin.accepts();
    second.receives(/abcdef$/);
    second.sends(OK);
    client.receives(OK);
    await finish(proxy);
  });

  it("may be answered", async () => {
    const { feature } = holder(100, (exchange) => void exchange.respond({ status: 403 }));
    const { proxy, client } = stage(feature);
    client.sends(`${POST}abcdef`);
    await proxy.network.settle();
    client.receives(/^HTTP\/1\.1 403 /);
    client.staysOpen();
    proxy.origin.acceptsNothing();
    await finish(proxy);
  });

  it("cannot be had once it is on its way", async () => {
    const late: Feature = {
      name: "late",
      async upstreamResponse(exchange) {
        await exchange.wholeBody(100);
      },
    };
    const faults: string[] = [];
    const { proxy, client } = stage(late, { onFault: ({ message }) => void faults.push(message) });
    client.sends(`${POST}abcdef`);
    const server = proxy.origin.accepts();
    server.takes();
    server.sends(OK);
    await proxy.network.settle();
    client.receives(/^HTTP\/1\.1 500 /);
    assert.deepEqual(faults, ["the request's body is on its way already"]);
    await finish(proxy);
  });
});
