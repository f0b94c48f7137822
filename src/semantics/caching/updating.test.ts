// What becomes of a stored answer when a newer one without content confirms it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../../core/fields.ts";
import { type AnswerHead, hasFlag } from "./answer-head.ts";
import { formatHttpDate } from "./dates.ts";
import { type AnsweredRequest, DEFAULT_STORING_RULES, mayStore } from "./storing.ts";
import { turnedStale, type UpdateVerdict, updated } from "./updating.ts";

type Lines = readonly (readonly [string, string])[];

const NOW = Date.UTC(2026, 10, 26, 12);
const REQUEST: AnsweredRequest = {
  method: "GET",
  fields: new FieldBlock(),
  url: "https://example.org/",
  isIdentified: false,
  noStore: false,
  requestedMs: NOW,
};

function storedWith(fields: Lines): AnswerHead {
  const answer = { status: 200, fields: FieldBlock.from(fields), bodyBytes: 36, receivedMs: NOW };
  const verdict = mayStore(REQUEST, answer, DEFAULT_STORING_RULES);
  assert.ok(verdict.isStored);
  return verdict.head;
}

function updatedBy(newer: Lines, head: AnswerHead, request = REQUEST): UpdateVerdict {
  return updated(
    head,
    { ...request, requestedMs: NOW + 60_000 },
    { fields: FieldBlock.from(newer), receivedMs: NOW + 60_000 },
    DEFAULT_STORING_RULES,
  );
}

const STORED: Lines = [
  ["Cache-Control", "max-age=2"],
  ["Date", formatHttpDate(NOW)],
  ["ETag", '"a"'],
  ["A", "1"],
  ["A", "2"],
  ["B", "1"],
  ["Content-Type", "text/plain"],
  ["Content-Encoding", "gzip"],
];

describe("a stored answer that a newer one confirms", () => {
  const newer: Lines = [
    ["Cache-Control", "max-age=1000"],
    ["Date", formatHttpDate(NOW + 60_000)],
    ["a", "3"],
    ["C", "4"],
    ["Content-Type", "text/html"],
    ["Content-Encoding", "br"],
    ["Content-Length", "10"],
    ["Content-Range", "bytes 0-9/10"],
    ["Connection", "x"],
    ["Age", "5"],
  ];

  it("has the new fields, keeps the others, and stays the bytes that it is (RFC 9111, section 3.2)", () => {
    const verdict = updatedBy(newer, storedWith(STORED));
    assert.ok(verdict.isStored);
    assert.deepEqual([...verdict.head.fields.entries()].sort(), [
      ["B", "1"],
      ["C", "4"],
      ["Cache-Control", "max-age=1000"],
      ["Content-Encoding", "gzip"],
      ["Content-Type", "text/html"],
      ["Date", formatHttpDate(NOW + 60_000)],
      ["ETag", '"a"'],
      ["a", "3"],
    ]);
    assert.equal(verdict.head.bodyBytes, 36);
    assert.equal(verdict.head.status, 200);
  });

  it("is fresh anew, from the moment it was confirmed", () => {
    const verdict = updatedBy(newer, storedWith(STORED));
    assert.ok(verdict.isStored);
    assert.deepEqual(
      [verdict.head.freshMs, verdict.head.initialAgeMs, verdict.head.receivedMs],
      [1_000_000, 5000, NOW + 60_000],
    );
    const silent = updatedBy([["Date", formatHttpDate(NOW + 60_000)]], storedWith(STORED));
    assert.ok(silent.isStored);
    assert.deepEqual([silent.head.freshMs, silent.head.initialAgeMs], [2000, 0]);
  });

  it("keeps no age of a confirmation that bears no date", () => {
    const verdict = updatedBy([], storedWith(STORED));
    assert.ok(verdict.isStored);
    assert.equal(verdict.head.initialAgeMs, 0);
    assert.equal(verdict.head.fields.get("date"), formatHttpDate(NOW + 60_000));
  });

  it("is no longer kept when the newer one forbids it, and goes to the client that asked as it is now", () => {
    const identified = { ...REQUEST, isIdentified: true };
    const table = [
      [[["Cache-Control", "no-store"]], REQUEST, "no-store"],
      [[["Cache-Control", "private"]], REQUEST, "private"],
      [[], identified, "authorization"],
    ] as const;
    for (const [lines, request, reason] of table) {
      const verdict = updatedBy([...lines, ["A", "3"], ["Age", "7"]], storedWith(STORED), request);
      assert.ok(!verdict.isStored);
      const { head } = verdict;
      assert.equal(verdict.reason, reason);
      assert.deepEqual([head.fields.get("a"), head.fields.get("b"), head.fields.get("age")], ["3", "1", null]);
      assert.equal(head.fields.get("cache-control"), lines[0]?.[1] ?? "max-age=2");
      assert.deepEqual([head.status, head.bodyBytes, head.freshMs, head.initialAgeMs], [200, 36, 0, 7000]);
    }
  });

  it("is to be validated after a soft purge, with all else as it was", () => {
    const head = storedWith(STORED);
    const stale = turnedStale(head);
    assert.ok(hasFlag(stale, "purgedSoftly"));
    assert.deepEqual({ ...stale, flags: head.flags }, head);
  });
});
