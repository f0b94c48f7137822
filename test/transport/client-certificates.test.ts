// Listeners that ask clients for certificates: who is let in, what the connection tells of them, on resumed sessions too, and
// what becomes of both when the authorities change.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import tls from "node:tls";
import type { ProxyError } from "../../src/core/errors.ts";
import { Authority, type CertificateOptions, issueCertificate } from "../support/certificates.ts";
import { TransportStage } from "../support/transport-stage.ts";

const TIMEOUT = { timeout: 120_000 };
const DAY_MS = 86_400_000;

const servers = new Authority("Servers");
const clients = new Authority("Clients");
const strangers = new Authority("Strangers");
const server = issueCertificate({ names: ["server.example"], issuer: servers });
const other = issueCertificate({ names: ["other.example"], issuer: servers });
const client = (issuer: Authority, options: Partial<CertificateOptions> = {}) =>
  issueCertificate({ names: ["client.example", "192.0.2.7"], issuer, ...options });
const alice = client(clients);
const bob = client(strangers);
const expired = client(clients, {
  notBefore: new Date(Date.now() - 3 * DAY_MS),
  notAfter: new Date(Date.now() - DAY_MS),
});

function listenTls(isRequired: boolean, ca = clients.cert) {
  return { certificates: [server, other], minVersion: "TLSv1.2", clientAuth: { ca, isRequired } } as const;
}

/** A client's handshake, as far as the client sees it; `session` resolves with a ticket. */
function connect(port: number, options: tls.ConnectionOptions) {
  const socket = tls.connect({ port, host: "127.0.0.1", ca: servers.cert, servername: "server.example", ...options });
  socket.on("error", () => {});
  const session = new Promise<Buffer>((resolve) => socket.once("session", resolve));
  return { socket, session, closed: new Promise((resolve) => socket.once("close", resolve)) };
}

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
/** The first certificate, and one that is chosen by name. */
const NAMES = ["server.example", "other.example"] as const;

for (const maxVersion of VERSIONS) {
  describe(maxVersion, TIMEOUT, () => {
    for (const servername of NAMES) {
      for (const isRequired of [true, false]) {
        test(`a ${isRequired ? "required" : "wanted"} certificate for ${servername}, at first and on a resumed session`, async () => {
          await using stage = new TransportStage();
          const served = await stage.serve({ tls: listenTls(isRequired) });
          const facts = new X509Certificate(alice.cert);
          const expected = {
            isVerified: true,
            refusal: null,
            subject: "CN=client.example",
            issuer: "CN=Clients",
            alternativeNames: ["dns:client.example", "ip:192.0.2.7"],
            serialNumber: facts.serialNumber.toLowerCase(),
            fingerprint: facts.fingerprint256.replaceAll(":", "").toLowerCase(),
            notAfterMs: facts.validToDate.getTime(),
            bytes: facts.raw,
          };
          let session: Buffer | undefined;
          for (const resumed of [false, true]) {
            const near = connect(served.port, {
              servername,
              maxVersion,
              ...alice,
              ...(session !== undefined && { session }),
            });
            const { connection } = await served.next();
            assert.equal(connection.tls!.resumed, resumed);
            assert.deepEqual(connection.tls!.peerCertificate, expected);
            assert.equal(connection.tls!.peerCertificate, connection.tls!.peerCertificate);
            if (!resumed) session = await near.session;
            near.socket.destroy();
          }
        });
      }
    }

    test("a session that began without a certificate is none of somebody who is known", async () => {
      await using stage = new TransportStage();
      const served = await stage.serve({ tls: listenTls(false) });
      const first = connect(served.port, { maxVersion });
      assert.equal((await served.next()).connection.tls!.peerCertificate, null);
      const session = await first.session;
      first.socket.destroy();
      const again = connect(served.port, { maxVersion, session });
      const { connection } = await served.next();
      assert.equal(connection.tls!.resumed, true);
      assert.equal(connection.tls!.peerCertificate, null);
      again.socket.destroy();
    });

    test("without a good certificate a listener that requires one lets nobody in, and says why", async () => {
      const noted: ProxyError[] = [];
      let arrived = Promise.withResolvers<void>();
      const onTlsError = (error: ProxyError) => {
        noted.push(error);
        arrived.resolve();
      };
      await using stage = new TransportStage();
      const served = await stage.serve({ tls: listenTls(true), onTlsError }, () => assert.fail("was let in"));
      for (const [shown, words] of [
        [{}, /peer did not return a certificate/i],
        [
          bob,
          /the client's certificate is not accepted: .*(UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE)/,
        ],
        [expired, /the client's certificate is not accepted: .*CERT_HAS_EXPIRED/],
      ] as const) {
        for (const servername of NAMES) {
          arrived = Promise.withResolvers<void>();
          const near = connect(served.port, { maxVersion, servername, ...shown });
          await Promise.all([arrived.promise, near.closed]);
          const error = noted.pop()!;
          assert.equal(error.side, "client");
          assert.match(error.message, words);
          assert.equal(noted.length, 0);
        }
      }
    });

    test("a certificate that is not good passes where it is only wanted, marked as what it is", async () => {
      await using stage = new TransportStage();
      const served = await stage.serve({ tls: listenTls(false) });
      for (const [shown, refusal] of [
        [bob, /^UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF_SIGNATURE)/],
        [expired, /^CERT_HAS_EXPIRED$/],
      ] as const) {
        let session: Buffer | undefined;
        for (const resumed of [false, true]) {
          const near = connect(served.port, { maxVersion, ...shown, ...(session !== undefined && { session }) });
          const { connection } = await served.next();
          assert.equal(connection.tls!.resumed, resumed);
          const certificate = connection.tls!.peerCertificate!;
          assert.equal(certificate.isVerified, false);
          assert.match(certificate.refusal ?? "", refusal);
          if (!resumed) session = await near.session;
          near.socket.destroy();
        }
      }
    });

    test("other authorities are for all connections to come: no session is resumed across the change", async () => {
      await using stage = new TransportStage();
      const served = await stage.serve({ tls: listenTls(false) });
      for (const servername of NAMES) {
        served.listener.updateTls(listenTls(false));
        const first = connect(served.port, { maxVersion, servername, ...alice });
        assert.equal((await served.next()).connection.tls!.peerCertificate!.isVerified, true);
        const session = await first.session;
        first.socket.destroy();
        served.listener.updateTls(listenTls(false, strangers.cert));
        const again = connect(served.port, { maxVersion, servername, session, ...alice });
        const { connection } = await served.next();
        assert.equal(connection.tls!.resumed, false);
        assert.equal(connection.tls!.peerCertificate!.isVerified, false);
        again.socket.destroy();
        const stranger = connect(served.port, { maxVersion, servername, ...bob });
        assert.equal((await served.next()).connection.tls!.peerCertificate!.isVerified, true);
        stranger.socket.destroy();
      }
    });
  });
}

test(
  "a listener keeps to what it asks for: certificates can change in place, and the question cannot",
  TIMEOUT,
  async () => {
    await using stage = new TransportStage();
    const { listener } = await stage.serve({ tls: listenTls(true) });
    listener.updateTls(listenTls(true, strangers.cert));
    assert.throws(() => listener.updateTls(listenTls(false)), /asks clients for something else/);
    assert.throws(
      () => listener.updateTls({ certificates: [server], minVersion: "TLSv1.2" }),
      /asks clients for something else/,
    );
  },
);

test("a listener that does not ask gets no certificate", TIMEOUT, async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ tls: { certificates: [server], minVersion: "TLSv1.2" } });
  const near = connect(served.port, alice);
  assert.equal((await served.next()).connection.tls!.peerCertificate, null);
  near.socket.destroy();
});
