import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { type Line, StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import { hmacToken, secondsFrom, signedToken } from "../../../test/support/tokens.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { FailedAttempts } from "../failed-attempts.ts";
import { TokenGate } from "./gate.ts";
import type { KeySource, TokenPlace } from "./options.ts";

const SECRET = "the secret of the tests, long enough";
const OWN: KeySource = {
  kind: "secret",
  id: "own",
  algorithm: "HS256",
  secret: Buffer.from(SECRET).toString("base64"),
};
const PUBLISHED: KeySource = {
  kind: "jwks",
  algorithms: ["EdDSA"],
  url: "https://issuer.example/keys",
  maxAgeMs: 600_000,
  staleMs: 3_600_000,
  ca: null,
};
const PLACES: readonly TokenPlace[] = [{ kind: "bearer" }, { kind: "cookie", name: "session" }];

const before = generateKeyPairSync("ed25519");
const after = generateKeyPairSync("ed25519");

function stage(source: KeySource, failedAttempts: number | null = 3) {
  const clock = new VirtualClock();
  const attempts = new FailedAttempts(clock);
  const set = { keys: [{ ...before.publicKey.export({ format: "jwk" }), kid: "before" }] };
  const fetchFor = () => () => Promise.resolve(Response.json(set));
  const tokens = {
    keys: [{ source, issuers: null }],
    places: PLACES,
    forward: true,
    leewayMs: 0,
    isExpRequired: true,
    issuers: null,
    audiences: null,
    claims: [],
  };
  const gate = new TokenGate(
    { by: "jwt", realm: "r", tokens, failedAttempts },
    { clock, attempts, fetchFor, kept: (_kind, _options, make) => make() },
    () => ({}),
  );
  /** Why a request with these fields is refused; null: it passes. */
  const ask = async (...fields: Line[]) => {
    const exchange = new StandInExchange({ fields });
    const token = await gate.admit(exchange);
    const reason = exchange.errors[0]?.reason ?? null;
    assert.equal(token === null, reason !== null);
    return reason;
  };
  const claims = (sub: string) => ({ sub, exp: secondsFrom(clock, 3600) });
  return { ask, claims, attempts };
}

const bearer = (text: string): Line => ["Authorization", `Bearer ${text}`];
const cookie = (text: string): Line => ["Cookie", `session=${text}`];
const wrapped = (token: string) => Buffer.from(`"${token}"`).toString("base64");

describe("a token's text is judged for the place where it stands", () => {
  for (const first of ["in a cookie", "as Bearer"]) {
    it(`also when it was ${first} before`, async () => {
      const { ask, claims } = stage(OWN, null);
      const text = wrapped(hmacToken(claims("a"), SECRET));
      if (first === "in a cookie") assert.equal(await ask(cookie(text)), null);
      for (let count = 0; count < 2; count++) {
        assert.equal(await ask(bearer(text)), "token_malformed");
        assert.equal(await ask(cookie(text)), null);
      }
    });
  }
});

describe("a token with an unknown key id", () => {
  it("is no failure where an issuer publishes its keys: it may be by one that is not known yet", async () => {
    const { ask, claims, attempts } = stage(PUBLISHED);
    const by = (sub: string, { privateKey }: typeof before, kid: string) =>
      ask(bearer(signedToken(claims(sub), privateKey, "EdDSA", { kid })));
    assert.equal(await by("a", before, "before"), null);
    for (let count = 0; count < 9; count++) assert.equal(await by(`${count}`, after, "after"), "token_key_unknown");
    assert.equal(attempts.blockedSeconds("192.0.2.1", 1), 0);
    assert.equal(await by("forged", after, "before"), "token_signature_invalid");
    assert.notEqual(attempts.blockedSeconds("192.0.2.1", 1), 0);
  });

  it("is one where all keys are our own", async () => {
    const { ask, claims } = stage(OWN);
    const by = (kid: string) => ask(bearer(hmacToken(claims("a"), SECRET, "HS256", { kid })));
    for (const kid of ["1", "2", "3"]) assert.equal(await by(kid), "token_key_unknown");
    assert.equal(await by("4"), "too_many_failures");
  });
});
