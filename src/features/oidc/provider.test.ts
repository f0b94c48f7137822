import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";
import { ShiftedClock } from "../../../test/support/shifted-clock.ts";
import type { Fetch } from "../../core/ports.ts";
import { oidcOptions } from "./options.ts";
import { Provider, providerOptionsOf } from "./provider.ts";

const ISSUER = "https://login.example.org";
const HOUR = 3_600_000;

/** An issuer that signs with one algorithm at a time, and says so. */
class Issuer {
  algorithm: "RS256" | "ES256" = "RS256";
  readonly clock = new ShiftedClock();
  readonly #pairs = {
    RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  };

  readonly fetch: Fetch = async (input) => {
    const { pathname } = new URL(input);
    const algorithm = this.algorithm;
    const key = this.#pairs[algorithm].publicKey.export({ format: "jwk" });
    const answers: Readonly<Record<string, object>> = {
      "/.well-known/openid-configuration": {
        issuer: ISSUER,
        authorization_endpoint: `${ISSUER}/auth`,
        token_endpoint: `${ISSUER}/token`,
        jwks_uri: `${ISSUER}/jwks`,
        id_token_signing_alg_values_supported: [algorithm],
      },
      "/jwks": { keys: [{ ...key, alg: algorithm, kid: algorithm }] },
      "/token": { access_token: "a", token_type: "bearer", refresh_token: "r", id_token: this.#idToken() },
    };
    return new Response(JSON.stringify(answers[pathname]), { headers: { "content-type": "application/json" } });
  };

  #idToken(): string {
    const now = Math.floor(Date.now() / 1000);
    const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
    const claims = { iss: ISSUER, sub: "alice", aud: "app", iat: now, exp: now + 3600 };
    const text = `${encode({ alg: this.algorithm, kid: this.algorithm })}.${encode(claims)}`;
    const { privateKey: key } = this.#pairs[this.algorithm];
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}

describe("an OpenID provider", () => {
  it("is believed by the algorithms that it says it signs with now", async () => {
    const issuer = new Issuer();
    const options = oidcOptions.parse({ issuer: ISSUER, clientId: "app", key: "42".repeat(32) });
    const provider = new Provider(providerOptionsOf(options), issuer.clock, issuer.fetch);
    const subject = async () => (await provider.refresh(await provider.find(), "r", "alice")).subject;
    assert.equal(await subject(), "alice");
    issuer.algorithm = "ES256";
    issuer.clock.aheadMs = 2 * HOUR;
    const before = await provider.find();
    // It is asked behind the back of who needs it.
    while ((await provider.find()) === before) await new Promise(setImmediate);
    assert.equal(await subject(), "alice");
  });
});
