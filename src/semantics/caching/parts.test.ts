// Parts of a representation: which one an answer is, which may be joined, what can be given of one.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../../core/fields.ts";
import type { Validators } from "./conditionals.ts";
import { mayJoin, partOf, rangesFromPart } from "./parts.ts";

const CONTENT_RANGE = ["Content-Range", "bytes 5-9/20"] as const;

describe("the part that an answer with 206 is", () => {
  const part = { start: 5, end: 10, completeBytes: 20 };
  const table: readonly (readonly [lines: readonly (readonly [string, string])[], bodyBytes: number, part: unknown])[] =
    [
      [[CONTENT_RANGE], 5, part],
      [[CONTENT_RANGE], -1, part],
      // An origin that contradicts itself is believed in nothing.
      [[CONTENT_RANGE], 6, null],
      [[CONTENT_RANGE, CONTENT_RANGE], 5, null],
      [[], 5, null],
      [[["Content-Range", "bytes */20"]], 5, null],
      [[CONTENT_RANGE, ["Content-Type", "multipart/byteranges; boundary=x"]], 5, null],
    ];
  for (const [lines, bodyBytes, expected] of table) {
    it(`${JSON.stringify(lines)} with ${bodyBytes} bytes`, () => {
      assert.deepEqual(partOf(FieldBlock.from(lines), bodyBytes), expected);
    });
  }
});

describe("two parts", () => {
  const nothing: Validators = { etag: null, lastModifiedMs: null, dateMs: null, isEncoded: false };
  const etag = (text: string | null): Validators => ({ ...nothing, etag: text });
  const dated = (lastModifiedMs: number, dateMs: number): Validators => ({ ...nothing, lastModifiedMs, dateMs });
  const one = { start: 0, end: 5, completeBytes: 10 };
  const next = { start: 5, end: 10, completeBytes: 10 };

  it("are joined when a strong validator says that they belong together", () => {
    assert.equal(mayJoin(one, etag('"a"'), next, etag('"a"')), true);
    assert.equal(mayJoin(next, etag('"a"'), one, etag('"a"')), true);
    assert.equal(mayJoin(one, dated(0, 1000), next, dated(0, 9000)), true);
    assert.equal(mayJoin(one, etag('"a"'), { ...next, completeBytes: -1 }, etag('"a"')), true);
    assert.equal(mayJoin(one, { ...etag('"a"'), isEncoded: true }, next, { ...etag('"a"'), isEncoded: true }), true);
  });

  it("are not joined by anything weaker, or with a gap, or as parts of another whole", () => {
    assert.equal(mayJoin(one, etag(null), next, etag(null)), false);
    assert.equal(mayJoin(one, etag('"a"'), next, etag('"b"')), false);
    assert.equal(mayJoin(one, etag('W/"a"'), next, etag('W/"a"')), false);
    assert.equal(mayJoin(one, etag("a"), next, etag("a")), false);
    assert.equal(mayJoin(one, dated(0, 999), next, dated(0, 9000)), false);
    assert.equal(mayJoin(one, dated(0, 1000), next, dated(1000, 9000)), false);
    assert.equal(mayJoin(one, { ...dated(0, 1000), isEncoded: true }, next, dated(0, 9000)), false);
    assert.equal(mayJoin(one, { ...dated(0, 1000), etag: '"a"' }, next, dated(0, 1000)), false);
    assert.equal(mayJoin(one, etag('"a"'), { ...next, start: 6 }, etag('"a"')), false);
    assert.equal(mayJoin(one, etag('"a"'), { ...next, completeBytes: 11 }, etag('"a"')), false);
  });
});

describe("from a part", () => {
  const part = { start: 5, end: 10, completeBytes: 10 };
  const table: readonly (readonly [range: string | null, ranges: unknown])[] = [
    ["bytes=-5", [{ start: 5, end: 10 }]],
    ["bytes=6-8", [{ start: 6, end: 9 }]],
    ["bytes=6-", [{ start: 6, end: 10 }]],
    ["bytes=-1", [{ start: 9, end: 10 }]],
    ["bytes=4-5", null],
    ["bytes=0-0,-1", null],
    ["bytes=10-", null],
    ["x", null],
    [null, null],
  ];
  for (const [range, ranges] of table) {
    it(`${range} can ${ranges === null ? "not " : ""}be given`, () =>
      assert.deepEqual(rangesFromPart(part, range), ranges));
  }

  it("that is all, all can be given; of one without end, nothing", () => {
    assert.deepEqual(rangesFromPart({ start: 0, end: 10, completeBytes: 10 }, null), [{ start: 0, end: 10 }]);
    assert.equal(rangesFromPart({ start: 0, end: 10, completeBytes: -1 }, "bytes=0-1"), null);
  });
});
