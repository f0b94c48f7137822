// TLS listeners: which certificate a client sees, certificates that change, and clients whose handshake fails.

import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import type { ProxyError } from "../../src/core/errors.ts";
import type { Address } from "../../src/core/ports.ts";
import { ListenError } from "../../src/io/failures.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TransportStage } from "../support/transport-stage.ts";

const authority = new Authority();
const issue = (...names: string[]) => issueCertificate({ names, issuer: authority });
const first = issue("first.example", "127.0.0.1");
const exact = issue("api.second.example");
const wildcard = issue("*.second.example", "second.example");
const listenTls = { certificates: [first, wildcard, exact], minVersion: "TLSv1.2" } as const;

/** A finished handshake of Node's own client. */
async function connect(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    port,
    host: "127.0.0.1",
    ca: authority.cert,
    checkServerIdentity: () => undefined,
    ...options,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** Resolves when it has happened. */
async function secondHandshake(client: tls.TLSSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    // Another one may follow.
    client.on("error", reject);
    client.renegotiate({ rejectUnauthorized: false }, (error) => (error === null ? resolve() : reject(error)));
  });
}

async function namesSeen(port: number, servername: string | undefined): Promise<string> {
  const socket = await connect(port, servername === undefined ? {} : { servername });
  const names = socket.getPeerCertificate().subjectaltname;
  socket.destroy();
  return names ?? "";
}

test("bytes pass both ways, and the connection tells what TLS agreed on", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  const client = await connect(served.port, { servername: "First.Example", ALPNProtocols: ["h2", "http/1.1"] });
  const { connection } = await served.next();
  assert.deepEqual(connection.tls, {
    protocol: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    serverName: "first.example",
    alpn: "http/1.1",
    resumed: false,
    peerCertificate: null,
  });
  assert.equal(client.alpnProtocol, "http/1.1");
  assert.deepEqual(connection.remote, { family: 4, address: "127.0.0.1", port: client.localPort });
  connection.write(Buffer.alloc(1_000_000, "a"));
  connection.writeLatin1("end");
  connection.end();
  let received = "";
  for await (const chunk of client) received += chunk;
  assert.equal(received.length, 1_000_003);
  assert.ok(received.endsWith("aend"));
});

test("a client that names nobody and offers nothing", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  const client = await connect(served.port, { maxVersion: "TLSv1.2" });
  const { connection } = await served.next();
  assert.equal(connection.tls!.protocol, "TLSv1.2");
  assert.match(connection.tls!.cipher, /^TLS_ECDHE_ECDSA_WITH_/);
  assert.equal(connection.tls!.serverName, null);
  assert.equal(connection.tls!.alpn, null);
  client.destroy();
});

test("the certificate is chosen by name: exact, then wildcard of one label, then the first", async () => {
  await using stage = new TransportStage();
  const { port } = await stage.serve({ tls: listenTls });
  for (const [name, expected] of [
    ["api.second.example", "DNS:api.second.example"],
    ["API.Second.Example", "DNS:api.second.example"],
    ["www.second.example", "DNS:*.second.example, DNS:second.example"],
    ["second.example", "DNS:*.second.example, DNS:second.example"],
    ["a.b.second.example", "DNS:first.example, IP Address:127.0.0.1"],
    ["first.example", "DNS:first.example, IP Address:127.0.0.1"],
    ["unknown", "DNS:first.example, IP Address:127.0.0.1"],
    [undefined, "DNS:first.example, IP Address:127.0.0.1"],
  ] as const) {
    assert.equal(await namesSeen(port, name), expected, `for ${name}`);
  }
});

test("new certificates are for new connections; old connections go on", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  const old = await connect(served.port, { servername: "first.example" });
  const accepted = await served.next();
  const renewed = issue("renewed.example");
  served.listener.updateTls({ certificates: [renewed], minVersion: "TLSv1.3" });
  assert.equal(await namesSeen(served.port, "api.second.example"), "DNS:renewed.example");
  assert.equal(await namesSeen(served.port, undefined), "DNS:renewed.example");
  await assert.rejects(connect(served.port, { maxVersion: "TLSv1.2" }), { code: /ALERT_PROTOCOL_VERSION/ });
  accepted.connection.writeLatin1("still here");
  const [chunk] = await Promise.all([new Promise((resolve) => old.once("data", resolve))]);
  assert.equal(String(chunk), "still here");
  old.destroy();
});

test("sessions are resumed, also those of a certificate chosen by name, but not across new certificates", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  const servername = "www.second.example";
  const socket = tls.connect({ port: served.port, ca: authority.cert, servername });
  const session = await new Promise<Buffer>((resolve) => socket.once("session", resolve));
  socket.destroy();
  await served.next();
  const again = await connect(served.port, { servername, session });
  assert.equal(again.isSessionReused(), true);
  assert.equal((await served.next()).connection.tls!.resumed, true);
  again.destroy();
  served.listener.updateTls(listenTls);
  const fresh = await connect(served.port, { servername, session });
  assert.equal(fresh.isSessionReused(), false);
  fresh.destroy();
});

test("certificates that cannot be used: an error, and the old ones stay", async () => {
  await using stage = new TransportStage();
  const broken = { certificates: [{ cert: first.cert, key: exact.key }], minVersion: "TLSv1.2" } as const;
  await assert.rejects(stage.serve({ tls: broken, port: 50_001 }), (error) => {
    assert.ok(error instanceof ListenError);
    assert.match(
      error.message,
      /^cannot listen on 127\.0\.0\.1:50001: its certificate cannot be used: .*key values mismatch/,
    );
    return true;
  });
  const served = await stage.serve({ tls: listenTls });
  assert.throws(() => served.listener.updateTls(broken), /key values mismatch/);
  assert.throws(() => served.listener.updateTls({ certificates: [], minVersion: "TLSv1.2" }), /needs a certificate/);
  assert.equal(await namesSeen(served.port, "api.second.example"), "DNS:api.second.example");
  const plain = await stage.serve();
  assert.throws(() => plain.listener.updateTls(listenTls), /does not speak TLS/);
});

/** What onTlsError was told. */
function noteErrors() {
  const noted: { readonly error: ProxyError; readonly remote: Address }[] = [];
  let arrived = Promise.withResolvers<void>();
  const onTlsError = (error: ProxyError, remote: Address) => {
    noted.push({ error, remote });
    arrived.resolve();
  };
  const next = async () => {
    while (noted.length === 0) {
      await arrived.promise;
      arrived = Promise.withResolvers<void>();
    }
    return noted.shift()!;
  };
  return { onTlsError, next };
}

test("handshakes that fail are reported as the client's, leave nothing, and hurt nobody", async () => {
  await using stage = new TransportStage();
  const { onTlsError, next } = noteErrors();
  const served = await stage.serve({ tls: { ...listenTls, minVersion: "TLSv1.3" }, onTlsError });

  const plain = await stage.client(served.port);
  plain.on("error", () => {});
  plain.write("GET / HTTP/1.1\r\n\r\n");
  const spoke = await next();
  assert.equal(spoke.error.type, "tls_protocol_error");
  assert.equal(spoke.error.side, "client");
  assert.match(
    spoke.error.message,
    /^TLS handshake of client 127\.0\.0\.1:\d+ on 127\.0\.0\.1:\d+: TLS failed: http request/,
  );
  assert.deepEqual(spoke.remote, { family: 4, address: "127.0.0.1", port: plain.localPort });

  const silent = await stage.client(served.port);
  silent.end();
  assert.equal((await next()).error.type, "connection_terminated");

  await assert.rejects(connect(served.port, { maxVersion: "TLSv1.2" }));
  assert.equal((await next()).error.type, "tls_protocol_error");

  await assert.rejects(connect(served.port, { ALPNProtocols: ["h2"] }), { code: /NO_APPLICATION_PROTOCOL/ });
  assert.equal((await next()).error.type, "tls_protocol_error");

  await assert.rejects(connect(served.port, { ca: new Authority("Other").cert }));
  const fine = await connect(served.port);
  const { connection } = await served.next();
  assert.equal(connection.tls!.protocol, "TLSv1.3");
  fine.destroy();
});

test("a handshake that is not finished at the deadline is ended, however the client drips", async () => {
  await using stage = new TransportStage({ handshakeTimeoutMs: 300 });
  const { onTlsError, next } = noteErrors();
  const served = await stage.serve({ tls: listenTls, onTlsError });
  // Its time begins when it is accepted, which may be before we hear that it is connected.
  const startedAt = performance.now();
  const silent = await stage.client(served.port);
  await new Promise((resolve) => silent.once("end", resolve).resume());
  assert.ok(performance.now() - startedAt >= 290);
  const { error } = await next();
  assert.equal(error.type, "tls_protocol_error");
  assert.match(error.message, /TLS handshake timeout/);

  // The first bytes of a ClientHello that announces far more than it sends.
  const hello = Buffer.concat([Buffer.of(0x16, 3, 1, 0x10, 0, 1, 0, 0x0f, 0xfc, 3, 3), Buffer.alloc(4_000)]);
  const drip = net.connect(served.port, "127.0.0.1");
  drip.on("error", () => {});
  let sent = 0;
  const timer = setInterval(() => drip.write(hello.subarray(sent, ++sent)), 20);
  await new Promise((resolve) => drip.once("close", resolve).resume());
  clearInterval(timer);
  assert.ok(sent < 40, `closed after ${sent} bytes, ${sent * 20} ms`);
  await next();
});

test("no client of TLS 1.2 may begin a second handshake, in which it could show another certificate", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  for (const servername of ["first.example", "api.second.example"]) {
    const client = await connect(served.port, { servername, maxVersion: "TLSv1.2" });
    const { connection } = await served.next();
    assert.equal(connection.tls!.protocol, "TLSv1.2");
    await assert.rejects(secondHandshake(client), /no renegotiation/);
  }
});

test("half-close and reset work under TLS", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  const client = await connect(served.port, { allowHalfOpen: true } as tls.ConnectionOptions);
  const far = await served.next();
  client.end("question");
  await far.until(() => far.events.includes("end"));
  assert.equal(far.text, "question");
  far.connection.writeLatin1("answer");
  far.connection.end();
  let answer = "";
  for await (const chunk of client) answer += chunk;
  assert.equal(answer, "answer");
  assert.equal(await far.untilClosed(), null);

  const other = await connect(served.port);
  const cut = await served.next();
  cut.connection.destroy(undefined, true);
  await new Promise((resolve) =>
    other
      .once("close", resolve)
      .on("error", () => {})
      .resume(),
  );
  assert.equal(await cut.untilClosed(), null);
});

test("backpressure under TLS: bytes queue, and onDrain comes when they have left", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: listenTls });
  const client = await connect(served.port);
  const far = await served.next();
  client.pause();
  for (let count = 0; count < 1_000; count++) far.connection.write(Buffer.alloc(20_000));
  assert.ok(far.connection.queuedBytes > 1_000_000);
  let received = 0;
  client.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  client.resume();
  await far.until(() => far.events.includes("drain"));
  assert.equal(far.connection.queuedBytes, 0);
  while (received < 20_000_000) await new Promise((resolve) => setImmediate(resolve));
  client.destroy();
});
