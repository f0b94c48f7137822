// Requests ahead of their answers are answered in order, by the configuration of their time, and never faster than the client
// takes the answers.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QUEUE_HIGH_WATER_BYTES } from "../../src/core/limits.ts";
import { createStage, type StageOptions } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const BODY_BYTES = 50_000;
const REQUESTS = 100;

/** A client that asks a hundred times and does not read. */
function flood(options: StageOptions = {}) {
  const stage = createStage({
    handler: (exchange) => void exchange.respond({ status: 200, body: "x".repeat(BODY_BYTES) }),
    network: { kernelBufferBytes: 16 * 1024 },
    ...options,
  });
  const client = stage.client().stopsReading().sends(GET.repeat(REQUESTS));
  stage.network.run();
  const answered = stage.ended.length;
  return { stage, client, answered };
}

function answersIn(text: string): number {
  return text.split("HTTP/1.1 200 OK").length - 1;
}

describe("a client that asks on and on without reading", () => {
  it("gets no more answers than the high-water mark allows, and the rest when it reads", () => {
    const { stage, client, answered } = flood();
    assert.ok(answered * BODY_BYTES < QUEUE_HIGH_WATER_BYTES + 2 * BODY_BYTES, `${answered} answers`);
    assert.equal(answersIn(client.readsOn().takes().toString("latin1")), REQUESTS);
    client.sends(GET);
    assert.equal(answersIn(client.takes().toString("latin1")), 1);
    assert.equal(stage.ended.length, REQUESTS + 1);
  });

  it("is given the rest also when it has ended its half", () => {
    const { stage, client } = flood({ halfClose: true });
    client.ends().readsOn();
    assert.equal(answersIn(client.takes().toString("latin1")), REQUESTS);
    client.seesEnd();
    assert.equal(stage.driver.size, 0);
  });

  it("is cut when it never reads", () => {
    const { stage, client, answered } = flood();
    for (let i = 0; i < 30; i++) stage.passes(5_000);
    client.readsOn().seesReset();
    assert.equal(stage.ended.length, answered);
    assert.equal(stage.driver.size, 0);
    assert.equal(stage.deadlines.size, 0);
  });

  it("gets one more answer, which says so, when the proxy drains", () => {
    const { stage, client, answered } = flood();
    stage.driver.drain();
    const text = client.readsOn().takes().toString("latin1");
    assert.equal(answersIn(text), answered + 1);
    assert.match(text, /\r\nConnection: close\r\n\r\nx+$/);
    client.seesEnd();
  });

  it("frees everything when it goes", () => {
    for (const leave of ["closes", "resets"] as const) {
      const { stage, client, answered } = flood();
      client[leave]();
      stage.network.run();
      for (let i = 0; i < 30; i++) stage.passes(5_000);
      assert.equal(stage.ended.length, answered);
      assert.equal(stage.driver.size, 0);
    }
  });
});

describe("requests ahead of their answers", () => {
  it("meet the configuration that holds when their turn comes", () => {
    const stage = createStage();
    const client = stage.client().sends(GET.repeat(2));
    const server = stage.origin.accepts();
    server.receivesHead();
    const { site } = stage.driver;
    stage.driver.site = { ...site, router: { find: () => null } };
    server.sends(OK);
    client.receivesFirst(OK);
    client.receives(/^HTTP\/1\.1 404 /);
  });

  it("one head that comes in pieces is read by one configuration", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HT");
    stage.network.run();
    const { site } = stage.driver;
    stage.driver.site = { ...site, router: { find: () => null } };
    client.sends("TP/1.1\r\nHost: a\r\n\r\n");
    stage.origin.accepts().sends(OK);
    client.receives(OK);
  });
});
