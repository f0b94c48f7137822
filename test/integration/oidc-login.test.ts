// Login by OpenID Connect against a real provider: there and back for navigations, 401 for all else, and what the
// upstream is told.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { OidcStage, SCRIPT } from "../support/oidc-stage.ts";
import { CLIENT_SECRET } from "../support/openid-provider.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };

for (const isStored of [false, true]) {
  const where = isStored ? "in a store" : "in the cookie";

  test(`a navigation goes to the provider and comes back to where it wanted to go, ${where}`, TIMEOUT, async () => {
    await using stage = await OidcStage.start({ isStored });
    const { browser, page } = await stage.loggedIn("/start?a=1&b=%2F");
    assert.equal(page.status, 200, JSON.stringify(stage.errors));
    assert.equal(page.body, "the origin's /start?a=1&b=%2F");
    assert.equal(stage.told["x-user"], "alice@example.org");
    assert.equal(stage.told["x-groups"], "staff,wheel");
    const callback = browser.trail.find(({ url }) => url.includes("/oauth2/callback"))!;
    assert.equal(callback.headers["cache-control"], "no-store");
    assert.equal(callback.headers["referrer-policy"], "no-referrer");
    // From now on nobody asks the provider.
    const asked = stage.provider.count("/auth");
    assert.equal((await browser.visit(`${stage.url}/more`)).body, "the origin's /more");
    assert.equal(stage.provider.count("/auth"), asked);
    assert.equal(stage.errors.length, 0);
  });

  test(`the upstream sees none of the login's cookies and all of the others, ${where}`, TIMEOUT, async () => {
    await using stage = await OidcStage.start({ isStored });
    const { browser } = await stage.loggedIn();
    browser.setCookie("127.0.0.1", "theme", "dark");
    browser.setCookie("127.0.0.1", "headgate-login-x-y", "planted");
    browser.setCookie("127.0.0.1", "headgateway", "not ours");
    await browser.visit(`${stage.url}/`);
    assert.equal(stage.told.cookie, "theme=dark; headgateway=not ours");
  });
}

test("an attempt's cookie is gone with the login, and the session's is for HTTP alone", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const { browser } = await stage.loggedIn();
  const kept = [...browser.cookies("127.0.0.1").values()];
  assert.deepEqual(
    kept.map(({ name, httpOnly, sameSite, secure, persists }) => [name, httpOnly, sameSite, secure, persists]),
    [["headgate", true, "Lax", false, true]],
  );
});

test("over HTTPS the cookies are of this host alone", TIMEOUT, async (t) => {
  const authority = new Authority();
  const issued = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-oidc-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const tls = { cert: path.join(folder, "cert.pem"), key: path.join(folder, "key.pem"), ca: authority.cert };
  writeFileSync(tls.cert, issued.cert);
  writeFileSync(tls.key, issued.key);
  await using stage = await OidcStage.start({ tls });
  const browser = stage.browser();
  await browser.visit(`${stage.url}/start`, /localhost/);
  const [attempt] = browser.cookies("127.0.0.1").values();
  assert.match(attempt!.name, /^__Host-headgate-login-/);
  assert.equal(attempt!.secure, true);
  const page = await browser.visit(browser.trail.at(-1)!.headers.location!);
  assert.equal(page.status, 200);
  assert.equal(stage.told["x-user"], "alice@example.org");
  assert.deepEqual([...browser.cookies("127.0.0.1").keys()], ["__Host-headgate"]);
});

const REFUSED: readonly (readonly [what: string, method: string, headers: Record<string, string>])[] = [
  ["a script's request", "GET", SCRIPT.headers],
  ["a request that wants JSON", "GET", { accept: "application/json" }],
  ["a request of no browser", "GET", { accept: "*/*", "sec-fetch-mode": "navigate" }],
  ["XMLHttpRequest of old", "GET", { "x-requested-with": "XMLHttpRequest" }],
  ["a form with a body, which would be lost", "POST", {}],
  ["HEAD", "HEAD", {}],
  ["what is fetched ahead", "GET", { "sec-purpose": "prefetch;prerender" }],
  ["an image", "GET", { "sec-fetch-mode": "no-cors" }],
];

for (const [what, method, headers] of REFUSED) {
  test(`without a session 401 and no redirect: ${what}`, TIMEOUT, async () => {
    await using stage = await OidcStage.start();
    const body = method === "POST" ? "a=1" : null;
    const page = await stage.browser().request(`${stage.url}/start`, { method, headers, body });
    assert.equal(page.status, 401);
    assert.equal(page.headers["www-authenticate"], 'Cookie realm="oidc", cookie-name="headgate"');
    assert.equal(page.headers["cache-control"], "no-store");
    assert.equal(page.headers.location, undefined);
    assert.equal(page.headers["set-cookie"], undefined);
    assert.deepEqual(
      stage.errors.map(({ reason }) => reason),
      ["login_required"],
    );
    assert.equal(stage.origin.asked.length, 0);
  });
}

test("a WebSocket without a session is 401 and with one opens", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  stage.origin.server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.end();
  });
  const port = Number(new URL(stage.url).port);
  const head = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAccept: text/html\r\n";
  using stranger = await RawClient.connect(port);
  assert.equal((await stranger.send(`${head}\r\n`).answer()).status, 401);
  const { browser } = await stage.loggedIn();
  const { name, value } = browser.cookies("127.0.0.1").get("headgate")!;
  using known = await RawClient.connect(port);
  assert.equal((await known.send(`${head}Cookie: ${name}=${value}\r\n\r\n`).answer()).status, 101);
});

test("`unauthenticated: 401` redirects nobody, and `loginPath` begins a login", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { unauthenticated: 401, loginPath: "/oauth2/login" } });
  const browser = stage.browser();
  assert.equal((await browser.visit(`${stage.url}/start`)).status, 401);
  const page = await browser.visit(`${stage.url}/oauth2/login?rd=${encodeURIComponent("/deep?x=1")}`);
  assert.equal(page.body, "the origin's /deep?x=1");
  assert.equal((await browser.visit(`${stage.url}/start`)).status, 200);
});

test("several tabs log in at once, and the oldest attempts give way", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  const browser = stage.browser();
  const begun: string[] = [];
  for (let tab = 0; tab < 4; tab++) {
    const page = await browser.visit(`${stage.url}/tab-${tab}`, /localhost/);
    begun.push(page.headers.location!);
  }
  for (const [tab, location] of begun.entries()) {
    assert.equal((await browser.visit(location)).body, `the origin's /tab-${tab}`);
  }
  browser.removeCookie("127.0.0.1", "headgate");
  for (let tab = 0; tab < 12; tab++) await browser.visit(`${stage.url}/tab`, /localhost/);
  assert.equal(browser.cookies("127.0.0.1").size, 5);
});

test("a session larger than a cookie lies in several, and shrinks again", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  stage.provider.account = { id: "alice", claims: { email: "alice@example.org", padding: "p".repeat(6000) } };
  const { browser, page } = await stage.loggedIn();
  assert.equal(page.status, 200);
  const names = [...browser.cookies("127.0.0.1").keys()];
  assert.ok(names.length >= 3, names.join());
  assert.equal(stage.told["x-user"], "alice@example.org");
  assert.equal(stage.told.cookie, undefined);
  stage.provider.account = { id: "alice", claims: { email: "alice@example.org" } };
  // A part that is lost is no session.
  browser.removeCookie("127.0.0.1", "headgate.1");
  assert.equal((await browser.request(`${stage.url}/`, SCRIPT)).status, 401);
  assert.equal((await browser.visit(`${stage.url}/`)).status, 200);
  assert.deepEqual([...browser.cookies("127.0.0.1").keys()], ["headgate"]);
});

test("a session that no cookies can hold is no login, and the log says why", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  stage.provider.account = { id: "alice", claims: { padding: "p".repeat(20_000) } };
  const { page } = await stage.loggedIn();
  assert.equal(page.status, 401);
  assert.match(stage.errors.at(-1)!.text, /too large for cookies: use a store/);
  assert.equal(stage.errors.at(-1)!.reason, "login_failed");
});

test("without the required claims 403, though it is known who asks", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { require: { groups: ["wheel", "admins"] } } });
  assert.equal((await stage.loggedIn()).page.status, 200);
  stage.provider.account = { id: "bob", claims: { email: "bob@example.org", groups: ["staff"] } };
  const { browser, page } = await stage.loggedIn();
  assert.equal(page.status, 403);
  assert.equal((await browser.request(`${stage.url}/`, SCRIPT)).status, 403);
  assert.equal(stage.errors.at(-1)!.reason, "not_allowed");
});

test("routes share a session, and each makes its own of it", TIMEOUT, async () => {
  const other = { claims: { "x-name": "sub" }, require: { sub: "alice" }, forward: "accessToken" };
  await using stage = await OidcStage.start({ other });
  const { browser } = await stage.loggedIn();
  const asked = stage.provider.count("/auth");
  assert.equal((await browser.visit(`${stage.url}/other/page`)).status, 200);
  assert.equal(stage.told["x-name"], "alice");
  assert.equal(stage.told["x-user"], undefined);
  assert.match(String(stage.told.authorization), /^Bearer \S+$/);
  assert.equal(stage.provider.count("/auth"), asked);
});

test("routes that ask the issuer for other things have a login each, whatever these are called", TIMEOUT, async () => {
  const claims = '{"id_token":{"acr":{"essential":true}}}';
  await using stage = await OidcStage.start({ other: { parameters: { claims } } });
  for (const [path, asked] of [
    ["/page", null],
    ["/other/page", claims],
  ] as const) {
    const { headers } = await stage.browser().visit(stage.url + path, /\/auth\?/);
    assert.equal(new URL(String(headers.location)).searchParams.get("claims"), asked);
  }
});

test("the access token or the ID token goes to the upstream in place of the client's own", TIMEOUT, async () => {
  for (const [forward, parts] of [
    ["accessToken", 1],
    ["idToken", 3],
  ] as const) {
    await using stage = await OidcStage.start({ options: { forward } });
    const { browser } = await stage.loggedIn();
    await browser.request(`${stage.url}/`, { headers: { authorization: "Basic b3duOm93bg==" } });
    const authorization = String(stage.told.authorization);
    assert.match(authorization, /^Bearer /);
    assert.equal(authorization.split(".").length, parts);
  }
});

test("the claims of the userinfo endpoint are there when they are asked for", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { userInfo: true } });
  assert.equal((await stage.loggedIn()).page.status, 200);
  assert.equal(stage.provider.count("/me"), 1);
});

test("a public client has PKCE alone, and a secret may be shown in the form", TIMEOUT, async () => {
  await using open = await OidcStage.start({ client: { secret: null } });
  assert.equal((await open.loggedIn()).page.status, 200);
  await using post = await OidcStage.start({
    client: { authMethod: "client_secret_post" },
    options: { clientAuthentication: "post" },
  });
  assert.equal((await post.loggedIn()).page.status, 200);
});

test("a user who does not want to sees a plain page, and the log the provider's reason", TIMEOUT, async () => {
  await using stage = await OidcStage.start();
  stage.provider.isDenied = true;
  const { browser, page } = await stage.loggedIn();
  assert.equal(page.status, 401);
  assert.match(page.headers["content-type"]!, /^text\/html/);
  assert.doesNotMatch(page.body, /denied|today/);
  const { reason, text } = stage.errors.at(-1)!;
  assert.equal(reason, "login_failed");
  assert.match(text, /access_denied \(not \? today\)/);
  assert.equal(browser.cookies("127.0.0.1").size, 0);
});

test("a wrong secret is told to the log and to nobody else", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { clientSecret: "another secret" } });
  const { page } = await stage.loggedIn();
  assert.equal(page.status, 401);
  assert.match(stage.errors.at(-1)!.text, /client/);
  for (const secret of ["another secret", CLIENT_SECRET]) assert.ok(!JSON.stringify(stage.errors).includes(secret));
});

test("with `sameSite: strict` a page of ours leads on, so that the cookie goes along", TIMEOUT, async () => {
  await using stage = await OidcStage.start({ options: { cookie: { sameSite: "strict" } } });
  const { browser, page } = await stage.loggedIn('/start?a="1"&b=<');
  assert.equal(page.status, 200);
  assert.match(page.body, /http-equiv="refresh" content="0;url=\/start\?a=[^"<>]*"/);
  assert.equal(browser.cookies("127.0.0.1").get("headgate")!.sameSite, "Strict");
  assert.equal((await browser.visit(`${stage.url}/start`)).status, 200);
});
