// The handshake of SOCKS on a simulated network: in any pieces it is the same, nothing piles up while it waits, and whoever leaves
// in the middle leaves nothing behind.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import { ProxyError } from "../../src/core/errors.ts";
import type { Connection } from "../../src/core/ports.ts";
import { compileChain } from "../../src/pipeline/chain.ts";
import { Http1Driver } from "../../src/pipeline/drivers/http1.ts";
import { ClientSocks } from "../../src/pipeline/drivers/socks.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Forks } from "../../src/pipeline/forked.ts";
import type { ConnectionTaker } from "../../src/pipeline/forwarding.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import type { Logins, LoginVerdict, Site } from "../../src/pipeline/site.ts";
import { encodeConnect } from "../../src/protocol/socks/destination.ts";
import { type NetworkOptions, SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { replayHint, seed } from "../support/seed.ts";

class SocksDriver extends Http1Driver {
  override accept(connection: Connection): void {
    this.add(new ClientSocks(this, connection));
  }
}

const IDENTITY = { subject: "ann", by: "forward" };
const HEAD_TIMEOUT_MS = 10_000;

/** What becomes of the connection is the test's: it is given the tunnel. */
function socksStage({ logins = null as Logins | null, network: options = {} as NetworkOptions } = {}) {
  const network = new SimulatedNetwork(options);
  const { clock } = network;
  const deadlines = new DeadlineWheel(clock);
  const ended: string[] = [];
  const tunnels: { readonly later: readonly Buffer[]; readonly exchange: Exchange; release(): void }[] = [];
  const taker: ConnectionTaker = {
    take(exchange, client, handler) {
      const later: Buffer[] = [client.early];
      const onBytes = (bytes: Buffer, start: number, end: number): void =>
        void later.push(Buffer.from(bytes.subarray(start, end)));
      client.connection.handler = { onBytes, onDrain: () => {}, onEnd: () => {}, onClose: () => {} };
      client.connection.resume();
      tunnels.push({ later, exchange, release: () => handler.onReleased(null) });
      return { destroy: () => {} };
    },
  };
  const giving: Feature = {
    name: "giving",
    request(exchange) {
      exchange.forward!.taker = taker;
    },
  };
  const site: Site = {
    name: "egress",
    router: { find: () => null },
    forward: {
      name: "egress.forward",
      chain: compileChain([giving]),
      upstream: null,
      handler: null,
      logins,
      use: { host: "preserve", responseTimeoutMs: 1_000, bodyTimeoutMs: 1_000, retriesMax: 0 },
      upgrade: [],
      limits: { bodyBytesMax: null, bodyTimeoutMs: 1_000, tunnelIdleMs: 1_000, tunnelLifetimeMs: null },
    },
    limits: {
      headBytesMax: 1_024,
      requestLineBytesMax: 1_024,
      fieldsMax: 16,
      headTimeoutMs: HEAD_TIMEOUT_MS,
      idleTimeoutMs: 60_000,
    },
    halfClose: false,
    trustedProxies: null,
    via: null,
    forks: new Forks(),
    observer: {
      onExchangeEnd: ({ request, response, error, forward }) => {
        const who = forward?.user?.subject ?? "-";
        ended.push(`${request.method} ${request.authority} ${who} ${response?.status} ${error?.status ?? "-"}`);
      },
    },
    clock,
    deadlines,
  };
  const driver = new SocksDriver(site);
  network.listen("proxy:1080", (connection) => driver.accept(connection));
  return {
    network,
    driver,
    deadlines,
    ended,
    tunnels,
    client: () => network.connect("proxy:1080"),
    passes: (ms: number) => {
      clock.advance(ms);
      network.run();
    },
  };
}

const GREETING = Buffer.of(5, 1, 0);
const WITH_PASSWORD = Buffer.of(5, 1, 2);
const LOGIN = Buffer.of(1, 1, 0x61, 1, 0x62);
const CONNECT = encodeConnect("a.example", 443)!;
const GRANTED = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);

const accepting: Logins = { isRequired: true, check: () => IDENTITY };

/** Verdicts that the test gives when it wants to. */
function waitingLogins() {
  const { promise, resolve, reject } = Promise.withResolvers<LoginVerdict>();
  const logins: Logins = { isRequired: true, check: () => promise };
  return { logins, resolve, reject };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("in any pieces", () => {
  const dialogues: [name: string, logins: Logins | null, sent: Buffer, received: Buffer, early: string][] = [
    ["SOCKS5", null, Buffer.concat([GREETING, CONNECT]), Buffer.concat([Buffer.of(5, 0), GRANTED]), ""],
    [
      "SOCKS5 with a password, and bytes ahead",
      accepting,
      Buffer.concat([WITH_PASSWORD, LOGIN, CONNECT, Buffer.from("ahead")]),
      Buffer.concat([Buffer.of(5, 2, 1, 0), GRANTED]),
      "ahead",
    ],
    ["SOCKS4", null, Buffer.of(4, 1, 1, 187, 192, 0, 2, 1, 0x78, 0), Buffer.of(0, 0x5a, 0, 0, 0, 0, 0, 0), ""],
    [
      "SOCKS4a",
      null,
      Buffer.concat([Buffer.of(4, 1, 1, 187, 0, 0, 0, 1, 0), Buffer.from("a.example\0ahead")]),
      Buffer.of(0, 0x5a, 0, 0, 0, 0, 0, 0),
      "ahead",
    ],
    ["BIND", null, Buffer.concat([GREETING, Buffer.of(5, 2, 0)]), Buffer.of(5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0), ""],
    ["no password where one is asked for", accepting, GREETING, Buffer.of(5, 0xff), ""],
    ["SOCKS4 where a password is asked for", accepting, Buffer.of(4), Buffer.of(0, 0x5b, 0, 0, 0, 0, 0, 0), ""],
  ];
  for (const [name, logins, sent, received, early] of dialogues) {
    it(`${name} is the same`, () => {
      for (let run = 0; run < 40; run++) {
        const random = new SeededRandom(seed + run);
        const stage = socksStage({ logins, network: run === 0 ? {} : { fragmentation: "random", random } });
        const client = stage.client().sends(sent);
        client.receives(received);
        assert.equal(stage.ended.length + stage.tunnels.length, 1, replayHint);
        for (const { later, exchange } of stage.tunnels) {
          assert.equal(Buffer.concat(later).toString(), early);
          assert.equal(exchange.forward!.user, logins === null ? null : IDENTITY);
          assert.match(exchange.request.authority, /^(a\.example|192\.0\.2\.1):443$/);
        }
      }
    });
  }
});

it("whatever a client sends, it leaves nothing behind when it is gone", () => {
  const whole = [Buffer.concat([WITH_PASSWORD, LOGIN, CONNECT]), Buffer.of(4, 1, 1, 187, 0, 0, 0, 1, 0, 0x61, 0)];
  for (let run = 0; run < 400; run++) {
    const random = new SeededRandom(seed + run);
    const stage = socksStage({ logins: accepting, network: { fragmentation: "random", random } });
    const sent = Buffer.from(whole[run % 2]!);
    for (let changes = random.between(0, 3); changes > 0; changes--) {
      sent[random.between(0, sent.length - 1)] = random.between(0, 255);
    }
    const client = stage.client().sends(sent.subarray(0, random.between(1, sent.length)));
    stage.network.run();
    client.closes();
    stage.network.run();
    for (const { release } of stage.tunnels) release();
    assert.deepEqual([stage.driver.size, stage.deadlines.armedCount], [0, 0], `${replayHint}, run ${run}`);
    assert.ok(stage.ended.length <= 1, replayHint);
  }
});

describe("while the verdict is awaited", () => {
  const kernelBufferBytes = 4_096;

  it("what comes waits outside, and so does the tunnel", async () => {
    const { logins, resolve } = waitingLogins();
    const stage = socksStage({ logins, network: { kernelBufferBytes } });
    const ahead = Buffer.alloc(1 << 20, "x");
    const client = stage.client().sends(Buffer.concat([WITH_PASSWORD, LOGIN, CONNECT, ahead]));
    client.receives(Buffer.of(5, 2));
    assert.ok(client.connection.queuedBytes > ahead.length - 200_000, "the client still has most of it");
    resolve(IDENTITY);
    await turn();
    client.receives(Buffer.concat([Buffer.of(1, 0), GRANTED]));
    assert.equal(stage.tunnels.length, 1);
  });

  it("a client that leaves is gone, whatever the verdict says", async () => {
    for (const leaves of ["ends", "resets", "closes"] as const) {
      const { logins, resolve } = waitingLogins();
      const stage = socksStage({ logins });
      const client = stage.client().sends(Buffer.concat([WITH_PASSWORD, LOGIN]));
      client.receives(Buffer.of(5, 2));
      client[leaves]();
      stage.network.run();
      assert.equal(stage.driver.size, 0, leaves);
      resolve(IDENTITY);
      await turn();
      stage.network.run();
      assert.deepEqual([stage.tunnels.length, stage.ended, stage.deadlines.armedCount], [0, [], 0], leaves);
    }
  });

  it("it may take its time: the deadline is the client's alone", async () => {
    const { logins, resolve } = waitingLogins();
    const stage = socksStage({ logins });
    const client = stage.client().sends(Buffer.concat([WITH_PASSWORD, LOGIN]));
    client.receives(Buffer.of(5, 2));
    stage.passes(5 * HEAD_TIMEOUT_MS);
    client.staysOpen();
    resolve(IDENTITY);
    await turn();
    client.receives(Buffer.of(1, 0));
    stage.passes(HEAD_TIMEOUT_MS + 500);
    client.seesEnd();
    assert.deepEqual(stage.ended, ["-  - 408 408"]);
  });

  it("one that cannot be had refuses", async () => {
    for (const [error, status] of [
      [new ProxyError("http_request_denied", "no", { status: 429 }), 429],
      [new Error("a bug"), 500],
    ] as const) {
      const { logins, reject } = waitingLogins();
      const stage = socksStage({ logins });
      const client = stage.client().sends(Buffer.concat([WITH_PASSWORD, LOGIN, CONNECT]));
      client.receives(Buffer.of(5, 2));
      reject(error);
      await turn();
      client.receives(Buffer.of(1, 1));
      client.seesEnd();
      assert.deepEqual(stage.ended, [`-  - ${status} ${status}`]);
    }
  });
});

describe("ends", () => {
  it("a handshake that begins and goes on byte by byte has one deadline", () => {
    const stage = socksStage();
    const client = stage.client().sends(GREETING);
    client.receives(Buffer.of(5, 0));
    for (const byte of CONNECT.subarray(0, 6)) {
      stage.passes(HEAD_TIMEOUT_MS / 7);
      client.sends(Buffer.of(byte));
    }
    stage.passes(HEAD_TIMEOUT_MS / 7 + 500);
    client.seesEnd();
    client.closes();
    stage.network.run();
    assert.deepEqual([stage.ended, stage.driver.size, stage.deadlines.armedCount], [["-  - 408 408"], 0, 0]);
  });

  it("who is refused and does not close is closed", () => {
    const stage = socksStage();
    const client = stage.client().sends(Buffer.of(7));
    client.seesEnd();
    assert.equal(stage.driver.size, 1);
    stage.passes(60_000);
    assert.deepEqual([stage.driver.size, stage.deadlines.armedCount], [0, 0]);
  });

  it("draining closes who says nothing for a while; who has begun or begins gets his tunnel", () => {
    const stage = socksStage();
    const idle = stage.client();
    const begun = stage.client().sends(GREETING);
    begun.receives(Buffer.of(5, 0));
    const late = stage.client();
    stage.network.run();
    stage.driver.drain();
    late.sends(GREETING).receives(Buffer.of(5, 0));
    stage.passes(1_100);
    idle.seesEnd();
    for (const client of [begun, late]) client.sends(CONNECT).receives(GRANTED);
    assert.equal(stage.tunnels.length, 2);
    idle.closes();
    stage.network.run();
    assert.equal(stage.driver.size, 2);
    for (const tunnel of stage.tunnels) tunnel.release();
    const allowed = "CONNECT a.example:443 - 200 -";
    assert.deepEqual([stage.driver.size, stage.ended], [0, [allowed, allowed]]);
  });

  it("destroying closes everybody, a tunnel by reset", () => {
    const stage = socksStage();
    const clients = [stage.client(), stage.client().sends(GREETING), stage.client()];
    clients[2]!.sends(Buffer.concat([GREETING, CONNECT]));
    stage.network.run();
    stage.driver.destroy();
    stage.network.run();
    assert.deepEqual(
      clients.map(({ closed, ended }) => closed || ended),
      [true, true, true],
    );
    clients[2]!.seesReset();
  });
});
