// Keys and passwords must stay out of the access log, whatever fields it is told to write, and whatever becomes of the request.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { keyDigest } from "../../src/identity/api-keys.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };
const KEY = "hgk_very-secret";
const PASSWORD = "very-secret";
const HASH = "$2b$04$4ofCbg1WzRxMpbgVfMNRfenobG4wvYjh5/AMw5X.Mwvt.EHvotjKG";

const everything =
  "{uri} {query} {path} {user} {error} {header:x-key} {header:authorization} {header:referer} {responseHeader:location}";

describe("the access log", TIMEOUT, () => {
  for (const format of ["json", "combined", everything]) {
    test(`shows no key and no password: ${format}`, async () => {
      using folder = new TestFolder();
      const output = folder.file("access.log");
      const fields =
        format === "json" ? { fields: ["uri", "query", "header:x-key", "header:referer", "error", "user"] } : {};
      const keys = [{ name: "ci", sha256: keyDigest(KEY) }];
      const value = {
        log: { access: { format, output, ...fields } },
        servers: {
          web: {
            listen: "127.0.0.1:0",
            routes: [
              {
                match: { path: "/key" },
                use: [{ apiKey: { keys, from: ["header:x-key", "query:k_y"] } }],
                respond: 204,
              },
              { match: { path: "/moved" }, redirect: { to: "/key?{query}", status: 307 } },
              { match: { path: "/login" }, use: [{ basicAuth: { users: { alice: HASH } } }], respond: 204 },
              { match: { path: "/denied" }, use: [{ ipAllow: ["192.0.2.0/24"] }], respond: 204 },
            ],
          },
        },
      };
      {
        await using proxy = await ProxyUnderTest.start(value);
        using client = await RawClient.connect(proxy.port("web"));
        const ask = async (target: string, ...lines: string[]) => {
          const head = [`GET ${target} HTTP/1.1`, "Host: a", ...lines, "", ""].join("\r\n");
          return (await client.send(head).answer()).status;
        };
        const basic = (password: string) =>
          `Authorization: Basic ${Buffer.from(`alice:${password}`).toString("base64")}`;
        assert.equal(await ask(`/key?a=1&k_y=${KEY}`), 204);
        assert.equal(await ask(`/key?k%5fy=${KEY}`), 204);
        assert.equal(await ask(`/key?k_y=${KEY}x`), 401);
        assert.equal(await ask("/key", `X-Key: ${KEY}`), 204);
        assert.equal(await ask("/key", `X-Key: ${KEY} ${KEY}`), 401);
        assert.equal(await ask(`/denied?k_y=${KEY}`), 403);
        assert.equal(await ask(`/nowhere?k_y=${KEY}`, `Referer: http://a/key?k_y=${KEY}#x`), 404);
        assert.equal(await ask(`/moved?k_y=${KEY}`), 307);
        assert.equal(await ask("/login", basic(PASSWORD)), 204);
        assert.equal(await ask("/login", basic(`${PASSWORD}x`)), 401);
        assert.equal(await ask("/login", `Authorization: Basic ${PASSWORD}`), 401);
      }
      const log = folder.read("access.log");
      assert.equal(log.trimEnd().split("\n").length, 11);
      assert.match(log, /\[redacted\]/);
      assert.doesNotMatch(log, /very-secret/);
      const encoded = Buffer.from(`alice:${PASSWORD}`).toString("base64").slice(0, 20);
      assert.ok(!log.includes(encoded));
    });
  }

  test("shows nothing of where an issuer's keys are that may be a secret, whatever it answers", async () => {
    await using issuer = await Origin.start((request, response) => {
      response.statusCode = request.url?.startsWith("/none") ? 403 : 200;
      response.end("{}");
    });
    const jwt = (path: string) => {
      const jwks = `${issuer.url.replace("://", `://user:${PASSWORD}@`)}${path}?code=${KEY}`;
      return { match: { path }, use: [{ jwt: { algorithm: "ES256", jwks } }], respond: 204 };
    };
    await using proxy = await ProxyUnderTest.start({
      log: { access: { format: "json", fields: ["path", "error"] } },
      servers: { web: { listen: "127.0.0.1:0", routes: [jwt("/none"), jwt("/empty")] } },
    });
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const token = `${encode({ alg: "ES256" })}.${encode({ exp: 4e9 })}.AA`;
    for (const path of ["/none", "/empty"]) {
      using client = await RawClient.connect(proxy.port("web"));
      const head = `GET ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`;
      assert.equal((await client.send(head).answer()).status, 503);
    }
    const log = proxy.accessLines.join("\n");
    assert.match(log, /\/none: the answer has the status 403/);
    assert.match(log, /\/empty: the answer has no key/);
    assert.doesNotMatch(log, /very-secret/);
  });
});
