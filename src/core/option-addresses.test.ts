import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../test/support/seed.ts";
import { normalisePath } from "../semantics/uri.ts";
import {
  authority,
  canonicalHost,
  doOverlap,
  formatListenAddress,
  hostPattern,
  listenAddress,
  normalisedPath,
  pathPattern,
  pathPrefix,
  serverUrl,
} from "./option-addresses.ts";

describe("hosts", () => {
  it("have one form, and none that two programs could read in two ways", () => {
    const cases: readonly [text: string, host: string | null][] = [
      ["Example.ORG", "example.org"],
      ["münchen.example", "xn--mnchen-3ya.example"],
      ["my_service", "my_service"],
      ["127.0.0.1", "127.0.0.1"],
      ["[::1]", "[::1]"],
      ["[2001:DB8:0::1]", "[2001:db8::1]"],
      ["127.1", null],
      ["0177.0.0.1", null],
      ["2130706433", null],
      ["0x7f.0.0.1", null],
      ["::1", null],
      ["a:80", null],
      ["a/b", null],
      ["a b", null],
      ["a@b", null],
      ["a%41", null],
      ["a*b", null],
      ["[::1", null],
      ["", null],
      [".example.org", null],
      ["a..b", null],
      [`${"a".repeat(60)}.`.repeat(5), null],
    ];
    for (const [text, host] of cases) assert.equal(canonicalHost(text), host, text);
  });

  it("are patterns with a star for whole labels only", () => {
    const parse = (text: string) => hostPattern().safeParse(text).data ?? null;
    assert.equal(parse("*.Example.org"), "*.example.org");
    assert.equal(parse("example.org."), "example.org");
    assert.equal(parse("*.example.org."), "*.example.org");
    for (const text of ["*", "*.", "*example.org", "a.*.org", "*.[::1]", "example.org:80", "http://a"]) {
      assert.equal(parse(text), null, text);
    }
  });

  it("begin with no dot, which says two things elsewhere", () => {
    const told = (text: string) => hostPattern().safeParse(text).error?.issues[0]?.message;
    const both = 'a host begins with no dot: write example.org, "*.example.org", or both in a list';
    assert.equal(told(".example.org"), both);
    for (const text of [".", "..a", ".*.a", "*..a"]) assert.match(told(text) ?? "", /^expected a host such as/, text);
  });

  it("stand in Host with a port or without, but never as a bare word", () => {
    const parse = (text: string) => authority().safeParse(text).data ?? null;
    assert.equal(parse("App.internal"), "app.internal");
    assert.equal(parse("app:8080"), "app:8080");
    assert.equal(parse("[::1]:80"), "[::1]:80");
    assert.equal(parse("localhost"), "localhost");
    for (const text of ["presrve", "app:70000", "app:", "", "a b:80"]) assert.equal(parse(text), null, text);
  });
});

describe("servers of upstreams", () => {
  it("are a scheme and an authority", () => {
    assert.deepEqual(serverUrl().parse("HTTP://App.Internal/"), {
      url: "http://app.internal",
      scheme: "http",
      host: "app.internal",
      port: 80,
      authority: "app.internal",
    });
    assert.deepEqual(serverUrl().parse("https://[::1]:8443"), {
      url: "https://[::1]:8443",
      scheme: "https",
      host: "::1",
      port: 8443,
      authority: "[::1]:8443",
    });
    assert.deepEqual(serverUrl().parse("https://a:443"), serverUrl().parse("https://a"));
    assert.deepEqual(serverUrl().parse("unix:/run/app.sock"), {
      url: "unix:/run/app.sock",
      scheme: "http",
      host: "/run/app.sock",
      port: 0,
      authority: "localhost",
    });
  });

  it("are nothing else", () => {
    const texts = ["", "a", "a:80", "http:a", "http://", "http:///", "http://a/b", "http://a?b", "http://a#b", "unix:"];
    for (const text of [...texts, "http://u@a", "http://a:0", "http://a:65536", "http://127.1", "ftp://a", "ws://a"]) {
      assert.equal(serverUrl().safeParse(text).success, false, text);
    }
  });
});

describe("listening addresses", () => {
  it("have a text from which they parse again", () => {
    const cases: readonly [text: string, canonical: string][] = [
      [":8080", ":8080"],
      [":0", ":0"],
      ["127.0.0.1:80", "127.0.0.1:80"],
      ["LOCALHOST:80", "localhost:80"],
      ["[::1]:080", "[::1]:80"],
      ["[0:0::1]:80", "[::1]:80"],
      ["unix:/run/web.sock", "unix:/run/web.sock"],
    ];
    for (const [text, canonical] of cases) {
      const address = listenAddress().parse(text);
      assert.equal(formatListenAddress(address), canonical);
      assert.deepEqual(listenAddress().parse(canonical), address);
    }
    assert.deepEqual(listenAddress().parse("[::1]:80"), { kind: "tcp", host: "::1", port: 80 });
  });

  it("overlap where one is among the others", () => {
    const cases: readonly [one: string, other: string, overlap: boolean][] = [
      [":80", ":80", true],
      [":80", ":81", false],
      [":80", "127.0.0.1:80", true],
      [":80", "localhost:80", true],
      [":80", "0.0.0.0:80", true],
      [":80", "[::]:80", true],
      ["0.0.0.0:80", "127.0.0.1:80", true],
      ["0.0.0.0:80", "localhost:80", false],
      ["0.0.0.0:80", "[::]:80", false],
      ["0.0.0.0:80", "[::1]:80", false],
      ["[::]:80", "[::1]:80", true],
      ["[::]:80", "127.0.0.1:80", false],
      ["127.0.0.1:80", "127.0.0.2:80", false],
      ["unix:/run/a.sock", "unix:/run/a.sock", true],
      ["unix:/run/a.sock", ":80", false],
    ];
    for (const [one, other, overlap] of cases) {
      const [left, right] = [listenAddress().parse(one), listenAddress().parse(other)];
      assert.equal(doOverlap(left, right), overlap, `${one} and ${other}`);
      assert.equal(doOverlap(right, left), overlap, `${other} and ${one}`);
    }
  });

  it("are nothing else", () => {
    for (const text of ["", "8080", "localhost", ":65536", "::1:80", "*:80", "http://a:80", "a:b", "a b:80", "unix:"]) {
      assert.equal(listenAddress().safeParse(text).success, false, text);
    }
  });
});

describe("paths", () => {
  it("are compared in one form", () => {
    const cases: readonly [text: string, path: string | null][] = [
      ["/", "/"],
      ["/%7euser/%c3%a9", "/~user/%C3%A9"],
      ["/é x", "/%C3%A9%20x"],
      ["/a%2fb", "/a%2Fb"],
      ["/a|b", "/a|b"],
      ["a", null],
      ["/a//b", null],
      ["/a/./b", null],
      ["/a/..", null],
      ["/a/%2e%2e/b", null],
      ["/a?b", null],
      ["/a#b", null],
      ["/a%zz", null],
      ["/a%2", null],
      ["/a\\b", null],
      ["/\ud800", null],
    ];
    for (const [text, path] of cases) assert.equal(normalisedPath(text), path, JSON.stringify(text));
  });

  it(`are in the form that the paths of requests are brought into (${replayHint})`, () => {
    const piece = fc.constantFrom("/", "a", ".", "~", "%2f", "%41", "%c3%a9", "é", " ", "|", ";", "%", "*", "{");
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join("")}`);
    fc.assert(
      fc.property(text, (written) => {
        const path = normalisedPath(written);
        // A path that hides a dot segment is refused when a request has it, so no pattern needs to match it.
        if (path !== null) assert.ok([path, null].includes(normalisePath(path)), path);
        const requested = normalisePath(written);
        if (requested !== null) assert.equal(normalisedPath(requested), requested);
      }),
      { numRuns: 3_000, seed },
    );
  });

  it("are patterns with a star at the end only", () => {
    const parse = (text: string) => pathPattern().safeParse(text).data ?? null;
    assert.deepEqual(["/up", "/jmap/*", "/*", "/", "/%41/*"].map(parse), ["/up", "/jmap/*", "/*", "/", "/A/*"]);
    for (const text of ["up", "*", "/a*", "/*/b", "/a/**", "/a//*", "/../*", ""]) assert.equal(parse(text), null, text);
  });

  it("are prefixes without a slash at the end", () => {
    const parse = (text: string) => pathPrefix().safeParse(text).data ?? null;
    assert.equal(parse("/app/v1"), "/app/v1");
    for (const text of ["/", "/app/", "app", "/app/*", "/app?x", ""]) assert.equal(parse(text), null, text);
  });
});
