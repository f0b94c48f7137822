// TLS on both sides: what a client is shown and what the upstream must show, and what becomes of an exchange where they do
// not agree.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { WebSocket, WebSocketServer } from "ws";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };
/** What ws hands on to node:tls. */
const TWO: object = { servername: "two.example" };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const authority = new Authority();
const stranger = new Authority("Somebody Else");
const made = {
  one: issueCertificate({ names: ["one.example"], issuer: authority }),
  two: issueCertificate({ names: ["two.example"], issuer: authority }),
  origin: issueCertificate({ names: ["origin.example", "127.0.0.1"], issuer: authority }),
  client: issueCertificate({ names: ["client.example"], issuer: authority }),
};

describe("TLS", () => {
  let folder: string;
  const file = (name: string) => path.join(folder, name);

  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "headgate-tls-"));
    writeFileSync(file("ca.pem"), authority.cert);
    writeFileSync(file("stranger.pem"), stranger.cert);
    for (const [name, { cert, key }] of Object.entries(made)) {
      writeFileSync(file(`${name}.pem`), cert);
      writeFileSync(file(`${name}.key`), key);
    }
  });

  after(() => rmSync(folder, { recursive: true }));

  const certificate = (name: string) => ({ cert: file(`${name}.pem`), key: file(`${name}.key`) });
  const listen = () => ({ address: "127.0.0.1:0", tls: { certificates: [certificate("one"), certificate("two")] } });
  const connect = (port: number, servername: string) =>
    RawClient.connect({ port, tls: { servername, ca: authority.cert } });

  test(
    "a client is shown the certificate of the name it asks for, and the upstream is told https",
    TIMEOUT,
    async () => {
      await using origin = await Origin.start((request, response) =>
        response.end(request.headers["x-forwarded-proto"]),
      );
      await using proxy = await ProxyUnderTest.start({ servers: { web: { listen: listen(), proxy: origin.url } } });
      for (const name of ["one.example", "two.example"]) {
        using client = await connect(proxy.port("web"), name);
        assert.equal((client.socket as TLSSocket).getPeerCertificate().subject.CN, name);
        assert.equal((await client.send(GET).answer()).body, "https");
      }
    },
  );

  test("large bodies and WebSockets through TLS on both sides", TIMEOUT, async () => {
    const body = "0123456789abcdef".repeat(256 * 1024);
    await using origin = await Origin.start((_, response) => response.end(body), { tls: made.origin });
    const backend = new WebSocketServer({ server: origin.server });
    backend.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
    const to = origin.url.replace("http", "https");
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: listen(), proxy: { to, tls: { ca: file("ca.pem") } } } },
    });
    const port = proxy.port("web");
    using client = await connect(port, "one.example");
    assert.ok((await client.send(GET).answer()).body === body);
    const socket = new WebSocket(`wss://127.0.0.1:${port}/`, { ca: authority.cert, ...TWO });
    const echo = new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
    socket.once("open", () => socket.send(body));
    assert.ok(String(await echo) === body);
    socket.terminate();
    backend.close();
  });

  test("an upstream's certificate must be of a trusted authority and of the right name", TIMEOUT, async () => {
    await using origin = await Origin.start((_, response) => response.end("served"), { tls: made.origin });
    const to = origin.url.replace("http", "https");
    const attempts: [tls: Record<string, unknown>, status: number][] = [
      [{ ca: file("ca.pem") }, 200],
      [{ ca: file("ca.pem"), serverName: "origin.example" }, 200],
      [{ ca: file("ca.pem"), serverName: "other.example" }, 502],
      [{ ca: file("stranger.pem") }, 502],
      [{}, 502],
      [{ verify: false }, 200],
    ];
    for (const [tls, status] of attempts) {
      await using proxy = await ProxyUnderTest.start({
        servers: { web: { listen: "127.0.0.1:0", proxy: { to, tls } } },
      });
      using client = await RawClient.connect(proxy.port("web"));
      const answer = await client.send(GET).answer();
      assert.equal(answer.status, status, JSON.stringify(tls));
      if (status === 502) assert.match(answer.fields.get("proxy-status") ?? "", /error=tls_certificate_error/);
    }
  });

  test("an upstream that asks for our certificate gets it", TIMEOUT, async () => {
    const tls = { ...made.origin, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    await using origin = await Origin.start(
      (request, response) => response.end((request.socket as TLSSocket).getPeerCertificate().subject.CN),
      { tls },
    );
    const to = origin.url.replace("http", "https");
    const ours = { cert: file("client.pem"), key: file("client.key") };
    for (const [shown, status] of [
      [ours, 200],
      [{}, 502],
    ] as const) {
      await using proxy = await ProxyUnderTest.start({
        servers: { web: { listen: "127.0.0.1:0", proxy: { to, tls: { ca: file("ca.pem"), ...shown } } } },
      });
      using client = await RawClient.connect(proxy.port("web"));
      const answer = await client.send(GET).answer();
      assert.equal(answer.status, status);
      if (status === 200) assert.equal(answer.body, "client.example");
    }
  });

  test("plain HTTP on a port for TLS, and TLS on one for plain HTTP, end at once", TIMEOUT, async () => {
    await using origin = await Origin.start((_, response) => response.end());
    await using proxy = await ProxyUnderTest.start({
      servers: { web: { listen: [listen(), "127.0.0.1:0"], proxy: origin.url } },
    });
    const [secure, plain] = proxy.ports("web");
    using wrong = await RawClient.connect(secure!);
    await wrong.send(GET).untilEnded();
    assert.equal(wrong.received.slice(0, 4) === "HTTP", false);
    await assert.rejects(connect(plain!, "one.example"));
    assert.equal(origin.accepted, 0);
  });
});
