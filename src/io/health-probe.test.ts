// Servers that are well, and those that are not in every way: each is asked once, on a real socket.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, it } from "node:test";
import tls from "node:tls";
import { Authority, issueCertificate } from "../../test/support/certificates.ts";
import { TestFolder } from "../../test/support/folder.ts";
import { until } from "../../test/support/redis.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { SystemClock } from "./clock.ts";
import { NameCache, type ResolvedAddress } from "./dialing/name-cache.ts";
import { systemErrorOf } from "./failures.ts";
import { type ProbeTarget, type ProbeTls, probeHealth } from "./health-probe.ts";

const TIMEOUT = { timeout: 20_000 };
/** Longer than any test takes that is not about it. */
const LONG_MS = 15_000;
const REQUEST = {
  path: "/healthz?deep=1",
  host: "app.internal",
  statuses: [
    [200, 299],
    [404, 404],
  ],
} as const;

interface Asked {
  /** Why the server is not well; null: it is. */
  readonly reason: string | null;
  /** What it was sent. */
  readonly sent: string;
}

/** What is found about a server that does this with each connection. */
async function askedOf(
  serve: (socket: net.Socket) => void,
  target: Partial<ProbeTarget> = {},
  signal = new AbortController().signal,
  certificate?: tls.TlsOptions,
  names?: NameCache,
): Promise<Asked> {
  let sent = "";
  const sockets = new Set<net.Socket>();
  const accept = (socket: net.Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      sent += bytes.toString("latin1");
    });
    serve(socket);
  };
  const server = certificate === undefined ? net.createServer(accept) : tls.createServer(certificate, accept);
  const isUnix = target.port === 0;
  server.listen(isUnix ? { path: target.host } : { port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const { port } = isUnix ? { port: 0 } : (server.address() as net.AddressInfo);
  try {
    const asked = { host: "127.0.0.1", port, tls: null, timeoutMs: LONG_MS, request: REQUEST, ...target };
    return { reason: await reasonOf(asked, signal, names), sent };
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  }
}

async function reasonOf(
  target: ProbeTarget,
  signal = new AbortController().signal,
  names = new NameCache(new SystemClock()),
): Promise<string | null> {
  return probeHealth(target, names, signal).then(
    () => null,
    (error: Error) => error.message,
  );
}

const answering =
  (answer: string) =>
  (socket: net.Socket): void => {
    socket.once("data", () => socket.write(answer, "latin1"));
  };

describe("a server is well", () => {
  const good: readonly (readonly [what: string, answer: string])[] = [
    ["with a status of a range", "HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n"],
    ["with a status that stands alone", "HTTP/1.1 404 x\r\nContent-Length: 3\r\n\r\nno\n"],
    ["behind an interim answer", "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["whose body does not end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
    ["whose body is cut off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"],
    ["of HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello"],
  ];
  for (const [what, answer] of good) {
    it(what, TIMEOUT, async () => {
      const { reason, sent } = await askedOf(answering(answer));
      assert.equal(reason, null);
      assert.match(sent, /^GET \/healthz\?deep=1 HTTP\/1\.1\r\n/);
      assert.match(sent, /\r\nHost: app\.internal\r\n/);
      assert.match(sent, /\r\nConnection: close\r\n/);
    });
  }

  it("that can be connected to, where that is enough, and is sent nothing", TIMEOUT, async () => {
    assert.deepEqual(await askedOf(() => {}, { request: null }), { reason: null, sent: "" });
  });

  it("on a unix socket", TIMEOUT, async () => {
    using folder = new TestFolder();
    const host = folder.file("app.sock");
    const { reason } = await askedOf(answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), { host, port: 0 });
    assert.equal(reason, null);
  });
});

describe("a server is not well", () => {
  const odd: readonly (readonly [what: string, answer: string, reason: RegExp])[] = [
    ["with another status", "HTTP/1.1 503 x\r\n\r\n", /^GET \/healthz: status 503$/],
    ["with a status between two ranges", "HTTP/1.1 300 x\r\n\r\n", /: status 300$/],
    ["that takes up another protocol", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", /: status 101$/],
    ["that gives interim answers for ever", "HTTP/1.1 103 x\r\n\r\n".repeat(1_000), /: too many interim answers$/],
    ["that speaks no HTTP", "220 mail.example.org ESMTP\r\n", /Parse Error/],
  ];
  for (const [what, answer, reason] of odd) {
    it(what, TIMEOUT, async () => assert.match((await askedOf(answering(answer))).reason ?? "well", reason));
  }

  it("that closes without an answer", TIMEOUT, async () => {
    const { reason } = await askedOf((socket) => socket.once("data", () => socket.end()));
    assert.match(reason ?? "well", /^GET \/healthz: the peer reset the connection/);
  });

  it("that says nothing in time", TIMEOUT, async () => {
    const { reason } = await askedOf(() => {}, { timeoutMs: 50 });
    assert.equal(reason, "no answer within 50 ms");
  });

  it("that does not end its head in time", TIMEOUT, async () => {
    const { reason } = await askedOf(answering("HTTP/1.1 200 OK\r\nX-A: "), { timeoutMs: 50 });
    assert.equal(reason, "no answer within 50 ms");
  });

  it("that nobody listens for", TIMEOUT, async () => {
    using folder = new TestFolder();
    const host = folder.file("app.sock");
    const target = { host, port: 0, tls: null, timeoutMs: LONG_MS, request: null };
    assert.match((await reasonOf(target)) ?? "well", /^cannot connect to unix:.*: there is no such socket \(ENOENT\)$/);
  });

  it("that cannot even be tried, whatever runs at the time", TIMEOUT, async () => {
    // Node says so before a promise goes on, as it does when there is no route to an address.
    const host = `/nowhere/${"x".repeat(200)}`;
    const target = { host, port: 0, tls: null, timeoutMs: LONG_MS, request: null };
    const { promise, resolve } = Promise.withResolvers<string | null>();
    setImmediate(() => void reasonOf(target).then(resolve));
    assert.match((await promise) ?? "well", /^cannot connect to unix:.*\(EINVAL\)$/);
  });

  it("that is never too late", TIMEOUT, async () => {
    const { reason } = await askedOf(answering("HTTP/1.1 200 OK\r\n\r\n"), { timeoutMs: 3_650 * 86_400_000 });
    assert.equal(reason, null);
  });

  it("when nobody wants to know any more", TIMEOUT, async () => {
    const controller = new AbortController();
    const asking = askedOf((socket) => socket.once("data", () => controller.abort()), {}, controller.signal);
    assert.notEqual((await asking).reason, null);
    const target = { host: "127.0.0.1", port: 9, tls: null, timeoutMs: LONG_MS, request: null };
    assert.notEqual(await reasonOf(target, AbortSignal.abort()), null, "nor from the beginning");
  });
});

describe("a server with a name", () => {
  const OK = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const [REFUSING, LISTENING]: readonly ResolvedAddress[] = [
    { address: "127.0.0.2", family: 4 },
    { address: "127.0.0.1", family: 4 },
  ];

  it("is well when one of its addresses is", TIMEOUT, async () => {
    const names = new NameCache(new VirtualClock(), (_, callback) => callback(null, [REFUSING!, LISTENING!]));
    assert.equal((await askedOf(OK, { host: "app.internal" }, undefined, undefined, names)).reason, null);
  });

  it("is not when none is", TIMEOUT, async () => {
    const names = new NameCache(new VirtualClock(), (_, callback) =>
      callback(null, [REFUSING!, { ...REFUSING!, address: "127.0.0.3" }]),
    );
    const { reason } = await askedOf(OK, { host: "app.internal" }, undefined, undefined, names);
    assert.match(reason ?? "well", /^cannot connect to app\.internal:\d+: connection refused/);
  });

  it("is not when it has never had an address", TIMEOUT, async () => {
    const names = new NameCache(new VirtualClock(), (_, callback) => callback(systemErrorOf("ENOTFOUND"), []));
    const { reason } = await askedOf(OK, { host: "app.internal" }, undefined, undefined, names);
    assert.match(reason ?? "well", /^cannot connect to app\.internal:\d+: cannot resolve app\.internal: /);
  });

  it("is where it was while the resolver is out of order, and is asked for once", TIMEOUT, async () => {
    const clock = new VirtualClock();
    let questions = 0;
    const names = new NameCache(clock, (_, callback) => {
      if (questions++ === 0) callback(null, [LISTENING!]);
    });
    assert.equal((await askedOf(OK, { host: "app.internal" }, undefined, undefined, names)).reason, null);
    clock.advance(60_000);
    for (let i = 0; i < 3; i++) {
      const asking = askedOf(OK, { host: "app.internal" }, undefined, undefined, names);
      await until(() => clock.nextDueMs !== null);
      clock.advance(1_000);
      assert.equal((await asking).reason, null);
    }
    assert.equal(questions, 2);
  });
});

describe("over TLS", () => {
  const authority = new Authority();
  const certificate = issueCertificate({ names: ["app.internal"], issuer: authority });
  const OK = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

  async function asked(options: Partial<ProbeTls>, server: tls.TlsOptions = certificate): Promise<string | null> {
    using folder = new TestFolder();
    const ca = folder.write("ca.pem", authority.cert);
    const target = {
      serverName: "app.internal",
      verify: true,
      minVersion: "TLSv1.2",
      ca,
      cert: null,
      key: null,
    } as const;
    const { reason } = await askedOf(OK, { tls: { ...target, ...options } }, undefined, server);
    return reason;
  }

  it("a server is well whose certificate is for its name", TIMEOUT, async () => assert.equal(await asked({}), null));

  it("one is not whose certificate is for another name", TIMEOUT, async () => {
    assert.match(
      (await asked({ serverName: "other.internal" })) ?? "well",
      /^cannot connect to .*certificate was refused/,
    );
  });

  it("one is not whose authority is unknown, unless nothing is verified", TIMEOUT, async () => {
    assert.match((await asked({ ca: null })) ?? "well", /certificate was refused/);
    assert.equal(await asked({ ca: null, verify: false }), null);
  });

  it("names an address as well", TIMEOUT, async () => {
    const ofAddress = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
    assert.equal(await asked({ serverName: "127.0.0.1" }, ofAddress), null);
    assert.match((await asked({ serverName: "127.0.0.1" })) ?? "well", /certificate was refused/);
  });

  it("shows a certificate to who asks for one", TIMEOUT, async () => {
    using folder = new TestFolder();
    const own = issueCertificate({ names: ["headgate"], issuer: authority });
    const cert = folder.write("own.pem", own.cert);
    const key = folder.write("own.key", own.key);
    const server = { ...certificate, requestCert: true, rejectUnauthorized: true, ca: authority.cert };
    assert.equal(await asked({ cert, key }, server), null);
    assert.notEqual(await asked({}, server), null);
  });

  it("says which file cannot be read", TIMEOUT, async () => {
    assert.match((await asked({ ca: "/nowhere/ca.pem" })) ?? "well", /\/nowhere\/ca\.pem/);
  });
});
