// Conditions of clients and of our own, and whom a 304 or an answer to HEAD confirms.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { EncodedLines, FieldBlock } from "../../core/fields.ts";
import type { AnswerHead } from "./answer-head.ts";
import {
  type ConditionVerdict,
  evaluateConditions,
  type HeadVerdict,
  hasConditions,
  isConfirmedBy,
  isForNotModified,
  judgeByHead,
  makeResuming,
  makeValidating,
  rangeApplies,
  removeConditions,
} from "./conditionals.ts";
import { formatHttpDate } from "./dates.ts";

type Lines = readonly (readonly [string, string])[];

const NOW = Date.UTC(2026, 10, 26, 12);
const CHANGED_S = -3000;

function date(seconds: number): string {
  return formatHttpDate(NOW + seconds * 1000);
}

function head(fields: Lines, status = 200, bodyBytes = 10): AnswerHead {
  return {
    status,
    fields: new EncodedLines(fields),
    requestedMs: NOW,
    receivedMs: NOW + 300,
    initialAgeMs: 0,
    freshMs: 0,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    flags: 0,
    vary: [],
    tags: [],
    bodyBytes,
  };
}

const MODIFIED = ["Last-Modified", date(CHANGED_S)] as const;
const BOTH: Lines = [["ETag", '"a"'], MODIFIED, ["Date", date(0)]];

describe("a client's conditions", () => {
  const table: readonly (readonly [verdict: ConditionVerdict, request: Lines, stored: Lines, status?: number])[] = [
    ["give", [], BOTH],
    ["give", [["Range", "bytes=0-1"]], BOTH],
    ["not-modified", [["If-None-Match", '"a"']], BOTH],
    ["not-modified", [["If-None-Match", 'W/"a"']], BOTH],
    ["not-modified", [["If-None-Match", '"a"']], [["ETag", 'W/"a"']]],
    [
      "not-modified",
      [
        ["If-None-Match", '"1", "2"'],
        ["If-None-Match", '"a"'],
      ],
      BOTH,
    ],
    ["not-modified", [["If-None-Match", "*"]], []],
    ["not-modified", [["If-None-Match", '"\xfc,"']], [["ETag", '"\xfc,"']]],
    ["not-modified", [["If-None-Match", "a"]], [["ETag", "a"]]],
    ["give", [["If-None-Match", "a"]], BOTH],
    ["give", [["If-None-Match", '"b"']], BOTH],
    ["give", [["If-None-Match", '"a"']], [MODIFIED]],
    ["give", [["If-None-Match", ""]], BOTH],
    // If-None-Match comes before If-Modified-Since (section 13.2.2).
    [
      "not-modified",
      [
        ["If-None-Match", '"a"'],
        ["If-Modified-Since", date(-10_000)],
      ],
      BOTH,
    ],
    [
      "give",
      [
        ["If-None-Match", '"b"'],
        ["If-Modified-Since", date(0)],
      ],
      BOTH,
    ],
    ["not-modified", [["If-Modified-Since", date(CHANGED_S)]], [MODIFIED]],
    ["not-modified", [["If-Modified-Since", date(-2000)]], [MODIFIED]],
    ["give", [["If-Modified-Since", date(CHANGED_S - 1)]], [MODIFIED]],
    ["give", [["If-Modified-Since", "yesterday"]], [MODIFIED]],
    ["give", [["If-Modified-Since", `${date(0)}, ${date(0)}`]], [MODIFIED]],
    // Date stands in for Last-Modified, and for it the time of arrival (RFC 9111, section 4.3.2).
    ["not-modified", [["If-Modified-Since", date(0)]], [["Date", date(0)]]],
    ["give", [["If-Modified-Since", date(-1)]], [["Date", date(0)]]],
    ["not-modified", [["If-Modified-Since", date(0)]], []],
    ["give", [["If-Modified-Since", date(-1)]], []],
    // What is no representation has no conditions.
    ["give", [["If-None-Match", '"a"']], BOTH, 404],
    ["give", [["If-None-Match", "*"]], BOTH, 301],
    ["not-modified", [["If-None-Match", '"a"']], BOTH, 203],
    ["give", [["If-Match", '"a"']], BOTH],
    ["give", [["If-Match", "*"]], []],
    ["ask-origin", [["If-Match", '"b"']], BOTH],
    ["ask-origin", [["If-Match", 'W/"a"']], [["ETag", 'W/"a"']]],
    [
      "not-modified",
      [
        ["If-Match", '"a"'],
        ["If-None-Match", '"a"'],
      ],
      BOTH,
    ],
    ["give", [["If-Unmodified-Since", date(CHANGED_S)]], BOTH],
    ["ask-origin", [["If-Unmodified-Since", date(CHANGED_S - 1)]], BOTH],
    ["ask-origin", [["If-Unmodified-Since", date(0)]], [["ETag", '"a"']]],
    ["give", [["If-Unmodified-Since", "x"]], BOTH],
    [
      "give",
      [
        ["If-Match", '"a"'],
        ["If-Unmodified-Since", date(CHANGED_S - 1)],
      ],
      BOTH,
    ],
  ];
  for (const [verdict, request, stored, status] of table) {
    it(`${verdict}: ${JSON.stringify(request)} of ${JSON.stringify(stored)} ${status ?? ""}`, () => {
      assert.equal(evaluateConditions(FieldBlock.from(request), head(stored, status)), verdict);
    });
  }
});

describe("If-Range", () => {
  const table: readonly (readonly [applies: boolean, value: string | null, stored: Lines])[] = [
    [true, null, []],
    [true, '"a"', BOTH],
    [false, '"b"', BOTH],
    [false, 'W/"a"', [["ETag", 'W/"a"']]],
    [false, '"a"', [["ETag", 'W/"a"']]],
    [false, "a", [["ETag", "a"]]],
    [true, date(CHANGED_S), BOTH],
    [false, date(CHANGED_S + 1), BOTH],
    [
      false,
      date(0),
      [
        ["Last-Modified", date(0)],
        ["Date", date(0)],
      ],
    ],
    [false, date(CHANGED_S), [MODIFIED]],
    [false, date(CHANGED_S), [...BOTH, ["Content-Encoding", "gzip"]]],
    [true, '"a"', [...BOTH, ["Content-Encoding", "gzip"]]],
    [
      false,
      "x",
      [
        ["Last-Modified", "x"],
        ["Date", date(0)],
      ],
    ],
  ];
  for (const [applies, value, stored] of table) {
    it(`${value} ${applies ? "lets" : "does not let"} Range count for ${JSON.stringify(stored)}`, () => {
      const request = FieldBlock.from(value === null ? [] : [["If-Range", value]]);
      assert.equal(rangeApplies(request, head(stored)), applies);
    });
  }
});

describe("a validating request", () => {
  const OWN: Lines = [
    ["Accept", "x"],
    ["If-None-Match", '"own"'],
    ["If-Modified-Since", date(0)],
    ["If-Match", '"own"'],
    ["If-Unmodified-Since", date(0)],
    ["If-Range", '"own"'],
    ["Range", "bytes=0-1"],
  ];

  it("has the stored validators, as they are, in place of the client's conditions", () => {
    const request = FieldBlock.from(OWN);
    assert.equal(makeValidating(request, head([["ETag", "unquoted"], MODIFIED])), true);
    assert.deepEqual(
      [...request.entries()],
      [
        ["Accept", "x"],
        ["If-None-Match", "unquoted"],
        ["If-Modified-Since", date(CHANGED_S)],
      ],
    );
  });

  it("has the one validator that there is", () => {
    const request = FieldBlock.from([]);
    assert.equal(makeValidating(request, head([["ETag", 'W/"a"']])), true);
    assert.deepEqual([...request.entries()], [["If-None-Match", 'W/"a"']]);
    const other = FieldBlock.from([]);
    assert.equal(makeValidating(other, head([MODIFIED])), true);
    assert.deepEqual([...other.entries()], [["If-Modified-Since", date(CHANGED_S)]]);
  });

  it("asks for all of it when there is nothing to validate with", () => {
    const request = FieldBlock.from(OWN);
    assert.equal(makeValidating(request, head([["Date", date(0)]])), false);
    assert.deepEqual([...request.entries()], [["Accept", "x"]]);
  });

  it("asks for the rest only by a strong validator", () => {
    const resumed = (stored: Lines, end: number) => {
      const request = FieldBlock.from(OWN);
      removeConditions(request);
      return makeResuming(request, head(stored), 5, end) ? [...request.entries()].slice(1) : null;
    };
    assert.deepEqual(resumed(BOTH, -1), [
      ["Range", "bytes=5-"],
      ["If-Range", '"a"'],
    ]);
    assert.deepEqual(resumed([MODIFIED, ["Date", date(0)]], 10), [
      ["Range", "bytes=5-9"],
      ["If-Range", date(CHANGED_S)],
    ]);
    assert.equal(resumed([["ETag", 'W/"a"']], -1), null);
    assert.equal(resumed([MODIFIED, ["Date", date(CHANGED_S)]], -1), null);
    assert.equal(resumed([MODIFIED, ["Date", date(0)], ["Content-Encoding", "br"]], -1), null);
    assert.equal(resumed([], -1), null);
  });

  it("is told from others at a glance", () => {
    assert.equal(hasConditions(FieldBlock.from([["Range", "bytes=0-1"]])), false);
    assert.equal(hasConditions(FieldBlock.from([["if-match", "*"]])), true);
  });
});

describe("a 304", () => {
  const table: readonly (readonly [confirms: boolean, notModified: Lines, stored: Lines])[] = [
    [true, [], BOTH],
    [true, [["ETag", '"a"']], BOTH],
    [
      true,
      [
        ["ETag", '"a"'],
        ["Last-Modified", date(0)],
      ],
      BOTH,
    ],
    [true, [["ETag", 'W/"a"']], BOTH],
    [true, [["ETag", 'W/"a"']], [["ETag", 'W/"a"']]],
    [false, [["ETag", '"b"']], BOTH],
    // A strong one promises more than the weak one that is stored.
    [false, [["ETag", '"a"']], [["ETag", 'W/"a"']]],
    [false, [["ETag", 'W/"b"']], [["ETag", 'W/"a"']]],
    [false, [["ETag", '"a"']], [MODIFIED]],
    [true, [MODIFIED], [MODIFIED]],
    [false, [["Last-Modified", date(0)]], [MODIFIED]],
  ];
  for (const [confirms, notModified, stored] of table) {
    it(`${JSON.stringify(notModified)} ${confirms ? "confirms" : "is not about"} ${JSON.stringify(stored)}`, () => {
      assert.equal(isConfirmedBy(head(stored), FieldBlock.from(notModified)), confirms);
    });
  }

  it("has what a client updates its copy with, and nothing of the content", () => {
    const names = [
      "etag",
      "cache-control",
      "content-location",
      "content-security-policy",
      "content-type",
      "content-range",
      "x",
    ];
    assert.deepEqual(names.filter(isForNotModified), [
      "etag",
      "cache-control",
      "content-location",
      "content-security-policy",
      "x",
    ]);
  });
});

describe("an answer to HEAD", () => {
  const table: readonly (readonly [
    HeadVerdict,
    status: number,
    response: Lines,
    contentLength: number,
    stored?: number,
  ])[] = [
    ["freshens", 200, [], -1],
    ["freshens", 200, [["ETag", '"a"'], MODIFIED], 10],
    ["stale", 200, [["ETag", '"b"']], 10],
    ["stale", 200, [["Last-Modified", date(0)]], 10],
    ["stale", 200, [], 11],
    ["stale", 410, [], -1],
    ["stale", 404, [], -1],
    ["nothing", 404, [], -1, 404],
    ["nothing", 500, [], -1],
    ["nothing", 304, [], -1],
    ["nothing", 200, [], -1, 404],
  ];
  for (const [verdict, status, response, contentLength, stored] of table) {
    it(`${status} ${JSON.stringify(response)} of ${contentLength} bytes: ${verdict} for a ${stored ?? 200}`, () => {
      assert.equal(judgeByHead(head(BOTH, stored), status, FieldBlock.from(response), contentLength), verdict);
    });
  }
});

describe("whatever conditions say", () => {
  const value = fc.oneof(
    fc.constantFrom('"a"', 'W/"a"', '"b"', "*", '"a", "b"', '"a', "a", date(0), date(CHANGED_S), "0"),
    fc.stringMatching(/^["W/a, *\\]{0,12}$/),
  );
  const name = fc.constantFrom("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range");
  const stored = fc.array(
    fc.oneof(
      value.map((text) => ["ETag", text] as const),
      value.map((text) => ["Last-Modified", text] as const),
    ),
  );

  it("304 means that the client named this entity tag, or a time not before the change", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), stored, (conditions, fields) => {
        const request = FieldBlock.from(conditions);
        const answer = head(fields);
        const verdict = evaluateConditions(request, answer);
        rangeApplies(request, answer);
        if (verdict === "not-modified") {
          const etags = request.get("if-none-match");
          const opaque = answer.fields.get("etag")?.replace(/^W\//, "");
          if (etags !== null) assert.ok(etags.trim() === "*" || (opaque !== undefined && etags.includes(opaque)));
          else assert.ok(request.has("if-modified-since"));
        }
        if (!hasConditions(request)) assert.equal(verdict, "give");
      }),
      { seed, numRuns: 1000 },
    );
  });
});
