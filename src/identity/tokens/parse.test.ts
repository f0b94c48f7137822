import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hmacToken, signingInput } from "../../../test/support/tokens.ts";
import { parseJsonObject } from "./json.ts";
import { parseToken, TOKEN_BYTES_MAX, unwrapCookie } from "./parse.ts";

const HEADER = { alg: "HS256" };

describe("parsing a token", () => {
  it("gives its parts", () => {
    const text = hmacToken({ sub: "alice", n: 1 }, "k", "HS256", { kid: "a" });
    const token = parseToken(text)!;
    assert.deepEqual({ ...token.claims }, { sub: "alice", n: 1 });
    assert.equal(token.algorithm, "HS256");
    assert.equal(token.keyId, "a");
    assert.equal(text.slice(0, token.signedLength), text.slice(0, text.lastIndexOf(".")));
    assert.equal(token.signature.toString("base64url"), text.slice(text.lastIndexOf(".") + 1));
  });

  const good = signingInput(HEADER, { sub: "a" });
  const table: readonly (readonly [what: string, text: string])[] = [
    ["nothing", ""],
    ["one part", "abc"],
    ["two parts", good],
    ["four parts", `${good}.c2ln.c2ln`],
    ["five parts, as an encrypted one has", `${good}.c2ln.c2ln.c2ln`],
    ["padding", `${good}.c2k=`],
    ["base64 that is not for URLs", `${good}.+/+/`],
    ["bits behind the last byte", `${good}.c2l`.replace(/l$/, "n")],
    ["a single character", `${good}.c`],
    ["white space", ` ${good}.c2ln`],
    ["a header that is no JSON", `${signingInput("{alg:1}", {})}.c2ln`],
    ["a header that is a list", `${signingInput([], {})}.c2ln`],
    ["claims that are text", `${signingInput(HEADER, '"sub"')}.c2ln`],
    ["claims that are null", `${signingInput(HEADER, "null")}.c2ln`],
    ["no algorithm", `${signingInput({}, {})}.c2ln`],
    ["an algorithm that is no text", `${signingInput({ alg: ["HS256"] }, {})}.c2ln`],
    ["a key id that is no text", `${signingInput({ alg: "HS256", kid: 7 }, {})}.c2ln`],
    ["a key id without end", `${signingInput({ alg: "HS256", kid: "k".repeat(513) }, {})}.c2ln`],
    ["extensions that must be understood", `${signingInput({ alg: "HS256", crit: ["exp"] }, {})}.c2ln`],
    ["a payload that is not base64", `${signingInput({ alg: "HS256", b64: false }, {})}.c2ln`],
    ["a claim twice", `${signingInput(HEADER, '{"sub":"alice","sub":"bob"}')}.c2ln`],
    ["a claim twice, once escaped", `${signingInput(HEADER, '{"sub":"alice","\\u0073ub":"bob"}')}.c2ln`],
    ["an algorithm twice", `${signingInput('{"alg":"none","alg":"HS256"}', {})}.c2ln`],
    ["a name twice, deep inside", `${signingInput(HEADER, '{"a":[{"b":{"c":1,"d":2,"c":3}}]}')}.c2ln`],
    [
      "bytes that are no UTF-8",
      `${good.split(".")[0]}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString("base64url")}.c2ln`,
    ],
    ["more than a token has", hmacToken({ sub: "a".repeat(TOKEN_BYTES_MAX) }, "k")],
  ];
  for (const [what, text] of table) it(`refuses ${what}`, () => assert.equal(parseToken(text), null));

  it("takes the same name in different objects, and names that JavaScript knows", () => {
    const claims = '{"a":{"b":1},"b":[{"b":2},{"b":3}],"__proto__":{"admin":true},"constructor":"x"}';
    const token = parseToken(`${signingInput(HEADER, claims)}.c2ln`)!;
    assert.equal(JSON.stringify(token.claims), claims);
    assert.equal((token.claims as { admin?: unknown }).admin, undefined);
  });

  it("never throws, and takes no text that it would not write itself", () => {
    const base = hmacToken({ sub: "alice", roles: ["a"], n: { m: [1, { k: null }] } }, "key");
    const mutated = fc
      .array(fc.tuple(fc.nat(base.length), fc.nat(3), fc.string({ maxLength: 3 })), { maxLength: 4 })
      .map((edits) => edits.reduce((text, [at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut), base));
    const property = fc.property(fc.oneof(mutated, fc.string()), (text) => {
      const token = parseToken(text);
      if (token === null) return;
      assert.equal(
        text
          .split(".")
          .map((part) => Buffer.from(part, "base64url").toString("base64url"))
          .join("."),
        text,
      );
      assert.equal(token.text, text);
    });
    fc.assert(property, { numRuns: 3000 });
  });
});

describe("JSON with a name twice", () => {
  it("is found wherever it is, and nowhere else", () => {
    const property = fc.property(fc.json(), fc.jsonValue(), (text, value) => {
      // What JSON.stringify makes of an object has no name twice.
      const object = JSON.stringify({ value, other: JSON.parse(text) as unknown });
      assert.notEqual(parseJsonObject(Buffer.from(object)), null, object);
      const repeated = `{"a":${JSON.stringify(value)},"b":{"x":${text},"y":[],"x":0}}`;
      assert.equal(parseJsonObject(Buffer.from(repeated)), null, repeated);
    });
    fc.assert(property, { numRuns: 500 });
  });

  it("with braces, quotes and commas in its texts is read right", () => {
    assert.notEqual(parseJsonObject(Buffer.from('{"a":"\\"},{\\"a\\":","b":"[a,a]"}')), null);
  });
});

describe("a cookie's value", () => {
  const token = hmacToken({ sid: "1" }, "key");
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  for (const [what, value] of [
    ["the token itself", token],
    ["its base64", base64(token)],
    ["its base64 without padding", base64(token).replace(/=+$/, "")],
    ["base64 of the token in double quotes", base64(`"${token}"`)],
    ["base64 with a line break inside", base64(`${token}\n`)],
  ] as const) {
    it(`is ${what}`, () => assert.equal(unwrapCookie(value), token));
  }

  it("is itself when it is anything else", () => {
    for (const value of ["", "%", "a b", "ü", "====", "a".repeat(TOKEN_BYTES_MAX + 1)]) {
      assert.equal(parseToken(unwrapCookie(value)), null);
    }
  });
});
