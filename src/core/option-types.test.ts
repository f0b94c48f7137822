import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../test/support/seed.ts";
import { duration, formatDuration, formatSize, parseDuration, parseSize, size } from "./option-types.ts";

const suggestionOf = (result: { readonly error?: { readonly issues: readonly unknown[] } }) =>
  (result.error?.issues[0] as { params?: { suggestion?: string } } | undefined)?.params?.suggestion ?? null;

describe("durations", () => {
  it("are whole numbers with a unit", () => {
    const cases: readonly [text: string, ms: number | null][] = [
      ["500ms", 500],
      ["30s", 30_000],
      ["5m", 300_000],
      ["2h", 7_200_000],
      ["7d", 604_800_000],
      ["3650d", 315_360_000_000],
      ["3651d", null],
      ["1.5s", null],
      ["-1s", null],
      ["1S", null],
      ["1 s", null],
      ["1w", null],
      ["s", null],
      ["1", null],
      ["", null],
      ["1s1", null],
    ];
    for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
  });

  it(`are formatted so that they parse to the same (${replayHint})`, () => {
    const ms = fc.integer({ min: 0, max: 315_360_000_000 });
    fc.assert(
      fc.property(ms, (value) => parseDuration(formatDuration(value)) === value),
      { seed },
    );
    assert.deepEqual([250, 60_000, 90_000, 3_600_000, 86_400_000].map(formatDuration), [
      "250ms",
      "1m",
      "90s",
      "1h",
      "1d",
    ]);
  });

  it("suggest what was probably meant", () => {
    const cases: readonly [text: string, suggestion: string | null][] = [
      ["30", "30s"],
      ["30 s", "30s"],
      ["5min", "5m"],
      ["5 minutes", "5m"],
      ["100 msec", "100ms"],
      ["100millis", "100ms"],
      ["2 Hours", "2h"],
      ["3 weeks", "21d"],
      ["1w", "7d"],
      ["999999 w", null],
      ["soon", null],
    ];
    for (const [text, suggestion] of cases) assert.equal(suggestionOf(duration().safeParse(text)), suggestion, text);
  });
});

describe("sizes", () => {
  it("are bytes, with or without a unit", () => {
    const cases: readonly [text: string, bytes: number | null][] = [
      ["0", 0],
      ["4096", 4096],
      ["10B", 10],
      ["64KiB", 65_536],
      ["100MiB", 104_857_600],
      ["50GiB", 53_687_091_200],
      ["1TiB", 1_099_511_627_776],
      ["99999TiB", null],
      ["1KB", null],
      ["1k", null],
      ["1.5KiB", null],
      ["-1", null],
      ["", null],
    ];
    for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
    assert.equal(size().parse(4096), 4096);
    assert.equal(size().safeParse(1.5).success, false);
    assert.equal(size().safeParse(-1).success, false);
  });

  it(`are formatted so that they parse to the same (${replayHint})`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => parseSize(formatSize(bytes)) === bytes),
      { seed },
    );
    assert.deepEqual([100, 1024, 1536, 3 * 2 ** 20].map(formatSize), ["100", "1KiB", "1536", "3MiB"]);
  });
});
