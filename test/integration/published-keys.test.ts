// `jwt` with an issuer that publishes its keys over HTTP and HTTPS, behind real sockets: what the parts hand each other
// across the layers. What is asked for when, and what an issuer's failures lead to, is tested with a clock that can be
// moved (src/identity/tokens/verifier.test.ts).

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { Origin, type OriginOptions } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { signedToken } from "../support/tokens.ts";

const TIMEOUT = { timeout: 20_000 };
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const KEYS = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "ES256" }] });
const token = (sub: string, kid = "k1") =>
  signedToken({ sub, groups: ["staff"], exp: Math.floor(Date.now() / 1000) + 60 }, privateKey, "ES256", { kid });

const folder = mkdtempSync(path.join(tmpdir(), "headgate-keys-"));
after(() => rmSync(folder, { recursive: true }));

async function stage(options: OriginOptions = {}, jwks: (issuer: Origin) => unknown = (issuer) => issuer.url) {
  const issuer = await Origin.start((_request, response) => response.end(KEYS), options);
  const origin = await Origin.start((_request, response) => response.end("served"));
  const use = [
    { jwt: { algorithm: "ES256", jwks: jwks(issuer), require: '"staff" in groups', headers: { "x-user": "sub" } } },
  ];
  const proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", use, proxy: origin.url } } });
  const ask = async (bearer: string) => {
    const client = await RawClient.connect(proxy.port("web"));
    client.socket.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${bearer}\r\n\r\n`);
    const answer = await client.answer();
    client.socket.destroy();
    return answer;
  };
  const dispose = async () => {
    await proxy[Symbol.asyncDispose]();
    await origin[Symbol.asyncDispose]();
    await issuer[Symbol.asyncDispose]();
  };
  return { issuer, origin, proxy, port: proxy.port("web"), ask, [Symbol.asyncDispose]: dispose };
}

describe("the keys that an issuer publishes", () => {
  it("are fetched once for requests that come together, and verify", TIMEOUT, async () => {
    await using around = await stage();
    const names = Array.from({ length: 20 }, (_, index) => `user-${index}`);
    const answers = await Promise.all(names.map((name) => around.ask(token(name))));
    assert.deepEqual(
      answers.map(({ status }) => status),
      names.map(() => 200),
    );
    assert.deepEqual(around.origin.asked.map(({ headers }) => headers["x-user"]).sort(), [...names].sort());
    assert.equal(around.issuer.asked.length, 1);
    assert.equal((await around.ask(token("mallory", "k2"))).status, 401);
    assert.equal(around.issuer.asked.length, 1, "an unknown key id does not ask again at once");
  });

  it("come over TLS from an authority of one's own, and from no other", TIMEOUT, async () => {
    const authority = new Authority();
    const { cert, key } = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
    const ca = path.join(folder, "ca.pem");
    writeFileSync(ca, authority.cert);
    const urlOf = ({ port }: Origin) => `https://127.0.0.1:${port}/keys`;
    {
      await using around = await stage({ tls: { cert, key } }, (issuer) => ({ url: urlOf(issuer), ca }));
      assert.equal((await around.ask(token("alice"))).status, 200);
    }
    await using around = await stage({ tls: { cert, key } }, urlOf);
    const { status, fields } = await around.ask(token("alice"));
    assert.deepEqual([status, fields.has("retry-after"), fields.has("www-authenticate")], [503, true, false]);
    assert.equal(around.origin.asked.length, 0);
  });

  it("cannot be had from an issuer that answers what no Response can be, which ends nothing", TIMEOUT, async () => {
    await using issuer = await Origin.start((_request, response) => response.writeHead(600).end(KEYS));
    await using around = await stage({}, () => issuer.url);
    assert.equal((await around.ask(token("alice"))).status, 503);
    assert.equal((await around.ask("none")).status, 401);
  });

  it("outlive reloads while the issuer is away, unless other keys are asked for", TIMEOUT, async () => {
    await using issuer = await Origin.start((_request, response) => response.end(KEYS));
    const { url } = issuer;
    await using around = await stage({}, () => url);
    assert.equal((await around.ask(token("alice"))).status, 200);
    await issuer[Symbol.asyncDispose]();
    const reload = (jwks: object) => {
      const jwt = { algorithm: "ES256", jwks, headers: { "x-user": "sub" } };
      return around.proxy.reload({
        servers: { web: { listen: "127.0.0.1:0", use: [{ jwt }], proxy: around.origin.url } },
      });
    };
    const ask = async (sub: string) => {
      const client = await RawClient.connect(around.proxy.port("web"));
      const head = `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${token(sub)}\r\n\r\n`;
      client.socket.write(head);
      const { status } = await client.answer();
      client.socket.destroy();
      return status;
    };
    await reload({ url });
    assert.equal(await ask("bob"), 200);
    assert.equal(around.origin.asked.at(-1)!.headers["x-user"], "bob");
    await reload({ url, stale: "2h" });
    assert.equal(await ask("carol"), 503);
    await reload({ url });
    assert.equal(await ask("dave"), 503, "what was not asked for is forgotten");
  });

  it("come too late for a client that has left, which reaches nobody", TIMEOUT, async () => {
    const asked = Promise.withResolvers<void>();
    const published = Promise.withResolvers<void>();
    await using issuer = await Origin.start((_request, response) => {
      asked.resolve();
      void published.promise.then(() => response.end(KEYS));
    });
    await using around = await stage({}, () => issuer.url);
    const client = await RawClient.connect(around.port);
    client.socket.write(`GET /left HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token("alice")}\r\n\r\n`);
    await asked.promise;
    client.socket.destroy();
    // What is still open is the connection to ask the issuer by, which is not the transport's.
    await around.proxy.untilConnections(0);
    published.resolve();
    assert.equal((await around.ask(token("bob"))).status, 200);
    assert.deepEqual(
      around.origin.asked.map(({ url }) => url),
      ["/"],
    );
  });
});
