// Bodies without their secrets: JSON and forms by their grammars, other text up to the first line that names one.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { SecretNames } from "../../semantics/secret-names.ts";
import { coverBody, kindOf } from "./cover-body.ts";

const names = new SecretNames(["Shoe-Size"]);

function covered(type: string, text: string, isCut = false) {
  const kind = kindOf(type);
  assert.ok(kind !== null, type);
  return coverBody(Buffer.from(text), kind, isCut, names);
}

const json = (text: string, isCut = false) => covered("application/json", text, isCut)!;
const form = (text: string, isCut = false) => covered("application/x-www-form-urlencoded", text, isCut)!;
const plain = (text: string, isCut = false) => covered("text/plain", text, isCut)!;

describe("JSON", () => {
  test("keeps every byte that is no secret, and covers values of every kind", () => {
    for (const [text, shown] of [
      ['{ "a" : [1, -2.5e3, true, null, "x\\n"] }\n', '{ "a" : [1, -2.5e3, true, null, "x\\n"] }\n'],
      ['{"password":"hunter2","b":1}', '{"password":"[redacted]","b":1}'],
      ['{"token":{"a":["hunter2",{"b":"}"}]},"b":1}', '{"token":"[redacted]","b":1}'],
      ['{"secret": 123, "pin":[1,2], "x":{"client_secret":true}}', null],
      ['{"password":"first","password":"second","pass\\u0077ord":"third"}', null],
      ['[{"user":{"AccessToken":"hunter2"}},{"apiKey":"hunter2"},{"API-Key":"hunter2"}]', null],
      ['{"shoe_size":"hunter2","shoeSize":"hunter2","SHOE-SIZE":"hunter2"}', null],
      ['{"headers":[{"name":"Authorization","value":"hunter2"},{"value":"hunter2","name":"X-Api-Key"}]}', null],
      ['{"fields":[["password","hunter2"],["a","b"]]}', '{"fields":["[redacted]",["a","b"]]}'],
      ['{"text":"Bearer hunter2","url":"https://ann:hunter2@a.example/?x"}', null],
      ['{"query":"mutation { login(password: \\"hunter2\\") }"}', '{"query":"[redacted]"}'],
      ['{"inner":"{\\"refresh_token\\":\\"hunter2\\"}"}', '{"inner":"[redacted]"}'],
      ['{"a":1}\n{"otp":"hunter2"}\n', '{"a":1}\n{"otp":"[redacted]"}\n'],
      ['\ufeff{"cvv":"hunter2"}', '\ufeff{"cvv":"[redacted]"}'],
    ] as const) {
      const { text: result, isWhole } = json(text);
      assert.equal(isWhole, true, text);
      assert.doesNotMatch(result, /hunter2|first|second|third|123/, text);
      if (shown !== null) assert.equal(result, shown);
      for (const one of result.trim().replace("\ufeff", "").split("\n")) JSON.parse(one);
    }
  });

  test("what is no JSON is shown up to where it stops being one", () => {
    for (const [text, shown] of [
      ["{password: 'hunter2'}", "{"],
      ['{"a":1,}"hunter2"', '{"a":1,'],
      ['{"a":1] "hunter2"', '{"a":1'],
      ['{"password":}"hunter2"', '{"password":"[redacted]"'],
      ['{"password":{"a":1],"b":"hunter2"}', '{"password":"[redacted]"'],
      ["<password>hunter2</password>", ""],
      ['{"a":"\t","b":"hunter2"}', '{"a":'],
      ['{"a":01,"b":"hunter2"}', '{"a":01,"b":"hunter2"}'.slice(0, 5)],
      ['{"a":nul,"b":"hunter2"}', '{"a":'],
    ] as const) {
      assert.deepEqual(json(text), { text: shown, isWhole: false }, text);
    }
  });

  test("cut anywhere, shows no part of a secret", () => {
    const text =
      '{"a":"x","password":"hunter2","list":[{"value":"hunter2","name":"token"},["otp","hunter2"]],' +
      '"deep":{"secret":{"b":["hunter2"]}},"s":"password=hunter2 \\u00e9 \\"","n":12.5,"é":"ü"}';
    const bytes = Buffer.from(text);
    for (let end = 0; end < bytes.length; end++) {
      const result = coverBody(bytes.subarray(0, end), "json", true, names)!;
      assert.equal(result.isWhole, false);
      assert.doesNotMatch(result.text, /hun/, `cut at ${end}`);
    }
    assert.match(json('{"user":"ann","id":12', true).text, /^\{"user":"ann","id":12$/);
    assert.match(json('{"user":"an', true).text, /^\{"user":"an$/);
  });

  test("of any value: no secret is left, the rest is what it was", () => {
    const key = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom("password", "Token", "client_secret", "x-api-key", "userPin", "shoe size"),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.string({ unit: "grapheme" }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(key, tie("value"), { maxKeys: 5 }),
      ),
    }));
    const property = fc.property(value, fc.nat(), fc.constantFrom(0, 2), (given, cut, indent) => {
      const marked = markSecrets(given, false);
      const text = JSON.stringify(marked, null, indent);
      const { text: shown, isWhole } = json(text);
      assert.ok(isWhole);
      assert.doesNotMatch(shown, /S3CRET/);
      assert.equal(JSON.stringify(coverMarked(marked)), JSON.stringify(JSON.parse(shown)));
      const part = coverBody(Buffer.from(text).subarray(0, cut % (text.length + 1)), "json", true, names)!;
      assert.doesNotMatch(part.text, /S3CRET/);
      // Whatever was done to it: nothing throws, and nothing grows without bound.
      const broken = `${text.slice(0, cut % (text.length + 1))}}${text.slice(cut % (text.length + 1))}`;
      assert.ok(json(broken).text.length <= broken.length * 14);
    });
    fc.assert(property, { seed, numRuns: 300 });
  });

  test("long and deep texts are read in one pass", () => {
    const deep = "[".repeat(130_000);
    const began = performance.now();
    for (const text of [
      deep,
      '{"token":'.repeat(30_000),
      `"${"\\".repeat(260_000)}`,
      `{"a":"${"token ".repeat(40_000)}"}`,
      `{"a":"${"://".repeat(80_000)}"}`,
      `{"a":"${"basic ".repeat(40_000)}"}`,
      `[${'["otp"],'.repeat(30_000)}`,
      `"${"1".repeat(250_000)}`,
      `${"-----BEGIN ".repeat(20_000)}`,
    ]) {
      json(text, true);
      plain(text, true);
      form(text, true);
    }
    assert.ok(performance.now() - began < 5_000, "linear");
  });
});

/** What stands under the name of a secret holds a mark. */
function markSecrets(value: unknown, isSecret: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => markSecrets(item, isSecret));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, markSecrets(inner, isSecret || names.has(key))]),
    );
  }
  return isSecret ? `S3CRET ${String(value)}` : value;
}

function coverMarked(value: unknown): unknown {
  if (Array.isArray(value)) {
    if (value.some((item) => typeof item === "string" && item.length <= 64 && names.has(item))) return "[redacted]";
    return value.map(coverMarked);
  }
  if (typeof value !== "object" || value === null) {
    return typeof value === "string" && names.isToldBy(value) ? "[redacted]" : value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, names.has(key) ? "[redacted]" : coverMarked(inner)]),
  );
}

describe("forms", () => {
  test("names are read as servers do, and what follows an ampersand of a secret is part of it", () => {
    for (const [text, shown] of [
      ["user=ann&password=hunter2&x=%20+", "user=ann&password=[redacted]&x=%20+"],
      ["p%61ssword=hunter2&PASS%57ORD=hunter2", "p%61ssword=[redacted]&PASS%57ORD=[redacted]"],
      ["user%5Bpin%5D=hunter2&user[otp]=hunter2", "user%5Bpin%5D=[redacted]&user[otp]=[redacted]"],
      ["api+key=hunter2&shoe.size=hunter2", "api+key=[redacted]&shoe.size=[redacted]"],
      ["password=hun&hunter2&a=b", "password=[redacted]&[redacted]&a=b"],
      ["grant_type=authorization_code&code=hunter2", "grant_type=authorization_code&code=[redacted]"],
      ["json=%7B%22password%22%3A%22hunter2%22%7D", "json=[redacted]"],
      ["url=https%3A%2F%2Fann%3Ahunter2%40a.example", "url=[redacted]"],
      ["password=%E9%00=hunter2=", "password=[redacted]"],
      ["%password=hunter2", "%password=[redacted]"],
    ] as const) {
      assert.equal(form(text).text, shown);
    }
  });

  test("cut anywhere, shows no part of a secret", () => {
    const text = "user=ann&p%61ssword=hunter2&x=1&token=hunter2";
    for (let end = 0; end <= text.length; end++) {
      assert.doesNotMatch(form(text.slice(0, end), true).text, /hun/, `cut at ${end}`);
    }
  });
});

describe("other text", () => {
  test("ends before the first line that names or looks like a secret", () => {
    for (const [text, shown] of [
      ["hello\nworld\n", "hello\nworld\n"],
      ["a: 1\npassword: |\n  hunter2\n", "a: 1\n[redacted]"],
      ['a\r\n<input value="hunter2" name="password">', "a\r\n[redacted]"],
      ["a\nAuthorization: Basic aHVudGVyMg==", "a\n[redacted]"],
      ["basic information\nBasic YTpodW50ZXIy", "basic information\n[redacted]"],
      ["x\n-----BEGIN RSA PRIVATE KEY-----\nhunter2", "x\n[redacted]"],
      ["shipping is fine\nPIN 1234", "shipping is fine\n[redacted]"],
      ["x\rshoe-size 43", "x\r[redacted]"],
    ] as const) {
      assert.equal(plain(text).text, shown);
    }
  });

  test("is no text what is not UTF-8, or hides its letters", () => {
    for (const bytes of [Buffer.from([0xff, 0x41]), Buffer.from("p\0a\0s\0s\0"), Buffer.from([0x41, 0xc3])]) {
      assert.equal(coverBody(bytes, "text", false, names), null);
    }
    assert.equal(coverBody(Buffer.from([0x41, 0xc3]), "text", true, names)?.text, "A");
  });
});

test("which types are shown", () => {
  for (const [type, kind] of [
    ["application/json", "json"],
    ["Application/Problem+JSON; charset=UTF-8", "json"],
    ["application/x-ndjson", "json"],
    ["application/x-www-form-urlencoded;charset=utf-8", "form"],
    ["text/html", "text"],
    ["image/svg+xml", "text"],
    ["application/json; charset=utf-16", null],
    ["text/plain; charset=iso-8859-1", null],
    ["multipart/form-data; boundary=x", null],
    ["application/octet-stream", null],
    ["nonsense", null],
    [null, null],
  ] as const) {
    assert.equal(kindOf(type), kind, String(type));
  }
});
