import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAuthority, splitAbsoluteForm } from "./uri.ts";

describe("an authority", () => {
  const valid: readonly (readonly [text: string, host: string, port: number | null])[] = [
    ["example.org", "example.org", null],
    ["EXAMPLE.org:8080", "example.org", 8080],
    ["example.org.", "example.org.", null],
    ["example.org:", "example.org", null],
    ["my_host-1:65535", "my_host-1", 65535],
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["[::1]", "[::1]", null],
    ["[2001:DB8::1]:443", "[2001:db8::1]", 443],
    ["[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]", 1],
  ];
  for (const [text, host, port] of valid) {
    it(text, () => assert.deepEqual(parseAuthority(text), { host, port }));
  }

  const invalid = [
    "",
    ":80",
    "a b",
    "a:b",
    "a:0",
    "a:65536",
    "a:080",
    "a:123456",
    "user@a",
    "a/b",
    "a,b",
    "a;b",
    "a%41",
    'a"',
  ];
  invalid.push(
    "::1",
    "[::1",
    "::1]",
    "[]",
    "[1.2.3.4]",
    "[::1]x",
    "[::g]",
    "[1:2]",
    "[fe80::1%25eth0]",
    "a:80:90",
    "ä",
    "a\r\nb",
  );
  for (const text of invalid) {
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(parseAuthority(text), null));
  }
});

describe("a target in absolute form", () => {
  it("is split", () => {
    const target = "HTTP://Example.ORG:81/A/../b?c=d?e";
    const parts = { scheme: "http", authority: "example.org:81", path: "/A/../b", query: "c=d?e" };
    assert.deepEqual(splitAbsoluteForm(target), parts);
    assert.deepEqual(splitAbsoluteForm("https://[::1]/"), {
      scheme: "https",
      authority: "[::1]",
      path: "/",
      query: null,
    });
  });

  it("has the path / when it names none", () => {
    assert.deepEqual(splitAbsoluteForm("http://a"), { scheme: "http", authority: "a", path: "/", query: null });
    assert.deepEqual(splitAbsoluteForm("http://a?b"), { scheme: "http", authority: "a", path: "/", query: "b" });
    assert.deepEqual(splitAbsoluteForm("http://a?"), { scheme: "http", authority: "a", path: "/", query: "" });
  });

  const invalid = [
    "",
    "/a",
    "http:/a",
    "http:///a",
    "http://",
    "ftp://a/",
    "ws://a/",
    "http://u@a/",
    "http://u:p@a/",
    "http://a/#f",
  ];
  invalid.push("http://a\\b/", "http://a:99999/", "xhttp://a/", " http://a/");
  for (const target of invalid) {
    it(`is not ${JSON.stringify(target)}`, () => assert.equal(splitAbsoluteForm(target), null));
  }
});
