// Hooks that nothing waits for, written as async functions, which TypeScript takes for `void`: what they reject with fails the
// exchange, or is told behind its end, and never ends the process.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { ProxyError } from "../../src/core/errors.ts";
import type { AnswerSink, BodySink, BodySource } from "../../src/pipeline/body.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createTestProxy, SimulatedNetwork, type TestProxyOptions } from "../../src/testing/index.ts";

const GET = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc";
const UPGRADE = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const HINTS = "HTTP/1.1 103 Early Hints\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const TRAILERS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-A: b\r\n\r\n";

const FAULT = new Error("the database is away");
const reject = async (): Promise<never> => {
  throw FAULT;
};

/** Whatever a type refuses, a plugin in JavaScript may give. */
const feature = (hooks: Record<string, unknown>): Feature => ({ name: "writes", ...hooks }) as Feature;

/** What nobody has caught while the dialogue went on, and what the proxy has told of. */
async function faultsOf(context: TestContext, options: TestProxyOptions, sends: string, answers: string | null) {
  const unhandled: unknown[] = [];
  const others = process.rawListeners("unhandledRejection") as ((reason: unknown) => void)[];
  process.removeAllListeners("unhandledRejection");
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", note);
  context.after(() => {
    process.off("unhandledRejection", note);
    for (const other of others) process.on("unhandledRejection", other);
  });
  const told: Error[] = [];
  const proxy = createTestProxy({ onFault: (error) => void told.push(error), ...options });
  const client = proxy.connect().sends(sends);
  if (answers !== null) proxy.origin.accepts().sends(answers);
  await proxy.network.settle();
  await setImmediate();
  assert.deepEqual(unhandled, []);
  return { told, unhandled, proxy, client };
}

describe("an async hook that rejects", () => {
  const cases: readonly (readonly [phase: string, sends: string, answers: string])[] = [
    ["log", GET, ANSWER],
    ["upstreamConnected", GET, ANSWER],
    ["upstreamInformational", GET, HINTS],
    ["trailers", `GET / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\n\r\n`, TRAILERS],
    ["upgrade", UPGRADE, SWITCHED],
  ];
  for (const [phase, sends, answers] of cases) {
    test(phase, async (context) => {
      const { told } = await faultsOf(context, { use: [feature({ [phase]: reject })] }, sends, answers);
      assert.deepEqual(told, [FAULT]);
    });
  }

  test("connectError, which hears of each attempt", async (context) => {
    const network = new SimulatedNetwork();
    network.failDials("origin:80");
    const attempts: number[] = [];
    const connectError = (exchange: Exchange, { type }: ProxyError): Promise<never> => {
      assert.equal(type, "connection_refused");
      attempts.push(exchange.attempts);
      return reject();
    };
    const options = { network, use: [feature({ connectError })], toUpstream: { retriesMax: 1 } };
    const { told, client } = await faultsOf(context, options, GET, null);
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 502 /);
    assert.deepEqual(attempts, [1, 2]);
    assert.deepEqual(told, [FAULT, FAULT]);
  });

  test("proxyError, whose exchange has its answer", async (context) => {
    const options = { use: [feature({ proxyError: reject, request: () => Promise.reject(new Error("first")) })] };
    const { told, client } = await faultsOf(context, options, GET, null);
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 500 /);
    assert.deepEqual(
      told.map(({ message }) => message),
      ["first", FAULT.message],
    );
  });

  test("of several log hooks each is told, and they are not waited for", async (context) => {
    const thrown = new Error("at once");
    const throwing = feature({
      log: () => {
        throw thrown;
      },
    });
    const options = { use: [throwing, feature({ log: reject }), throwing] };
    const { told, client } = await faultsOf(context, options, GET, ANSWER);
    assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 200 /);
    assert.deepEqual(told, [thrown, thrown, FAULT]);
  });
});

describe("a body", () => {
  for (const phase of ["requestBody", "upstreamResponseBody", "responseBody"]) {
    test(`${phase} that gives a promise is named`, async (context) => {
      const answers = phase === "requestBody" ? null : ANSWER;
      const { told, client } = await faultsOf(context, { use: [feature({ [phase]: reject })] }, POST, answers);
      assert.match(client.receivesHead().startLine, /^HTTP\/1\.1 500 /);
      const expected = `${phase} of writes must give a transform, or null, and gave a promise`;
      assert.deepEqual(
        told.map(({ message }) => message),
        [expected],
      );
    });

    test(`${phase} whose async write rejects`, async (context) => {
      const hook = (_: unknown, next: BodySink, source: BodySource) =>
        new (class extends PassThrough {
          override async write(bytes: Buffer, start: number, end: number): Promise<void> {
            next.write(bytes, start, end);
            await reject();
          }
        })(next, source);
      const { told } = await faultsOf(context, { use: [feature({ [phase]: hook })] }, POST, ANSWER);
      assert.deepEqual(told, [FAULT]);
    });
  }

  test("of an answer of our own by an async producer", async (context) => {
    const handler = (exchange: { respond(answer: unknown): void }): void =>
      exchange.respond({ status: 200, body: async (_: AnswerSink) => reject() });
    const { told } = await faultsOf(context, { handler: handler as never }, GET, null);
    assert.deepEqual(
      told.map(({ message }) => message),
      ["who produces a body must give what can be paused, or nothing, and gave a promise"],
    );
  });

  test("of an answer of our own whose async abort rejects", async (context) => {
    const body = () => ({ pause() {}, resume() {}, abort: reject });
    const handler = (exchange: { respond(answer: unknown): void }): void => exchange.respond({ status: 200, body });
    const stage = await faultsOf(context, { handler: handler as never }, GET, null);
    stage.client.receivesHead();
    stage.client.resets();
    await stage.proxy.network.settle();
    await setImmediate();
    assert.deepEqual(stage.unhandled, []);
  });

  test("of an answer of our own by a producer that gives nothing to pause", async (context) => {
    const body = (sink: AnswerSink): void => {
      sink.write(Buffer.from("hi"), 0, 2);
      sink.end();
    };
    const handler = (exchange: { respond(answer: unknown): void }): void => exchange.respond({ status: 200, body });
    const { told, client } = await faultsOf(context, { handler: handler as never }, GET, null);
    assert.deepEqual(told, []);
    client.receives(/\r\n\r\n2\r\nhi\r\n0\r\n\r\n$/);
  });
});
