import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replayHint, seed } from "../../test/support/seed.ts";
import { FieldBlock } from "../core/fields.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { BASIC_BYTES_MAX, credentialsOf, MALFORMED, parseBasic } from "./authorization.ts";

const base64 = (bytes: string | Uint8Array) => Buffer.from(bytes).toString("base64");

describe("Authorization", () => {
  const of = (...lines: string[]) => FieldBlock.from(lines.map((line) => ["Authorization", line] as const));
  const table: readonly (readonly [lines: string[], expected: string | null | typeof MALFORMED])[] = [
    [[], null],
    [["Basic YTpi"], "YTpi"],
    [["basic YTpi"], "YTpi"],
    [["BASIC   YTpi"], "YTpi"],
    [["Bearer abc"], null],
    [["Basic"], MALFORMED],
    [["Basic\tYTpi"], MALFORMED],
    [[""], MALFORMED],
    [["(Basic) x"], MALFORMED],
    [["Basic YTpi", "Basic YTpi"], MALFORMED],
    [["Bearer abc", "Basic YTpi"], MALFORMED],
    [["Basic YTpi, Basic Yjpj"], "YTpi, Basic Yjpj"],
  ];
  for (const [lines, expected] of table) {
    it(JSON.stringify(lines), () => assert.equal(credentialsOf(of(...lines), "basic"), expected));
  }
});

describe("Basic credentials", () => {
  const good: readonly (readonly [text: string, user: string, password: string])[] = [
    ["a:b", "a", "b"],
    ["Aladdin:open sesame", "Aladdin", "open sesame"],
    ["a:", "a", ""],
    ["a:b:c", "a", "b:c"],
    ["test:123\u00a3", "test", "123\u00a3"],
    ["\ufeffa:b", "\ufeffa", "b"],
  ];
  for (const [text, user, password] of good) {
    it(`takes ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parseBasic(base64(text)), { user, password: Buffer.from(password) });
    });
  }

  const bad: readonly (readonly [what: string, value: string])[] = [
    ["nothing", ""],
    ["no colon", base64("ab")],
    ["no user", base64(":b")],
    ["NUL in the user", base64("admin\0x:b")],
    ["NUL in the password", base64("a:b\0c")],
    ["a line break in the user", base64("a\r\nX-User: root:b")],
    ["a line break in the password", base64("a:b\r\n")],
    ["DEL", base64("a\u007f:b")],
    ["bytes that are no UTF-8", base64(Buffer.of(0x61, 0x3a, 0xe9))],
    ["an overlong encoding of the colon", base64(Buffer.of(0x61, 0xc0, 0xba, 0x3a, 0x62))],
    ["padding left out", base64("a:bc").replace(/=+$/, "")],
    ["padding within", "YTo=YTpi"],
    ["bits behind the end", "YTpiYy=="],
    [
      "the alphabet of URLs",
      base64(Buffer.from("a:\u07ff\u07ff>>>")).replaceAll("+", "-").replaceAll("/", "_").replace(/$/, "-"),
    ],
    ["a space behind", `${base64("a:b")} `],
    ["two in one line", `${base64("a:b")}, Basic ${base64("c:d")}`],
    ["more than is hashed", base64(`a:${"b".repeat(BASIC_BYTES_MAX - 1)}`)],
  ];
  for (const [what, value] of bad) it(`refuses ${what}`, () => assert.equal(parseBasic(value), null));

  it("takes as much as is hashed", () => {
    assert.equal(parseBasic(base64(`a:${"b".repeat(BASIC_BYTES_MAX - 2)}`))?.password.length, BASIC_BYTES_MAX - 2);
  });

  it("has one spelling for every value, whatever bytes come", () => {
    const random = new SeededRandom(seed);
    const draw = (below: number) => Math.floor(random.next() * below);
    const alphabet = `${base64(Buffer.from(Array.from({ length: 96 }, (_, byte) => byte * 2)))}=:-_ \r\n\0`;
    let taken = 0;
    for (let round = 0; round < 20_000; round++) {
      // Half of them are credentials with one character changed, the others are noise.
      let value = base64(Buffer.from(Array.from({ length: draw(12) }, () => 0x20 + draw(0x60))));
      if (draw(2) === 0) value = base64(`${value.slice(0, draw(4) + 1)}:${value}`);
      const at = draw(value.length + 1);
      if (draw(2) === 0)
        value = value.slice(0, at) + alphabet.charAt(draw(alphabet.length)) + value.slice(at + draw(2));
      const parsed = parseBasic(value);
      if (parsed === null) continue;
      taken++;
      assert.equal(base64(Buffer.concat([Buffer.from(`${parsed.user}:`), parsed.password])), value, replayHint);
      assert.match(parsed.user, /^[^:\p{Cc}]+$/u, replayHint);
      assert.doesNotMatch(parsed.password.toString(), /[\0-\x1f\x7f]/, replayHint);
    }
    assert.ok(taken > 1000, `only ${taken} were taken; ${replayHint}`);
  });
});
