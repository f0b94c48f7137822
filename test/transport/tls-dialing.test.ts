// TLS towards upstreams: verified by default, and every way in which that can fail has its error.

import assert from "node:assert/strict";
import type net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import type { DialTls } from "../../src/core/ports.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { DIAL_MS_MAX, TransportStage } from "../support/transport-stage.ts";

const authority = new Authority();
const server = issueCertificate({ names: ["app.internal", "127.0.0.1"], issuer: authority });
const trusting: DialTls = {
  serverName: "app.internal",
  verify: true,
  ca: authority.cert,
  cert: null,
  key: null,
  minVersion: "TLSv1.2",
  alpn: [],
};

/** A TLS server of Node's own that greets, and the port it got. */
async function upstream(
  stage: TransportStage,
  options: tls.TlsOptions = {},
  accepted: tls.TLSSocket[] = [],
): Promise<number> {
  const listening = tls.createServer({ cert: server.cert, key: server.key, ...options });
  listening.on("secureConnection", (socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.write("hello");
  });
  return stage.start(listening);
}

test("a certificate of an authority that is trusted, for the right name", async () => {
  await using stage = new TransportStage();
  const accepted: tls.TLSSocket[] = [];
  const port = await upstream(stage, { ALPNProtocols: ["http/1.1"] }, accepted);
  const near = await stage.dial({ port, tls: { ...trusting, alpn: ["http/1.1"] } });
  await near.untilText("hello");
  assert.deepEqual(near.connection.tls, {
    protocol: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    serverName: "app.internal",
    alpn: "http/1.1",
    resumed: false,
    peerCertificate: null,
  });
  assert.equal(near.connection.remote.port, port);
  assert.equal(near.connection.local.port, accepted[0]!.remotePort);
  near.connection.writeLatin1("question");
  assert.equal(String(await new Promise((resolve) => accepted[0]!.once("data", resolve))), "question");
  near.connection.end();
  assert.equal(await near.untilClosed(), null);
});

test("an address instead of a name is verified too, and not sent as SNI", async () => {
  await using stage = new TransportStage();
  const accepted: tls.TLSSocket[] = [];
  const port = await upstream(stage, {}, accepted);
  const near = await stage.dial({ port, tls: { ...trusting, serverName: "127.0.0.1" } });
  await near.untilText("hello");
  assert.equal(accepted[0]!.servername, false);
  assert.equal(near.connection.tls!.serverName, null);
  await assert.rejects(stage.dial({ port, tls: { ...trusting, serverName: "127.0.0.9" } }), {
    type: "tls_certificate_error",
  });
});

test("certificates that are refused", async (t) => {
  await using stage = new TransportStage();
  const hour = 3_600_000;
  const expired = issueCertificate({
    names: ["app.internal"],
    issuer: authority,
    notAfter: new Date(Date.now() - hour),
  });
  const early = issueCertificate({
    names: ["app.internal"],
    issuer: authority,
    notBefore: new Date(Date.now() + hour),
  });
  const selfSigned = issueCertificate({ names: ["app.internal"] });
  const cases: [string, tls.TlsOptions, Partial<DialTls>, RegExp][] = [
    ["for another name", {}, { serverName: "other.internal" }, /other\.internal.*ERR_TLS_CERT_ALTNAME_INVALID/s],
    ["expired", expired, {}, /has expired \(CERT_HAS_EXPIRED\)/],
    ["not yet valid", early, {}, /not yet valid \(CERT_NOT_YET_VALID\)/],
    ["self-signed", selfSigned, {}, /authority is not one of those that are trusted/],
    [
      "of an authority that is not ours",
      {},
      { ca: new Authority("Other").cert },
      /authority is not one of those that are trusted/,
    ],
    ["of an authority that is not the system's", {}, { ca: null }, /authority is not one of those that are trusted/],
  ];
  for (const [what, serverOptions, options, message] of cases) {
    await t.test(what, async () => {
      const port = await upstream(stage, serverOptions);
      await assert.rejects(stage.dial({ port, tls: { ...trusting, ...options } }), (error: Error) => {
        assert.match(
          error.message,
          /^TLS handshake with 127\.0\.0\.1:\d+ \((app|other)\.internal\): the certificate was refused: /,
        );
        assert.match(error.message, message);
        assert.equal((error as { type?: string }).type, "tls_certificate_error");
        return true;
      });
      const unverified = await stage.dial({ port, tls: { ...trusting, ...options, verify: false } });
      await unverified.untilText("hello");
    });
  }
});

test("an upstream that wants a certificate of ours", async (t) => {
  await using stage = new TransportStage();
  const client = issueCertificate({ names: ["proxy.internal"], issuer: authority });
  const demand = { requestCert: true, rejectUnauthorized: true, ca: authority.cert };
  await t.test("gets it", async () => {
    const accepted: tls.TLSSocket[] = [];
    const port = await upstream(stage, demand, accepted);
    const near = await stage.dial({ port, tls: { ...trusting, cert: client.cert, key: client.key } });
    await near.untilText("hello");
    assert.equal(accepted[0]!.getPeerCertificate().subject.CN, "proxy.internal");
  });
  await t.test("does not get it: TLS 1.2 says so in the handshake, TLS 1.3 after it", async () => {
    const port12 = await upstream(stage, { ...demand, maxVersion: "TLSv1.2" });
    await assert.rejects(stage.dial({ port: port12, tls: trusting }), { type: "tls_alert_received" });
    const port13 = await upstream(stage, demand);
    const near = await stage.dial({ port: port13, tls: trusting });
    const error = await near.untilClosed();
    assert.equal(error?.type, "tls_alert_received");
    assert.match(error!.message, /^connection of upstream 127\.0\.0\.1:\d+: the peer refused .*certificate required/);
  });
});

test("TLS that breaks after the handshake closes the connection", async () => {
  await using stage = new TransportStage();
  const listening = tls.createServer({ cert: server.cert, key: server.key });
  const raw = new Promise<net.Socket>((resolve) => listening.once("connection", resolve));
  const secured = new Promise((resolve) => listening.once("secureConnection", resolve));
  const near = await stage.dial({ port: await stage.start(listening), tls: trusting });
  await secured;
  (await raw).write("this is no TLS record");
  const error = await near.untilClosed();
  assert.equal(error?.type, "tls_protocol_error");
  assert.match(error!.message, /^connection of upstream 127\.0\.0\.1:\d+: TLS failed: bad record type/);
  assert.deepEqual(near.events, ["close"]);
});

test("other failures of the handshake", async (t) => {
  await using stage = new TransportStage();
  await t.test("no protocol version in common", async () => {
    const port = await upstream(stage, { maxVersion: "TLSv1.2" });
    await assert.rejects(stage.dial({ port, tls: { ...trusting, minVersion: "TLSv1.3" } }), {
      type: "tls_alert_received",
    });
  });
  await t.test("the upstream does not speak TLS", async () => {
    const served = await stage.serve({}, (far) => {
      far.react = () => far.connection.writeLatin1("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    await assert.rejects(stage.dial({ port: served.port, tls: trusting }), {
      type: "tls_protocol_error",
      message: `TLS handshake with 127.0.0.1:${served.port} (app.internal): TLS failed: wrong version number, as of a peer that speaks without TLS (ERR_SSL_WRONG_VERSION_NUMBER)`,
    });
  });
  await t.test("the upstream hangs up", async () => {
    const served = await stage.serve({}, (far) => {
      far.react = () => far.connection.end();
    });
    await assert.rejects(stage.dial({ port: served.port, tls: trusting }), { type: "connection_terminated" });
  });
  await t.test("our own options cannot be used: told in a later turn, as the configuration's fault", async () => {
    const port = await upstream(stage);
    const broken = { ...trusting, cert: server.cert, key: issueCertificate({ names: ["x"] }).key };
    await assert.rejects(stage.dial({ port, tls: broken }), { type: "proxy_configuration_error", side: "proxy" });
  });
});

test("sessions are reused per server and per options, and never across verification", async () => {
  await using stage = new TransportStage();
  const port = await upstream(stage);
  const other = await upstream(stage);
  const dial = async (options: DialTls, to = port) => {
    const near = await stage.dial({ port: to, tls: options });
    // A TLS 1.3 session comes with the first bytes.
    await near.untilText("hello");
    return near.connection.tls!.resumed;
  };
  assert.equal(await dial(trusting), false);
  assert.equal(await dial(trusting), true);
  assert.equal(await dial(trusting), true);
  assert.equal(await dial(trusting, other), false, "another server");
  const unverified = { ...trusting, serverName: "wrong.internal", verify: false };
  assert.equal(await dial(unverified), false);
  assert.equal(await dial(unverified), true);
  await assert.rejects(dial({ ...unverified, verify: true }), { type: "tls_certificate_error" });
});

test("what arrives at once after the handshake is not lost when the owner pauses", async () => {
  await using stage = new TransportStage();
  const port = await upstream(stage);
  const { promise, resolve } = Promise.withResolvers<void>();
  const events: string[] = [];
  stage.transport.dialer.dial(
    { host: "127.0.0.1", port, tls: trusting, timeoutMs: DIAL_MS_MAX },
    {
      onConnected: (connection) => {
        connection.handler = {
          onBytes: (buffer, start, end) => {
            events.push(buffer.toString("latin1", start, end));
            connection.destroy();
          },
          onDrain: () => {},
          onEnd: () => {},
          onClose: () => resolve(),
        };
        connection.pause();
        setImmediate(() => setImmediate(() => connection.resume()));
      },
      onFailed: assert.fail,
    },
  );
  await promise;
  assert.deepEqual(events, ["hello"]);
});
