// What becomes of a session: its tokens are refreshed, its use is noted, it ends; at its time, with its user's logout,
// when the issuer says so. In the cookie and in a store, against a real provider.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ProxyError } from "../../src/index.ts";
import type { Browser } from "../support/browser.ts";
import { KEY, OidcStage, type OidcStageOptions, SCRIPT } from "../support/oidc-stage.ts";

const TIMEOUT = { timeout: 30_000 };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function refreshes(stage: OidcStage): number {
  // The first one was for the code.
  return stage.provider.count("/token") - 1;
}

/** Asked by a script: who has no session is told so. */
async function status(stage: OidcStage, browser: Browser): Promise<number> {
  return (await browser.request(`${stage.url}/`, SCRIPT)).status;
}

/** Until what goes on in passing has happened. */
async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await isDone())) {
    assert.ok(performance.now() < end, "it does not happen");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

for (const isStored of [false, true]) {
  const where = isStored ? "in a store" : "in the cookie";
  const start = (options: OidcStageOptions = {}) => OidcStage.start({ isStored, ...options });
  const forward = { forward: "accessToken" };

  test(`tokens are refreshed before their end, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: { ...forward, refresh: "1m" }, provider: { accessTokenSeconds: 600 } });
    const { browser } = await stage.loggedIn();
    const first = stage.told.authorization;
    stage.clock.aheadMs = 8 * MINUTE;
    assert.equal(await status(stage, browser), 200);
    assert.equal(refreshes(stage), 0);
    stage.clock.aheadMs = 9.5 * MINUTE;
    assert.equal(await status(stage, browser), 200);
    await until(async () => {
      assert.equal(await status(stage, browser), 200);
      return stage.told.authorization !== first;
    });
    assert.equal(refreshes(stage), 1);
    // And again with the refresh token that came then.
    stage.clock.aheadMs = 19 * MINUTE;
    assert.equal(await status(stage, browser), 200);
    await until(() => refreshes(stage) === 2);
    assert.equal(stage.errors.length, 0);
  });

  test(`tokens that have ended are refreshed before the request goes on, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: forward, provider: { accessTokenSeconds: 600 } });
    const { browser } = await stage.loggedIn();
    const first = stage.told.authorization;
    stage.clock.aheadMs = HOUR;
    assert.equal(await status(stage, browser), 200);
    assert.notEqual(stage.told.authorization, first);
    assert.equal(refreshes(stage), 1);
  });

  test(`one refresh at a time, however many requests come at once, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: forward, provider: { accessTokenSeconds: 600 } });
    const { browser } = await stage.loggedIn();
    stage.clock.aheadMs = HOUR;
    const pages = await Promise.all(Array.from({ length: 20 }, () => browser.request(`${stage.url}/`, SCRIPT)));
    assert.deepEqual(
      pages.map((page) => page.status),
      pages.map(() => 200),
    );
    assert.equal(refreshes(stage), 1);
    const tokens = new Set(stage.origin.asked.slice(1).map(({ headers }) => headers.authorization));
    assert.equal(tokens.size, 1);
    assert.equal(await status(stage, browser), 200);
    assert.equal(refreshes(stage), 1);
  });

  test(`a session ends at its time, whatever is done with it, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: { lifetime: "2h", idle: "off" } });
    const { browser } = await stage.loggedIn();
    stage.clock.aheadMs = 2 * HOUR - MINUTE;
    assert.equal(await status(stage, browser), 200);
    stage.clock.aheadMs = 2 * HOUR + MINUTE;
    assert.equal(await status(stage, browser), 401);
    assert.equal(stage.errors.at(-1)!.reason, "login_required");
  });

  test(`a session that nobody uses ends, and one that is used does not, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: { idle: "1h" } });
    const { browser } = await stage.loggedIn();
    for (const minutes of [40, 80, 120]) {
      stage.clock.aheadMs = minutes * MINUTE;
      await until(async () => {
        assert.equal(await status(stage, browser), 200);
        return !isStored || (await ttl(stage)) > 50 * MINUTE;
      });
    }
    stage.clock.aheadMs = 181 * MINUTE;
    assert.equal(await status(stage, browser), 401);
  });

  test(`logout ends the session here and at the issuer, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: { postLogoutRedirect: "/bye" } });
    const { browser } = await stage.loggedIn();
    const thief = browser.copy();
    const page = await browser.visit(`${stage.url}/oauth2/logout`);
    const [answer] = browser.trail;
    assert.equal(answer!.status, 303);
    const location = new URL(answer!.headers.location!);
    assert.equal(location.origin, stage.provider.issuer);
    assert.equal(location.searchParams.get("post_logout_redirect_uri"), `${stage.url}/bye`);
    assert.equal(location.searchParams.get("id_token_hint")!.split(".").length, 3);
    assert.equal(page.status, 200);
    assert.match(page.body, /form/);
    assert.equal(browser.cookies("127.0.0.1").size, 0);
    assert.equal(await status(stage, browser), 401);
    // What is in a cookie cannot be ended: the documentation says so.
    assert.equal(await status(stage, thief), isStored ? 401 : 200);
  });

  test(`sessions go on while the provider is away, and new logins get 503, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: { refresh: "1m" }, provider: { accessTokenSeconds: 600 } });
    const { browser } = await stage.loggedIn();
    stage.provider.isAway = true;
    stage.clock.aheadMs = HOUR;
    assert.equal(await status(stage, browser), 200);
    // Whose metadata is known already, the browser is sent to; it is the code that nobody can exchange.
    const stranger = stage.browser();
    const page = await stranger.visit(`${stage.url}/`, /localhost/);
    assert.equal(page.status, 302);
    stage.provider.isAway = false;
    const back = await stranger.visit(page.headers.location!, /oauth2\/callback/);
    stage.provider.isAway = true;
    const answer = await stranger.request(back.headers.location!);
    assert.equal(answer.status, 503);
    assert.match(answer.headers["retry-after"]!, /^\d+$/);
    assert.equal(stage.errors.at(-1)!.reason, "auth_service_unavailable");
    // The browser's attempt is as good as before.
    stage.provider.isAway = false;
    assert.equal((await stranger.visit(back.headers.location!)).status, 200);
  });

  test(`who forwards a token that has ended cannot go on without the provider, ${where}`, TIMEOUT, async () => {
    await using stage = await start({ options: forward, provider: { accessTokenSeconds: 600 } });
    const { browser } = await stage.loggedIn();
    stage.provider.isAway = true;
    stage.clock.aheadMs = 9.5 * MINUTE;
    assert.equal(await status(stage, browser), 200);
    stage.clock.aheadMs = HOUR;
    const answer = await browser.request(`${stage.url}/`, SCRIPT);
    assert.equal(answer.status, 503);
    stage.provider.isAway = false;
    stage.clock.aheadMs = HOUR + MINUTE;
    assert.equal(await status(stage, browser), 200);
  });

  test(
    `a provider that has forgotten everything and has other keys: sessions end, logins work, ${where}`,
    TIMEOUT,
    async () => {
      await using stage = await start({ options: forward, provider: { accessTokenSeconds: 600 } });
      const { browser } = await stage.loggedIn();
      await stage.provider.leave();
      stage.configureProvider();
      await stage.provider.comeBack();
      assert.equal(await status(stage, browser), 200);
      stage.clock.aheadMs = HOUR;
      assert.equal(await status(stage, browser), 401);
      assert.equal((await browser.visit(`${stage.url}/`)).status, 200);
      assert.equal((await stage.loggedIn()).page.status, 200);
    },
  );

  test(`without a refresh token a forwarded token's end is a login, ${where}`, TIMEOUT, async () => {
    await using stage = await start({
      options: forward,
      provider: { accessTokenSeconds: 600, givesRefreshTokens: false },
    });
    const { browser } = await stage.loggedIn();
    stage.clock.aheadMs = 9 * MINUTE;
    assert.equal(await status(stage, browser), 200);
    stage.clock.aheadMs = 11 * MINUTE;
    assert.equal(await status(stage, browser), 401);
    assert.equal((await browser.visit(`${stage.url}/`)).status, 200);
  });
}

test("a login that fails for want of the provider says so at once, and again soon", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  // A second is soon over on a busy machine.
  stage.clock.stand();
  stage.provider.isAway = true;
  const browser = stage.browser();
  const first = await browser.visit(`${stage.url}/`);
  assert.equal(first.status, 503);
  assert.equal(first.headers["retry-after"], "1");
  const asked = stage.provider.count("/.well-known/openid-configuration");
  assert.equal((await browser.visit(`${stage.url}/`)).status, 503);
  assert.equal(stage.provider.count("/.well-known/openid-configuration"), asked);
  stage.provider.isAway = false;
  stage.clock.aheadMs = 2_000;
  assert.equal((await browser.visit(`${stage.url}/`)).status, 200);
});

test("a refreshed session in the cookie reaches the browser in every answer that was under way", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ provider: { accessTokenSeconds: 600 } });
  const { browser } = await stage.loggedIn();
  const late = browser.copy();
  stage.clock.aheadMs = HOUR;
  const page = await browser.request(`${stage.url}/`, SCRIPT);
  assert.equal(page.headers["set-cookie"]?.length, 1);
  assert.equal(page.headers["cache-control"], 'no-cache="set-cookie"');
  const again = await late.request(`${stage.url}/`, SCRIPT);
  assert.deepEqual(again.headers["set-cookie"]?.map(pairOf), page.headers["set-cookie"]?.map(pairOf));
  assert.equal((await browser.request(`${stage.url}/`, SCRIPT)).headers["set-cookie"], undefined);
  assert.equal(refreshes(stage), 1);
});

test("a refresh whose userinfo cannot be had keeps what was known, and is not lost", TIMEOUT, async () => {
  const options = { userInfo: true, forward: "accessToken" };
  await using stage = await OidcStage.start({ options, provider: { accessTokenSeconds: 600 } });
  const { browser } = await stage.loggedIn();
  const first = stage.told.authorization;
  stage.provider.awayPaths.add("/me");
  for (const hours of [1, 2]) {
    stage.clock.aheadMs = hours * 50 * MINUTE;
    assert.equal(await status(stage, browser), 200);
    assert.equal(stage.told["x-user"], "alice@example.org");
  }
  assert.notEqual(stage.told.authorization, first);
  assert.equal(refreshes(stage), 2);
  // A login needs all that was asked for.
  assert.equal((await stage.loggedIn()).page.status, 503);
});

test("another thread's refresh is not repeated: what is in the store counts", TIMEOUT, async () => {
  await using stage = await OidcStage.start({
    isStored: true,
    other: { scopes: ["openid"] },
    provider: { accessTokenSeconds: 600 },
  });
  const { browser } = await stage.loggedIn();
  // The second route has a login of its own, as another thread would, with the same sessions.
  stage.clock.aheadMs = HOUR;
  const pages = await Promise.all(
    ["/", "/other/", "/", "/other/"].map((path) => browser.request(stage.url + path, SCRIPT)),
  );
  assert.deepEqual(
    pages.map((page) => page.status),
    [200, 200, 200, 200],
  );
  assert.equal(refreshes(stage), 1);
});

test("a logout during a refresh is not undone by it", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true, provider: { accessTokenSeconds: 600 } });
  const { browser } = await stage.loggedIn();
  const other = browser.copy();
  stage.clock.aheadMs = 9.5 * MINUTE;
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  stage.provider.beforeToken = () => {
    asked.resolve();
    return goOn.promise;
  };
  assert.equal(await status(stage, browser), 200);
  await asked.promise;
  await other.visit(`${stage.url}/oauth2/logout`, /localhost/);
  goOn.resolve();
  await until(async () => (await keysOf(stage, ":lock")).length === 0);
  assert.deepEqual(
    (await keysOf(stage, ":s:")).filter((key) => !key.endsWith(":ended")),
    [],
  );
  assert.equal(await status(stage, browser), 401);
});

test("a store holds neither ids nor tokens in clear, and the browser holds an id alone", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true });
  const { browser } = await stage.loggedIn();
  const { value } = browser.cookies("127.0.0.1").get("headgate")!;
  assert.match(value, /^1\.[A-Za-z0-9_-]{43}$/);
  const keys = await keysOf(stage, ":s:");
  const digest = createHash("sha256").update(value.slice(2)).digest("base64url");
  assert.equal(keys.length, 1);
  assert.ok(keys[0]!.endsWith(digest));
  const record = await stage.store.get(keys[0]!);
  assert.match(record!.value, /^[A-Za-z0-9_-]+$/);
  assert.ok(!Buffer.from(record!.value, "base64url").toString("latin1").includes("alice"));
});

test("a session that somebody deletes in the store ends at once", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true });
  const { browser } = await stage.loggedIn();
  assert.equal(await status(stage, browser), 200);
  for (const key of await keysOf(stage, ":s:")) await stage.store.delete(key);
  assert.equal(await status(stage, browser), 401);
});

test("a store that is away is 503 for who is not known, and keeps nobody from coming back", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true });
  const { browser } = await stage.loggedIn();
  stage.store.unavailable = new ProxyError("destination_unavailable", "the store is away");
  const page = await browser.request(`${stage.url}/`, SCRIPT);
  assert.equal(page.status, 503);
  assert.equal(page.headers["set-cookie"], undefined);
  assert.equal(stage.errors.at(-1)!.reason, "store_unavailable");
  // Nobody is told that he has left who has not.
  assert.equal((await browser.request(`${stage.url}/oauth2/logout`)).status, 503);
  stage.store.unavailable = null;
  assert.equal(await status(stage, browser), 200);
});

test("a store that has to be asked each time serves as well", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true });
  stage.store.knowsAtOnce = false;
  const { browser, page } = await stage.loggedIn();
  assert.equal(page.status, 200);
  const { gets } = stage.store;
  assert.equal(await status(stage, browser), 200);
  assert.equal(stage.store.gets, gets + 1);
});

const BACKCHANNEL = { backchannelLogoutPath: "/oauth2/backchannel", postLogoutRedirect: "/bye" };

test("a logout elsewhere ends the sessions that the issuer names, and no other", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ isStored: true, options: BACKCHANNEL });
  const { browser } = await stage.loggedIn();
  const { browser: second } = await stage.loggedIn();
  const told = stage.origin.asked.length;
  const elsewhere = browser.copy();
  // The user logs out at the issuer itself; the issuer tells us, not the browser.
  const confirm = await elsewhere.visit(`${stage.provider.issuer}/session/end`);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(confirm.body)![1]!;
  await elsewhere.request(`${stage.provider.issuer}/session/end/confirm`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: `xsrf=${xsrf}&logout=yes`,
  });
  await until(async () => (await keysOf(stage, ":jti:")).length === 1);
  await until(async () => (await status(stage, browser)) === 401);
  assert.equal(await status(stage, second), 200);
  assert.equal(stage.errors.filter(({ reason }) => reason !== "login_required").length, 0);
  // Nothing of it reached the origin.
  assert.ok(stage.origin.asked.slice(told).every(({ method }) => method === "GET"));
});

test("keys are changed by putting the new one in front: sessions of the old one live on", TIMEOUT, async () => {
  const before = KEY.replaceAll("0", "1");
  await using stage = await OidcStage.start({
    options: { key: [KEY, before] },
    other: { key: before, redirectPath: "/other/callback" },
  });
  // Logged in where only the old key is known.
  const browser = stage.browser();
  assert.equal((await browser.visit(`${stage.url}/other/start`)).status, 200);
  const asked = stage.provider.count("/auth");
  assert.equal((await browser.visit(`${stage.url}/start`)).status, 200);
  assert.equal(stage.provider.count("/auth"), asked);
  // A session of the new key is none to who has the old one alone.
  const { browser: fresh } = await stage.loggedIn();
  assert.equal((await fresh.request(`${stage.url}/other/`, SCRIPT)).status, 401);
});

function pairOf(cookie: string): string {
  return cookie.replace(/;.*/s, "");
}

async function keysOf(stage: OidcStage, part: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of stage.store.list("oidc:")) if (key.includes(part)) keys.push(key);
  return keys;
}

async function ttl(stage: OidcStage): Promise<number> {
  for await (const { key, ttlMs } of stage.store.list("oidc:")) {
    if (key.includes(":s:") && !/:(lock|ended)$/.test(key)) return ttlMs!;
  }
  return 0;
}
