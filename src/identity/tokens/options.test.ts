import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { z } from "zod";
import { parseWithFiles } from "../../core/option-files.ts";
import { resolveTokens, tokenFields } from "./options.ts";

const schema = z.strictObject(tokenFields(false)).transform(resolveTokens);
const FILES = new Map<string, Uint8Array>();
const files = {
  resolvePath: (path: string) => path,
  readSecret: (path: string) => Buffer.from(FILES.get(path) ?? "").toString(),
  readSecretBytes: (path: string) => FILES.get(path) ?? Buffer.alloc(0),
};
const parse = (value: unknown) => parseWithFiles(files, () => schema.safeParse(value));

function keyOf(value: unknown) {
  const { success, data, error } = parse(value);
  assert.ok(success, JSON.stringify(error?.issues));
  return data.keys[0]!.source;
}

/** All that the messages say. */
function problems(value: unknown): string {
  const { success, error } = parse(value);
  assert.equal(success, false);
  return JSON.stringify(error?.issues);
}

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed25519 = generateKeyPairSync("ed25519");
const pem = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const jwk = (key: KeyObject, more: object = {}) => JSON.stringify({ ...key.export({ format: "jwk" }), ...more });
const SECRET = "a secret of more than sixteen bytes";

describe("the key of a token", () => {
  it("is a secret as text, as a file of bytes, or as a JWK", () => {
    const secret = (value: unknown) => Buffer.from((keyOf(value) as { secret: string }).secret, "base64");
    assert.equal(secret({ algorithm: "HS256", key: SECRET }).toString(), SECRET);
    FILES.set("text", Buffer.from(`${SECRET}\n`));
    assert.equal(secret({ algorithm: "HS256", key: { file: "text" } }).toString(), SECRET);
    const bytes = Buffer.from([0xff, 0xfe, ...Buffer.from(SECRET), 0x0a]);
    FILES.set("bytes", bytes);
    assert.deepEqual(secret({ algorithm: "HS512", key: { file: "bytes" } }), bytes);
    const oct = JSON.stringify({ kty: "oct", k: bytes.toString("base64url") });
    assert.deepEqual(secret({ algorithm: "HS384", key: oct }), bytes);
  });

  it("is a public key as PEM, JWK or JWK Set, for an algorithm that it fits", () => {
    assert.equal(keyOf({ algorithm: "RS256", key: pem(rsa.publicKey) }).kind, "pem");
    assert.equal(keyOf({ algorithm: "PS512", key: pem(rsa.publicKey) }).kind, "pem");
    assert.equal(keyOf({ algorithm: "EdDSA", key: pem(ed25519.publicKey) }).kind, "pem");
    assert.equal(keyOf({ algorithm: ["RS256", "PS256"], key: jwk(rsa.publicKey) }).kind, "set");
    assert.equal(keyOf({ algorithm: "ES256", key: `{"keys":[${jwk(p256.publicKey)}]}` }).kind, "set");
  });

  it("is plain data, whatever it was", () => {
    for (const key of [pem(rsa.publicKey), jwk(rsa.publicKey)]) {
      const { data } = parse({ algorithm: "RS256", key, claims: { a: [1, true, "x"] } });
      assert.deepEqual(structuredClone(JSON.parse(JSON.stringify(data))), data);
    }
  });

  const table: readonly (readonly [what: string, value: Record<string, unknown>, message: RegExp])[] = [
    ["no algorithm", { key: SECRET }, /a token cannot choose it/],
    ["an unknown algorithm", { algorithm: "HS1", key: SECRET }, /expected an algorithm/],
    ["none", { algorithm: "none", key: SECRET }, /without a signature/],
    ["no key", { algorithm: "HS256" }, /needs \\"key\\" or \\"jwks\\"/],
    ["two keys", { algorithm: "RS256", key: pem(rsa.publicKey), jwks: "https://a/" }, /not both/],
    ["a short secret", { algorithm: "HS256", key: "fifteen letters" }, /could be guessed/],
    ["a public key as a secret", { algorithm: "HS256", key: pem(rsa.publicKey) }, /a public key is none/],
    ["a public JWK as a secret", { algorithm: "HS256", key: jwk(rsa.publicKey) }, /no JWK with a secret/],
    ["a secret as a public key", { algorithm: "RS256", key: SECRET }, /neither PEM nor a JWK/],
    [
      "a secret JWK as a public key",
      { algorithm: "RS256", key: '{"kty":"oct","k":"YWJj"}' },
      /no public key for RS256/,
    ],
    ["a secret beside a key pair", { algorithm: ["HS256", "RS256"], key: SECRET }, /for no other algorithm/],
    [
      "a private key",
      { algorithm: "RS256", key: rsa.privateKey.export({ type: "pkcs8", format: "pem" }).toString() },
      /private key/,
    ],
    ["a key of another kind", { algorithm: "ES256", key: pem(rsa.publicKey) }, /no public key for ES256/],
    ["a curve of another algorithm", { algorithm: "ES384", key: pem(p256.publicKey) }, /no public key for ES384/],
    ["a JWK for something else", { algorithm: "RS256", key: jwk(rsa.publicKey, { use: "enc" }) }, /no public key/],
    ["a JWK of another algorithm", { algorithm: "RS256", key: jwk(rsa.publicKey, { alg: "RS512" }) }, /no public key/],
    [
      "a JWK that may only sign",
      { algorithm: "RS256", key: jwk(rsa.publicKey, { key_ops: ["sign"] }) },
      /no public key/,
    ],
    ["one PEM for two algorithms", { algorithm: ["RS256", "RS512"], key: pem(rsa.publicKey) }, /one algorithm/],
    [
      "a small RSA key",
      { algorithm: "RS256", key: pem(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey) },
      /no public key/,
    ],
    ["published secrets", { algorithm: "HS256", jwks: "https://a/" }, /no secrets/],
    ["keys over plain HTTP", { algorithm: "RS256", jwks: "http://issuer.example/" }, /https/],
    ["keys from a file URL", { algorithm: "RS256", jwks: "file:///etc/passwd" }, /expected a URL/],
    ["one key beside several", { key: SECRET, keys: [{ algorithm: "HS256", key: SECRET }] }, /cannot stand beside/],
    [
      "a key of an issuer that is not taken",
      { issuer: ["a", "b"], keys: [{ algorithm: "HS256", key: SECRET, issuer: ["b", "c"] }] },
      /c is not among those of \\"issuer\\"/,
    ],
    [
      "an issuer that has no key",
      { issuer: ["a", "b"], keys: [{ algorithm: "HS256", key: SECRET, issuer: "a" }] },
      /no key is for b/,
    ],
  ];
  for (const [what, value, message] of table) {
    it(`is refused: ${what}`, () => {
      const text = problems(value);
      assert.match(text, message);
      assert.ok(!text.includes(SECRET), "a message shows the secret");
    });
  }

  it("may come by plain HTTP from this machine, or when that is asked for", () => {
    for (const jwks of [
      "http://127.0.0.1:8080/keys",
      "http://localhost/",
      "http://[::1]/",
      { url: "http://a/", insecure: true },
    ]) {
      assert.equal(keyOf({ algorithm: "RS256", jwks }).kind, "jwks");
    }
  });
});

describe("the issuer of a key", () => {
  it("is one or several, and all that are taken by default", () => {
    const issuers = (value: object) => parse(value).data?.keys.map((key) => key.issuers);
    const key = { algorithm: "HS256", key: SECRET };
    assert.deepEqual(issuers({ ...key, issuer: "a" }), [null]);
    assert.deepEqual(issuers({ keys: [{ ...key, issuer: "a" }, key, { ...key, issuer: ["b", "c"] }] }), [
      ["a"],
      null,
      ["b", "c"],
    ]);
  });
});

describe("the place of a token", () => {
  it("is Authorization: Bearer unless places are named, which have one order", () => {
    const places = (value: object) => parse({ algorithm: "HS256", key: SECRET, ...value }).data?.places;
    assert.deepEqual(places({}), [{ kind: "bearer" }]);
    assert.deepEqual(places({ query: "q", cookie: "C", header: "X-T", bearer: true }), [
      { kind: "bearer" },
      { kind: "header", name: "x-t" },
      { kind: "cookie", name: "C" },
      { kind: "query", name: "q" },
    ]);
  });
});
