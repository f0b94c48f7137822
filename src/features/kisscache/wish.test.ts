// What is read out of a request to kisscache's interface, and where redirects lead.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Download, redirected, wishOf } from "./wish.ts";

function wishOfTarget(target: string) {
  const [path = "", query = null] = /^([^?]*)(?:\?(.*))?$/s.exec(target)!.slice(1);
  return wishOf(path, query ?? null);
}

function downloadOf(target: string): Download {
  const wish = wishOfTarget(target);
  assert.equal(wish.kind, "download", JSON.stringify(wish));
  return (wish as Extract<typeof wish, { kind: "download" }>).download;
}

describe("a request", () => {
  const table: readonly (readonly [target: string, kind: string])[] = [
    ["/", "help"],
    ["/help/", "help"],
    ["/api/v1/health/", "health"],
    ["/api/v1/health", "health"],
    ["/api/v1/status/", "status"],
    ["/api/v1/fetch?url=http://a/", "download"],
    ["/api/v1/fetch/name?url=http://a/", "download"],
    ["/api/v1/fetch/a/b?url=http://a/", "unknown"],
    ["/api/v2/fetch?url=http://a/", "unknown"],
    ["/http%3A%2F%2Fa%2Fb", "download"],
    ["/https:%2f%2Fa", "download"],
    ["/ftp%3A%2F%2Fa", "unknown"],
    ["/http%3A%2Fa", "unknown"],
  ];
  for (const [target, kind] of table) it(`${target} is ${kind}`, () => assert.equal(wishOfTarget(target).kind, kind));

  const wrong: readonly (readonly [target: string, message: RegExp])[] = [
    ["/api/v1/fetch", /^'url' should be specified$/],
    ["/api/v1/fetch?url=", /^'url' should be specified$/],
    ["/api/v1/fetch?url=a/b", /^'url' is no URL/],
    ["/api/v1/fetch?url=file:///etc/passwd", /^'url' is no URL/],
    ["/api/v1/fetch?url=http://user:pass@a/", /^'url' must not hold credentials/],
    ["/api/v1/fetch?url=http://user@a/", /^'url' must not hold credentials/],
    ["/api/v1/fetch?url=http://a/&ttl=10", /^Invalid 'ttl' value$/],
    ["/api/v1/fetch?url=http://a/&ttl=0d", /^Invalid 'ttl' value$/],
    ["/api/v1/fetch?url=http://a/&ttl=-1d", /^Invalid 'ttl' value$/],
    ["/api/v1/fetch?url=http://a/&ttl=", /^Invalid 'ttl' value$/],
    ["/http%3A%2F%2Fa%2Fb?c=d", /^the URL must be percent-encoded whole/],
    ["/http%3A%2F%2Fa%2F%ff", /^'url' is no URL/],
  ];
  for (const [target, message] of wrong) {
    it(`${target} is wrong`, () => {
      const wish = wishOfTarget(target);
      assert.ok(wish.kind === "wrong");
      assert.match(wish.message, message);
    });
  }

  it("says what is to be downloaded, as the URL standard writes it", () => {
    assert.equal(
      downloadOf("/api/v1/fetch?url=http://A.example:80/b%20c?d=e%26f#g").url.href,
      "http://a.example/b%20c?d=e&f",
    );
    assert.equal(downloadOf("/api/v1/fetch?url=http%3A%2F%2Fa%2Fb%3Fc%3Dd").url.href, "http://a/b?c=d");
    assert.equal(downloadOf("/http%3A%2F%2Fa%2Fb+c%3Fd%3De%2520f").url.href, "http://a/b+c?d=e%20f");
    // In whatever way an address is written, it is the address that the rules see.
    assert.equal(downloadOf("/api/v1/fetch?url=http://0x7f.1/").url.hostname, "127.0.0.1");
  });

  it("says how the download is called", () => {
    assert.equal(downloadOf("/api/v1/fetch?url=http://a/b/c.tar.gz?x").name, "c.tar.gz");
    assert.equal(downloadOf("/api/v1/fetch?url=http://a/b/").name, "");
    assert.equal(downloadOf("/api/v1/fetch/n%C3%A4me?url=http://a/b").name, "näme");
    assert.equal(downloadOf("/http%3A%2F%2Fa%2Fb.img").name, "b.img");
  });

  it("says how old it may be, and what the origin gets", () => {
    const seconds = (ttl: string) => downloadOf(`/api/v1/fetch?url=http://a/&ttl=${ttl}`).ttl?.seconds;
    assert.deepEqual(["10d", "2h", "3m", "4s"].map(seconds), [864_000, 7_200, 180, 4]);
    const { ttl, passHeaders } = downloadOf("/api/v1/fetch?url=http://a/&passheaders=Authorization,%20X-A,");
    assert.equal(ttl, null);
    assert.deepEqual(passHeaders, ["authorization", "x-a"]);
    assert.deepEqual(downloadOf("/api/v1/fetch?url=http://a/&passheaders=").passHeaders, []);
    assert.equal(downloadOf("/api/v1/fetch?url=http://a/").passHeaders, null);
  });

  it("is read whatever it is", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\/[!-~]{0,40}$/), (target) => {
        const wish = wishOfTarget(target);
        if (wish.kind === "download") assert.match(wish.download.url.href, /^https?:\/\/[^@/]+\/[^#]*$/);
      }),
      { numRuns: 3000 },
    );
  });

  it("names any URL in both ways", () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (url) => {
        const { href } = new URL(url);
        assert.equal(downloadOf(`/${encodeURIComponent(url)}`).url.href, href);
        assert.equal(downloadOf(`/api/v1/fetch?url=${encodeURIComponent(url)}`).url.href, href);
      }),
    );
  });
});

describe("a redirect", () => {
  const table: readonly (readonly [target: string, location: string, leads: string | null])[] = [
    ["/api/v1/fetch?url=http://a/b", "/c", "?url=http%3A%2F%2Fa%2Fc"],
    ["/api/v1/fetch/n?url=http://a/b&ttl=1h&passheaders=x-a", "c", "?url=http%3A%2F%2Fa%2Fc&ttl=1h&passheaders=x-a"],
    ["/api/v1/fetch?url=http://a/b&passheaders=x-a", "http://b/", "?url=http%3A%2F%2Fb%2F&passheaders="],
    ["/api/v1/fetch?url=http://a/b", "https://a/b#d", "?url=https%3A%2F%2Fa%2Fb&passheaders="],
    ["/api/v1/fetch?url=http://a/b", "//b:81/", "?url=http%3A%2F%2Fb%3A81%2F&passheaders="],
    ["/http%3A%2F%2Fa%2Fb", "/c?d", "http%3A%2F%2Fa%2Fc%3Fd"],
    ["/http%3A%2F%2Fa%2Fb", "http://b/", "api/v1/fetch?url=http%3A%2F%2Fb%2F&passheaders="],
    ["/api/v1/fetch?url=http://a/b", "ftp://b/", null],
    ["/api/v1/fetch?url=http://a/b", "http://u:p@b/", null],
    ["/api/v1/fetch?url=http://a/b", "http://[", null],
  ];
  for (const [target, location, leads] of table) {
    it(`of ${target} to ${location} leads to ${leads}`, () =>
      assert.equal(redirected(downloadOf(target), location), leads));
  }

  it("leads back to the same download", () => {
    fc.assert(
      fc.property(
        fc.webUrl({ withQueryParameters: true }),
        fc.constantFrom("api/v1/fetch/x?url=http%3A%2F%2Fa%2Fb", "http%3A%2F%2Fa%2Fb"),
        (url, asked) => {
          const location = redirected(downloadOf(`/${asked}`), url);
          const { pathname, search } = new URL(location!, `http://proxy/${asked}`);
          assert.equal(downloadOf(pathname + search).url.href, new URL(url).href);
        },
      ),
    );
  });
});
