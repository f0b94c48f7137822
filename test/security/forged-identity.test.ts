// What clients send so that an upstream takes them for somebody else: identity fields of their own in every spelling, fields that take
// the true ones away, credentials in two versions, and names that break out of a field.

import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, describe, test } from "node:test";
import { keyDigest } from "../../src/identity/api-keys.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient, type Target } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };
const DAY_MS = 86_400_000;
const PASSWORD = "wonderland";
const HASH = "$2y$04$MJ0GIAvkD3uk8pe2inXgauT7XAvqN6cakjH6R8z7yNlOYdE/ex2CK";
const KEY = "hgk_test";

const basic = (text: string) => `Authorization: Basic ${Buffer.from(text).toString("base64")}`;
const ALICE = basic(`alice:${PASSWORD}`);

const TOKEN = { algorithm: "HS256", key: "a secret of the tests" };
// None of these is ever asked here: what they would say reaches the upstream by their own routes alone.
const SESSION = { token: TOKEN, session: { store: "sessions" }, decrypt: "off" };
const SERVICE = { address: "http://127.0.0.1:9/verify" };
const LOGIN = {
  issuer: "http://127.0.0.1:9",
  clientId: "headgate",
  key: "42".repeat(32),
  redirectPath: "/X-Of-Login/callback",
};

/** Every feature, each with a field of its own by which the upstream learns who asks. */
const OF_FEATURES: readonly (readonly [field: string, feature: object])[] = [
  ["X-Of-Basic", { basicAuth: { users: { alice: HASH }, userHeader: "x-of-basic" } }],
  ["X-Of-Key", { apiKey: { keys: [{ name: "ci", sha256: keyDigest(KEY) }], nameHeader: "x-of-key" } }],
  ["X-Of-Certificate", { clientCertificate: { headers: { "x-of-certificate": "san" } } }],
  ["X-Of-Token", { jwt: { ...TOKEN, headers: { "x-of-token": "sub" } } }],
  ["X-Of-Login", { oidc: { ...LOGIN, claims: { "x-of-login": "email" }, forward: "idToken" } }],
  ["X-Of-Service", { forwardAuth: { ...SERVICE, responseHeaders: ["x-of-service", "authorization"] } }],
  ["X-Of-Group-Admin", { forwardAuth: { ...SERVICE, responseHeaders: ["/^x-of-group-|^auth/"] } }],
  ["X-Of-Session", { credentials: { ...SESSION, inject: { headers: { "x-of-session": "user", cookie: "jar" } } } }],
];

const FORGED = ["X-User", "x-user", "X_User", "x_USER"].map((name) => `${name}: root`);

/** Once the request is whole: what an upstream might add to the fields of its head. */
function answerWithTrailers(request: IncomingMessage, response: ServerResponse): void {
  request.resume().on("end", () => response.end(request.rawTrailers.join(": ")));
}

describe("a forged identity", TIMEOUT, () => {
  let origin: Origin;
  /** Trusts no field. */
  let other: Origin;
  let proxy: ProxyUnderTest;
  let folder: TestFolder;
  const clients = new Authority("Clients");
  const server = issueCertificate({ names: ["127.0.0.1"] });

  before(async () => {
    folder = new TestFolder();
    origin = await Origin.start(answerWithTrailers);
    other = await Origin.start(answerWithTrailers);
    const tls = {
      certificates: [{ cert: folder.write("server.pem", server.cert), key: folder.write("server.key", server.key) }],
      clientAuth: { ca: folder.write("clients.pem", clients.cert), mode: "optional" },
    };
    const route = (path: string, feature: unknown) => ({ match: { path }, use: [feature], proxy: origin.url });
    proxy = await ProxyUnderTest.start({
      stores: { sessions: `lmdb:${folder.file("sessions")}` },
      servers: {
        web: {
          listen: ["127.0.0.1:0", { address: "127.0.0.1:0", tls }],
          routes: [
            route("/basic", { basicAuth: { users: { alice: HASH }, userHeader: "x-user", failedAttempts: "off" } }),
            route("/key", {
              apiKey: {
                keys: [{ name: "ci", sha256: keyDigest(KEY) }],
                from: ["header:x-api-key", "bearer", "query:key"],
                nameHeader: "x-user",
                failedAttempts: "off",
              },
            }),
            // The same server, without authentication, by itself and in a pool of its own.
            { match: { path: "/public" }, proxy: origin.url },
            { match: { path: "/pool" }, proxy: { to: origin.url, maxConnections: 10 } },
            {
              match: { path: "/anonymous" },
              use: [{ headers: { request: { set: { "x-user": "nobody" } } } }],
              proxy: origin.url,
            },
            { match: { path: "/elsewhere" }, proxy: other.url },
            ...OF_FEATURES.map(([field, feature]) => route(`/${field}/*`, feature)),
            // Takes for credentials what another route tells the upstream.
            route("/session-key", {
              apiKey: { keys: [{ name: "ci", sha256: keyDigest(KEY) }], from: "header:x-of-session", forward: true },
            }),
            route("/certificate", {
              clientCertificate: { headers: { "x-user": "subject", "client-cert": "certificate" } },
            }),
          ],
        },
      },
    });
  });

  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  /** The status, and by what names the upstream was told who asks. */
  async function ask(target: string, lines: readonly string[], to: Target = proxy.ports("web")[0]!) {
    const asked = origin.asked.length;
    using client = await RawClient.connect(to);
    const { status } = await client
      .send(`GET ${target} HTTP/1.1\r\n${["Host: a", ...lines].join("\r\n")}\r\n\r\n`)
      .answer();
    const reached = origin.asked[asked];
    assert.equal(reached !== undefined, status === 200, `status ${status}`);
    const told: string[] = [];
    for (let i = 0; i < (reached?.rawHeaders.length ?? 0); i += 2) {
      const [name = "", value = ""] = reached!.rawHeaders.slice(i, i + 2);
      if (/^(x.user|client.cert|authorization|cookie|x.api.key|x.of.+)$/i.test(name)) told.push(`${name}: ${value}`);
    }
    return { status, told, url: reached?.url };
  }

  test("of a known user reaches the upstream in no spelling", async () => {
    assert.deepEqual(await ask("/basic", [...FORGED, ALICE, ...FORGED]), {
      status: 200,
      told: ["x-user: alice"],
      url: "/basic",
    });
    assert.deepEqual((await ask("/key", [...FORGED, `X-Api-Key: ${KEY}`])).told, ["x-user: ci"]);
  });

  test("reaches an upstream that trusts it by no route that leads there", async () => {
    for (const path of ["/public", "/pool"]) {
      assert.deepEqual(await ask(path, [...FORGED, "Client_Cert: :AAAA:"]), { status: 200, told: [], url: path });
    }
    assert.deepEqual((await ask("/anonymous", FORGED)).told, ["x-user: nobody"]);
    assert.deepEqual((await ask("/key", [`X-Api-Key: ${KEY}`, "Client-Cert: :AAAA:"])).told, ["x-user: ci"]);
  });

  for (const [field, feature] of OF_FEATURES) {
    test(`in ${field} of ${Object.keys(feature)[0]} reaches the same upstream by no other route`, async () => {
      const spellings = [field, field.toLowerCase(), field.replaceAll("-", "_"), field.replaceAll("-", ".")];
      const lines = spellings.map((name) => `${name}: root`);
      for (const path of ["/public", "/pool", "/anonymous"]) {
        const { told } = await ask(path, lines);
        assert.deepEqual(told, path === "/anonymous" ? ["x-user: nobody"] : []);
      }
      assert.deepEqual((await ask("/basic", [...lines, ALICE])).told, ["x-user: alice"]);
    });
  }

  test("is not what clients send as credentials of their own, though some features replace them", async () => {
    const own = ["Authorization: Bearer mine", "Cookie: session=mine"];
    assert.deepEqual((await ask("/public", own)).told, own);
  });

  test("is not had by credentials that a route looks for in a field that another one sets", async () => {
    assert.equal((await ask("/session-key", ["X-Of-Session: root"])).status, 401);
    assert.deepEqual((await ask("/session-key", [`X-Of-Session: ${KEY}`, "X_Of_Session: root"])).told, []);
  });

  test("in trailers reaches an upstream that trusts it by no route", async () => {
    for (const [path, lines, expected] of [
      ["/public", [], ""],
      ["/pool", [], ""],
      ["/anonymous", [], ""],
      ["/basic", [ALICE], ""],
      ["/elsewhere", [], "X-User: root"],
    ] as const) {
      using client = await RawClient.connect(proxy.ports("web")[0]!);
      const head = ["Host: a", "Trailer: X-User", "Transfer-Encoding: chunked", ...lines].join("\r\n");
      const text = `POST ${path} HTTP/1.1\r\n${head}\r\n\r\n1\r\na\r\n0\r\nX-User: root\r\n\r\n`;
      const { status, body } = await client.send(text).answer();
      assert.deepEqual({ path, status, body }, { path, status: 200, body: expected });
    }
  });

  test("finds nothing in a cache that was for whom it names, and leaves nothing there for him", async () => {
    await using believing = await Origin.start((request, response) => {
      response.setHeader("cache-control", "public, max-age=600").setHeader("vary", "x-user");
      response.end(`for ${request.headers["x-user"] ?? "nobody"}`);
    });
    const users = { basicAuth: { users: { alice: HASH }, userHeader: "x-user" } };
    const web = {
      listen: "127.0.0.1:0",
      routes: [
        { match: { header: { authorization: true } }, use: [users, { cache: {} }], proxy: believing.url },
        { use: [{ cache: {} }], proxy: believing.url },
      ],
    };
    const caches = { answers: { memory: "1MiB", directory: folder.file("answers") } };
    await using caching = await ProxyUnderTest.start({ caches, servers: { web } });
    const body = async (target: string, line: string) => {
      using client = await RawClient.connect(caching.ports("web")[0]!);
      return (await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`).answer()).body;
    };
    assert.equal(await body("/of-alice", ALICE), "for alice");
    assert.equal(await body("/of-alice", "X-User: alice"), "for nobody");
    assert.equal(await body("/of-nobody", "X-User: alice"), "for nobody");
    assert.equal(await body("/of-nobody", ALICE), "for alice");
  });

  test("is nobody's business where no feature sets it", async () => {
    const asked = other.asked.length;
    using client = await RawClient.connect(proxy.ports("web")[0]!);
    await client.send("GET /elsewhere HTTP/1.1\r\nHost: a\r\nX-User: me\r\n\r\n").answer();
    assert.equal(other.asked[asked]?.headers["x-user"], "me");
  });

  test("cannot be had by taking the true one away: Connection names fields of the client only", async () => {
    const { told } = await ask("/basic", ["Connection: X-User, Authorization", ALICE]);
    assert.deepEqual(told, ["x-user: alice"]);
  });

  test("does not help who has no credentials", async () => {
    for (const path of ["/basic", "/key", "/certificate"]) {
      const { status } = await ask(path, FORGED);
      assert.equal(status, path === "/certificate" ? 403 : 401);
    }
  });

  const malformed: readonly (readonly [attack: string, lines: readonly string[]])[] = [
    ["two Authorization lines, the true one first", [ALICE, basic("root:x")]],
    ["two Authorization lines, the true one last", [basic("root:x"), ALICE]],
    ["the same line twice", [ALICE, ALICE]],
    ["two schemes in two lines", ["Authorization: Bearer x", ALICE]],
    ["two values in one line", [`${ALICE}, Basic ${Buffer.from("root:x").toString("base64")}`]],
    ["NUL behind the name", [basic(`alice\0:${PASSWORD}`)]],
    ["a line break in the name", [basic(`alice\r\nX-User: root:${PASSWORD}`)]],
    ["a line break behind the password", [basic(`alice:${PASSWORD}\n`)]],
    ["another case of base64", [ALICE.replace("Basic ", "Basic =")]],
    ["a tab in place of the space", [ALICE.replace("Basic ", "Basic\t")]],
    ["underscores", [ALICE.replace("Authorization", "Authorization_")]],
    ["a field that only a proxy reads", [ALICE.replace("Authorization", "Proxy-Authorization")]],
  ];
  for (const [attack, lines] of malformed) {
    test(`basicAuth refuses: ${attack}`, async () => assert.equal((await ask("/basic", lines)).status, 401));
  }

  const twoKeys: readonly (readonly [attack: string, target: string, lines: readonly string[]])[] = [
    ["two lines", "/key", [`X-Api-Key: ${KEY}`, "X-Api-Key: other"]],
    ["two in one line", "/key", [`X-Api-Key: ${KEY}, other`]],
    ["two parameters", `/key?key=${KEY}&key=other`, []],
    ["two parameters, one of them encoded", `/key?key=${KEY}&k%65y=other`, []],
    ["a field and a parameter", `/key?key=${KEY}`, [`X-Api-Key: ${KEY}`]],
    ["a field and Authorization", "/key", [`X-Api-Key: ${KEY}`, `Authorization: Bearer ${KEY}`]],
    ["underscores", "/key", [`X_Api_Key: ${KEY}`]],
    ["the digest in place of the key", "/key", [`X-Api-Key: ${keyDigest(KEY)}`]],
  ];
  /** Shown twice, or under another name for the same, it is malformed, which is 400 where Bearer is a place (RFC 6750 section 3.1). */
  const shownTwice = /^two lines|^two parameters|^a field and|^underscores/;
  for (const [attack, target, lines] of twoKeys) {
    const status = shownTwice.test(attack) ? 400 : 401;
    test(`apiKey refuses: ${attack}`, async () => assert.equal((await ask(target, lines)).status, status));
  }

  test("a key goes no further than here", async () => {
    assert.deepEqual(await ask(`/key?a=1&k%65y=${KEY}&b=%20`, []), {
      status: 200,
      told: ["x-user: ci"],
      url: "/key?a=1&b=%20",
    });
    assert.deepEqual((await ask("/key", [`authorization: bearer ${KEY}`])).told, ["x-user: ci"]);
  });

  test("of a certificate: by another authority of the same name, expired, of a server, in a field", async () => {
    const namesake = new Authority("Clients");
    const secured = (shown: object): Target => ({ port: proxy.ports("web")[1]!, tls: { ca: server.cert, ...shown } });
    const alice = issueCertificate({ names: ["alice"], issuer: clients });
    const forged = ["X-User: CN=root", "X_User: CN=root", "Client-Cert: :AAAA:", "client_cert: :AAAA:"];
    const { told } = await ask("/certificate", forged, secured(alice));
    assert.deepEqual(
      told.map((line) => line.slice(0, 15)),
      ["x-user: CN=alic", "client-cert: :M"],
    );
    for (const shown of [
      {},
      issueCertificate({ names: ["alice"], issuer: namesake }),
      issueCertificate({ names: ["alice"] }),
      issueCertificate({
        names: ["alice"],
        issuer: clients,
        notBefore: new Date(Date.now() - 3 * DAY_MS),
        notAfter: new Date(Date.now() - DAY_MS),
      }),
      issueCertificate({ names: ["alice"], issuer: clients, notBefore: new Date(Date.now() + DAY_MS) }),
    ]) {
      assert.equal((await ask("/certificate", forged, secured(shown))).status, 403);
    }
    // The listener without TLS of the same server.
    assert.equal((await ask("/certificate", forged)).status, 403);
  });
});
