// What an exchange is told to have taken, and who is to blame for its end; and what of it belongs to one attempt alone.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createStage } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

/** Notes how long the upstream took, by the exchange. */
function timed(): { readonly feature: Feature; readonly upstreamMs: number[] } {
  const upstreamMs: number[] = [];
  const log = (exchange: Exchange) => void upstreamMs.push(exchange.upstreamFirstByteMs - exchange.upstreamSentMs);
  return { feature: { name: "timed", log }, upstreamMs };
}

/** The head of a request has passed, and its body of one byte is to come. */
function upload() {
  const { feature, upstreamMs } = timed();
  const stage = createStage({ use: [feature] });
  const client = stage.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  const server = stage.origin.accepts();
  server.receivesHead();
  return { stage, client, server, upstreamMs };
}

describe("the upstream's time", () => {
  it("begins with the last attempt, though its connection was there", () => {
    const { feature, upstreamMs } = timed();
    const stage = createStage({ servers: ["one:80", "two:80"], use: [feature] });
    const [one, two] = [stage.origin, stage.network.origin("two:80")];
    // A connection to each, at rest.
    const clients = [stage.client().sends(GET), stage.client().sends(GET)];
    const servers = [one.accepts(), two.accepts()];
    for (const server of servers) server.receivesHead();
    for (const server of servers) server.sends(OK);
    for (const client of clients) client.receives(OK);
    upstreamMs.length = 0;
    clients[0]!.sends(GET);
    servers[0]!.receivesHead();
    stage.passes(5000);
    servers[0]!.closes();
    servers[1]!.receivesHead();
    stage.passes(300);
    servers[1]!.sends(OK);
    clients[0]!.receives(OK);
    assert.equal(stage.ended.at(-1)!.attempts, 2);
    assert.deepEqual(upstreamMs, [300]);
  });

  it("does not have what the client takes to send its body", () => {
    const { stage, client, server, upstreamMs } = upload();
    stage.passes(20_000);
    client.sends("x");
    server.receives("x");
    stage.passes(300);
    server.sends(OK);
    client.receives(OK);
    assert.deepEqual(upstreamMs, [300]);
  });

  it("ends with an answer that begins before the body has ended", () => {
    const { stage, client, server, upstreamMs } = upload();
    stage.passes(300);
    server.sends(OK.slice(0, -1));
    client.receives(OK.slice(0, -1));
    stage.passes(300);
    client.sends("x");
    server.receives("x");
    server.sends("i");
    client.receives("i");
    assert.deepEqual(upstreamMs, [300]);
  });
});

it("what the proxy itself cuts is not the client's fault", () => {
  const stage = createStage();
  stage.client().sends(GET);
  stage.origin.accepts().receivesHead();
  stage.driver.destroy();
  stage.network.run();
  const { error } = stage.ended[0]!;
  assert.deepEqual([error?.side, error?.type, error?.status], ["proxy", "connection_terminated", 502]);
});

it("a client of HTTP/1.0 that names no host: each attempt names the server that it goes to", () => {
  const stage = createStage({ servers: ["one:80", "two:80"] });
  const two = stage.network.origin("two:80");
  stage.client().sends("GET / HTTP/1.0\r\n\r\n");
  const first = stage.origin.accepts();
  assert.equal(first.receivesHead().get("host"), "one:80");
  first.closes();
  assert.equal(two.accepts().receivesHead().get("host"), "two:80");
});

it("an exchange that fails when its connection is another's already leaves that one alone", () => {
  let first: Exchange | null = null;
  const newestWins: Feature = {
    name: "newest wins",
    upstreamRequest(exchange) {
      first?.fail(new ProxyError("http_request_denied", "a newer request takes its place"));
      first ??= exchange;
    },
  };
  const stage = createStage({ pool: { connectionsMax: 1 }, use: [newestWins] });
  stage.client().sends(GET);
  const server = stage.origin.accepts();
  server.receivesHead();
  const second = stage.client().sends(GET);
  stage.network.run();
  server.sends(OK);
  server.receivesHead();
  server.sends(OK);
  second.receives(OK);
  assert.equal(stage.ended.length, 2);
});
