import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { chooseCoding } from "./content-coding.ts";

const OFFERED = ["zstd", "br", "gzip"];

describe("the content coding", () => {
  const table: readonly (readonly [acceptEncoding: string | null, coding: string | null])[] = [
    [null, null],
    ["", null],
    ["gzip", "gzip"],
    ["GZIP", "gzip"],
    ["x-gzip", "gzip"],
    ["gzip, deflate, br, zstd", "zstd"],
    ["gzip, deflate, br", "br"],
    ["gzip;q=1.0, br;q=0.8", "gzip"],
    ["gzip ; q=0.5 , br ;Q=0.5", "br"],
    ["br;q=0.001, gzip;q=0", "br"],
    ["gzip;q=0", null],
    ["identity", null],
    ["identity, gzip", "gzip"],
    ["identity;q=1, gzip;q=0.5", null],
    ["identity;q=0.5, gzip", "gzip"],
    ["identity;q=0", null],
    ["*", "zstd"],
    ["*;q=0", null],
    ["*;q=0.5, gzip", "gzip"],
    ["zstd;q=0, *", "br"],
    ["gzip;q=0.5, *;q=0", "gzip"],
    ["deflate, compress", null],
    ["gzip;q=2", null],
    ["gzip;q=", null],
    ["gzip;q=0.1234", null],
    ["gzip;q=nonsense, br;q=0.1", "br"],
    [",, gzip ,,", "gzip"],
    ["gzipx", null],
  ];
  for (const [acceptEncoding, coding] of table) {
    it(`for ${JSON.stringify(acceptEncoding)} is ${coding}`, () =>
      assert.equal(chooseCoding(acceptEncoding, OFFERED), coding));
  }

  it("is never one that was not offered or that the client refuses, whatever it sends", () => {
    const q = fc.constantFrom("", ";q=0", ";q=0.5", ";q=1", ";q=x", "; q=0.0", ';x="a,b"');
    const element = fc
      .tuple(fc.constantFrom("gzip", "br", "zstd", "identity", "*", "x", ""), q)
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.array(element, { maxLength: 6 }), fc.subarray(OFFERED), (elements, offered) => {
        const coding = chooseCoding(elements.join(","), offered);
        if (coding === null) return;
        assert.ok(offered.includes(coding));
        assert.ok(elements.some((text) => text.startsWith(coding) || text.startsWith("*")));
        const own = elements.filter((text) => text.startsWith(coding)).at(-1);
        assert.ok(own === undefined || !/;\s?q=0(\.0)?$/.test(own), `${coding} of ${elements.join(",")}`);
      }),
      { numRuns: 1000 },
    );
  });
});
