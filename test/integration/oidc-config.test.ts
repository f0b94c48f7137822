// The login as a configuration asks for it, on real stores: what a user gets who writes it into a file.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { createProxy } from "../../src/index.ts";
import { Browser } from "../support/browser.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { KEY, SCRIPT } from "../support/oidc-stage.ts";
import { CLIENT_ID, CLIENT_SECRET, OpenIdProvider } from "../support/openid-provider.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RedisServer } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const QUIET = { log: { level: "silent", access: "off" } } as const;

/** Two proxies that share a store, as two machines behind one name would. */
async function throughTwoProxies(store: string): Promise<void> {
  await using provider = await OpenIdProvider.start();
  await using origin = await Origin.start((_request, response) => response.end("origin"));
  const oidc = {
    issuer: provider.issuer,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    key: KEY,
    session: { store },
    backchannelLogoutPath: "/oauth2/backchannel",
    claims: { "x-user": "email" },
    forward: "accessToken",
  } as const;
  const config = { ...QUIET, servers: { web: { listen: "127.0.0.1:0", use: [{ oidc }], proxy: origin.url } } };
  const proxies = [createProxy(config), createProxy(config)];
  try {
    const urls = await Promise.all(
      proxies.map(async (proxy) => `http://127.0.0.1:${(await proxy.listen())[0]!.address.port}`),
    );
    const [first, second] = urls as [string, string];
    // In the second half of their life tokens are refreshed.
    provider.configure({
      client: { redirectUris: urls.map((url) => `${url}/oauth2/callback`) },
      accessTokenSeconds: 2,
    });
    const browser = new Browser();
    assert.equal((await browser.visit(`${first}/start`)).body, "origin");
    const token = origin.asked.at(-1)!.headers.authorization;
    // What comes then lasts, however long the machine takes.
    provider.accessTokenSeconds = 3600;
    assert.equal((await browser.request(`${second}/`, SCRIPT)).status, 200);
    assert.equal(origin.asked.at(-1)!.headers["x-user"], "alice@example.org");
    // Both see that it has to be refreshed, and one of them does it.
    const refreshed = () => origin.asked.at(-1)!.headers.authorization !== token;
    while (!refreshed()) {
      const pages = await Promise.all(urls.map((url) => browser.request(`${url}/`, SCRIPT)));
      assert.deepEqual(
        pages.map(({ status }) => status),
        [200, 200],
      );
    }
    assert.equal(provider.count("/token"), 2);
    const now = Math.floor(Date.now() / 1000);
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    const logout = { iss: provider.issuer, aud: CLIENT_ID, iat: now, exp: now + 60, jti: "1", sub: "alice", events };
    const body = `logout_token=${provider.signed(logout)}`;
    assert.equal((await browser.request(`${second}/oauth2/backchannel`, { method: "POST", body })).status, 200);
    while ((await browser.request(`${first}/`, SCRIPT)).status !== 401);
    assert.equal((await browser.request(`${second}/`, SCRIPT)).status, 401);
  } finally {
    for (const proxy of proxies) await proxy.close({ timeoutMs: 0 });
  }
}

function temporaryFolder(t: { after(done: () => void): void }): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-oidc-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("with sessions in an LMDB", TIMEOUT, async (t) => {
  await throughTwoProxies(`lmdb:${temporaryFolder(t)}/sessions`);
});

test("with sessions in Redis", { ...TIMEOUT, skip: needs("redis-server") }, async () => {
  await using redis = await RedisServer.start();
  await throughTwoProxies(redis.url);
});

test("an issuer with a certificate of its own authority is believed with `ca` alone", TIMEOUT, async (t) => {
  const authority = new Authority();
  const { cert, key } = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
  await using issuer = await Origin.start(
    (_request, response) => {
      response.statusCode = 404;
      response.end();
    },
    { tls: { cert, key } },
  );
  const file = path.join(temporaryFolder(t), "ca.pem");
  writeFileSync(file, authority.cert);
  for (const [ca, asked] of [
    [undefined, 0],
    [file, 1],
  ] as const) {
    const url = `https://127.0.0.1:${issuer.port}`;
    const oidc = { issuer: url, clientId: CLIENT_ID, key: KEY, ...(ca !== undefined && { ca }) };
    const proxy = createProxy({ ...QUIET, servers: { web: { listen: "127.0.0.1:0", use: [{ oidc }], respond: 204 } } });
    const [listening] = await proxy.listen();
    const page = await new Browser().visit(`http://127.0.0.1:${listening!.address.port}/`);
    assert.equal(page.status, 503);
    assert.equal(issuer.asked.length, asked);
    await proxy.close({ timeoutMs: 0 });
  }
});

test("what is known of the issuer outlives a reload while it is away", TIMEOUT, async () => {
  await using provider = await OpenIdProvider.start();
  const oidc = { issuer: provider.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, key: KEY };
  const config = (more: object) => ({
    servers: { web: { listen: "127.0.0.1:0", use: [{ oidc: { ...oidc, ...more } }], respond: 204 } },
  });
  await using proxy = await ProxyUnderTest.start(config({}));
  provider.configure({ client: { redirectUris: ["http://127.0.0.1/oauth2/callback"] } });
  const begin = () => new Browser().visit(`http://127.0.0.1:${proxy.port("web")}/`, /\/auth\?/);
  assert.equal((await begin()).status, 302);
  provider.isAway = true;
  // A session's lifetime changes nothing of the issuer.
  await proxy.reload(config({ lifetime: "1h" }));
  assert.equal((await begin()).status, 302);
  await proxy.reload(config({ clientSecret: "another one" }));
  assert.equal((await begin()).status, 503);
});
