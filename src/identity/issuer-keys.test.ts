import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, it } from "node:test";
import { ProxyError } from "../core/errors.ts";
import type { Fetch } from "../core/ports.ts";
import { IssuerKeys } from "./issuer-keys.ts";

const pairs = [0, 1, 2].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));

/** What the issuer publishes: keys by their numbers, with ids or without. */
class Published {
  keys: readonly number[] = [0];
  hasIds = true;
  isAway = false;
  asked = 0;
  readonly fetch: Fetch = async () => {
    this.asked++;
    if (this.isAway) throw new Error("GET https://login.example.org/jwks: connect ECONNREFUSED");
    const keys = this.keys.map((number) => ({
      ...pairs[number]!.publicKey.export({ format: "jwk" }),
      alg: "ES256",
      ...(this.hasIds && { kid: `k${number}` }),
    }));
    return new Response(JSON.stringify({ keys }), { headers: { "content-type": "application/json" } });
  };
}

function token(number: number, header: object = {}, payload: unknown = { sub: "alice" }): string {
  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  const text = `${encode({ alg: "ES256", kid: `k${number}`, ...header })}.${encode(payload)}`;
  const key: KeyObject = pairs[number]!.privateKey;
  return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

function keysOf(published: Published, { cooldownMs = 0, algorithms = null as readonly string[] | null } = {}) {
  return new IssuerKeys("https://login.example.org/jwks", algorithms, published.fetch, cooldownMs);
}

describe("the keys of an issuer", () => {
  it("are asked for once, and again when a token names another one", async () => {
    const published = new Published();
    const keys = keysOf(published);
    assert.equal(published.asked, 0);
    assert.deepEqual((await keys.verify(token(0), "oidc"))?.payload, { sub: "alice" });
    assert.equal((await keys.verify(token(0, { typ: "JWT" }), "oidc"))?.header.typ, "JWT");
    assert.equal(published.asked, 1);
    published.keys = [1];
    assert.notEqual(await keys.verify(token(1), "oidc"), null);
    assert.equal(await keys.verify(token(0), "oidc"), null);
    assert.equal(published.asked, 3);
  });

  it("are not asked for again within the cool-down", async () => {
    const published = new Published();
    const keys = keysOf(published, { cooldownMs: 60_000 });
    assert.notEqual(await keys.verify(token(0), "oidc"), null);
    for (let count = 0; count < 10; count++) assert.equal(await keys.verify(token(1), "oidc"), null);
    assert.equal(published.asked, 1);
  });

  it("are all tried for a token that names none", async () => {
    const published = new Published();
    published.keys = [0, 1];
    published.hasIds = false;
    const keys = keysOf(published);
    assert.notEqual(await keys.verify(token(1, { kid: undefined }), "oidc"), null);
    assert.equal(await keys.verify(token(2, { kid: undefined }), "oidc"), null);
  });

  it("are for the algorithms that the issuer names, and for none of shared secrets", async () => {
    const published = new Published();
    assert.equal(await keysOf(published, { algorithms: ["RS256"] }).verify(token(0), "oidc"), null);
    assert.notEqual(await keysOf(published, { algorithms: ["ES256", "HS256", "none"] }).verify(token(0), "oidc"), null);
    const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url");
    for (const alg of ["none", "HS256"]) {
      const forged = `${encode({ alg, kid: "k0" })}.${encode({ sub: "alice" })}.`;
      assert.equal(await keysOf(published, { algorithms: ["HS256", "none", "ES256"] }).verify(forged, "oidc"), null);
    }
  });

  it("verify nothing that is no object of claims", async () => {
    const keys = keysOf(new Published());
    for (const payload of [null, 1, "text", ["list"]]) {
      assert.equal(await keys.verify(token(0, {}, payload), "oidc"), null);
    }
    for (const text of ["", ".", "..", "a.b.c", token(0).slice(0, -2)])
      assert.equal(await keys.verify(text, "oidc"), null);
  });

  it("that cannot be had are a refusal of status 503, and nothing is said of the token", async () => {
    const published = new Published();
    published.isAway = true;
    await assert.rejects(keysOf(published).verify(token(0), "oidc"), (error: unknown) => {
      assert.ok(error instanceof ProxyError);
      assert.deepEqual([error.status, error.reason], [503, "keys_unavailable"]);
      return true;
    });
  });
});
