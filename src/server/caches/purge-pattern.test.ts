/** From what an operator writes to what is looked for among keys. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { purgePatternsOf } from "./purge-pattern.ts";

function textsOf(kind: string, text: string): readonly string[] {
  const read = purgePatternsOf(kind, text);
  assert.ok(read.ok, read.ok ? "" : read.reason);
  return read.patterns.map((pattern) => `${pattern.kind} ${pattern.text}`);
}

function reasonOf(kind: string, text: string): string {
  const read = purgePatternsOf(kind, text);
  assert.ok(!read.ok);
  return read.reason;
}

describe("what is purged", () => {
  it("is a URL as keys have it", () => {
    assert.deepEqual(textsOf("url", "HTTP://Mirror.Example.org:80/a/b?C=D#part"), [
      "url http://mirror.example.org/a/b?C=D",
    ]);
    assert.deepEqual(textsOf("url", "https://mirror.example.org"), ["url https://mirror.example.org/"]);
    assert.deepEqual(textsOf("url", "https://mirror.example.org:8443/"), ["url https://mirror.example.org:8443/"]);
    assert.deepEqual(textsOf("url", "https://[2001:DB8::1]/x"), ["url https://[2001:db8::1]/x"]);
  });

  it("is both forms of a path where they differ", () => {
    assert.deepEqual(textsOf("prefix", "https://a.example/%7Eann/./x"), [
      "prefix https://a.example/%7Eann/./x",
      "prefix https://a.example/~ann/x",
    ]);
  });

  it("is written as keys are, however it was typed", () => {
    assert.deepEqual(textsOf("url", "https://Bücher.example/bücher?ü=1"), [
      "url https://xn--bcher-kva.example/b%C3%BCcher?%C3%BC=1",
    ]);
    assert.deepEqual(textsOf("host", "BÜCHER.example"), ["host xn--bcher-kva.example"]);
    assert.deepEqual(textsOf("host", "2001:db8::1"), ["host [2001:db8::1]"]);
    assert.deepEqual(textsOf("host", "a.example:443"), ["host a.example:443", "prefix https://a.example/"]);
    assert.deepEqual(textsOf("host", "a.example:80"), ["host a.example:80", "prefix http://a.example/"]);
    assert.deepEqual(textsOf("wildcard", "HTTPS://Mirror.Example.org:443/Pool/*"), [
      "wildcard https://mirror.example.org:443/Pool/*",
      "wildcard https://mirror.example.org/Pool/*",
    ]);
    assert.deepEqual(textsOf("wildcard", "https://*.Example.org/Pool/*.deb?X=*"), [
      "wildcard https://*.Example.org/Pool/*.deb?X=*",
      "wildcard https://*.example.org/Pool/*.deb?X=*",
    ]);
    assert.deepEqual(textsOf("wildcard", "*://*.bücher.example/%7eann/*"), [
      "wildcard *://*.b%C3%BCcher.example/%7eann/*",
      "wildcard *://*.b%C3%BCcher.example/~ann/*",
      "wildcard *://*.xn--bcher-kva.example/%7eann/*",
      "wildcard *://*.xn--bcher-kva.example/~ann/*",
    ]);
    assert.deepEqual(textsOf("wildcard", "*.deb"), ["wildcard *.deb"]);
    assert.deepEqual(textsOf("url", "https://a.example/wiki/C*-algebra"), ["url https://a.example/wiki/C*-algebra"]);
  });

  it("that is another kind's is refused with what was meant, and without a password", () => {
    const wildcard = "; for what has a * in it there is --wildcard 'https://*.example.org/pool/*'";
    const url = "expected a URL such as https://mirror.example.org/pool/, got";
    assert.equal(reasonOf("url", "https://a.example/pool/*"), `url: ${url} "https://a.example/pool/*"${wildcard}`);
    assert.equal(reasonOf("prefix", "https://*.example/"), `prefix: ${url} "https://*.example/"${wildcard}`);
    assert.equal(
      reasonOf("host", "*.example.org"),
      `host: expected a host such as mirror.example.org, got "*.example.org"${wildcard}`,
    );
    assert.equal(
      reasonOf("url", "a.example/pool/x?y"),
      `url: ${url} "a.example/pool/x?y"; it begins with https:// or http://`,
    );
    assert.equal(reasonOf("url", "https://ann:secret@a.example/"), `url: ${url} "https://...@a.example/"`);
    assert.doesNotMatch(reasonOf("host", "ann:secret@a.example"), /secret/);
    assert.doesNotMatch(reasonOf("wildcard", "ann:secret@a.example/*"), /secret/);
  });

  it("is a host with its port, a pattern or a tag", () => {
    assert.deepEqual(textsOf("host", "Mirror.example.org:8080"), ["host mirror.example.org:8080"]);
    assert.deepEqual(textsOf("wildcard", "https://*/pool/*.deb"), ["wildcard https://*/pool/*.deb"]);
    assert.deepEqual(textsOf("tag", "release-12"), ["tag release-12"]);
  });

  it("is nothing that could never match", () => {
    assert.match(reasonOf("url", "/pool/a.deb"), /expected a URL such as https:/);
    assert.match(reasonOf("url", "ftp://a.example/"), /expected a URL/);
    assert.match(reasonOf("url", "https://a.example/%zz"), /expected a URL/);
    assert.match(reasonOf("prefix", "https:///x"), /expected a URL/);
    assert.match(reasonOf("host", "https://a.example/"), /expected a host/);
    assert.match(reasonOf("tag", "two tags"), /without spaces/);
    assert.match(reasonOf("tag", ""), /got nothing/);
    assert.match(reasonOf("everything", "x"), /one of url, prefix, host, wildcard, tag/);
  });

  it("a wildcard that no URL can match is refused", () => {
    for (const text of ["x", "pool/*", "*.deb", "h*", "http*", "https://a.example/", "mirror.example.org/*"]) {
      assert.equal(purgePatternsOf("wildcard", text).ok, /^(\*|h)/.test(text), text);
    }
  });
});
