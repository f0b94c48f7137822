// Range and Content-Range: what is selected, against a model that marks single bytes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import {
  type ByteRange,
  contentRange,
  GAP_BYTES_MAX,
  parseContentRange,
  RANGES_MAX,
  type RangeSelection,
  rangeValue,
  selectRanges,
  unsatisfiedRange,
} from "./ranges.ts";

describe("a Range of ten thousand bytes", () => {
  const BYTES = 10_000;
  const table: readonly (readonly [
    value: string,
    selected: RangeSelection | readonly (readonly [number, number])[],
  ])[] = [
    // RFC 9110, section 14.1.2.
    ["bytes=0-499", [[0, 500]]],
    ["bytes=500-999", [[500, 1000]]],
    ["bytes=-500", [[9500, 10_000]]],
    ["bytes=9500-", [[9500, 10_000]]],
    [
      "bytes=0-0,-1",
      [
        [0, 1],
        [9999, 10_000],
      ],
    ],
    [
      "bytes= 0-999, 4500-5499, -1000",
      [
        [0, 1000],
        [4500, 5500],
        [9000, 10_000],
      ],
    ],
    ["bytes=500-600,601-999", [[500, 1000]]],
    ["bytes=500-700,601-999", [[500, 1000]]],
    // In the order of the request as long as they stay apart.
    [
      "bytes=5000-5099,0-99",
      [
        [5000, 5100],
        [0, 100],
      ],
    ],
    [
      "bytes=5000-5099,0-99,5050-5200",
      [
        [5000, 5201],
        [0, 100],
      ],
    ],
    [`bytes=0-99,${100 + GAP_BYTES_MAX}-299`, [[0, 300]]],
    [
      `bytes=0-99,${101 + GAP_BYTES_MAX}-299`,
      [
        [0, 100],
        [101 + GAP_BYTES_MAX, 300],
      ],
    ],
    ["Bytes=0-", [[0, 10_000]]],
    ["bytes=0-99999", [[0, 10_000]]],
    ["bytes=-99999", [[0, 10_000]]],
    ["bytes=9999-", [[9999, 10_000]]],
    [`bytes=0-${"9".repeat(40)}`, [[0, 10_000]]],
    ["bytes=00000000000000000001-2", [[1, 3]]],
    ["bytes=,0-1,,", [[0, 2]]],
    // Nothing of it is there.
    ["bytes=10000-", "unsatisfiable"],
    ["bytes=10000-10001, -0", "unsatisfiable"],
    [`bytes=${"9".repeat(40)}-`, "unsatisfiable"],
    ["bytes=10000-,5-5", [[5, 6]]],
    // No Range that could be understood.
    ["", "whole"],
    ["bytes", "whole"],
    ["bytes=", "whole"],
    ["bytes=,", "whole"],
    ["bytes=a-b", "whole"],
    ["bytes=5-4", "whole"],
    ["bytes=5-4,0-1", "whole"],
    ["bytes=-", "whole"],
    ["bytes=--5", "whole"],
    ["bytes=0 - 5", "whole"],
    ["bytes=0x1-5", "whole"],
    ["bytes =0-5", "whole"],
    ["items=0-5", "whole"],
    [`bytes=${"0-0,".repeat(RANGES_MAX + 1)}`, "whole"],
    [`bytes=${"0-0,".repeat(RANGES_MAX)}`, [[0, 1]]],
  ];
  for (const [value, selected] of table) {
    it(value.slice(0, 60), () => {
      const ranges = selectRanges(value, BYTES);
      assert.deepEqual(typeof ranges === "string" ? ranges : ranges.map(({ start, end }) => [start, end]), selected);
    });
  }

  it("of which there is none asks for all of an empty one, or for nothing", () => {
    assert.equal(selectRanges("bytes=-5", 0), "whole");
    assert.equal(selectRanges("bytes=0-", 0), "unsatisfiable");
  });

  it("selects what was asked for, and little more, in few pieces", () => {
    const spec = fc.oneof(
      fc.tuple(fc.nat({ max: 3000 }), fc.nat({ max: 300 })).map(([start, length]) => `${start}-${start + length}`),
      fc.nat({ max: 3000 }).map((start) => `${start}-`),
      fc.nat({ max: 3000 }).map((suffix) => `-${suffix}`),
    );
    fc.assert(
      fc.property(
        fc.array(spec, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 2500 }),
        (specs, bytes) => {
          const asked = new Uint8Array(bytes);
          for (const text of specs) {
            const [from, to] = text.split("-");
            if (from === "") asked.fill(1, Math.max(bytes - Number(to), 0), to === "0" ? 0 : bytes);
            else asked.fill(1, Math.min(Number(from), bytes), to === "" ? bytes : Math.min(Number(to) + 1, bytes));
          }
          const selected = selectRanges(`bytes=${specs.join(",")}`, bytes);
          if (selected === "unsatisfiable") return assert.ok(!asked.includes(1));
          assert.ok(typeof selected !== "string");
          const got = new Uint8Array(bytes);
          for (const { start, end } of selected) {
            assert.ok(start >= 0 && start < end && end <= bytes);
            for (let i = start; i < end; i++) {
              assert.equal(got[i], 0, "no byte is sent twice");
              got[i] = 1;
            }
          }
          let extra = 0;
          for (let i = 0; i < bytes; i++) {
            if (asked[i] === 1) assert.equal(got[i], 1);
            else extra += got[i]!;
          }
          assert.ok(extra <= specs.length * GAP_BYTES_MAX);
        },
      ),
      { seed, numRuns: 500 },
    );
  });

  it("never throws, whatever it is", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^bytes=[\d, -]{0,30}$/)), fc.nat(), (value, bytes) => {
        selectRanges(value, bytes);
      }),
      { seed },
    );
  });
});

describe("Content-Range", () => {
  const table: readonly (readonly [value: string, parsed: readonly [number, number, number] | null])[] = [
    ["bytes 0-499/1234", [0, 500, 1234]],
    ["bytes 42-1233/*", [42, 1234, -1]],
    ["bytes 0-0/1", [0, 1, 1]],
    ["bytes 5-4/10", null],
    ["bytes 5-10/10", null],
    ["bytes */10", null],
    ["bytes 0-5", null],
    ["bytes 0-5/", null],
    ["bytes=0-5/10", null],
    ["items 0-5/10", null],
    ["bytes 0-5/10, bytes 0-5/10", null],
    [`bytes 0-5/${"9".repeat(16)}`, null],
    ["ananas", null],
  ];
  for (const [value, parsed] of table) {
    it(value, () => {
      const result = parseContentRange(value);
      assert.deepEqual(result && [result.range.start, result.range.end, result.completeBytes], parsed);
    });
  }

  it("is read as it was written", () => {
    const lengths = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: -1, max: 1e9 }));
    fc.assert(
      fc.property(lengths, ([start, length, rest]) => {
        const range: ByteRange = { start, end: start + length };
        const completeBytes = rest < 0 ? -1 : range.end + rest;
        assert.deepEqual(parseContentRange(contentRange(range, completeBytes)), { range, completeBytes });
        const selected = selectRanges(rangeValue(range.start, range.end), range.end + 1);
        assert.deepEqual(selected, [range]);
      }),
      { seed },
    );
  });

  it("of 416 tells the length", () => assert.equal(unsatisfiedRange(10), "bytes */10"));
});
