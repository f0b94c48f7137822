// What is given without asking the origin, and when.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { EncodedLines, FieldBlock } from "../../core/fields.ts";
import { type AnswerHead, ageOf, ageValue, HEAD_FLAGS } from "./answer-head.ts";
import { NO_REQUEST_DIRECTIVES, requestDirectives } from "./cache-control.ts";
import { isErrorForStale, mayGiveOnError, mayReuse, type Reuse } from "./reuse.ts";

const HONOURS = { honoursRequest: true };
const DOES_NOT = { honoursRequest: false };
const { immutable, mustRevalidate, noCache, purgedSoftly } = HEAD_FLAGS;

function head(freshMs: number, flags = 0, swrMs = 0, sieMs = 0): AnswerHead {
  return {
    status: 200,
    fields: new EncodedLines([]),
    requestedMs: 0,
    receivedMs: 0,
    initialAgeMs: 0,
    freshMs,
    staleWhileRevalidateMs: swrMs,
    staleIfErrorMs: sieMs,
    flags,
    vary: [],
    tags: [],
    bodyBytes: 0,
  };
}

function directives(value: string) {
  return value === "" ? NO_REQUEST_DIRECTIVES : requestDirectives(FieldBlock.from([["Cache-Control", value]]));
}

describe("a stored answer that is fresh for ten seconds", () => {
  const table: readonly (readonly [ageMs: number, request: string, flags: number, swrMs: number, expected: Reuse])[] = [
    [0, "", 0, 0, "fresh"],
    [9999, "", 0, 0, "fresh"],
    // Fresh means that the lifetime is more than the age (section 4.2).
    [10_000, "", 0, 0, "validate-stale"],
    [5000, "", noCache, 0, "validate-always"],
    [5000, "max-stale", noCache, 5000, "validate-always"],
    [5000, "", purgedSoftly, 0, "validate-stale"],
    [5000, "", purgedSoftly, 5000, "stale-while-revalidate"],
    [5000, "max-stale", purgedSoftly, 0, "validate-stale"],
    [5000, "", mustRevalidate, 0, "fresh"],
    [10_000, "", 0, 2000, "stale-while-revalidate"],
    [11_999, "", 0, 2000, "stale-while-revalidate"],
    [12_000, "", 0, 2000, "validate-stale"],
    [5000, "max-age=0", 0, 0, "validate-asked"],
    [0, "max-age=0", 0, 0, "validate-asked"],
    [5000, "max-age=4", 0, 0, "validate-asked"],
    [5000, "max-age=6", 0, 0, "fresh"],
    [5000, "max-age=0", immutable, 0, "fresh"],
    [10_000, "max-age=20", immutable, 0, "validate-stale"],
    [5000, "no-cache", immutable, 0, "validate-asked"],
    [5000, "min-fresh=5", 0, 0, "fresh"],
    [5000, "min-fresh=6", 0, 0, "validate-asked"],
    [5000, "no-cache", 0, 0, "validate-asked"],
    [12_000, "max-stale", 0, 0, "stale-accepted"],
    [12_000, "max-stale=2", 0, 0, "stale-accepted"],
    [12_001, "max-stale=2", 0, 0, "validate-stale"],
    [12_000, "max-stale=2", mustRevalidate, 0, "validate-stale"],
    [12_000, "max-age=20, max-stale=2", 0, 0, "stale-accepted"],
    [12_000, "max-age=20", 0, 5000, "validate-stale"],
    [12_000, "max-age=11, max-stale=2", 0, 0, "validate-asked"],
    [5000, "only-if-cached", 0, 0, "fresh"],
    [12_000, "only-if-cached", 0, 0, "unavailable"],
    [12_000, "only-if-cached, max-stale", 0, 0, "stale-accepted"],
    [12_000, "only-if-cached", 0, 5000, "stale-while-revalidate"],
    [5000, "only-if-cached, no-cache", 0, 0, "unavailable"],
    [5000, "x", 0, 0, "fresh"],
  ];
  for (const [ageMs, request, flags, swrMs, expected] of table) {
    it(`${ageMs} ms old, "${request}", flags ${flags}, ${swrMs} ms while revalidated: ${expected}`, () => {
      assert.equal(mayReuse(head(10_000, flags, swrMs), ageMs, directives(request), HONOURS, false), expected);
    });
  }

  it("is given whatever the client says where that does not count, but for only-if-cached", () => {
    for (const request of ["no-cache", "max-age=0", "min-fresh=100"]) {
      assert.equal(mayReuse(head(10_000), 5000, directives(request), DOES_NOT, false), "fresh");
    }
    assert.equal(mayReuse(head(10_000), 12_000, directives("max-stale"), DOES_NOT, false), "validate-stale");
    assert.equal(mayReuse(head(10_000), 12_000, directives("only-if-cached"), DOES_NOT, false), "unavailable");
  });

  it("is validated for who asks for it only if that was not done since he asked", () => {
    for (const request of ["no-cache", "max-age=0"]) {
      assert.equal(mayReuse(head(10_000), 5, directives(request), HONOURS, true), "fresh");
    }
    assert.equal(mayReuse(head(10_000, noCache), 5, directives(""), HONOURS, true), "validate-always");
    assert.equal(mayReuse(head(10_000), 12_000, directives(""), HONOURS, true), "validate-stale");
  });
});

describe("in place of an error", () => {
  const table: readonly (readonly [given: boolean, ageMs: number, stored: AnswerHead, request: string])[] = [
    [false, 12_000, head(10_000), ""],
    [true, 11_999, head(10_000, 0, 0, 2000), ""],
    [false, 12_000, head(10_000, 0, 0, 2000), ""],
    [true, 11_999, head(10_000, 0, 2000), ""],
    [true, 5000, head(10_000, purgedSoftly), ""],
    [true, 5000, head(10_000), "max-age=0"],
    [false, 5000, head(10_000), "no-cache"],
    [false, 5000, head(10_000, noCache, 0, 9000), ""],
    [true, 11_000, head(10_000), "max-stale=1"],
    [true, 11_000, head(10_000), "stale-if-error=2"],
    [false, 11_000, head(10_000, mustRevalidate), "max-stale, stale-if-error=2"],
  ];
  for (const [given, ageMs, answer, request] of table) {
    it(`${given ? "given" : "not given"}: ${ageMs} ms old, "${request}", flags ${answer.flags}`, () => {
      assert.equal(mayGiveOnError(answer, ageMs, directives(request), HONOURS), given);
    });
  }

  it("only those that say that the server cannot", () => {
    assert.deepEqual([499, 500, 501, 502, 503, 504, 505].filter(isErrorForStale), [500, 502, 503, 504]);
  });
});

describe("the age of a stored answer", () => {
  it("grows with the clock, and never shrinks below what it was at first", () => {
    const answer = { ...head(10), initialAgeMs: 3000, receivedMs: 1000 };
    assert.equal(ageOf(answer, 5500), 7500);
    assert.equal(ageOf(answer, 0), 3000);
    assert.equal(ageOf({ ...answer, receivedMs: 60_000 }, 0), 3000);
    assert.equal(ageValue(7999), "7");
    assert.equal(ageValue(1e15), "2147483648");
  });

  it("is more than anything is fresh for when the clock was set back by more than a moment", () => {
    const age = ageOf({ ...head(10), receivedMs: 60_001 }, 0);
    assert.equal(mayReuse(head(2 ** 31 * 1000), age, directives(""), HONOURS, false), "validate-stale");
  });
});

describe("whatever a client says", () => {
  it("never gets what must be validated, and older is never better", () => {
    const directive = fc.constantFrom(
      "max-stale",
      "max-stale=3",
      "max-age=3",
      "min-fresh=3",
      "no-cache",
      "only-if-cached",
      "x",
    );
    const flags = fc.nat({ max: 31 });
    fc.assert(
      fc.property(
        fc.array(directive),
        flags,
        fc.nat({ max: 20_000 }),
        fc.nat({ max: 20_000 }),
        (said, bits, ageMs, swrMs) => {
          const answer = head(10_000, bits, (bits & (mustRevalidate | noCache)) === 0 ? swrMs : 0);
          const request = directives(said.join(","));
          const now = mayReuse(answer, ageMs, request, HONOURS, false);
          if ((bits & noCache) !== 0) assert.match(now, /^(?:validate|unavailable)/);
          if ((bits & mustRevalidate) !== 0 && ageMs >= 10_000) assert.match(now, /^(?:validate|unavailable)/);
          if (mayReuse(answer, ageMs + 1000, request, HONOURS, false) === "fresh") assert.equal(now, "fresh");
        },
      ),
      { seed, numRuns: 1000 },
    );
  });
});
