import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { hmacSigned, hmacToken, secondsFrom, signedToken, signingInput } from "../../../test/support/tokens.ts";
import type { Fetch, Kept } from "../../core/ports.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { PUBLIC_ALGORITHMS, SECRET_ALGORITHMS } from "./keys.ts";
import type { KeySource, RemoteKeysOptions, TokenKeyOptions } from "./options.ts";
import { TokenKeys } from "./token-keys.ts";
import { GoodToken, TokenVerifier } from "./verifier.ts";

const SECRET = "the secret of the tests, long enough";
const RULES = { leewayMs: 0, isExpRequired: true, issuers: null, audiences: null, claims: [] };
const kept: Kept = (_kind, _options, make) => make();
const noFetch: Fetch = () => Promise.reject(new Error("away"));

function secret(algorithm: string, text = SECRET, id: string | null = null): KeySource {
  return { kind: "secret", id, algorithm, secret: Buffer.from(text).toString("base64") };
}

/** Keys of anybody, unless they say whose they are. */
function verifierOf(given: readonly (KeySource | TokenKeyOptions)[], fetch: Fetch = noFetch) {
  const keys = given.map((key) => ("source" in key ? key : { source: key, issuers: null }));
  const clock = new VirtualClock();
  let derived = 0;
  const verifier = new TokenVerifier(
    new TokenKeys(keys, { clock, fetchFor: () => fetch, kept }),
    RULES,
    clock,
    (claims) => {
      derived++;
      return { sub: claims.sub };
    },
  );
  const verify = (token: string) => verifier.known(token, false) ?? verifier.verify(token, token);
  /** The subject of a good token, or why it is refused. */
  const judge = async (token: string) => {
    const verdict = await verify(token);
    return verdict instanceof GoodToken ? verdict.value.sub : verdict;
  };
  const claims = (sub: string, seconds = 60) => ({ sub, exp: secondsFrom(clock, seconds) });
  return { clock, verifier, verify, judge, claims, derived: () => derived };
}

const pairs = {
  RS: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  PS: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  ES512: generateKeyPairSync("ec", { namedCurve: "P-521" }),
  Ed: generateKeyPairSync("ed25519"),
};
const pairOf = (algorithm: string) => pairs[(/^(?:[RP]S|Ed)/.exec(algorithm)?.[0] ?? algorithm) as keyof typeof pairs];
const pemOf = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();

describe("a token", () => {
  for (const algorithm of SECRET_ALGORITHMS) {
    it(`by ${algorithm} is good at once, and by no other secret or hash`, async () => {
      const { verify, judge, claims } = verifierOf([secret(algorithm)]);
      const token = hmacToken(claims("alice"), SECRET, algorithm);
      assert.ok(verify(token) instanceof GoodToken, "it did not wait");
      assert.equal(await judge(hmacToken(claims("a"), `${SECRET}!`, algorithm)), "token_signature_invalid");
      const other = SECRET_ALGORITHMS.find((one) => one !== algorithm)!;
      assert.equal(await judge(hmacToken(claims("b"), SECRET, other)), "token_algorithm_refused");
      const input = signingInput({ alg: algorithm }, claims("c"));
      assert.equal(await judge(hmacSigned(input, SECRET, other)), "token_signature_invalid");
      assert.equal(await judge(`${input}.`), "token_signature_invalid");
    });
  }

  for (const algorithm of PUBLIC_ALGORITHMS) {
    it(`by ${algorithm} is good as PEM, as JWK and as a published key, and by no other key`, async () => {
      const { publicKey, privateKey } = pairOf(algorithm);
      const jwk = { ...publicKey.export({ format: "jwk" }), alg: algorithm };
      const published: Fetch = () => Promise.resolve(Response.json({ keys: [jwk] }));
      const sources: readonly KeySource[] = [
        { kind: "pem", id: null, algorithm, pem: pemOf(publicKey) },
        { kind: "set", id: null, algorithms: [algorithm], set: JSON.stringify({ keys: [jwk] }) },
        remote([algorithm]),
      ];
      for (const source of sources) {
        const { judge, claims } = verifierOf([source], published);
        const token = signedToken(claims("alice"), privateKey, algorithm);
        assert.equal(await judge(token), "alice", source.kind);
        const forged = token.replace(/\.[^.]*\./, `.${signingInput({}, claims("mallory")).split(".")[1]}.`);
        assert.equal(await judge(forged), "token_signature_invalid", source.kind);
        const other = PUBLIC_ALGORITHMS.find((one) => pairOf(one) === pairOf(algorithm) && one !== algorithm);
        if (other !== undefined) {
          assert.equal(await judge(signedToken(claims("b"), privateKey, other)), "token_algorithm_refused");
        }
      }
    });
  }

  it("by the same algorithm with another key is refused", async () => {
    for (const algorithm of PUBLIC_ALGORITHMS) {
      const { publicKey } = pairOf(algorithm);
      const { judge, claims } = verifierOf([{ kind: "pem", id: null, algorithm, pem: pemOf(publicKey) }]);
      const type = publicKey.asymmetricKeyType!;
      const stranger =
        type === "rsa"
          ? generateKeyPairSync("rsa", { modulusLength: 2048 })
          : type === "ed25519"
            ? generateKeyPairSync("ed25519")
            : generateKeyPairSync("ec", { namedCurve: publicKey.asymmetricKeyDetails!.namedCurve! });
      assert.equal(await judge(signedToken(claims("a"), stranger.privateKey, algorithm)), "token_signature_invalid");
    }
  });
});

describe("several keys", () => {
  const keys = [secret("HS256", `${SECRET} one`, "one"), secret("HS256", `${SECRET} two`, "two"), secret("HS512")];

  it("are chosen by key id, and all tried where there is none", async () => {
    const { judge, claims } = verifierOf(keys);
    const by = (text: string, header = {}) => judge(hmacToken(claims("alice"), text, "HS256", header));
    assert.equal(await by(`${SECRET} one`), "alice");
    assert.equal(await by(`${SECRET} two`), "alice");
    assert.equal(await by(`${SECRET} two`, { kid: "two" }), "alice");
    assert.equal(await by(`${SECRET} two`, { kid: "one" }), "token_signature_invalid");
    assert.equal(await by(`${SECRET} two`, { kid: "three" }), "token_key_unknown");
    assert.equal(await judge(hmacToken(claims("bob"), SECRET, "HS512", { kid: "any" })), "bob");
  });
});

describe("keys of several issuers", () => {
  const [ALICES, BOBS, ANYBODYS] = [`${SECRET} of alice`, `${SECRET} of bob`, `${SECRET} of anybody`];
  const bound = (source: KeySource, ...issuers: string[]): TokenKeyOptions => ({ source, issuers });

  it("sign the tokens of their own issuers, and of nobody else (RFC 8725 section 3.8)", async () => {
    const { judge, claims } = verifierOf([
      bound(secret("HS256", ALICES), "https://alice.example"),
      bound(secret("HS256", BOBS), "https://bob.example", "https://robert.example"),
    ]);
    const by = (text: string, iss: unknown) => judge(hmacToken({ ...claims("x"), iss }, text));
    assert.equal(await by(ALICES, "https://alice.example"), "x");
    assert.equal(await by(BOBS, "https://bob.example"), "x");
    assert.equal(await by(BOBS, "https://robert.example"), "x");
    assert.equal(await by(BOBS, "https://alice.example"), "token_signature_invalid");
    assert.equal(await by(ALICES, "https://robert.example"), "token_signature_invalid");
    for (const iss of ["https://mallory.example", undefined, null, ["https://alice.example"], "", "toString"]) {
      assert.equal(await by(ALICES, iss), "token_issuer_refused", JSON.stringify(iss));
    }
  });

  it("stand beside those of anybody", async () => {
    const { judge, claims } = verifierOf([bound(secret("HS256", ALICES), "alice"), secret("HS512", ANYBODYS)]);
    assert.equal(await judge(hmacToken({ ...claims("x"), iss: "bob" }, ANYBODYS, "HS512")), "x");
    assert.equal(await judge(hmacToken({ ...claims("x"), iss: "alice" }, ALICES)), "x");
    assert.equal(await judge(hmacToken({ ...claims("x"), iss: "bob" }, ALICES)), "token_algorithm_refused");
  });

  it("are asked for where the token's issuer publishes them, one key id or not", async () => {
    const [ours, theirs] = [new Issuer(), new Issuer()];
    const [one, two] = [keyPair("1"), keyPair("1")];
    ours.keys = [one.jwk];
    theirs.keys = [two.jwk];
    const fetch: Fetch = (url) => (url === THEIRS ? theirs : ours).fetch(url);
    const keys = [bound(remote(["EdDSA"]), "ours"), bound(remote(["EdDSA"], { url: THEIRS }), "theirs")];
    const { judge, claims } = verifierOf(keys, fetch);
    assert.equal(await judge(one.sign({ ...claims("a"), iss: "ours" })), "a");
    assert.deepEqual([ours.asked, theirs.asked], [1, 0]);
    assert.equal(await judge(two.sign({ ...claims("a"), iss: "ours" })), "token_signature_invalid");
    assert.equal(await judge(two.sign({ ...claims("a"), iss: "nobody" })), "token_issuer_refused");
    assert.deepEqual([ours.asked, theirs.asked], [1, 0]);
    assert.equal(await judge(two.sign({ ...claims("a"), iss: "theirs" })), "a");
    assert.equal(await judge(one.sign({ ...claims("b"), iss: "theirs" })), "token_signature_invalid");
  });
});

describe("what is remembered", () => {
  it("a good token is judged once, until it expires", () => {
    const { clock, verify, claims, derived } = verifierOf([secret("HS256")]);
    const token = hmacToken(claims("alice", 60), SECRET);
    assert.ok(verify(token) instanceof GoodToken);
    clock.advance(59_999);
    assert.ok(verify(token) instanceof GoodToken);
    assert.equal(derived(), 1);
    clock.advance(1);
    assert.equal(verify(token), "token_expired");
  });

  it("a token that is not valid yet becomes so", () => {
    const { clock, verify, claims } = verifierOf([secret("HS256")]);
    const token = hmacToken({ ...claims("alice"), nbf: secondsFrom(clock, 10) }, SECRET);
    assert.equal(verify(token), "token_not_yet_valid");
    clock.advance(10_000);
    assert.ok(verify(token) instanceof GoodToken);
  });

  it("a token that is refused is not good, and for a while not judged again", () => {
    const clock = new VirtualClock();
    const keys = new TokenKeys([{ source: secret("HS256"), issuers: null }], { clock, fetchFor: () => noFetch, kept });
    let judged = 0;
    const verifier = new TokenVerifier(keys, RULES, clock, () => {
      judged++;
      return "token_claim_missing" as const;
    });
    const token = hmacToken({ exp: secondsFrom(clock, 3600) }, SECRET);
    for (let count = 0; count < 5; count++) assert.equal(verifier.verify(token, token), "token_claim_missing");
    assert.equal(verifier.known(token, false), null);
    assert.equal(judged, 1);
    clock.advance(30_000);
    assert.equal(verifier.verify(token, token), "token_claim_missing");
    assert.equal(judged, 2);
  });

  it("requests that come together wait for one judgement", async () => {
    const { publicKey, privateKey } = pairs.Ed;
    const { verify, claims, derived } = verifierOf([
      { kind: "pem", id: null, algorithm: "EdDSA", pem: pemOf(publicKey) },
    ]);
    const token = signedToken(claims("alice"), privateKey, "EdDSA");
    const verdicts = [verify(token), verify(token), verify(token)];
    assert.ok(verdicts.every((verdict) => verdict instanceof Promise));
    assert.ok((await Promise.all(verdicts)).every((verdict) => verdict instanceof GoodToken));
    assert.equal(derived(), 1);
    assert.ok(verify(token) instanceof GoodToken, "known now");
  });

  it("no more tokens wait than a bound, and those that do get their verdict", async () => {
    const issuer = new Issuer();
    const one = keyPair("1");
    issuer.keys = [one.jwk];
    const held = Promise.withResolvers<Response>();
    issuer.answer = () => held.promise;
    const { judge, claims } = verifierOf([remote(["EdDSA"])], issuer.fetch);
    const tokens = Array.from({ length: 2001 }, (_, i) => one.sign(claims(`user-${i}`, 3600)));
    const verdicts = tokens.slice(0, 2000).map(judge);
    const late = judge(tokens[2000]!);
    const again = judge(tokens[7]!);
    held.resolve(Response.json({ keys: issuer.keys }));
    assert.equal(await late, "verification_busy");
    assert.equal(await again, "user-7");
    assert.deepEqual(
      await Promise.all(verdicts),
      verdicts.map((_, i) => `user-${i}`),
    );
    assert.equal(await judge(tokens[2000]!), "user-2000", "it is not held against it");
  });
});

function remote(algorithms: readonly string[], more: Partial<RemoteKeysOptions> = {}): RemoteKeysOptions {
  return {
    kind: "jwks",
    algorithms,
    url: "https://issuer.example/keys",
    maxAgeMs: 600_000,
    staleMs: 3_600_000,
    ca: null,
    ...more,
  };
}

const THEIRS = "https://theirs.example/keys";

/** An issuer whose keys a test changes, and that can be away. */
class Issuer {
  keys: object[] = [];
  answer: (() => Promise<Response>) | null = null;
  asked = 0;
  readonly fetch: Fetch = () => {
    this.asked++;
    return this.answer?.() ?? Promise.resolve(Response.json({ keys: this.keys }));
  };
}

function keyPair(kid: string) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const sign = (claims: unknown) => signedToken(claims, privateKey, "EdDSA", { kid });
  return { jwk: { ...publicKey.export({ format: "jwk" }), kid, use: "sig" }, sign };
}

describe("the keys of an issuer", () => {
  it("are asked for once by all who wait, and again after their age", async () => {
    const issuer = new Issuer();
    const one = keyPair("1");
    issuer.keys = [one.jwk];
    const { clock, judge, claims } = verifierOf([remote(["EdDSA"])], issuer.fetch);
    const tokens = Array.from({ length: 10 }, (_, index) => one.sign(claims(`user-${index}`, 86_400)));
    assert.deepEqual(
      await Promise.all(tokens.map(judge)),
      tokens.map((_, index) => `user-${index}`),
    );
    assert.equal(issuer.asked, 1);
    clock.advance(599_999);
    assert.equal(await judge(tokens[0]!), "user-0");
    assert.equal(issuer.asked, 1);
    clock.advance(1);
    assert.equal(await judge(tokens[0]!), "user-0", "who comes then does not wait");
    assert.equal(issuer.asked, 2);
    await settled();
    assert.equal(await judge(tokens[0]!), "user-0");
    assert.equal(issuer.asked, 2);
  });

  it("that are new are asked for at once, but not again and again", async () => {
    const issuer = new Issuer();
    const [one, two, never] = [keyPair("1"), keyPair("2"), keyPair("3")];
    issuer.keys = [one.jwk];
    const { clock, judge, claims } = verifierOf([remote(["EdDSA"])], issuer.fetch);
    assert.equal(await judge(one.sign(claims("a", 3600))), "a");
    issuer.keys = [one.jwk, two.jwk];
    for (let count = 0; count < 5; count++)
      assert.equal(await judge(never.sign(claims(`m${count}`, 3600))), "token_key_unknown");
    assert.equal(issuer.asked, 1, "the cool-down has begun with the first question");
    clock.advance(30_000);
    assert.equal(await judge(two.sign(claims("b", 3600))), "b");
    assert.equal(issuer.asked, 2);
    for (let count = 0; count < 5; count++)
      assert.equal(await judge(never.sign(claims(`n${count}`, 3600))), "token_key_unknown");
    assert.equal(issuer.asked, 2);
  });

  it("that are withdrawn verify nothing any more, not even what they have verified", async () => {
    const issuer = new Issuer();
    const [one, two] = [keyPair("1"), keyPair("2")];
    issuer.keys = [one.jwk];
    const { clock, judge, claims } = verifierOf([remote(["EdDSA"])], issuer.fetch);
    const token = one.sign(claims("a", 86_400));
    assert.equal(await judge(token), "a");
    issuer.keys = [two.jwk];
    clock.advance(600_000);
    assert.equal(await judge(token), "a");
    await settled();
    assert.equal(await judge(token), "token_key_unknown");
    assert.equal(await judge(two.sign(claims("b"))), "b");
  });

  it("live on while the issuer is away, but not for ever", async () => {
    const issuer = new Issuer();
    const one = keyPair("1");
    issuer.keys = [one.jwk];
    const { clock, judge, claims } = verifierOf([remote(["EdDSA"])], issuer.fetch);
    const token = one.sign(claims("a", 86_400));
    assert.equal(await judge(token), "a");
    issuer.answer = () => Promise.reject(new Error("no route to host"));
    clock.advance(600_000 + 3_599_999);
    for (let count = 0; count < 3; count++) {
      assert.equal(await judge(token), "a");
      assert.equal(await judge(one.sign(claims(`new-${count}`))), `new-${count}`);
      await settled();
    }
    assert.equal(issuer.asked, 2, "not asked again at once after a failure");
    clock.advance(1);
    assert.equal(await judge(token), "keys_unavailable");
    issuer.answer = null;
    clock.advance(5_000);
    assert.equal(await judge(token), "a", "and it is back");
  });

  for (const [what, answer] of [
    ["no answer", () => Promise.reject(new Error("away"))],
    ["an error", () => Promise.resolve(new Response("{}", { status: 500 }))],
    [
      "a redirect",
      () => Promise.resolve(new Response(null, { status: 302, headers: { location: "https://evil.example/" } })),
    ],
    ["no JSON", () => Promise.resolve(new Response("<html>"))],
    ["no keys", () => Promise.resolve(Response.json({ keys: [] }))],
    ["a list", () => Promise.resolve(Response.json([1]))],
    [
      "keys that are none",
      () => Promise.resolve(Response.json({ keys: [null, 1, {}, { kty: "OKP", crv: "Ed25519", x: "?" }] })),
    ],
    [
      "secrets",
      () => Promise.resolve(Response.json({ keys: [{ kty: "oct", k: "c2VjcmV0", alg: "HS256", kid: "1" }] })),
    ],
  ] as const) {
    it(`cannot be had: ${what}`, async () => {
      const issuer = new Issuer();
      issuer.answer = answer;
      const one = keyPair("1");
      const { judge, claims, clock } = verifierOf([remote(["EdDSA"])], issuer.fetch);
      assert.equal(await judge(one.sign(claims("a"))), "keys_unavailable");
      assert.equal(await judge(one.sign(claims("a"))), "keys_unavailable");
      assert.equal(issuer.asked, 1, "not asked again at once");
      clock.advance(5_000);
      issuer.answer = null;
      issuer.keys = [one.jwk];
      assert.equal(await judge(one.sign(claims("a"))), "a");
    });
  }

  it("are not waited for by tokens that the keys of another one verify", async () => {
    const [ours, theirs] = [new Issuer(), new Issuer()];
    const [one, two, secondOne] = [keyPair("1"), keyPair("2"), keyPair("1")];
    ours.keys = [one.jwk];
    const held = Promise.withResolvers<Response>();
    theirs.answer = () => held.promise;
    const fetch: Fetch = (url) => (url === THEIRS ? theirs : ours).fetch(url);
    const { judge, claims } = verifierOf([remote(["EdDSA"]), remote(["EdDSA"], { url: THEIRS })], fetch);
    const first = judge(one.sign(claims("first")));
    await settled();
    // The first one of all has found nobody's keys, and has asked both.
    const others = [two, secondOne].map((pair, index) => judge(pair.sign(claims(`other-${index}`))));
    assert.equal(await judge(one.sign(claims("a"))), "a");
    held.resolve(Response.json({ keys: [two.jwk, secondOne.jwk] }));
    assert.deepEqual(await Promise.all([first, ...others]), ["first", "other-0", "other-1"]);
    assert.deepEqual([ours.asked, theirs.asked], [1, 1]);
  });

  it("that have no ids are asked for again for a token that none of them has signed, but not again and again", async () => {
    const issuer = new Issuer();
    const [one, two, never] = [keyPair("1"), keyPair("2"), keyPair("3")];
    const withoutId = ({ jwk }: typeof one) => ({ ...jwk, kid: undefined });
    issuer.keys = [withoutId(one)];
    const { clock, judge, claims } = verifierOf([remote(["EdDSA"])], issuer.fetch);
    assert.equal(await judge(one.sign(claims("a", 3600))), "a");
    issuer.keys = [withoutId(two)];
    assert.equal(await judge(two.sign(claims("b", 3600))), "token_signature_invalid");
    assert.equal(issuer.asked, 1, "the cool-down has begun with the first question");
    clock.advance(30_000);
    assert.equal(await judge(two.sign(claims("b", 3600))), "b");
    for (let count = 0; count < 5; count++)
      assert.equal(await judge(never.sign(claims(`m${count}`, 3600))), "token_signature_invalid");
    assert.equal(issuer.asked, 2);
  });

  it("are not asked for by tokens of algorithms that they are not for", async () => {
    const issuer = new Issuer();
    const { judge, claims } = verifierOf([remote(["EdDSA"]), secret("HS256")], issuer.fetch);
    assert.equal(await judge(hmacToken(claims("a"), SECRET)), "a");
    assert.equal(await judge(hmacToken(claims("a"), SECRET, "HS512")), "token_algorithm_refused");
    assert.equal(issuer.asked, 0);
  });
});

/** Until what was begun and not waited for is over. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
