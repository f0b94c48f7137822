// Origins that say absurd things of their answers: what is kept has times that can be reckoned with and comes back from the disk as it
// was, and no answer makes others, or the proxy, pay for it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeRecord, encodeRecord } from "../../src/caching/keeping/record.ts";
import { FieldBlock } from "../../src/core/fields.ts";
import { UseCounts } from "../../src/features/cache/uses.ts";
import { ageOf, ageValue } from "../../src/semantics/caching/answer-head.ts";
import { GROUPS_INVALIDATED_MAX, invalidatedBy } from "../../src/semantics/caching/invalidation.ts";
import { answerOf, cachingProxies } from "../support/caching-proxy.ts";
import { seed } from "../support/seed.ts";
import { judge, NOW } from "../support/storing-judge.ts";

const open = cachingProxies();

const NUMBERS = [
  "0",
  "-1",
  "1e9",
  "007",
  "99999999999999999999999",
  "2147483648",
  "1.5",
  "NaN",
  "",
  " 5",
  "5 5",
  '"60"',
];
const DATES = [
  "Thu, 01 Jan 1970 00:00:00 GMT",
  "Fri, 31 Dec 9999 23:59:59 GMT",
  "Sat, 29 Feb 2023 25:61:61 GMT",
  "Sunday, 06-Nov-94 08:49:37 GMT",
  "-1",
  "0",
  `${"9".repeat(400)}`,
];
const numbers = fc.constantFrom(...NUMBERS);
const control = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        "max-age",
        "s-maxage",
        "stale-if-error",
        "stale-while-revalidate",
        "Max-Age",
        "public",
        "no-cache",
      ),
      numbers,
    ),
    { maxLength: 4 },
  )
  .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join(","));
const line = fc.oneof(
  fc.tuple(fc.constantFrom("Cache-Control", "CDN-Cache-Control"), control),
  fc.tuple(fc.constant("Age"), numbers),
  fc.tuple(fc.constantFrom("Date", "Expires", "Last-Modified"), fc.constantFrom(...DATES)),
  fc.tuple(
    fc.constant("Vary"),
    fc.constantFrom("*", ",", "a".repeat(5000), Array.from({ length: 500 }, (_, i) => `n${i}`).join()),
  ),
  fc.tuple(fc.constant("ETag"), fc.constantFrom('"', 'W/"a"', '"a"', "a", '"\\"')),
);

describe("what an origin says of times", () => {
  it("makes no answer younger or fresher than numbers can tell, whatever it is", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.nat(1_000_000), (lines, delayMs) => {
        const verdict = judge(lines, { delayMs, rules: { heuristic: { share: 1, maxMs: 1e15 } } });
        if (!verdict.isStored) return;
        const { head } = verdict;
        for (const ms of [head.freshMs, head.initialAgeMs, head.staleIfErrorMs, head.staleWhileRevalidateMs]) {
          assert.ok(Number.isFinite(ms) && ms >= 0 && ms <= 1e15, JSON.stringify([lines, ms]));
        }
        assert.match(ageValue(ageOf(head, NOW + 1e9)), /^\d{1,16}$/);
        const body = { kind: "inline", start: 0, end: 0, bytes: Buffer.alloc(0) } as const;
        const record = {
          kind: "answer",
          key: "https://h/",
          variant: "",
          version: 1,
          slot: 1,
          purges: 0,
          head,
          body,
        } as const;
        const read = decodeRecord(Buffer.from(encodeRecord(record)));
        assert.ok(read?.kind === "answer");
        assert.deepEqual([read.head.freshMs, read.head.initialAgeMs], [head.freshMs, head.initialAgeMs]);
      }),
      { seed, numRuns: 3000 },
    );
  });
});

describe("an answer that names thousands of groups", () => {
  it("makes no more than some of them obsolete, and none that nothing is stored with", () => {
    const groups = Array.from({ length: 5000 }, (_, index) => `"g${index}"`);
    const response = FieldBlock.from([["Cache-Group-Invalidation", [`"${"x".repeat(2000)}"`, ...groups].join()]]);
    const { tags } = invalidatedBy("POST", "https://host/a", 200, response);
    assert.equal(tags.length, GROUPS_INVALIDATED_MAX);
    assert.equal(tags[0], "https://host g0");
  });
});

describe("a confirmation that says something else of the content", () => {
  it("changes neither its length nor its coding", async () => {
    const proxy = await open();
    proxy.answer = () =>
      answerOf(200, { "Cache-Control": "max-age=1", ETag: '"v"', "Content-Type": "text/plain" }, "content");
    await proxy.fetch("/a");
    proxy.clock.advance(5000);
    proxy.answer = () =>
      'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n' +
      "Content-Range: bytes 0-2/3\r\n\r\n";
    await proxy.fetch("/a");
    const { body, get, isWhole } = await proxy.fetch("/a");
    assert.deepEqual([body, isWhole, get("content-length")], ["content", true, "7"]);
    assert.deepEqual([get("content-encoding"), get("content-range")], [null, null]);
  });
});

describe("keys without number", () => {
  it("are counted by their digests: their length costs nothing", () => {
    const counts = new UseCounts();
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < 2000; index++) counts.count(`https://host/${index}${"x".repeat(16_000)}`.toUpperCase());
    globalThis.gc?.();
    assert.ok(process.memoryUsage().heapUsed - before < 16_000_000);
    assert.equal(counts.count(`https://host/7${"x".repeat(16_000)}`.toUpperCase()), 2);
  });
});
