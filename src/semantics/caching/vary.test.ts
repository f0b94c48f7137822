// Which requests get the same variant.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { FieldBlock } from "../../core/fields.ts";
import { VARY_NAMES_MAX, variantOf, varyOf } from "./vary.ts";

describe("Vary", () => {
  const table: readonly (readonly [lines: readonly string[], names: readonly string[] | "*"])[] = [
    [[], []],
    [[""], []],
    [["Foo"], ["foo"]],
    [
      ["Foo, bar", "BAR ,, baz"],
      ["bar", "baz", "foo"],
    ],
    [["*"], "*"],
    [["*, *"], "*"],
    [[", *"], "*"],
    [["", "*"], "*"],
    [["Foo, *"], "*"],
    [["*, Foo"], "*"],
    [["Foo Bar"], "*"],
    [['"foo"'], "*"],
  ];
  for (const [lines, names] of table) {
    it(JSON.stringify(lines), () =>
      assert.deepEqual(varyOf(FieldBlock.from(lines.map((line) => ["Vary", line]))), names),
    );
  }

  it("with more names than anybody needs is as good as *", () => {
    const names = Array.from({ length: VARY_NAMES_MAX + 1 }, (_, index) => `f${index}`);
    assert.equal(varyOf(FieldBlock.from([["Vary", names.slice(1).join(",")]])).length, VARY_NAMES_MAX);
    assert.equal(varyOf(FieldBlock.from([["Vary", names.join(",")]])), "*");
  });
});

type Lines = readonly (readonly [string, string])[];

describe("two requests", () => {
  const same: readonly (readonly [one: Lines, other: Lines])[] = [
    [
      [["Foo", "1, 2"]],
      [
        ["Foo", "1"],
        ["Foo", "2"],
      ],
    ],
    [[["Foo", "1,2"]], [["foo", " \t1,2 "]]],
    [[["Prefer", "a,b"]], [["Prefer", " a , b,"]]],
    [
      [["Prefer", 'a="1, 2", b']],
      [
        ["Prefer", 'a="1, 2"'],
        ["prefer", "b"],
      ],
    ],
    [[["Accept-Language", "en, de"]], [["Accept-Language", "de, en"]]],
    [[["Accept-Language", "en, de"]], [["Accept-Language", "eN, De"]]],
    [[["Accept-Language", "en, de"]], [["Accept-Language", " en ,   de"]]],
    [[["Accept-Language", "en, de;q=0.50"]], [["Accept-Language", "de ; Q=0.5,en;q=1.0"]]],
    [[["Accept-Encoding", "gzip, br"]], [["Accept-Encoding", "br,GZIP;q=1"]]],
    [[["Accept-Encoding", "gzip"]], [["Accept-Encoding", "x-gzip, gzip"]]],
    [[["Accept-Encoding", "gzip;q=0.5"]], [["Accept-Encoding", "X-GZIP;q=0.5"]]],
    [[["Accept-Encoding", ""]], [["Accept-Encoding", " , "]]],
    [[["Accept", "text/HTML;Level=1"]], [["Accept", "text/html; level=1"]]],
    [[["User-Agent", "a "]], [["User-Agent", "a"]]],
    [[], []],
  ];
  for (const [one, other] of same) {
    it(`get the same: ${JSON.stringify(one)} and ${JSON.stringify(other)}`, () => {
      assert.equal(variant(one), variant(other));
    });
  }

  const different: readonly (readonly [one: Lines, other: Lines])[] = [
    [[["Foo", "1"]], [["Foo", "2"]]],
    [[["Foo", "1"]], []],
    [[["Foo", ""]], []],
    [[["Foo", "1, 2"]], [["Foo", "2, 1"]]],
    [[["Foo", "1, 2"]], [["Foo", "1,2"]]],
    [[["Foo", "1,,2"]], [["Foo", "1,2"]]],
    [[["Foo", "1"]], [["Foo", "1,"]]],
    [[["Foo", "1\xa0"]], [["Foo", "1"]]],
    [[["Prefer", "1, 2"]], [["Prefer", "2, 1"]]],
    [[["Prefer", '"a, b"']], [["Prefer", '"a,b"']]],
    [[["Foo", "a"]], [["Foo", "A"]]],
    [[["Foo", '"a, b"']], [["Foo", '"a,b"']]],
    [[["User-Agent", "a, b"]], [["User-Agent", "a,b"]]],
    [[["Cookie", "a=1, b=2"]], [["Cookie", "a=1,b=2"]]],
    [[["Accept-Encoding", "gzip;q=0"]], [["Accept-Encoding", "gzip"]]],
    [[["Accept-Encoding", "gzip;q=0.5"]], [["Accept-Encoding", "gzip;q=0.6"]]],
    [[["Accept", "text/html;level=a"]], [["Accept", "text/html;level=A"]]],
    // What one field says is never taken for another's.
    [
      [["Foo", "1\tbar"]],
      [
        ["Foo", "1"],
        ["Bar", ""],
      ],
    ],
  ];
  for (const [one, other] of different) {
    it(`do not: ${JSON.stringify(one)} and ${JSON.stringify(other)}`, () =>
      assert.notEqual(variant(one), variant(other)));
  }

  it("get the same whatever the order of what they accept", () => {
    const element = fc.stringMatching(/^[a-z]{1,4}(;q=0\.[1-9])?$/);
    fc.assert(
      fc.property(
        fc.array(element, { minLength: 1, maxLength: 20 }),
        fc.infiniteStream(fc.nat()),
        (elements, chance) => {
          const shuffled = elements
            .map((text) => ({ text, place: chance.next().value as number }))
            .sort((a, b) => a.place - b.place)
            .map(({ text }) => text);
          assert.equal(
            variant([["Accept-Language", elements.join(",")]]),
            variant([["Accept-Language", shuffled.join(" , ")]]),
          );
        },
      ),
      { seed },
    );
  });

  it("get different ones when a field that no rule knows says something else", () => {
    const value = fc.stringMatching(/^[!-~\x80-\xff]([ -~\x80-\xff]{0,6}[!-~\x80-\xff])?$/);
    fc.assert(
      fc.property(value, value, (one, other) => {
        assert.equal(variant([["Foo", one]]) === variant([["Foo", other]]), one === other);
      }),
      { seed },
    );
  });
});

function variant(lines: Lines): string {
  return variantOf(FieldBlock.from(lines), [
    "accept",
    "accept-encoding",
    "accept-language",
    "bar",
    "cookie",
    "foo",
    "prefer",
    "user-agent",
  ]);
}
