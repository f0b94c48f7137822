// Attacks on the login: somebody else's code, answers that do not belong, redirects to elsewhere, cookies and fields
// that were made up.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import type { Exchange, Feature } from "../../src/index.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import type { Browser, Page } from "../support/browser.ts";
import { OidcStage, SCRIPT } from "../support/oidc-stage.ts";
import { replayHint, seed } from "../support/seed.ts";

const TIMEOUT = { timeout: 120_000 };
const HOST = "127.0.0.1";

/** As far as the callback, which is not asked: where the browser would go now. */
async function upToCallback(stage: OidcStage, browser: Browser, path = "/start"): Promise<URL> {
  const page = await browser.visit(stage.url + path, /oauth2\/callback/);
  return new URL(page.headers.location!);
}

function assertRefused(stage: OidcStage, page: Page, reason = "login_failed"): void {
  assert.equal(page.status, 401);
  assert.equal(stage.errors.at(-1)!.reason, reason);
  assert.equal(page.headers.location, undefined);
}

function hasSession(browser: Browser): boolean {
  return browser.cookies(HOST).has("headgate");
}

test("login CSRF: a victim's browser does not end an attacker's login", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const callback = await upToCallback(stage, stage.browser());
  const asked = stage.provider.count("/token");
  const victim = stage.browser();
  assertRefused(stage, await victim.visit(callback.href));
  // Nor one that has an attempt of its own.
  await upToCallback(stage, victim);
  assertRefused(stage, await victim.visit(callback.href));
  assert.ok(!hasSession(victim));
  assert.equal(stage.provider.count("/token"), asked);
});

test("code injection: somebody else's code with one's own state is refused by PKCE", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const stolen = await upToCallback(stage, stage.browser());
  const attacker = stage.browser();
  const own = await upToCallback(stage, attacker);
  own.searchParams.set("code", stolen.searchParams.get("code")!);
  assertRefused(stage, await attacker.visit(own.href));
  assert.ok(!hasSession(attacker));
});

test("answers that were tampered with are no logins", TIMEOUT, async () => {
  const table: readonly (readonly [what: string, change: (callback: URL) => void])[] = [
    ["no state", (callback) => callback.searchParams.delete("state")],
    ["another state", (callback) => callback.searchParams.set("state", "A".repeat(43))],
    ["an empty state", (callback) => callback.searchParams.set("state", "")],
    ["two states", (callback) => callback.searchParams.append("state", "B".repeat(43))],
    ["another code", (callback) => callback.searchParams.set("code", "C".repeat(43))],
    ["no code", (callback) => callback.searchParams.delete("code")],
    ["two codes", (callback) => callback.searchParams.append("code", "D".repeat(43))],
    ["another issuer (mix-up, RFC 9207)", (callback) => callback.searchParams.set("iss", "https://evil.example")],
    ["no issuer, of one that always names itself", (callback) => callback.searchParams.delete("iss")],
    ["an ID token beside the code", (callback) => callback.searchParams.set("id_token", "a.b.c")],
    ["a response object in place of all", (callback) => callback.searchParams.set("response", "a.b.c")],
  ];
  await using stage = await OidcStage.start({ options: { failedAttempts: "off" } });
  for (const [what, change] of table) {
    const browser = stage.browser();
    const callback = await upToCallback(stage, browser);
    change(callback);
    const page = await browser.visit(callback.href);
    assert.equal(page.status, 401, what);
    assert.equal(stage.errors.at(-1)!.reason, "login_failed", what);
    assert.ok(!hasSession(browser), what);
  }
  assert.equal(stage.origin.asked.length, 0);
});

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");

test("ID tokens that are not what the issuer says of this login are none", TIMEOUT, async () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await using stage = await OidcStage.start({ options: { failedAttempts: "off" } });
  const { provider } = stage;
  const signed = (claims: object) => provider.signed(claims, { typ: "JWT" });
  const seconds = Math.floor(Date.now() / 1000);
  const table: readonly (readonly [what: string, change: (claims: Record<string, unknown>) => string])[] = [
    ["unsigned", (claims) => `${encoded({ alg: "none" })}.${encoded(claims)}.`],
    [
      "signed by somebody else",
      (claims) => {
        const text = `${encoded({ alg: "RS256" })}.${encoded({ ...claims, sub: "root" })}`;
        return `${text}.${sign("sha256", Buffer.from(text), privateKey).toString("base64url")}`;
      },
    ],
    [
      "key confusion",
      (claims) => {
        const text = `${encoded({ alg: "HS256" })}.${encoded(claims)}`;
        return `${text}.${createHmac("sha256", provider.publicKey).update(text).digest("base64url")}`;
      },
    ],
    ["of another login: another nonce", (claims) => signed({ ...claims, nonce: "n".repeat(43) })],
    ["of another login: no nonce", (claims) => signed({ ...claims, nonce: undefined })],
    ["of another issuer", (claims) => signed({ ...claims, iss: "https://evil.example" })],
    ["for another client", (claims) => signed({ ...claims, aud: "another" })],
    ["for another client besides", (claims) => signed({ ...claims, aud: ["headgate", "another"], azp: "another" })],
    ["ended long ago", (claims) => signed({ ...claims, exp: seconds - 3600 })],
    ["of nobody", (claims) => signed({ ...claims, sub: undefined })],
  ];
  for (const [what, change] of table) {
    provider.changeIdToken = change;
    const { browser, page } = await stage.loggedIn();
    assert.equal(page.status, 401, what);
    assert.equal(stage.errors.at(-1)!.reason, "login_failed", what);
    assert.ok(!hasSession(browser), what);
  }
  provider.changeIdToken = signed;
  assert.equal((await stage.loggedIn()).page.status, 200);
});

test("a refresh that brings somebody else's tokens ends the session", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true, provider: { accessTokenSeconds: 600 } });
  const { browser } = await stage.loggedIn();
  stage.provider.changeIdToken = (claims) => stage.provider.signed({ ...claims, sub: "bob" }, { typ: "JWT" });
  stage.clock.aheadMs = 30 * 60_000;
  assert.equal((await browser.request(`${stage.url}/`, SCRIPT)).status, 401);
});

test("a replayed callback is no login, and does not make the issuer revoke the first one", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const browser = stage.browser();
  const callback = await upToCallback(stage, browser);
  const thief = browser.copy();
  assert.equal((await browser.visit(callback.href)).status, 200);
  const asked = stage.provider.count("/token");
  // With the very cookies of the first time.
  assertRefused(stage, await thief.visit(callback.href));
  // Who goes back to it with a session is where he wanted to be.
  const page = await browser.request(callback.href);
  assert.deepEqual([page.status, page.headers.location], [302, "/"]);
  assert.equal(page.headers["set-cookie"], undefined);
  assert.equal(stage.provider.count("/token"), asked);
});

test("an attempt that is too old is none", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const browser = stage.browser();
  const callback = await upToCallback(stage, browser);
  stage.clock.aheadMs = 16 * 60_000;
  assertRefused(stage, await browser.visit(callback.href));
});

test("the callback takes no other method", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const browser = stage.browser();
  const callback = await upToCallback(stage, browser);
  const page = await browser.request(callback.href, { method: "POST", body: "" });
  assert.deepEqual([page.status, page.headers.allow], [405, "GET"]);
});

test("failed logins from one address are refused unheard after a while", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { failedAttempts: 3 } });
  stage.clock.toNextMinute();
  const known = (await stage.loggedIn()).browser;
  const statuses: number[] = [];
  for (let count = 0; count < 5; count++) {
    const browser = stage.browser();
    const callback = await upToCallback(stage, browser);
    callback.searchParams.set("code", "wrong");
    statuses.push((await browser.visit(callback.href)).status);
  }
  assert.deepEqual(statuses, [401, 401, 401, 429, 429]);
  const asked = stage.provider.count("/token");
  assert.equal((await known.request(`${stage.url}/`, SCRIPT)).status, 200);
  assert.equal(stage.provider.count("/token"), asked);
});

test("without a limit failed logins are not counted for other features either", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { failedAttempts: "off" } });
  const browser = stage.browser();
  const callback = await upToCallback(stage, browser);
  callback.searchParams.set("code", "wrong");
  assert.equal((await browser.visit(callback.href)).status, 401);
  assert.equal(stage.attempts.blockedSeconds("127.0.0.1", 1), 0);
});

test("codes and states are in no log", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const browser = stage.browser();
  const callback = await upToCallback(stage, browser);
  const secrets = ["code", "state"].map((name) => callback.searchParams.get(name)!);
  const wrong = new URL(callback);
  wrong.searchParams.set("code", "a-wrong-code");
  await browser.copy().visit(wrong.href);
  await stage.browser().visit(callback.href);
  assert.ok(stage.targets.includes("/oauth2/callback"));
  const logs = JSON.stringify([stage.targets, stage.errors]);
  for (const secret of [...secrets, "a-wrong-code"]) assert.ok(!logs.includes(secret));
});

const ELSEWHERE = [
  "https://evil.example/",
  "//evil.example/",
  "///evil.example/",
  "/\\evil.example/",
  "\\\\evil.example",
  "/\t/evil.example",
  "/\n/evil.example",
  "/%0a/evil.example/../..//evil.example",
  "javascript:alert(1)",
  "evil.example",
  "",
  "@evil.example",
  "/.//evil.example/",
  "/a/..//evil.example/",
  "/oauth2/logout",
  "/oauth2/../oauth2/logout?x",
  "/oauth2/callback?state=x",
];

test("open redirect: behind a login nobody is led to another host", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { loginPath: "/oauth2/login" } });
  for (const target of ELSEWHERE) {
    const browser = stage.browser();
    const callback = await upToCallback(stage, browser, `/oauth2/login?rd=${encodeURIComponent(target)}`);
    const page = await browser.request(callback.href);
    assert.equal(page.status, 302, target);
    const location = new URL(page.headers.location!, stage.url);
    assert.equal(location.origin, stage.url, target);
    assert.ok(!location.pathname.startsWith("//"), target);
    assert.ok(!location.pathname.startsWith("/oauth2/"), target);
  }
});

test("cookies that were tampered with are no session, and no fault of ours", TIMEOUT, async () => {
  const random = new SeededRandom(seed);
  const pick = (length: number) => Math.floor(random.next() * length);
  for (const isStored of [false, true]) {
    await using stage = await OidcStage.start({ isStored });
    const { browser } = await stage.loggedIn();
    const { value } = browser.cookies(HOST).get("headgate")!;
    for (let round = 0; round < 150; round++) {
      const at = pick(value.length);
      const letter = 'ABCDabcd0189-_.=%"'.charAt(pick(18));
      const changed =
        random.next() < 0.5
          ? value.slice(0, at) + letter + value.slice(at + 1)
          : random.next() < 0.5
            ? value.slice(0, at)
            : value + letter.repeat(pick(9));
      if (changed === value) continue;
      const thief = stage.browser();
      thief.setCookie(HOST, "headgate", changed);
      const { status } = await thief.request(`${stage.url}/`, SCRIPT);
      assert.equal(status, 401, `${replayHint}: ${JSON.stringify(changed)}`);
    }
  }
});

test("an attempt's cookie is no session, and a session's is no attempt", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const browser = stage.browser();
  const callback = await upToCallback(stage, browser);
  const [attempt] = browser.cookies(HOST).values();
  const thief = stage.browser();
  thief.setCookie(HOST, "headgate", `1.${attempt!.value}`);
  assert.equal((await thief.request(`${stage.url}/`, SCRIPT)).status, 401);
  const { browser: known } = await stage.loggedIn();
  thief.setCookie(HOST, attempt!.name, known.cookies(HOST).get("headgate")!.value.slice(2));
  assertRefused(stage, await thief.visit(callback.href));
});

test("cookie tossing: a second session under the same name makes none of them count", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const { browser } = await stage.loggedIn();
  const attackers = (await stage.loggedIn()).browser.cookies(HOST).get("headgate")!.value;
  const own = browser.cookies(HOST).get("headgate")!.value;
  const headers = { ...SCRIPT.headers, cookie: `headgate=${attackers}; headgate=${own}` };
  assert.equal((await stage.browser().request(`${stage.url}/`, { headers })).status, 401);
  const twice = { ...SCRIPT.headers, cookie: `headgate=${own}; headgate=${own}` };
  assert.equal((await stage.browser().request(`${stage.url}/`, { headers: twice })).status, 200);
});

test("session fixation: with a login comes a new id, and a planted one is worth nothing", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true, options: { loginPath: "/oauth2/login" } });
  const { browser: attacker } = await stage.loggedIn();
  const planted = attacker.cookies(HOST).get("headgate")!.value;
  stage.provider.account = { id: "bob", claims: { email: "bob@example.org" } };
  const victim = stage.browser();
  victim.setCookie(HOST, "headgate", planted);
  assert.equal((await victim.visit(`${stage.url}/oauth2/login`)).status, 200);
  assert.equal(stage.told["x-user"], "bob@example.org");
  assert.notEqual(victim.cookies(HOST).get("headgate")!.value, planted);
  assert.equal((await attacker.request(`${stage.url}/`, SCRIPT)).status, 401);
  // An id that somebody makes up is none, before and after.
  const guess = stage.browser();
  guess.setCookie(HOST, "headgate", `1.${"A".repeat(43)}`);
  assert.equal((await guess.request(`${stage.url}/`, SCRIPT)).status, 401);
});

test("fields that name the user come from the login alone, in every spelling", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { claims: { "x-user": "email", "x-groups": "missing" } } });
  const { browser } = await stage.loggedIn();
  const spoofed = { "X-User": "root", "x-groups": "admins", x_user: "root", X_Groups: "admins", "x-user-2": "kept" };
  await browser.request(`${stage.url}/`, { headers: spoofed });
  const told = Object.entries(stage.told).filter(([name]) => /^x.(user|groups)/.test(name));
  assert.deepEqual(told.sort(), [
    ["x-user", "alice@example.org"],
    ["x-user-2", "kept"],
  ]);
});

test("claims that a user has chosen become one value of one field, or none", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { claims: { "x-name": "name", "x-groups": "groups" } } });
  stage.provider.account = {
    id: "mallory",
    claims: { name: "m\r\nX-Admin: yes", groups: ["staff,admins", "guests", "a\nb", 7, { a: 1 }, ""] },
  };
  await stage.loggedIn();
  assert.equal(stage.told["x-name"], undefined);
  assert.equal(stage.told["x-admin"], undefined);
  assert.equal(stage.told["x-groups"], "guests,7");
  stage.provider.account = { id: "zoe", claims: { name: "Zoë 雪" } };
  await stage.loggedIn();
  assert.equal(Buffer.from(String(stage.told["x-name"]), "latin1").toString("utf8"), "Zoë 雪");
});

test("logout CSRF: another site cannot log the user out", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const { browser } = await stage.loggedIn();
  for (const headers of [{ "sec-fetch-site": "cross-site" }, { "sec-purpose": "prefetch" }]) {
    assert.equal((await browser.request(`${stage.url}/oauth2/logout`, { headers })).status, 403);
  }
  assert.equal((await browser.request(`${stage.url}/`, SCRIPT)).status, 200);
  const post = await browser.request(`${stage.url}/oauth2/logout`, {
    method: "POST",
    headers: { "sec-fetch-site": "same-origin" },
  });
  assert.equal(post.status, 303);
  assert.equal((await browser.request(`${stage.url}/`, SCRIPT)).status, 401);
});

test("a message of the issuer goes to no upstream, whatever the features behind the login do", TIMEOUT, async () => {
  let own: Exchange["upstream"] = null;
  const rewriting: Feature = {
    name: "rewriting",
    request: (exchange) => {
      own ??= exchange.upstream;
      exchange.request.setTarget("/admin", null);
    },
  };
  const choosing: Feature = {
    name: "choosing",
    selectUpstream: (exchange) => {
      exchange.upstream = own;
    },
  };
  const post = { method: "POST", body: "logout_token=x", headers: SCRIPT.headers };
  for (const behind of [[rewriting], [rewriting, choosing]]) {
    const options = { backchannelLogoutPath: "/oauth2/backchannel" };
    await using stage = await OidcStage.start({ isStored: true, options, behind });
    own = null;
    await stage.loggedIn();
    assert.equal(stage.origin.asked.at(-1)!.url, "/admin");
    const asked = stage.origin.asked.length;
    assert.equal((await stage.browser().request(`${stage.url}/oauth2/backchannel`, post)).status, 400);
    assert.equal(stage.origin.asked.length, asked);
  }
});
