// What requests literally say is remembered as the variant that they get: never as another one, and never without end.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { FieldBlock } from "../../core/fields.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { KnownVariants, SPELLING_BYTES_MAX, SPELLINGS_MAX } from "./known-variants.ts";
import { valuesOf } from "./variants.ts";

type Lines = readonly (readonly [string, string])[];
const NAMES = ["accept-encoding", "cookie", "x-kind"];

function variantOf(request: FieldBlock, names = NAMES): string {
  return JSON.stringify(valuesOf(request, names));
}

function remember(known: KnownVariants, lines: Lines): number {
  const request = FieldBlock.from(lines);
  const variant = variantOf(request);
  return known.remember(request, variant, `key ${variant}`);
}

test("the same lines are known, whatever stands beside them; others are not", () => {
  const known = new KnownVariants(NAMES);
  const said: Lines = [
    ["Accept-Encoding", "gzip"],
    ["X-Kind", "a"],
    ["X-Kind", "b"],
  ];
  assert.equal(known.find(FieldBlock.from(said)), null);
  assert.ok(remember(known, said) > 0);
  const variant = variantOf(FieldBlock.from(said));
  const same: readonly Lines[] = [
    said,
    [["User-Agent", "x"], ...said],
    [said[1]!, said[2]!, said[0]!],
    [["ACCEPT-encoding", "gzip"], ["x-KIND", "a"], ["Host", "a"], said[2]!],
  ];
  for (const lines of same) assert.equal(known.find(FieldBlock.from(lines))?.variant, variant, JSON.stringify(lines));
  const others: readonly Lines[] = [
    [],
    said.slice(0, 2),
    [said[0]!, said[2]!, said[1]!],
    [said[0]!, ["X-Kind", "ab"]],
    [said[0]!, ["X-Kind", "ab"], ["X-Kind", ""]],
    [...said, ["X-Kind", ""]],
    [...said, ["Cookie", ""]],
    [["Accept-Encoding", "gziP"], said[1]!, said[2]!],
    [["Accept-Encoding", "gzi"], ["X-Kind", "pa"], said[2]!],
    // As long, and the bytes in a row are the same: under another name.
    [["Accept-Encoding", "gzip"], ["Cookie", "a"], said[2]!],
  ];
  for (const lines of others) assert.equal(known.find(FieldBlock.from(lines)), null, JSON.stringify(lines));
});

test("whatever is found is what normalising says", () => {
  const random = new SeededRandom(seed);
  const pick = (texts: readonly string[]): string => texts[random.below(texts.length)]!;
  let found = 0;
  for (let world = 0; world < 50; world++) {
    const known = new KnownVariants(NAMES);
    for (let step = 0; step < 200; step++) {
      const lines = Array.from({ length: random.below(4) }, (): [string, string] => {
        return [
          pick(["Accept-Encoding", "accept-encoding", "Cookie", "X-Kind"]),
          pick(["", "a", "b", "a,b", "b, a", "A"]),
        ];
      });
      const request = FieldBlock.from(lines);
      const variant = variantOf(request);
      const spelling = known.find(request);
      if (spelling === null) known.remember(request, variant, variant);
      else {
        found++;
        assert.equal(spelling.variant, variant, `${JSON.stringify(lines)}: ${replayHint}`);
      }
    }
  }
  assert.ok(found > 1000, `${found} were found: ${replayHint}`);
});

test("endless spellings take no more memory than a few, and the last ones are known", () => {
  const known = new KnownVariants(NAMES);
  let bytes = 0;
  let most = 0;
  const linesOf = (index: number): Lines => [["Accept-Encoding", `gzip${" ".repeat(index % 7)},${index}`]];
  for (let index = 0; index < 1000; index++) {
    bytes += remember(known, linesOf(index));
    most = Math.max(most, bytes);
  }
  assert.ok(most <= SPELLINGS_MAX * 600, `${most} bytes`);
  for (let index = 0; index < 1000; index++) {
    assert.equal(known.find(FieldBlock.from(linesOf(index))) !== null, index >= 1000 - SPELLINGS_MAX, `${index}`);
  }
});

test("what is long, or has many lines, is not remembered", () => {
  const known = new KnownVariants(NAMES);
  const long: Lines = [["Cookie", "x".repeat(SPELLING_BYTES_MAX + 1)]];
  const many: Lines = Array.from({ length: 200 }, () => ["X-Kind", "a"]);
  for (const lines of [long, many]) {
    assert.equal(remember(known, lines), 0);
    assert.equal(known.find(FieldBlock.from(lines)), null);
  }
  assert.ok(remember(known, [["Cookie", "x".repeat(SPELLING_BYTES_MAX)]]) > 0);
});
