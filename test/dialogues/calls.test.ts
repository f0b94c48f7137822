// Requests of the proxy's own, to a service, over a pool: answered whole or failed within their time; whoever gives one
// up, in any state, leaves nothing behind.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import { acquireStorage, pooledStorages, releaseStorage } from "../../src/core/fields.ts";
import type { Peer } from "../../src/testing/index.ts";
import { SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { type CallRecord, CallStage } from "../support/call-stage.ts";
import { replayHint, seed } from "../support/seed.ts";

const OK =
  "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 2\r\nKeep-Alive: timeout=90\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\nhi";

/** A pooled connection, by its far end. */
function pooled(stage: CallStage): Peer {
  stage.send();
  const server = stage.service.accepts();
  server.takes();
  server.sends("HTTP/1.1 204 No Content\r\n\r\n");
  stage.network.run();
  return server;
}

describe("a call", () => {
  it("sends its fields with the server's Host, and gets the answer without what belongs to the connection", () => {
    const stage = new CallStage();
    const record = stage.send({ target: "/verify?a=b", fields: [["Cookie", "a=b"]] });
    const server = stage.service.accepts();
    server.receives("GET /verify?a=b HTTP/1.1\r\nCookie: a=b\r\nHost: auth:80\r\n\r\n");
    server.sends(OK);
    stage.network.run();
    assert.deepEqual(record.answer, { status: 200, fields: [["X-User", "ann"]], body: "hi" });
    assert.equal(record.told, 1);
    record.pending!.cancel();
    stage.finish();
  });

  it("may name another host, and have a body", () => {
    const stage = new CallStage();
    stage.send({ method: "POST", fields: [["Host", "other"]], body: Buffer.from("abc") });
    stage.service.accepts().receives("POST /verify HTTP/1.1\r\nHost: other\r\nContent-Length: 3\r\n\r\nabc");
    stage.passes(6_000);
    stage.finish();
  });

  for (const [framing, answer] of [
    ["a length", "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nabcde"],
    ["chunks", "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"],
    ["the connection's end", "HTTP/1.0 403 No\r\n\r\nabcde"],
    ["103 before it", "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nabcde"],
  ] as const) {
    it(`takes an answer with ${framing}, byte by byte`, () => {
      const stage = new CallStage();
      const record = stage.send();
      const server = stage.service.accepts();
      for (const byte of answer) {
        assert.equal(record.told, 0);
        server.sends(byte);
        stage.network.run();
      }
      if (answer.startsWith("HTTP/1.0")) server.ends();
      stage.network.run();
      assert.deepEqual([record.answer?.status, record.answer?.body], [403, "abcde"]);
      stage.finish();
    });
  }

  it("is asked for again, unseen, when a pooled connection dies under it", () => {
    const stage = new CallStage();
    const server = pooled(stage);
    const record = stage.send();
    server.receivesHead();
    server.closes();
    const second = stage.service.accepts();
    second.receivesHead();
    second.sends(OK);
    stage.network.run();
    assert.equal(record.answer?.status, 200);
    stage.finish();
  });

  it("is not asked for again when it may have been heard", () => {
    const stage = new CallStage();
    const server = pooled(stage);
    const post = stage.send({ method: "POST" });
    server.receivesHead();
    server.closes();
    stage.service.acceptsNothing();
    assert.equal(post.error?.type, "connection_terminated");
    const half = stage.send();
    const other = stage.service.accepts();
    other.receivesHead();
    other.sends("HTTP/1.1 200 OK\r\nX-").ends();
    stage.network.run();
    assert.equal(half.error?.type, "http_response_incomplete");
    stage.finish();
  });

  it("gives up after its attempts", () => {
    const stage = new CallStage();
    stage.service.stops();
    const record = stage.send();
    stage.network.run();
    assert.equal(record.error?.type, "connection_refused");
    assert.equal(record.told, 1);
    stage.finish();
  });

  for (const [what, answer, type] of [
    ["a length above the limit", "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "http_response_body_size"],
    [
      "chunks above the limit",
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n${"x".repeat(1001)}\r\n`,
      "http_response_body_size",
    ],
    ["no length, above the limit", `HTTP/1.0 200 OK\r\n\r\n${"x".repeat(5000)}`, "http_response_body_size"],
    ["garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "http_protocol_error"],
    [
      "a protocol that was not asked for",
      "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      "http_upgrade_failed",
    ],
    ["an answer that is cut", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", "http_response_incomplete"],
  ] as const) {
    it(`fails by ${what}`, () => {
      const stage = new CallStage();
      const record = stage.send();
      const server = stage.service.accepts();
      server.sends(answer);
      if (type === "http_response_incomplete") server.ends();
      stage.network.run();
      assert.equal(record.error?.type, type);
      assert.equal(record.told, 1);
      assert.equal(stage.pool.connections, 0, "its connection is not used again");
      stage.finish();
    });
  }

  it("takes a body that is exactly as long as the limit", () => {
    const stage = new CallStage();
    const record = stage.send();
    stage.service.accepts().sends(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${"x".repeat(1000)}`);
    stage.network.run();
    assert.equal(record.answer?.body.length, 1000);
    stage.finish();
  });

  it("has one deadline for all of it, however the service dawdles", () => {
    const stage = new CallStage();
    const record = stage.send({ timeoutMs: 1_000 });
    const server = stage.service.accepts();
    stage.passes(700);
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    stage.passes(200);
    server.sends("a");
    stage.passes(300);
    assert.equal(record.error?.type, "http_response_timeout");
    server.sends("bc");
    stage.network.run();
    assert.equal(record.told, 1);
    stage.finish();
  });

  it("fails in time when no connection can be had", () => {
    const stage = new CallStage({ connectionsMax: 1 });
    stage.send({ timeoutMs: 60_000 });
    const second = stage.send({ timeoutMs: 1_000 });
    stage.passes(1_200);
    assert.equal(second.error?.type, "http_response_timeout");
    assert.equal(stage.pool.waiting, 0);
    stage.passes(60_000);
    stage.finish();
  });

  it("throws, and holds nothing, when its target could not stand in a request line", () => {
    const stage = new CallStage();
    const before = storages();
    assert.throws(() => stage.send({ target: "/a b", fields: [["A", "b"]] }), TypeError);
    assert.equal(pooledStorages(), before);
    stage.finish();
  });
});

/** Storages at rest, after there are enough of them that none need be made. */
function storages(): number {
  const some = Array.from({ length: 20 }, () => acquireStorage());
  for (const storage of some) releaseStorage(storage);
  return pooledStorages();
}

describe("a call that is given up", () => {
  const states: readonly (readonly [name: string, reach: (stage: CallStage) => CallRecord])[] = [
    [
      "in the queue",
      (stage) => {
        stage.send();
        return stage.send();
      },
    ],
    ["while its connection is made", (stage) => stage.send()],
    [
      "when its head was sent",
      (stage) => {
        const record = stage.send();
        stage.service.accepts().receivesHead();
        return record;
      },
    ],
    [
      "in the middle of the answer's head",
      (stage) => {
        const record = stage.send();
        stage.service.accepts().sends("HTTP/1.1 200 OK\r\nX-Us");
        stage.network.run();
        return record;
      },
    ],
    [
      "in the middle of the answer's body",
      (stage) => {
        const record = stage.send();
        stage.service.accepts().sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        stage.network.run();
        return record;
      },
    ],
    [
      "on a connection that served before",
      (stage) => {
        pooled(stage);
        return stage.send();
      },
    ],
    [
      "during its second attempt",
      (stage) => {
        const server = pooled(stage);
        const record = stage.send();
        server.receivesHead();
        server.closes();
        stage.service.accepts();
        return record;
      },
    ],
  ];
  for (const [name, reach] of states) {
    it(`${name} is never heard of again, and leaves nothing behind`, () => {
      const before = storages();
      const stage = new CallStage({ connectionsMax: 1 });
      const record = reach(stage);
      record.pending!.cancel();
      record.pending!.cancel();
      stage.passes(10_000);
      assert.equal(record.told, 0);
      stage.finish();
      assert.equal(pooledStorages(), before);
    });
  }
});

describe("many calls at once", () => {
  it("are each told once, whatever happens, and leave nothing behind", () => {
    const random = new SeededRandom(seed);
    const before = storages();
    const network = new SimulatedNetwork({ random, fragmentation: "random", latencyMs: 1 });
    const stage = new CallStage({ connectionsMax: 8 }, { network, deadlines: new DeadlineWheel(network.clock) });
    const records: CallRecord[] = [];
    const cancelled = new Set<CallRecord>();
    const peers: Peer[] = [];
    for (let round = 0; round < 400; round++) {
      if (random.chance(0.7)) records.push(stage.send({ timeoutMs: 50 + Math.floor(random.next() * 2_000) }));
      if (random.chance(0.2)) {
        const record = records[Math.floor(random.next() * records.length)];
        if (record !== undefined && record.told === 0) {
          record.pending!.cancel();
          cancelled.add(record);
        }
      }
      network.clock.advance(Math.floor(random.next() * 40));
      network.run();
      while (stage.service.acceptedCount > peers.length) peers.push(stage.service.accepts());
      for (const peer of peers) {
        if (peer.closed || peer.ended || !peer.unread.includes("\r\n\r\n")) continue;
        if (random.chance(0.3)) continue;
        peer.takes();
        const chance = random.next();
        if (chance < 0.1) peer.closes();
        else if (chance < 0.2) peer.resets();
        else if (chance < 0.3) peer.sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").closes();
        else if (chance < 0.4) peer.sends("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        else peer.sends(OK);
      }
    }
    network.clock.advance(10_000);
    network.run();
    for (const record of records) assert.equal(record.told, cancelled.has(record) ? 0 : 1, replayHint);
    assert.ok(records.some(({ answer }) => answer !== null) && records.some(({ error }) => error !== null), replayHint);
    stage.finish();
    assert.equal(pooledStorages(), before, replayHint);
  });
});
