// Tokens and records as attackers make them, sent to a whole proxy with an LMDB behind it. Whatever they are, the
// origin must not be asked, and the answer must not say why.

import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { KeyRing, seal } from "../../src/identity/envelope.ts";
import { refusal } from "../../src/identity/refusal.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { LmdbSessionStore } from "../../src/io/lmdb/session-store.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { hmacSigned, hmacToken, signedToken, signingInput } from "../support/tokens.ts";

const TIMEOUT = { timeout: 120_000 };
const SECRET = "the secret of the tests, long enough";
const KEY = "42".repeat(32);
const ISSUER = "https://login.example.org";
const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: KEY }]);
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pemOf = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const seconds = Math.floor(Date.now() / 1000);
const CLAIMS = { iss: ISSUER, aud: "mail", sub: "alice", sid: "alice-1", exp: seconds + 3600 };

const tokens = { issuer: ISSUER, audience: "mail" };
const credentials = { session: { store: "sessions" }, decrypt: { key: KEY }, failedAttempts: "off" };

/** Routes by their paths. */
const GUARDS: Readonly<Record<string, object>> = {
  "/hmac": {
    credentials: {
      token: { bearer: true, cookie: "token", algorithm: "HS256", key: SECRET, ...tokens },
      ...credentials,
    },
  },
  "/named": {
    credentials: { token: { keys: [{ id: "2026-1", algorithm: "HS256", key: SECRET }], ...tokens }, ...credentials },
  },
  "/rsa": {
    jwt: {
      algorithm: "RS256",
      key: pemOf(rsa.publicKey),
      headers: { "x-user": "sub" },
      ...tokens,
      failedAttempts: "off",
    },
  },
  "/ec": { jwt: { algorithm: "ES256", key: pemOf(p256.publicKey), ...tokens, failedAttempts: "off" } },
  "/passed-on": {
    jwt: {
      bearer: true,
      cookie: "tok",
      query: "tok",
      algorithm: "RS256",
      key: pemOf(rsa.publicKey),
      ...tokens,
      failedAttempts: "off",
    },
  },
  "/both": {
    jwt: {
      keys: [
        { algorithm: "RS256", key: pemOf(rsa.publicKey) },
        { algorithm: "HS256", key: SECRET },
      ],
      ...tokens,
      failedAttempts: "off",
    },
  },
  "/headers": {
    credentials: {
      token: { algorithm: "HS256", key: SECRET, ...tokens },
      ...credentials,
      inject: { headers: { "x-account": "account" } },
    },
  },
};

let folder: string;
let origin: Origin;
let evil: Origin;
let proxy: ProxyUnderTest;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "headgate-forged-"));
  const clock = new SystemClock();
  const store = new LmdbSessionStore(folder, {
    clock,
    random: new SeededRandom(1),
    unavailable: (cause) => refusal("store", "store_unavailable", { cause }),
  });
  const record = (plaintext: string, key: string) => JSON.stringify({ v: 1, credentials: seal(ring, plaintext, key) });
  await store.put("alice-1", record("alice:secret", "alice-1"), null);
  // What somebody who can write to the store, and has no key, can do.
  await store.put("mallory-1", record("alice:secret", "alice-1"), null);
  await store.put("plain-1", JSON.stringify({ credentials: "root:root" }), null);
  // What a user could smuggle in, had the login back end no checks of its own.
  await store.put("breaks-1", record("alice\r\nX-Admin: true:secret", "breaks-1"), null);
  await store.put("account-1", record('{"account":"a1"}', "account-1"), null);
  await store.put("breaks-2", record('{"account":"a\\r\\nX-Admin: true"}', "breaks-2"), null);
  await store.put("crafted-1", record('{"account":"root","x":":secret"', "crafted-1"), null);
  await store.close();
  origin = await Origin.start((_request, response) => response.end("served"));
  evil = await Origin.start((_request, response) =>
    response.end(JSON.stringify({ keys: [rsa.publicKey.export({ format: "jwk" })] })),
  );
  proxy = await ProxyUnderTest.start({
    stores: { sessions: { url: `lmdb:${folder}` } },
    servers: {
      web: {
        listen: "127.0.0.1:0",
        routes: Object.entries(GUARDS).map(([place, guard]) => ({
          match: { path: place },
          use: [guard],
          proxy: origin.url,
        })),
      },
    },
  });
});

after(async () => {
  await proxy[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  await evil[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function ask(place: string, lines: readonly string[]) {
  const client = await RawClient.connect(proxy.port("web"));
  client.socket.write(
    [`GET ${place} HTTP/1.1`, "Host: a", "Connection: close", ...lines, "", ""].join("\r\n"),
    "latin1",
  );
  const answer = await client.answer();
  client.socket.destroy();
  return answer;
}

async function assertRefused(place: string, lines: readonly string[], status = 401): Promise<void> {
  const before = origin.asked.length;
  const answer = await ask(place, lines);
  assert.equal(answer.status, status);
  assert.equal(origin.asked.length, before, "the origin was asked");
  const error = status === 400 ? "invalid_request" : "invalid_token";
  assert.equal(answer.fields.get("www-authenticate"), `Bearer realm="restricted", error="${error}"`);
}

const bearer = (token: string) => [`Authorization: Bearer ${token}`];

/** The headers that the origin got. */
async function served(place: string, lines: readonly string[]) {
  const answer = await ask(place, lines);
  assert.equal(answer.status, 200, answer.body);
  return origin.asked.at(-1)!.headers;
}

test("good tokens pass, so that what follows is refused for its own sake", TIMEOUT, async () => {
  const basic = `Basic ${Buffer.from("alice:secret").toString("base64")}`;
  assert.equal((await served("/hmac", bearer(hmacToken(CLAIMS, SECRET)))).authorization, basic);
  assert.equal(
    (await served("/named", bearer(hmacToken(CLAIMS, SECRET, "HS256", { kid: "2026-1" })))).authorization,
    basic,
  );
  assert.equal((await served("/rsa", bearer(signedToken(CLAIMS, rsa.privateKey, "RS256"))))["x-user"], "alice");
  await served("/ec", bearer(signedToken(CLAIMS, p256.privateKey, "ES256")));
  await served("/both", bearer(hmacToken(CLAIMS, SECRET)));
  const account = await served("/headers", bearer(hmacToken({ ...CLAIMS, sid: "account-1" }, SECRET)));
  assert.equal(account["x-account"], "a1");
});

describe("alg: none", () => {
  for (const algorithm of ["none", "None", "NONE", "nOnE", "", "HS0", "null"]) {
    for (const signature of ["", "c2ln"]) {
      test(`${algorithm}, signature ${signature || "left out"}`, TIMEOUT, async () => {
        const token = `${signingInput({ alg: algorithm, typ: "JWT" }, CLAIMS)}.${signature}`;
        for (const place of Object.keys(GUARDS)) await assertRefused(place, bearer(token));
      });
    }
  }

  test("and a good token without its signature", TIMEOUT, async () => {
    const token = hmacToken(CLAIMS, SECRET);
    await assertRefused("/hmac", bearer(token.slice(0, token.lastIndexOf(".") + 1)));
    await assertRefused("/hmac", bearer(token.slice(0, token.lastIndexOf("."))));
  });
});

describe("key confusion: the public key as a shared secret", () => {
  const pem = pemOf(rsa.publicKey);
  const der = rsa.publicKey.export({ type: "spki", format: "der" });
  const secrets: readonly (readonly [string, string | Uint8Array])[] = [
    ["the PEM text", pem],
    ["the PEM text without its line break", pem.trimEnd()],
    ["its base64", der.toString("base64")],
    ["DER", der],
    ["the JWK", JSON.stringify(rsa.publicKey.export({ format: "jwk" }))],
  ];
  for (const [what, secret] of secrets) {
    test(what, TIMEOUT, async () => {
      for (const algorithm of ["HS256", "HS384", "HS512"]) {
        const token = hmacToken(CLAIMS, secret, algorithm);
        await assertRefused("/rsa", bearer(token));
        await assertRefused("/both", bearer(token));
      }
      // The same with the right algorithm's name and the wrong signature.
      const input = signingInput({ alg: "RS256" }, CLAIMS);
      await assertRefused("/rsa", bearer(hmacSigned(input, secret)));
    });
  }

  test("and one algorithm's key for another one", TIMEOUT, async () => {
    await assertRefused("/rsa", bearer(signedToken(CLAIMS, rsa.privateKey, "PS256")));
    await assertRefused("/rsa", bearer(signedToken(CLAIMS, rsa.privateKey, "RS512")));
    await assertRefused("/rsa", bearer(signedToken(CLAIMS, p256.privateKey, "ES256")));
  });
});

describe("keys that the token brings along", () => {
  const own = generateKeyPairSync("rsa", { modulusLength: 2048 });
  test("jwk, jku, x5u and x5c lead nowhere", TIMEOUT, async () => {
    const jwk = own.publicKey.export({ format: "jwk" });
    const url = `${evil.url}/keys.json`;
    for (const header of [{ jwk }, { jku: url }, { x5u: url }, { x5c: ["AAAA"] }, { jwk, kid: "2026-1", jku: url }]) {
      await assertRefused("/rsa", bearer(signedToken(CLAIMS, own.privateKey, "RS256", header)));
    }
    assert.equal(evil.asked.length, 0);
  });

  for (const kid of [
    "../../../../dev/null",
    "/dev/null",
    "2026-1' OR '1'='1",
    "2026-1\u0000",
    "",
    "__proto__",
    `${"x".repeat(600)}`,
  ]) {
    test(`a key id that would be a path or a query: ${JSON.stringify(kid).slice(0, 30)}`, TIMEOUT, async () => {
      for (const secret of ["", "\0", SECRET])
        await assertRefused("/named", bearer(hmacToken(CLAIMS, secret, "HS256", { kid })));
    });
  }

  test("an elliptic signature of zeros", TIMEOUT, async () => {
    const input = signingInput({ alg: "ES256" }, CLAIMS);
    await assertRefused("/ec", bearer(`${input}.${Buffer.alloc(64).toString("base64url")}`));
    await assertRefused("/ec", bearer(`${input}.${Buffer.from("3006020100020100", "hex").toString("base64url")}`));
  });
});

describe("a token", () => {
  const table: readonly (readonly [what: string, token: string])[] = [
    ["by another secret", hmacToken(CLAIMS, `${SECRET}!`)],
    ["that has expired", hmacToken({ ...CLAIMS, exp: seconds - 1 }, SECRET)],
    ["that never expires", hmacToken({ ...CLAIMS, exp: undefined }, SECRET)],
    ["whose exp is text", hmacToken({ ...CLAIMS, exp: String(seconds + 3600) }, SECRET)],
    ["that is not valid yet", hmacToken({ ...CLAIMS, nbf: seconds + 3600 }, SECRET)],
    ["for another audience", hmacToken({ ...CLAIMS, aud: "files" }, SECRET)],
    ["for an audience that begins like ours", hmacToken({ ...CLAIMS, aud: "mail.example.org" }, SECRET)],
    ["by another issuer", hmacToken({ ...CLAIMS, iss: "https://evil.example" }, SECRET)],
    ["of a session that never was", hmacToken({ ...CLAIMS, sid: "unknown" }, SECRET)],
    ["whose session id is a list", hmacToken({ ...CLAIMS, sid: ["alice-1"] }, SECRET)],
    [
      "with its session id twice",
      hmacSigned(
        signingInput({ alg: "HS256" }, `{"sid":"alice-1",${JSON.stringify({ ...CLAIMS, sid: "x" }).slice(1)}`),
        SECRET,
      ),
    ],
    ["without end", hmacToken({ ...CLAIMS, filler: "x".repeat(20_000) }, SECRET)],
    ["with an unknown extension", hmacToken(CLAIMS, SECRET, "HS256", { crit: ["x"], x: 1 })],
    ["in two parts", hmacToken(CLAIMS, SECRET).replace(".", "")],
    ["with padding", `${hmacToken(CLAIMS, SECRET)}=`],
    ["of nothing but dots", ".."],
  ];
  for (const [what, token] of table) test(what, TIMEOUT, () => assertRefused("/hmac", bearer(token)));

  test("that is forged gets the very answer that one of an unknown session gets", TIMEOUT, async () => {
    const unknown = await ask("/hmac", bearer(hmacToken({ ...CLAIMS, sid: "unknown" }, SECRET)));
    const forged = await ask("/hmac", bearer(hmacToken({ ...CLAIMS, sid: "unknown" }, "guess")));
    const withoutDate = (lines: readonly string[]) => lines.filter((line) => !/^date:/i.test(line));
    assert.deepEqual(
      [forged.status, withoutDate(forged.lines), forged.body],
      [unknown.status, withoutDate(unknown.lines), unknown.body],
    );
    assert.doesNotMatch(forged.body, /signature|session|token/i);
  });
});

describe("a client that presents two tokens", () => {
  test("gets nothing for either", TIMEOUT, async () => {
    const [good, bad] = [hmacToken(CLAIMS, SECRET), hmacToken(CLAIMS, "guess")];
    for (const [one, two] of [
      [good, bad],
      [bad, good],
      [good, good],
    ]) {
      await assertRefused("/hmac", [`Cookie: token=${one}; a=1; token=${two}`], 400);
      await assertRefused("/hmac", [`Cookie: token=${one}`, `Cookie: token=${two}`], 400);
      await assertRefused("/hmac", [...bearer(one!), ...bearer(two!)], 400);
    }
  });

  test("cannot pass one on behind the other", TIMEOUT, async () => {
    const good = signedToken({ ...CLAIMS, sub: "mallory" }, rsa.privateKey, "RS256");
    const forged = hmacToken({ ...CLAIMS, sub: "root" }, "guess");
    const asRoot = bearer(forged);
    await served("/passed-on", bearer(good));
    await served("/passed-on", [`Cookie: tok=${good}`, "Authorization: Basic eg=="]);
    await assertRefused("/passed-on", [...bearer(good), `Cookie: a=1;tok = ${forged} ;b=2`], 400);
    await assertRefused("/passed-on", [`Cookie: tok=${good}`, ...asRoot], 400);
    await assertRefused("/passed-on", [`Cookie: tok=${good}`, `Authorization: Bearer\t${forged}`], 400);
    await assertRefused("/passed-on", [`Cookie: tok=${good}`, "Authorization: Basic eg==", ...asRoot], 400);
    await assertRefused("/passed-on", [`Cookie: tok=${good}`, ...asRoot, "Authorization: Basic eg=="], 400);
    await assertRefused(`/passed-on?tok=${forged}`, bearer(good), 400);
    await assertRefused("/hmac", [...bearer(hmacToken(CLAIMS, SECRET)), "Cookie: a=1;token = evil ;b=2"], 400);
  });
});

describe("records", () => {
  const of = (sid: string) => bearer(hmacToken({ ...CLAIMS, sid }, SECRET));
  test("with the envelope of another session open nothing", TIMEOUT, () => assertRefused("/hmac", of("mallory-1")));
  test("without encryption are not read where there must be some", TIMEOUT, () =>
    assertRefused("/hmac", of("plain-1")),
  );
  test("with line breaks in the credentials inject nothing", TIMEOUT, async () => {
    await assertRefused("/hmac", of("breaks-1"));
    await assertRefused("/headers", of("breaks-2"));
  });
  test("with user:password are no object of the user's making", TIMEOUT, () =>
    assertRefused("/headers", of("crafted-1")),
  );
});

describe("headers that say who asks", () => {
  const good = bearer(signedToken(CLAIMS, rsa.privateKey, "RS256"));

  test("cannot be sent by the client, in any spelling", TIMEOUT, async () => {
    const headers = await served("/rsa", [...good, "X-User: root", "x-uSER: root", "X_User: root", "x_user: root"]);
    assert.equal(headers["x-user"], "alice");
    assert.equal(headers.x_user, undefined);
  });

  test("cannot be taken away by Connection", TIMEOUT, async () => {
    assert.equal((await served("/rsa", [...good, "Connection: x-user, authorization"]))["x-user"], "alice");
    const headers = await served("/hmac", [...bearer(hmacToken(CLAIMS, SECRET)), "Connection: authorization"]);
    assert.match(headers.authorization ?? "", /^Basic /);
  });

  test("cannot be given line breaks or be continued by a claim", TIMEOUT, async () => {
    for (const sub of [
      "alice\r\nX-Admin: true",
      "alice\nX-Admin: true",
      "alice\u0000",
      "alice\u0085",
      " root",
      "root\t",
      ["a,root"],
      { a: 1 },
    ]) {
      await assertRefused("/rsa", bearer(signedToken({ ...CLAIMS, sub }, rsa.privateKey, "RS256")));
    }
  });
});
