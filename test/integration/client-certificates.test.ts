// Mutual TLS with curl and openssl as the clients: who passes, what the upstream learns, and what a change of the authorities
// does to those who are connected.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { Authority, type Issued, issueCertificate } from "../support/certificates.ts";
import { curl } from "../support/curl.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { findCommand, needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHANGED = "files that have changed were read again";

const authority = new Authority("Clients");
const stranger = new Authority("Strangers");
const server = issueCertificate({ names: ["127.0.0.1", "localhost"] });
const alice = issueCertificate({ names: ["alice.example"], issuer: authority });
const bob = issueCertificate({ names: ["bob.example"], issuer: authority });
const mallory = issueCertificate({ names: ["alice.example"], issuer: stranger });

class Stage {
  readonly folder = new TestFolder();
  readonly origin: Origin;

  private constructor(origin: Origin) {
    this.origin = origin;
    this.folder.write("clients.pem", authority.cert);
    for (const [name, { cert, key }] of Object.entries({ server, alice, bob, mallory })) {
      this.folder.write(`${name}.pem`, cert);
      this.folder.write(`${name}.key`, key);
    }
  }

  static async start(): Promise<Stage> {
    return new Stage(
      await Origin.start((request, response) => {
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify(request.headers));
      }),
    );
  }

  servers(mode: "required" | "optional", options: Readonly<Record<string, unknown>> = {}) {
    const tls = {
      certificates: [{ cert: this.folder.file("server.pem"), key: this.folder.file("server.key") }],
      clientAuth: { ca: this.folder.file("clients.pem"), mode },
    };
    const headers = { "x-client": "subject", "x-san": "san", "client-cert": "certificate" };
    return {
      servers: {
        web: {
          listen: { address: "127.0.0.1:0", tls },
          routes: [
            { match: { path: "/health" }, respond: 204 },
            { use: [{ clientCertificate: { headers, ...options } }], proxy: this.origin.url },
          ],
        },
      },
    };
  }

  /** What curl says of an answer's status, or of why there is none; and the body. */
  async curl(
    port: number,
    path: string,
    who: string | null,
  ): Promise<{ readonly code: string; readonly body: string }> {
    const shown =
      who === null ? [] : ["--cert", this.folder.file(`${who}.pem`), "--key", this.folder.file(`${who}.key`)];
    const url = `https://127.0.0.1:${port}${path}`;
    const result = await curl([
      "--cacert",
      this.folder.file("server.pem"),
      ...shown,
      "--write-out",
      "\n%{http_code}",
      url,
    ]);
    const [, body = "", code = ""] = /^(.*)\n(\d+)$/s.exec(result.output) ?? [];
    return { code: result.status === 0 ? code : `curl ${result.status}`, body };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.origin[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

describe("client certificates", TIMEOUT, () => {
  test("optional: a route decides, and tells the upstream who it is", { skip: needs("curl") }, async () => {
    await using stage = await Stage.start();
    await using proxy = await ProxyUnderTest.start(stage.servers("optional", { sans: "dns:alice.example" }));
    const port = proxy.port("web");
    const { code, body } = await stage.curl(port, "/", "alice");
    assert.equal(code, "200");
    const told = JSON.parse(body) as Record<string, string>;
    assert.deepEqual([told["x-client"], told["x-san"]], ["CN=alice.example", "dns:alice.example"]);
    const [, base64 = ""] = /^:([A-Za-z0-9+/=]+):$/.exec(told["client-cert"] ?? "") ?? [];
    assert.deepEqual(Buffer.from(base64, "base64"), new X509Certificate(alice.cert).raw);
    for (const [who, path, expected] of [
      ["bob", "/", "403"],
      ["mallory", "/", "403"],
      [null, "/", "403"],
      [null, "/health", "204"],
      ["mallory", "/health", "204"],
    ] as const) {
      assert.equal((await stage.curl(port, path, who)).code, expected, `${who} ${path}`);
    }
    assert.equal(stage.origin.asked.length, 1);
  });

  test("required: nobody else gets as far as a request", { skip: needs("curl") }, async () => {
    await using stage = await Stage.start();
    await using proxy = await ProxyUnderTest.start(stage.servers("required"));
    const port = proxy.port("web");
    assert.equal((await stage.curl(port, "/", "bob")).code, "200");
    for (const who of ["mallory", null])
      assert.match((await stage.curl(port, "/health", who)).code, /^curl (35|52|55|56)$/);
    assert.equal(stage.origin.asked.length, 1);
  });

  test("a session that openssl resumes is still that of the same client", { skip: needs("openssl") }, async () => {
    await using stage = await Stage.start();
    await using proxy = await ProxyUnderTest.start(stage.servers("required"));
    const session = stage.folder.file("session.pem");
    const first = await openssl(proxy.port("web"), stage.folder, ["-sess_out", session]);
    assert.match(first, /New, TLSv1\.3/);
    assert.match(first, /"x-client":"CN=alice\.example"/);
    const second = await openssl(proxy.port("web"), stage.folder, ["-sess_in", session]);
    assert.match(second, /Reused, TLSv1\.3/);
    assert.match(second, /"x-client":"CN=alice\.example"/);
  });

  test("an authority that is taken away lets nobody in any more, those who are connected included", async () => {
    await using stage = await Stage.start();
    await using proxy = await ProxyUnderTest.start(stage.servers("required"));
    const connect = (port: number, { cert, key }: Issued) =>
      RawClient.connect({ port, tls: { ca: server.cert, cert, key } });
    using before = await connect(proxy.port("web"), alice);
    assert.equal((await before.send(GET).answer()).status, 200);
    stage.folder.write("clients.pem", stranger.cert);
    await proxy.untilLogged(CHANGED);
    await before.untilClosed();
    using refused = await connect(proxy.port("web"), alice);
    await refused.untilClosed();
    assert.equal(refused.received, "");
    using after = await connect(proxy.port("web"), mallory);
    assert.equal((await after.send(GET).answer()).status, 200);
  });

  test("other certificates of the listener leave connections alone", async () => {
    await using stage = await Stage.start();
    await using proxy = await ProxyUnderTest.start(stage.servers("required"));
    using client = await RawClient.connect({ port: proxy.port("web"), tls: { ca: server.cert, ...alice } });
    assert.equal((await client.send(GET).answer()).status, 200);
    const renewed = issueCertificate({ names: ["127.0.0.1"] });
    stage.folder.write("server.pem", renewed.cert);
    stage.folder.write("server.key", renewed.key);
    await proxy.untilLogged(CHANGED);
    assert.equal((await client.send(GET).answer()).status, 200);
  });

  test("what is asked for can change with a reload, both ways", async () => {
    await using stage = await Stage.start();
    await using proxy = await ProxyUnderTest.start(stage.servers("optional"));
    const health = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    const connect = () => RawClient.connect({ port: proxy.port("web"), tls: { ca: server.cert } });
    using nameless = await connect();
    assert.equal((await nameless.send(health).answer()).status, 204);
    await proxy.reload(stage.servers("required"));
    await nameless.untilClosed();
    using refused = await connect();
    await refused.untilClosed();
    await proxy.reload(stage.servers("optional"));
    using again = await connect();
    assert.equal((await again.send(health).answer()).status, 204);
  });

  test("authorities that cannot be read are told with their place", async () => {
    await using stage = await Stage.start();
    stage.folder.write("clients.pem", alice.key);
    await assert.rejects(ProxyUnderTest.start(stage.servers("required")), (error: Error & { problems?: unknown }) => {
      assert.match(error.message, /clients\.pem: no certificate is in this file: it holds a private key/);
      assert.deepEqual((error.problems as { path: unknown }[])[0]?.path, [
        "servers",
        "web",
        "listen",
        0,
        "tls",
        "clientAuth",
        "ca",
      ]);
      return true;
    });
  });
});

/** One request of `openssl s_client`, with Alice's certificate; all that it printed. */
function openssl(port: number, folder: TestFolder, args: readonly string[]): Promise<string> {
  const files = [
    "-CAfile",
    folder.file("server.pem"),
    "-cert",
    folder.file("alice.pem"),
    "-key",
    folder.file("alice.key"),
  ];
  const child = spawn(findCommand("openssl")!, [
    "s_client",
    "-connect",
    `127.0.0.1:${port}`,
    "-ign_eof",
    ...files,
    ...args,
  ]);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("latin1").on("data", (text) => (output += text));
  child.stdin.end(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve(output));
  });
}
