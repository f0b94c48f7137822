import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FieldBlock } from "../../core/fields.ts";
import { KeyRing, seal } from "../../identity/envelope.ts";
import type { Injection } from "./options.ts";
import { linesOfRecord } from "./record.ts";

const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: "11".repeat(32) }]);
const BASIC: Injection = { kind: "basic" };
const BEARER: Injection = { kind: "bearer" };
const HEADERS: Injection = {
  kind: "headers",
  headers: [
    ["x-key", "key"],
    ["x-account", "account"],
  ],
};

function lines(
  record: unknown,
  injection: Injection,
  keys: KeyRing | null = ring,
): (readonly [string, string])[] | null {
  const made = linesOfRecord(typeof record === "string" ? record : JSON.stringify(record), "key-1", keys, injection);
  if (made === null) return null;
  const fields = new FieldBlock();
  fields.appendEncoded(made);
  return [...fields.entries()];
}

const sealed = (credentials: string, key = "key-1") => ({ v: 1, credentials: seal(ring, credentials, key) });
const basic = (pair: string) => [["Authorization", `Basic ${Buffer.from(pair).toString("base64")}`]];

describe("a record with encrypted credentials", () => {
  it("becomes Basic, with any characters but controls", () => {
    for (const pair of ["alice:secret", "jörg:p:ä:ß€", ":", "a:", ":b", "a b:c\u2028d"]) {
      assert.deepEqual(lines(sealed(pair), BASIC), basic(pair));
    }
    for (const pair of ["alice", "", "a\n:b", "a:b\r\nX-Admin: 1", "a:\0", "a:\u007f"]) {
      assert.equal(lines(sealed(pair), BASIC), null, JSON.stringify(pair));
    }
  });

  it("becomes Bearer, when it is a token", () => {
    assert.deepEqual(lines(sealed("abc.d-e_f~+/=="), BEARER), [["Authorization", "Bearer abc.d-e_f~+/=="]]);
    for (const token of ["", "a b", "a\r\nX: 1", "ü", "=a"]) assert.equal(lines(sealed(token), BEARER), null, token);
  });

  it("becomes fields of any name, all of them or none", () => {
    const object = (members: object) => lines(sealed(JSON.stringify(members)), HEADERS);
    assert.deepEqual(object({ key: "k 1", account: "jörg", more: 1 }), [
      ["x-key", "k 1"],
      ["x-account", Buffer.from("jörg").toString("latin1")],
    ]);
    for (const account of [undefined, null, 1, "", " a", "a ", "a\r\nX-Admin: 1", "a\0", ["a"]]) {
      assert.equal(object({ key: "k", account }), null, JSON.stringify(account));
    }
  });

  it("is no object of the user's own making: user:password is not read as JSON", () => {
    const crafted = `{"key":"root","account":"root","x":":secret"}`;
    assert.notEqual(lines(sealed(crafted), HEADERS), null);
    assert.deepEqual(lines(sealed(crafted), BASIC), basic(crafted));
    assert.equal(lines(sealed(`{"key":"root","key":"${"a"}","account":"b"}`), HEADERS), null);
    assert.equal(lines(sealed("alice:secret"), HEADERS), null);
  });

  it("of another record's key is none", () => assert.equal(lines(sealed("alice:secret", "key-2"), BASIC), null));

  for (const record of [
    "",
    "null",
    "[]",
    '"x"',
    "{}",
    '{"v":1}',
    '{"v":1,"credentials":7}',
    '{"v":1,"credentials":"alice:secret"}',
    { credentials: sealed("alice:secret").credentials },
    { v: 2, credentials: sealed("alice:secret").credentials },
    { v: "1", credentials: sealed("alice:secret").credentials },
    `{"v":1,"credentials":"x","credentials":"${sealed("alice:secret").credentials}"}`,
  ]) {
    it(`that cannot be read is none: ${JSON.stringify(record).slice(0, 50)}`, () =>
      assert.equal(lines(record, BASIC), null));
  }
});

describe("a record without encryption, as hyper-auth-proxy has it", () => {
  const plain = (credentials: string, injection: Injection = BASIC) => lines({ credentials }, injection, null);

  it("has user:password, or the base64 of it", () => {
    assert.deepEqual(plain("alice:secret"), basic("alice:secret"));
    assert.deepEqual(plain(Buffer.from("jörg:ä:ß").toString("base64")), basic("jörg:ä:ß"));
    assert.deepEqual(plain(`${Buffer.from("alice:secret").toString("base64")}\n`), basic("alice:secret"));
    assert.deepEqual(lines({ v: 1, credentials: "a:b" }, BASIC, null), basic("a:b"));
    for (const text of ["alice", "YWxpY2U=", "YWxpY2U6c2VjcmV0=", "/w==", Buffer.from("a:\n").toString("base64")]) {
      assert.equal(plain(text), null, text);
    }
  });

  it("may have a token or an object", () => {
    assert.deepEqual(plain("abc", BEARER), [["Authorization", "Bearer abc"]]);
    assert.equal(plain('{"key":"k","account":"a"}', HEADERS)?.length, 2);
  });

  it("is never read where encryption is asked for", () => assert.equal(lines({ credentials: "a:b" }, BASIC), null));
});

it("whatever is in a record, nothing is thrown, and no line is more than one line", () => {
  const credentials = fc.oneof(fc.string({ unit: "binary" }), fc.json());
  const injection = fc.constantFrom(BASIC, BEARER, HEADERS);
  const property = fc.property(credentials, injection, fc.boolean(), (text, kind, isPlain) => {
    if (!text.isWellFormed()) return;
    const record = isPlain ? JSON.stringify({ credentials: text }) : JSON.stringify(sealed(text));
    for (const [, value] of lines(record, kind, isPlain ? null : ring) ?? [])
      assert.doesNotMatch(value, /[\0-\x1f\x7f]/);
    lines(text, kind, isPlain ? null : ring);
  });
  fc.assert(property, { numRuns: 1000 });
});
