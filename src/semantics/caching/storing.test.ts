// Which answers a shared cache stores, and why not; for how long they are fresh.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import {
  ASKED_URL,
  type Case,
  CHANGED,
  date,
  FRESH,
  judge,
  type Lines,
  NOW,
  refused,
  stored,
} from "../../../test/support/storing-judge.ts";
import { FieldBlock } from "../../core/fields.ts";
import { initialAge } from "./freshness.ts";
import type { NotStoredReason } from "./storing.ts";
import { TAGS_MAX } from "./tags.ts";

describe("an answer is not stored", () => {
  const explicit = { ignored: new Set<string>() };
  const table: readonly (readonly [why: NotStoredReason, response: Lines, given?: Case])[] = [
    ["request-no-store", [FRESH], { noStore: true }],
    ["method", [FRESH], { method: "HEAD" }],
    ["method", [FRESH], { method: "PUT" }],
    ["method", [FRESH], { method: "POST" }],
    ["method", [FRESH, ["Content-Location", "/other"]], { method: "POST" }],
    ["method", [["Content-Location", ASKED_URL], CHANGED], { method: "POST" }],
    ["status", [FRESH], { status: 103 }],
    ["status", [FRESH], { status: 226 }],
    ["status", [["Cache-Control", "max-age=60, no-store, must-understand"]], { status: 226 }],
    ["status", [FRESH], { status: 304 }],
    ["status", [FRESH], { status: 600 }],
    ["status", [FRESH], { status: 999 }],
    ["status", [FRESH], { status: 416 }],
    ["status", [FRESH], { status: 429 }],
    ["status", [CHANGED], { status: 201 }],
    ["status", [CHANGED], { status: 403 }],
    ["status", [CHANGED], { status: 599 }],
    ["status", [CHANGED], { status: 401, rules: { defaultLifetimeMs: 60_000 } }],
    ["partial", [FRESH, ["Content-Range", "bytes 0-4/10"]], { status: 206 }],
    ["partial", [FRESH], { status: 206, rules: { storesParts: true } }],
    [
      "partial",
      [FRESH, ["Content-Range", "bytes 4-9/10"]],
      { status: 206, bodyBytes: 5, rules: { storesParts: true } },
    ],
    ["no-store", [["Cache-Control", "max-age=60, no-store"]]],
    ["no-store", [["Cache-Control", "max-age=3600, no-store, must-understand"]], { status: 599 }],
    ["no-store", [["Cache-Control", "max-age=3600, must-understand"]], { status: 299 }],
    ["private", [["Cache-Control", "private, max-age=60"]]],
    ["private", [["Cache-Control", 'private="content-type", max-age=60']]],
    ["authorization", [FRESH], { isIdentified: true }],
    [
      "authorization",
      [FRESH],
      { isIdentified: true, rules: { lifetimeMs: 60_000, ignored: new Set(["cache-control"]) } },
    ],
    ["authorization", [["Cache-Control", "max-age=60, proxy-revalidate"]], { isIdentified: true }],
    ["set-cookie", [CHANGED, ["Set-Cookie", "a=b"]], { rules: { heuristic: { share: 0.1, maxMs: 1e9 } } }],
    ["set-cookie", [["Set-Cookie", "a=b"]], { rules: { ...explicit, defaultLifetimeMs: 60_000 } }],
    ["set-cookie", [["Set-Cookie", "a=b"]], { rules: { ...explicit, lifetimeMs: 60_000 } }],
    ["set-cookie", [FRESH, ["Set-Cookie2", "a=b"]], { rules: { setCookie: "never" } }],
    ["vary", [FRESH, ["Vary", "accept, *"]]],
    [
      "tags",
      [FRESH, ["xkey", Array.from({ length: TAGS_MAX + 1 }, (_, i) => i).join(" ")]],
      { rules: { tagFields: ["xkey"] } },
    ],
    ["tags", [FRESH, ["xkey", "k".repeat(2000)]], { rules: { tagFields: ["xkey"] } }],
    ["not-reusable", []],
    ["not-reusable", [["Cache-Control", "max-age=0"]]],
    ["not-reusable", [["Cache-Control", "no-cache, max-age=60"]]],
    ["not-reusable", [["Expires", "0"]]],
    [
      "not-reusable",
      [
        ["Expires", date(0)],
        ["Date", date(0)],
      ],
    ],
    [
      "not-reusable",
      [
        ["Cache-Control", "max-age=3600"],
        ["Age", "7200"],
      ],
    ],
    [
      "not-reusable",
      [
        ["Cache-Control", "max-age=3600"],
        ["Date", date(-7200)],
      ],
    ],
    [
      "not-reusable",
      [
        ["Expires", date(10)],
        ["Date", date(-10)],
        ["Age", "25"],
      ],
    ],
    [
      "not-reusable",
      [
        ["Expires", date(20)],
        ["Date", date(10)],
        ["Age", "15"],
      ],
    ],
    [
      "not-reusable",
      [
        ["Expires", date(300)],
        ["Date", date(400)],
      ],
    ],
    [
      "not-reusable",
      [
        ["CDN-Cache-Control", "max-age=0"],
        ["Expires", date(10_000)],
        ["Date", date(0)],
      ],
    ],
    ["no-store", [["CDN-Cache-Control", "no-store"], FRESH]],
    ["private", [["CDN-Cache-Control", "private"], FRESH]],
    [
      "no-store",
      [
        ["CDN-Cache-Control", 'max-age="10000"'],
        ["Cache-Control", "no-store"],
      ],
    ],
  ];
  for (const [why, response, given] of table) {
    it(`${why}: ${JSON.stringify(response).slice(0, 80)} ${JSON.stringify(given ?? {})}`, () => {
      assert.equal(refused(response, given), why);
    });
  }
});

describe("an answer is stored", () => {
  const public599: Lines = [CHANGED, ["Cache-Control", "public"]];
  const tenth = { heuristic: { share: 0.1, maxMs: 3_600_000 } };
  const table: readonly (readonly [freshMs: number, response: Lines, given?: Case])[] = [
    [60_000, [FRESH]],
    [60_000, [FRESH], { status: 299 }],
    [60_000, [FRESH], { status: 302 }],
    [60_000, [FRESH], { status: 401 }],
    [60_000, [FRESH], { status: 500 }],
    [60_000, [FRESH, ["Expires", date(-7200)], ["Date", date(0)]]],
    [60_000, [FRESH, ["Expires", "0"]]],
    [
      2_592_000_000,
      [
        ["Expires", date(2_592_000)],
        ["Date", date(0)],
      ],
    ],
    [
      10_000,
      [
        ["Date", "foo"],
        ["Expires", date(10)],
      ],
    ],
    [
      3_600_000,
      [
        ["Cache-Control", "max-age=0, s-maxage=3600"],
        ["Expires", date(-10)],
      ],
    ],
    [3_600_000, [["Cache-Control", "max-age=3600, no-store, must-understand"]]],
    [
      10_000_000,
      [
        ["CDN-Cache-Control", "max-age=10000"],
        ["Cache-Control", "no-store"],
        ["Expires", "0"],
      ],
    ],
    [
      0,
      [
        ["ETag", '"a"'],
        ["Cache-Control", "no-cache"],
      ],
    ],
    [0, [CHANGED]],
    [60_000, [FRESH, ["Content-Location", ASKED_URL]], { method: "POST" }],
    [60_000, [FRESH, ["Content-Location", "?x=1"]], { method: "POST" }],
    [60_000, [["Cache-Control", "max-age=60, public"]], { isIdentified: true }],
    [60_000, [["Cache-Control", "max-age=60, must-revalidate"]], { isIdentified: true }],
    [60_000, [["Cache-Control", "s-maxage=60"]], { isIdentified: true }],
    // A tenth of the time since it changed, where something may be guessed.
    [3_600_000, [CHANGED, ["Date", date(0)]], { rules: tenth }],
    [
      10_000,
      [
        ["Last-Modified", date(-100)],
        ["Date", date(0)],
      ],
      { rules: tenth },
    ],
    [
      10_000,
      [
        ["Last-Modified", date(-100)],
        ["Date", date(0)],
      ],
      { status: 404, rules: tenth },
    ],
    [
      10_000,
      [
        ["Last-Modified", date(-100)],
        ["Date", date(0)],
      ],
      { status: 451, rules: tenth },
    ],
    [3_600_000, public599, { status: 599, rules: tenth }],
    [0, [CHANGED], { request: [["Cookie", "a=b"]], rules: tenth }],
    [3_600_000, public599, { request: [["Cookie", "a=b"]], rules: tenth }],
    // What a rule says, from the moment of arrival on.
    [5000, [], { rules: { lifetimeMs: 5000 } }],
    [5000, [FRESH], { rules: { lifetimeMs: 5000 } }],
    [60_000, [FRESH], { rules: { defaultLifetimeMs: 5000 } }],
    [5000, [], { status: 502, rules: { defaultLifetimeMs: 5000 } }],
    [105_000, [["Age", "100"]], { rules: { lifetimeMs: 5000 } }],
    [1000, [FRESH], { rules: { lifetimeMaxMs: 1000 } }],
    [90_000, [FRESH], { rules: { lifetimeMinMs: 90_000 } }],
    [60_000, [FRESH], { rules: { lifetimeMinMs: 30_000 } }],
    [100_000, [FRESH, ["Age", "10"]], { rules: { lifetimeMinMs: 90_000, lifetimeMaxMs: 90_000 } }],
    [11_000, [FRESH, ["Age", "10"]], { rules: { lifetimeMaxMs: 1000 } }],
    [
      5000,
      [
        ["Cache-Control", "no-store, private"],
        ["Expires", "0"],
        ["Set-Cookie", "a=b"],
        ["Vary", "*"],
      ],
      { rules: { lifetimeMs: 5000, ignored: new Set(["cache-control", "expires", "set-cookie", "vary"]) } },
    ],
  ];
  for (const [freshMs, response, given] of table) {
    it(`fresh for ${freshMs} ms: ${JSON.stringify(response)} ${JSON.stringify(given ?? {})}`, () => {
      assert.equal(stored(response, given).freshMs, freshMs);
    });
  }
});

describe("an answer's age when it arrives", () => {
  const ageOf = (fields: Lines, receivedMs: number, requestedMs = receivedMs) =>
    initialAge(FieldBlock.from(fields), requestedMs, receivedMs);

  it("is the time since its Date, in the whole seconds that Date has; a clock that is ahead makes nothing older", () => {
    assert.equal(ageOf([["Date", date(0)]], NOW + 999), 0);
    assert.equal(ageOf([["Date", date(0)]], NOW + 1000), 1000);
    assert.equal(ageOf([["Date", date(3600)]], NOW), 0);
    assert.equal(ageOf([], NOW), 0);
  });

  it("is at least what Age says and how long it was on its way", () => {
    assert.equal(ageOf([["Age", "5"]], NOW + 300, NOW), 5300);
    assert.equal(
      ageOf(
        [
          ["Date", date(-9)],
          ["Age", "5"],
        ],
        NOW + 300,
        NOW,
      ),
      9000,
    );
    assert.equal(ageOf([["Age", "-5"]], NOW), 0);
  });
});

describe("whatever an answer says", () => {
  const directive = fc.constantFrom(
    "no-store",
    "no-cache",
    "private",
    "public",
    "max-age=9",
    "s-maxage=9",
    "must-revalidate",
    "must-understand",
    "stale-if-error=5",
    'private="a"',
    'no-cache="set-cookie"',
    "immutable",
    "x",
  );
  const lines = fc.array(
    fc.oneof(
      directive.map((value) => ["Cache-Control", value] as const),
      fc.constantFrom(
        ["Set-Cookie", "a=b"],
        ["Vary", "x"],
        ["Vary", "*"],
        ["ETag", '"e"'],
        ["Age", "5"],
        ["Expires", "0"],
        ["A", "1"] as const,
      ),
    ),
  ) as fc.Arbitrary<Lines>;

  it("private, no-store and an identity keep it out of a shared cache", () => {
    fc.assert(
      fc.property(lines, fc.boolean(), fc.constantFrom(200, 404, 500, 599), (response, isIdentified, status) => {
        const verdict = judge(response, { isIdentified, status, rules: { lifetimeMs: 1000, setCookie: "strip" } });
        if (!verdict.isStored) return;
        const said = response.filter(([name]) => name === "Cache-Control").map(([, value]) => value);
        assert.ok(!said.includes("private"));
        assert.ok(!said.includes("no-store") || said.includes("must-understand"));
        if (isIdentified) assert.ok(said.some((value) => /^(?:public|must-revalidate|s-maxage)/.test(value)));
        assert.equal(verdict.head.fields.get("set-cookie"), null);
        assert.ok(verdict.head.initialAgeMs >= 0 && verdict.head.freshMs >= 0);
      }),
      { seed, numRuns: 500 },
    );
  });
});
