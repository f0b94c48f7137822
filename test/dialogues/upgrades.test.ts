// A switch of protocols passes only where the route allows it, and bytes pass only behind the 101 (CVE-2026-2833).
import assert from "node:assert/strict";
import { it } from "node:test";
import { ProxyError } from "../../src/core/errors.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { describeBothWays } from "../support/both-ways.ts";
import { type Stage, type StageOptions, stagesThat } from "../support/stage.ts";

const UPGRADE =
  "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCH =
  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: v\r\n\r\n";

/** More than the client's side of the network takes, and little enough that the end behind it is seen. */
const LAST = "x".repeat(64 * 1024);

function begin(stage: Stage, protocol = "websocket") {
  const ofProtocol = (text: string) => text.replace(/websocket/i, protocol);
  const client = stage.client().sends(ofProtocol(UPGRADE));
  const server = stage.origin.accepts();
  const head = server.receivesHead();
  server.sends(ofProtocol(SWITCH));
  const answer = client.receivesHead();
  return { stage, client, server, head, answer };
}

describeBothWays("upgrades", (splices) => {
  const createStage = stagesThat(splices);
  const tunnel = (options?: StageOptions, protocol?: string) => begin(createStage(options), protocol);

  it("pass both ways, with Connection and Upgrade made anew for each hop", () => {
    const { client, server, head, answer } = tunnel();
    assert.equal(head.get("connection"), "Upgrade");
    assert.equal(head.get("upgrade"), "websocket");
    assert.equal(head.get("sec-websocket-key"), "k");
    assert.equal(answer.startLine, "HTTP/1.1 101 Switching Protocols");
    assert.equal(answer.get("upgrade"), "websocket");
    assert.equal(answer.get("sec-websocket-accept"), "v");
    client.sends("ping");
    server.receives("ping");
    server.sends("pong");
    client.receives("pong");
  });

  it("bear what every forwarded answer bears, and of Connection and Upgrade only our own", () => {
    const { answer } = tunnel({
      via: "edge",
      use: [
        {
          name: "framing",
          response: (_exchange, { fields }) => {
            for (const [name, value] of [["Connection", "close"] as const, ["Keep-Alive", "timeout=1"] as const]) {
              fields.append(name, value);
            }
          },
        },
      ],
    });
    assert.equal(answer.get("via"), "1.1 edge");
    assert.notEqual(answer.get("date"), null);
    assert.equal(answer.get("connection"), "Upgrade");
    assert.equal(answer.get("keep-alive"), null);
  });

  it("hold back what the client sends ahead until the 101", () => {
    const stage = createStage();
    const client = stage.client().sends(`${UPGRADE}early`);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.receivesNothing();
    server.sends(`${SWITCH}first`);
    client.receivesHead();
    client.receives("first");
    server.receives("early");
  });

  it("that are declined leave an ordinary exchange, and the bytes ahead are the next request", () => {
    const stage = createStage();
    const client = stage.client().sends(`${UPGRADE}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.receivesNothing();
    server.sends("HTTP/1.1 426 Upgrade Required\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    client.receives("HTTP/1.1 426 Upgrade Required\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    assert.equal(server.receivesHead().startLine, "GET /next HTTP/1.1");
  });

  it("are not asked for where the route forbids them, or names others", () => {
    const stage = createStage({ upgrade: [] });
    stage.client().sends(UPGRADE);
    const head = stage.origin.accepts().receivesHead();
    assert.equal(head.get("upgrade"), null);
    assert.equal(head.get("connection"), null);
  });

  it("that nobody asked for are 502", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stage.origin.accepts().sends(SWITCH);
    client.receives(/^HTTP\/1\.1 502 .*error=http_upgrade_failed/s);
    assert.equal(stage.pool.connections, 0);
  });

  it("to another protocol than the one asked for are 502", () => {
    const stage = createStage();
    const client = stage.client().sends(UPGRADE);
    stage.origin.accepts().sends(SWITCH.replace("WebSocket\r", "h2c\r"));
    client.receives(/^HTTP\/1\.1 502 .*error=http_upgrade_failed/s);
  });

  it("half-close: what one side still sends arrives", () => {
    const { stage, client, server } = tunnel();
    client.sends("last").ends();
    server.receives("last");
    assert.equal(server.ended, true);
    server.sends("answer").ends();
    client.receives("answer");
    assert.equal(client.ended, true);
    stage.network.run();
    assert.equal(stage.ended.length, 1);
    assert.equal(stage.ended[0]?.requestBodyBytes, 4);
    assert.equal(stage.ended[0]?.responseBodyBytes, 6);
    assert.equal(stage.deadlines.armedCount, 0);
  });

  it("half-close: an end that the client sent before the 101 arrives", () => {
    const stage = createStage({ halfClose: true });
    const client = stage.client().sends(`${UPGRADE}last`).ends();
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(SWITCH);
    client.receivesHead();
    server.receives("last");
    assert.equal(server.ended, true);
    server.sends("answer").ends();
    client.receives("answer");
    assert.equal(client.ended, true);
    stage.network.run();
    assert.equal(stage.ended[0]?.error, null);
    assert.equal(stage.deadlines.armedCount, 0);
  });

  it("an abort of either side reaches the other at once", () => {
    const one = tunnel();
    one.client.resets();
    one.stage.network.run();
    assert.equal(one.server.closed, true);
    assert.equal(one.stage.pool.connections, 0);
    assert.equal(one.stage.ended[0]?.error?.side, "client");
    const other = tunnel();
    other.server.resets();
    other.stage.network.run();
    assert.equal(other.client.closed, true);
    assert.equal(other.stage.driver.size, 0);
    assert.equal(other.stage.ended[0]?.error?.side, "upstream");
  });

  it("are ended by a feature that fails the exchange, and counted all the same", () => {
    let exchange: Exchange | null = null;
    const { stage, client, server } = tunnel({
      use: [
        {
          name: "watching",
          upgrade: (current) => {
            exchange = current;
          },
        },
      ],
    });
    client.sends("12345");
    server.receives("12345");
    server.sends("123");
    client.receives("123");
    exchange!.fail(new ProxyError("http_request_denied", "enough"));
    stage.network.run();
    assert.equal(client.ended && server.ended, true);
    assert.equal(stage.ended.length, 1);
    assert.equal(stage.ended[0]?.requestBodyBytes, 5);
    assert.equal(stage.ended[0]?.responseBodyBytes, 3);
    assert.equal(stage.ended[0]?.error?.message, "enough");
    assert.equal(stage.pool.connections, 0);
    assert.equal(stage.deadlines.armedCount, 0);
  });

  it("half-close: a WebSocket whose client is gone ends, though its server says nothing", () => {
    const { stage, client, server } = tunnel();
    client.sends("last").ends();
    server.receives("last");
    // What still comes is waited for.
    for (let i = 0; i < 5; i++) {
      stage.passes(8_000);
      server.sends("x");
      client.receives("x");
    }
    assert.equal(client.ended, false);
    stage.passes(10_000 + 2_500 + 500);
    stage.network.run();
    assert.equal(client.ended, true);
    assert.deepEqual([stage.ended.length, stage.ended[0]?.error, stage.deadlines.armedCount], [1, null, 0]);
  });

  it("half-close: a WebSocket whose server has ended waits for a client that reads slowly, as for one that reads a body", () => {
    const { stage, client, server } = tunnel({ network: { kernelBufferBytes: 16 * 1024 } });
    client.stopsReading();
    server.sends(LAST).ends();
    stage.network.run();
    stage.passes(40_000);
    assert.equal(stage.ended.length, 0);
    client.readsOn();
    assert.equal(client.takes().length, LAST.length);
    client.ends();
    stage.network.run();
    assert.deepEqual([stage.ended.length, stage.ended[0]?.error], [1, null]);
  });

  // Spliced, the end behind bytes that nobody takes is not seen.
  if (!splices) {
    it("half-close: a WebSocket whose client does not read what its server has left behind is cut off, and that is a fault", () => {
      const { stage, client, server } = tunnel({ network: { kernelBufferBytes: 16 * 1024 } });
      client.stopsReading();
      server.sends(LAST).ends();
      stage.network.run();
      stage.passes(100_000);
      stage.network.run();
      assert.deepEqual([stage.ended.length, stage.ended[0]?.error?.type], [1, "connection_timeout"]);
    });
  }

  it("half-close: another protocol may go on for hours", () => {
    const { stage, client, server } = tunnel({ upgrade: ["tcp"] }, "tcp");
    client.sends("last").ends();
    server.receives("last");
    stage.passes(3_000_000);
    server.sends("answer").ends();
    client.receives("answer");
    stage.network.run();
    assert.deepEqual([stage.ended.length, stage.ended[0]?.error], [1, null]);
  });

  it("end when they are idle, and when their life is over", () => {
    const idle = tunnel({ limits: { tunnelIdleMs: 10_000 } });
    idle.stage.passes(9_000);
    idle.client.sends("x");
    idle.server.receives("x");
    idle.stage.passes(9_000);
    assert.equal(idle.client.ended, false);
    // That nothing has passed is found out a fourth of the time late at most.
    idle.stage.passes(1_000 + 2_500 + 500);
    assert.equal(idle.client.ended && idle.server.ended, true);
    const old = tunnel({ limits: { tunnelLifetimeMs: 20_000 } });
    for (let i = 0; i < 4; i++) {
      old.stage.passes(4_000);
      old.client.sends("x");
      old.server.receives("x");
    }
    old.stage.passes(5_000);
    assert.equal(old.client.ended && old.server.ended, true);
  });

  it("count against the upstream's maximum while they last", () => {
    const { stage, client, server } = tunnel({ pool: { connectionsMax: 1 } });
    const waiting = stage.client().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stage.origin.acceptsNothing();
    client.closes();
    server.closes();
    stage.origin.accepts().sends("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
    waiting.receives("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n");
  });

  it("hold the fast side while the slow one does not read", () => {
    const { stage, client, server } = tunnel({ network: { kernelBufferBytes: 16 * 1024 } });
    client.stopsReading();
    const bytes = 2 * 1024 * 1024;
    server.sends(Buffer.alloc(bytes, "z"));
    stage.network.run();
    assert.ok(server.connection.queuedBytes > bytes - 512 * 1024);
    client.readsOn();
    assert.equal(client.takes().length, bytes);
  });
});
