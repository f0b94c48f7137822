// Cache-Control, its targeted forms, Pragma and Age: what is broken stores and reuses less.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { FieldBlock } from "../../core/fields.ts";
import {
  ageField,
  NO_REQUEST_DIRECTIVES,
  NO_RESPONSE_DIRECTIVES,
  type RequestDirectives,
  type ResponseDirectives,
  requestDirectives,
  responseDirectives,
  targetedDirectives,
} from "./cache-control.ts";

const DELTA_MAX_MS = 2 ** 31 * 1000;

function lines(name: string, values: readonly string[]): FieldBlock {
  return FieldBlock.from(values.map((value) => [name, value] as const));
}

describe("Cache-Control of an answer", () => {
  const table: readonly (readonly [values: string | readonly string[], expected: Partial<ResponseDirectives>])[] = [
    ["", {}],
    ["max-age=3600", { maxAgeMs: 3_600_000 }],
    ["MaX-aGe=3600", { maxAgeMs: 3_600_000 }],
    ["max-age=003600", { maxAgeMs: 3_600_000 }],
    ['max-age="3600"', { maxAgeMs: 3_600_000 }],
    ["max-age=2147483648", { maxAgeMs: DELTA_MAX_MS }],
    ["max-age=99999999999", { maxAgeMs: DELTA_MAX_MS }],
    [`max-age=${"9".repeat(400)}`, { maxAgeMs: DELTA_MAX_MS }],
    // The first one counts, on one line or several.
    ["max-age=1800, max-age=1", { maxAgeMs: 1_800_000 }],
    [["max-age=1", "max-age=1800"], { maxAgeMs: 1000 }],
    ["max-age=x, max-age=1800", { maxAgeMs: 0 }],
    // What is no number is no lifetime.
    ["max-age=-3600", { maxAgeMs: 0 }],
    ["max-age='3600'", { maxAgeMs: 0 }],
    ["max-age=3600.0", { maxAgeMs: 0 }],
    ["max-age=a3600", { maxAgeMs: 0 }],
    ["max-age=3600a", { maxAgeMs: 0 }],
    ["max-age= 3600", { maxAgeMs: 0 }],
    ["max-age =3600", { maxAgeMs: 0 }],
    ["max-age=", { maxAgeMs: 0 }],
    ["max-age", { maxAgeMs: 0 }],
    ["s-maxage=x, max-age=5", { sMaxageMs: 0, maxAgeMs: 5000 }],
    // What is quoted is a value, whatever stands in it.
    ['extension="max-age=3600", max-age=1', { maxAgeMs: 1000 }],
    ['max-age=1, extension="a, no-store, \\", max-age=3600"', { maxAgeMs: 1000 }],
    // A quote that never ends hides nothing, and makes no lifetime.
    ['extension="a, no-store, max-age=3600', { noStore: true, maxAgeMs: 0, sMaxageMs: 0 }],
    [['x="', "private, max-age=9"], { isPrivate: true, maxAgeMs: 0, sMaxageMs: 0 }],
    ["foobar, foo=bar, max-age=9", { maxAgeMs: 9000 }],
    ["No-StOrE", { noStore: true }],
    ["no-store =x", { noStore: true }],
    [",, no-store ,", { noStore: true }],
    ["no-store-ish", {}],
    ["no-cache", { noCache: true }],
    ['no-cache="A, b"', { noCacheFields: ["a", "b"] }],
    ["no-cache=a", { noCacheFields: ["a"] }],
    ['no-cache="a", no-cache', { noCache: true, noCacheFields: ["a"] }],
    // Names that cannot be read are all of them.
    ['no-cache=""', { noCache: true }],
    ['no-cache="a b"', { noCache: true }],
    ["no-cache=", { noCache: true }],
    ['private="set-cookie"', { privateFields: ["set-cookie"] }],
    ["private, public", { isPrivate: true, isPublic: true }],
    [
      "must-revalidate, proxy-revalidate, must-understand, no-transform, immutable",
      { mustRevalidate: true, proxyRevalidate: true, mustUnderstand: true, noTransform: true, immutable: true },
    ],
    ["stale-while-revalidate=5, stale-if-error=6", { staleWhileRevalidateMs: 5000, staleIfErrorMs: 6000 }],
    ["stale-while-revalidate=x", { staleWhileRevalidateMs: 0 }],
  ];
  for (const [values, expected] of table) {
    it(JSON.stringify(values), () => {
      const fields = lines("Cache-Control", typeof values === "string" ? [values] : values);
      assert.deepEqual(responseDirectives(fields), { ...NO_RESPONSE_DIRECTIVES, ...expected });
    });
  }

  it("says nothing when it is absent", () => {
    assert.equal(responseDirectives(new FieldBlock()), NO_RESPONSE_DIRECTIVES);
  });

  it("never loses no-store, whatever stands around it outside of quotes", () => {
    const around = fc.stringMatching(/^[ -!#-~]{0,20}$/);
    fc.assert(
      fc.property(around, around, (before, behind) => {
        assert.equal(responseDirectives(lines("Cache-Control", [`${before},no-store,${behind}`])).noStore, true);
      }),
      { seed },
    );
  });

  it("makes no lifetime of anything but digits", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~]{1,12}$/), (argument) => {
        const { maxAgeMs } = responseDirectives(lines("Cache-Control", [`max-age=${argument}`]));
        const digits = /^(?:"(\d+)"|(\d+))(?:,|$)/.exec(argument);
        if (digits === null) assert.equal(maxAgeMs, 0);
        else assert.ok(maxAgeMs >= 0 && maxAgeMs <= DELTA_MAX_MS);
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe("Cache-Control of a request", () => {
  const table: readonly (readonly [
    fields: readonly (readonly [string, string])[],
    expected: Partial<RequestDirectives>,
  ])[] = [
    [[["Cache-Control", "nothing-to-see-here"]], {}],
    [[["Cache-Control", "max-age=0"]], { maxAgeMs: 0 }],
    [[["Cache-Control", "max-age=x"]], { maxAgeMs: 0 }],
    [[["Cache-Control", "min-fresh=5, max-stale=6"]], { minFreshMs: 5000, maxStaleMs: 6000 }],
    [[["Cache-Control", "max-stale"]], { maxStaleMs: Number.POSITIVE_INFINITY }],
    [[["Cache-Control", "max-stale=x, min-fresh=x"]], {}],
    [
      [["Cache-Control", "no-cache, no-store, only-if-cached, no-transform"]],
      { noCache: true, noStore: true, onlyIfCached: true, noTransform: true },
    ],
    [[["Cache-Control", "stale-if-error=7"]], { staleIfErrorMs: 7000 }],
    [[["Pragma", "no-cache"]], { noCache: true }],
    [[["Pragma", "x, No-Cache"]], { noCache: true }],
    [[["Pragma", "foo"]], {}],
    // Pragma is for those who do not know Cache-Control (section 5.4).
    [
      [
        ["Pragma", "no-cache"],
        ["Cache-Control", "max-age=5"],
      ],
      { maxAgeMs: 5000 },
    ],
  ];
  for (const [fields, expected] of table) {
    it(JSON.stringify(fields), () => {
      assert.deepEqual(requestDirectives(FieldBlock.from(fields)), { ...NO_REQUEST_DIRECTIVES, ...expected });
    });
  }
});

describe("targeted cache control", () => {
  const names = ["headgate-cache-control", "cdn-cache-control"];
  const table: readonly (readonly [value: string, expected: Partial<ResponseDirectives> | null])[] = [
    ["max-age=3600", { maxAgeMs: 3_600_000 }],
    ["foobar, max-age=3600;x=1", { maxAgeMs: 3_600_000 }],
    ["max-age=99999999999", { maxAgeMs: DELTA_MAX_MS }],
    ["max-age=1, max-age=2", { maxAgeMs: 2000 }],
    ["no-store", { noStore: true }],
    ["no-store=?0, private", { isPrivate: true }],
    ['no-cache="a, b"', { noCacheFields: ["a", "b"] }],
    // Broken ones are as if they were not there, and so are empty ones (RFC 9213, section 2.1).
    ["", null],
    ["max-age=10000, &&&&&", null],
    ['max-age="10000"', null],
    ["max-age=1.5", null],
    ["max-age=-1", null],
    ["max-age", null],
    ["no-store=1", null],
    ["private=1", null],
    ["max-age =100", null],
    ["MaX-aGe=3600", null],
  ];
  for (const [value, expected] of table) {
    it(JSON.stringify(value), () => {
      const directives = targetedDirectives(lines("CDN-Cache-Control", [value]), names);
      assert.deepEqual(directives, expected && { ...NO_RESPONSE_DIRECTIVES, ...expected });
    });
  }

  it("is the most specific one that is valid", () => {
    const both = FieldBlock.from([
      ["CDN-Cache-Control", "max-age=1"],
      ["Headgate-Cache-Control", "max-age=2"],
    ]);
    assert.equal(targetedDirectives(both, names)?.maxAgeMs, 2000);
    const broken = FieldBlock.from([
      ["CDN-Cache-Control", "max-age=1"],
      ["Headgate-Cache-Control", "max-age"],
    ]);
    assert.equal(targetedDirectives(broken, names)?.maxAgeMs, 1000);
  });
});

describe("Age", () => {
  const table: readonly (readonly [values: readonly string[], seconds: number])[] = [
    [[], 0],
    [["7200"], 7200],
    [["2147483647"], 2_147_483_647],
    [["2147483648"], 2_147_483_648],
    [["2147483649"], 2_147_483_648],
    [["7200, 0"], 7200],
    [["0, 7200"], 0],
    [["7200", "0"], 7200],
    [["0", "7200"], 0],
    [["abc"], 0],
    [["-7200"], 0],
    [["7200.0"], 0],
    [["7200;foo=bar"], 0],
    [[""], 0],
  ];
  for (const [values, seconds] of table) {
    it(`${JSON.stringify(values)} is ${seconds} s`, () => assert.equal(ageField(lines("Age", values)), seconds * 1000));
  }
});
