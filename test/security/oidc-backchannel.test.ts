// Attacks on back-channel logout: anybody can post there, and only the issuer's own words may end a session, once.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { after, before, test } from "node:test";
import type { Browser } from "../support/browser.ts";
import { OidcStage, SCRIPT } from "../support/oidc-stage.ts";
import { CLIENT_ID } from "../support/openid-provider.ts";

const TIMEOUT = { timeout: 120_000 };
const EVENT = "http://schemas.openid.net/event/backchannel-logout";

let stage: OidcStage;
let browser: Browser;
let tokens = 0;

before(async () => {
  const options = { backchannelLogoutPath: "/oauth2/backchannel", failedAttempts: "off" };
  stage = await OidcStage.start({ isStored: true, options });
  browser = (await stage.loggedIn()).browser;
});

after(() => stage[Symbol.asyncDispose]());

/** A good one, by subject, and what is said differently. */
function claims(more: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  const events = { [EVENT]: {} };
  return {
    iss: stage.provider.issuer,
    aud: CLIENT_ID,
    iat: now,
    exp: now + 120,
    jti: `jti-${tokens++}`,
    sub: "alice",
    events,
    ...more,
  };
}

async function post(token: string, to = stage): Promise<number> {
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const body = `logout_token=${encodeURIComponent(token)}`;
  return (await to.browser().request(`${to.url}/oauth2/backchannel`, { method: "POST", headers, body })).status;
}

async function isLoggedIn(): Promise<boolean> {
  return (await browser.request(`${stage.url}/`, SCRIPT)).status === 200;
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

const nowSeconds = () => Math.floor(Date.now() / 1000);

const FORGED: readonly (readonly [what: string, token: () => string])[] = [
  ["nothing", () => ""],
  ["no JWT", () => "a.b.c"],
  ["unsigned (alg none)", () => `${encoded({ alg: "none", typ: "logout+jwt" })}.${encoded(claims())}.`],
  [
    "key confusion: HMAC with the public key",
    () => {
      const text = `${encoded({ alg: "HS256", typ: "logout+jwt" })}.${encoded(claims())}`;
      return `${text}.${createHmac("sha256", stage.provider.publicKey).update(text).digest("base64url")}`;
    },
  ],
  [
    "somebody else's key, in the token",
    () => {
      const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      const jwk = publicKey.export({ format: "jwk" });
      const text = `${encoded({ alg: "RS256", typ: "logout+jwt", jwk })}.${encoded(claims())}`;
      return `${text}.${sign("sha256", Buffer.from(text), privateKey).toString("base64url")}`;
    },
  ],
  [
    "changed after it was signed",
    () => stage.provider.signed(claims()).replace(/\.([^.]+)\./, (_, body: string) => `.${body.slice(0, -4)}AAAA.`),
  ],
  ["an ID token's type", () => stage.provider.signed(claims(), { typ: "at+jwt" })],
  ["with a nonce, as ID tokens have", () => stage.provider.signed(claims({ nonce: "n" }))],
  ["without the event", () => stage.provider.signed(claims({ events: {} }))],
  ["an event that is no object", () => stage.provider.signed(claims({ events: { [EVENT]: true } }))],
  ["events as a list", () => stage.provider.signed(claims({ events: [EVENT] }))],
  ["for another client", () => stage.provider.signed(claims({ aud: "another" }))],
  ["of another issuer", () => stage.provider.signed(claims({ iss: "https://evil.example" }))],
  ["of nobody", () => stage.provider.signed(claims({ sub: undefined }))],
  ["without an id", () => stage.provider.signed(claims({ jti: undefined }))],
  ["without a date", () => stage.provider.signed(claims({ iat: undefined }))],
  ["without an end", () => stage.provider.signed(claims({ exp: undefined }))],
  ["an old one", () => stage.provider.signed(claims({ iat: nowSeconds() - 600 }))],
  ["one from the future", () => stage.provider.signed(claims({ iat: nowSeconds() + 600 }))],
  ["one that has ended", () => stage.provider.signed(claims({ exp: nowSeconds() - 60 }))],
];

for (const [what, token] of FORGED) {
  test(`a forged logout token ends nothing: ${what}`, TIMEOUT, async () => {
    assert.equal(await post(token()), 400);
    assert.equal(await isLoggedIn(), true);
  });
}

test("other methods, other sizes", TIMEOUT, async () => {
  const url = `${stage.url}/oauth2/backchannel`;
  assert.equal((await browser.request(url)).status, 405);
  assert.equal((await browser.request(url, { method: "POST" })).status, 400);
  const large = { method: "POST", body: `logout_token=${"x".repeat(100_000)}` };
  assert.equal((await browser.request(url, large)).status, 413);
  assert.equal(await isLoggedIn(), true);
});

test("tokens with unknown keys are no flood of questions for the issuer", TIMEOUT, async () => {
  const startedMs = performance.now();
  const asked = stage.provider.count("/jwks");
  for (let count = 0; count < 20; count++) {
    assert.equal(await post(stage.provider.signed(claims(), { kid: `unknown-${count}` })), 400);
  }
  // One at first, and one for each second that it took.
  const seconds = Math.ceil((performance.now() - startedMs) / 1000);
  const questions = stage.provider.count("/jwks") - asked;
  assert.ok(questions <= 1 + seconds, `${questions} in ${seconds} s`);
});

test("failures from one address are refused unheard after a while", TIMEOUT, async () => {
  const options = { backchannelLogoutPath: "/oauth2/backchannel", failedAttempts: 3 };
  await using strict = await OidcStage.start({ isStored: true, options });
  strict.clock.toNextMinute();
  const statuses: number[] = [];
  for (let count = 0; count < 5; count++) statuses.push(await post("a.b.c", strict));
  assert.deepEqual(statuses, [400, 400, 400, 429, 429]);
});

test("without a limit failures are not counted for other features either", TIMEOUT, async () => {
  const options = { backchannelLogoutPath: "/oauth2/backchannel", failedAttempts: "off" };
  await using lenient = await OidcStage.start({ isStored: true, options });
  assert.equal(await post("a.b.c", lenient), 400);
  assert.equal(lenient.attempts.blockedSeconds("127.0.0.1", 1), 0);
});

test("a good one ends the sessions of its subject once, and a replay ends no later one", TIMEOUT, async () => {
  const token = stage.provider.signed(claims());
  assert.equal(await post(token), 200);
  assert.equal(await isLoggedIn(), false);
  browser = (await stage.loggedIn()).browser;
  assert.equal(await post(token), 400);
  assert.equal(await isLoggedIn(), true);
  // One of another subject is taken, and ends nothing of ours.
  assert.equal(await post(stage.provider.signed(claims({ sub: "bob" }))), 200);
  assert.equal(await post(stage.provider.signed(claims({ sid: "another" }))), 200);
  assert.equal(await isLoggedIn(), true);
  assert.equal(await post(stage.provider.signed(claims({ aud: ["x", CLIENT_ID], jti: "list" }), { typ: "JWT" })), 200);
  assert.equal(await isLoggedIn(), false);
});

test("nothing of it reaches the origin", () => {
  assert.ok(stage.origin.asked.every(({ method }) => method === "GET"));
});
