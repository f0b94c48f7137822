import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { normalisedPath } from "../core/option-addresses.ts";
import { normalisePath } from "./uri.ts";

describe("a path is normalised", () => {
  const table: readonly (readonly [path: string, normal: string | null])[] = [
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a/b/", "/a/b/"],
    ["/.well-known/x", "/.well-known/x"],
    ["/a/...", "/a/..."],
    ["/a.b/..c/.d", "/a.b/..c/.d"],
    // Dot segments (RFC 3986, section 5.2.4 and its examples).
    ["/a/b/c/./../../g", "/a/g"],
    ["/./a", "/a"],
    ["/a/.", "/a/"],
    ["/a/..", "/"],
    ["/a/b/..", "/a/"],
    ["/..", "/"],
    ["/../../etc/passwd", "/etc/passwd"],
    ["/a/../../b", "/b"],
    ["/%2e%2E/b", "/b"],
    ["/a/%2e./b", "/b"],
    ["/a/.%2e", "/"],
    // Empty segments.
    ["//", "/"],
    ["//a///b//", "/a/b/"],
    ["/a//../b", "/b"],
    // Percent-encodings.
    ["/%7Euser/%41%2d%5F%30", "/~user/A-_0"],
    ["/%e4%bd%a0", "/%E4%BD%A0"],
    ["/a%20b%3f%23", "/a%20b%3F%23"],
    ["/a%2fb", "/a%2Fb"],
    ["/@scope%2Fname", "/@scope%2Fname"],
    ["/DOMAIN%5cuser", "/DOMAIN%5Cuser"],
    ["/%252e%252e/a", "/%252e%252e/a"],
    ["/100%25", "/100%25"],
    ["/a%0d%0ab", "/a%0D%0Ab"],
    // What browsers send unencoded.
    ['/a|b[c]{d}^`"<>', '/a|b[c]{d}^`"<>'],
    ["/a;b=c/d;e", "/a;b=c/d;e"],
    // Refused.
    ["", null],
    ["a", null],
    ["*", null],
    ["/a%", null],
    ["/a%4", null],
    ["/a%4g", null],
    ["/a%%41", null],
    ["/a%00", null],
    ["/a\0", null],
    ["/a\\b", null],
    ["/..\\a", null],
    ["/a b", null],
    ["/a\tb", null],
    ["/a\x7f", null],
    ["/\xe4", null],
    ["/a#b", null],
    ["/a?b", null],
    // Dot segments in disguise.
    ["/a/..%2fb", null],
    ["/a%2f..%2fb", null],
    ["/a%2f../b", null],
    ["/a%2F..", null],
    ["/a/..%5cb", null],
    ["/a%5c.%5cb", null],
    ["/%2e%2e%2fb", null],
    ["/a/..;/b", null],
    ["/a/..;x=y/b", null],
    ["/a/.;/b", null],
    ["/a/..%3b/b", null],
    // Not in disguise: dots within a name.
    ["/a..%2Fb", "/a..%2Fb"],
    ["/a%2F..b", "/a%2F..b"],
    ["/a%2F.b", "/a%2F.b"],
    ["/a..;b", "/a..;b"],
  ];
  for (const [path, normal] of table) {
    it(`${JSON.stringify(path)} to ${JSON.stringify(normal)}`, () => assert.equal(normalisePath(path), normal));
  }
});

describe("normalising", () => {
  const piece = fc.constantFrom(
    ..."/ / / . .. ... a B ~ %2e %2E %2f %2F %5c %5C %3B %41 %7e %c3%a9 %25 %00 % %4 ; ;x \\ ? # [".split(" "),
  );
  const path = fc.array(piece, { maxLength: 24 }).map((pieces) => `/${pieces.join("")}`);

  it("its result changes nothing", () => {
    fc.assert(
      fc.property(path, (text) => {
        const normal = normalisePath(text);
        if (normal !== null) assert.equal(normalisePath(normal), normal);
      }),
      { numRuns: 3000 },
    );
  });

  it("gives a path that no reader climbs or splits in another way", () => {
    fc.assert(
      fc.property(path, (text) => {
        const normal = normalisePath(text);
        if (normal === null) return;
        assert.match(normal, /^\/[\x21-\x7e]*$/);
        assert.doesNotMatch(normal, /\/\/|[\\?#]|%(?![0-9A-F]{2})|%00/);
        // Readers that decode escaped slashes first, that split at backslashes, that cut path parameters off.
        for (const segment of normal
          .replaceAll(/%2F|%5C/g, "/")
          .replaceAll("%3B", ";")
          .split("/")) {
          assert.doesNotMatch(segment, /^\.\.?(;|$)/);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("agrees with the URL standard on dot segments where nothing else is in the path", () => {
    const dotPath = fc.array(fc.constantFrom("a", "b", ".", "..", "%2e"), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(dotPath, (segments) => {
        const text = `/${segments.join("/")}`;
        assert.equal(normalisePath(text), new URL(text, "http://x").pathname);
      }),
      { numRuns: 1000 },
    );
  });

  it("leaves what the configuration has normalised as it is, so that routes can match", () => {
    fc.assert(
      fc.property(path, (text) => {
        const configured = normalisedPath(text);
        const requested = normalisePath(text);
        if (configured !== null && requested !== null) assert.equal(requested, configured);
      }),
      { numRuns: 2000 },
    );
  });

  it("takes time in proportion to the length", () => {
    const hostile = [`/${"%2F.".repeat(4000)}`, `/${"../".repeat(5000)}`, `/${"..;".repeat(5000)}`, "/".repeat(16_000)];
    const timesMs = Array.from({ length: 5 }, () => {
      const startedMs = performance.now();
      for (const text of hostile) normalisePath(text);
      return performance.now() - startedMs;
    });
    // The shortest, since a busy machine may do something else in between.
    assert.ok(Math.min(...timesMs) < 250, timesMs.join());
  });
});
