// What is true of an answer that is stored: its age, its windows of staleness, its flags, fields and tags.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { date, FRESH, judge, type Lines, stored } from "../../../test/support/storing-judge.ts";
import { HEAD_FLAGS, hasFlag } from "./answer-head.ts";
import { mayBeShared, type StoringRules } from "./storing.ts";
import { TAGS_MAX } from "./tags.ts";

describe("a stored answer is kept", () => {
  it("with the age that it has already", () => {
    assert.equal(stored([FRESH, ["Age", "30"]]).initialAgeMs, 30_000);
    assert.equal(stored([FRESH, ["Age", "30"]], { delayMs: 2000 }).initialAgeMs, 32_000);
    assert.equal(stored([FRESH, ["Date", date(-40)], ["Age", "30"]]).initialAgeMs, 40_000);
    assert.equal(stored([FRESH, ["Date", date(40)]]).initialAgeMs, 0);
  });

  it("for clients that come while it is fetched only when it may be given without validation", () => {
    assert.equal(mayBeShared(stored([FRESH])), true);
    assert.equal(
      mayBeShared(
        stored([
          ["Cache-Control", "max-age=60, no-cache"],
          ["ETag", '"a"'],
        ]),
      ),
      false,
    );
    assert.equal(
      mayBeShared(
        stored([
          ["Cache-Control", "max-age=0"],
          ["ETag", '"a"'],
        ]),
      ),
      false,
    );
    assert.equal(mayBeShared(stored([["Cache-Control", "max-age=0, stale-while-revalidate=5"]])), true);
  });

  it("with what its directives say of staleness", () => {
    const rules = { staleWhileRevalidateMs: 1000, staleIfErrorMs: 2000 };
    const windows = (value: string): readonly number[] => {
      const head = stored(
        [
          ["Cache-Control", value],
          ["ETag", '"a"'],
        ],
        { rules },
      );
      return [head.staleWhileRevalidateMs, head.staleIfErrorMs];
    };
    assert.deepEqual(windows("max-age=60"), [1000, 2000]);
    assert.deepEqual(windows("max-age=60, stale-while-revalidate=5, stale-if-error=6"), [5000, 6000]);
    assert.deepEqual(windows("max-age=60, stale-while-revalidate=0"), [0, 2000]);
    assert.deepEqual(windows("s-maxage=60"), [0, 0]);
    assert.deepEqual(windows("s-maxage=60, stale-while-revalidate=5"), [5000, 0]);
    assert.deepEqual(windows("max-age=60, must-revalidate, stale-if-error=6"), [0, 0]);
    assert.deepEqual(windows("max-age=60, proxy-revalidate, stale-while-revalidate=6"), [0, 0]);
    assert.deepEqual(windows("max-age=60, no-cache"), [0, 0]);
  });

  it("with flags", () => {
    const flags = (value: string) =>
      stored([
        ["Cache-Control", value],
        ["ETag", '"a"'],
      ]).flags;
    assert.equal(flags("max-age=60"), 0);
    assert.equal(flags("max-age=60, must-revalidate"), HEAD_FLAGS.mustRevalidate);
    assert.equal(flags("s-maxage=60"), HEAD_FLAGS.mustRevalidate);
    assert.equal(flags("max-age=60, no-cache, immutable"), HEAD_FLAGS.noCache | HEAD_FLAGS.immutable);
    assert.equal(flags('max-age=60, no-cache="content-type"'), HEAD_FLAGS.noCache);
    assert.ok(hasFlag(stored([], { rules: { defaultLifetimeMs: 1 } }), "heuristic"));
  });

  it("without the fields of a connection, a proxy or the transfer", () => {
    const head = stored([
      FRESH,
      ["Connection", "close"],
      ["Keep-Alive", "x"],
      ["Proxy-Authenticate", "x"],
      ["Proxy-Authentication-Info", "x"],
      ["Proxy-Authorization", "x"],
      ["Proxy-Connection", "x"],
      ["TE", "x"],
      ["Transfer-Encoding", "chunked"],
      ["Upgrade", "x"],
      ["Content-Length", "5"],
      ["Age", "1"],
      ["Date", date(0)],
      ["Content-MD5", "x"],
      ["Content-Range", "of no meaning in a 200"],
      ["Set-Cookie", "a=b"],
      ["X-Other", "1"],
      ["x-other", "2"],
    ]);
    assert.deepEqual(
      [...head.fields.entries()].map(([name]) => name),
      ["Cache-Control", "Date", "Content-MD5", "Content-Range", "Set-Cookie", "X-Other", "x-other"],
    );
    assert.equal(head.fields.get("x-other"), "1, 2");
  });

  it("with a Date, its own or that of its arrival", () => {
    assert.equal(stored([FRESH]).fields.get("date"), date(0));
    assert.equal(stored([FRESH, ["Date", date(-5)]]).fields.get("date"), date(-5));
  });

  it("without what is for one client, who gets it all the same", () => {
    const table: readonly (readonly [Lines, Partial<StoringRules>])[] = [
      [[["Cache-Control", 'max-age=60, no-cache="a, Set-Cookie"']], {}],
      [[["Cache-Control", 'max-age=60, private="a, set-cookie"']], {}],
    ];
    for (const [control, rules] of table) {
      const verdict = judge([...control, ["A", "1"], ["Set-Cookie", "s=1"], ["B", "2"]], { rules });
      assert.ok(verdict.isStored);
      assert.equal(verdict.head.fields.get("a"), null);
      assert.equal(verdict.head.fields.get("b"), "2");
      assert.deepEqual(
        [...verdict.onlyForAsker!.entries()],
        [
          ["A", "1"],
          ["Set-Cookie", "s=1"],
        ],
      );
    }
    for (const rules of [{ setCookie: "strip" } as const, { ignored: new Set(["set-cookie"]) }]) {
      const verdict = judge([FRESH, ["Set-Cookie", "s=1"]], { rules });
      assert.ok(verdict.isStored);
      assert.equal(verdict.head.fields.get("set-cookie"), null);
      assert.equal(verdict.onlyForAsker?.get("set-cookie"), "s=1");
    }
  });

  it("with its tags", () => {
    const head = stored([FRESH, ["Surrogate-Key", "a b"], ["Cache-Tag", "c, a"], ["Cache-Groups", '"g", "h"']], {
      rules: { tagFields: ["surrogate-key", "cache-tag"] },
    });
    assert.deepEqual(head.tags, ["a", "b", "c", "https://example.org g", "https://example.org h"]);
    assert.deepEqual(stored([FRESH, ["Cache-Groups", '"g", h']]).tags, []);
    const keys = Array.from({ length: TAGS_MAX }, (_, key) => `k${key}`);
    assert.deepEqual(stored([FRESH, ["xkey", keys.join(" ")]], { rules: { tagFields: ["xkey"] } }).tags, keys);
  });

  it("as the beginning of a whole one when it is a part", () => {
    const verdict = judge([FRESH, ["Content-Range", "bytes 5-9/10"]], {
      status: 206,
      bodyBytes: 5,
      rules: { storesParts: true },
    });
    assert.ok(verdict.isStored);
    assert.deepEqual(verdict.part, { start: 5, end: 10, completeBytes: 10 });
    assert.deepEqual([verdict.head.status, verdict.head.bodyBytes], [200, 10]);
    assert.equal(verdict.head.fields.get("content-range"), null);
  });
});
