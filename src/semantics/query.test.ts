import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { coverParameters, coverQuery, parametersOf, withoutParameter } from "./query.ts";

/** Without the question mark that URLSearchParams takes off a beginning. */
const read = (query: string) => new URLSearchParams(`&${query}`);

describe("parameters of a query", () => {
  const table: readonly (readonly [query: string | null, values: readonly string[], without: string | null])[] = [
    [null, [], null],
    ["", [], ""],
    ["key=1", ["1"], null],
    ["a=%20b&key=1&c=+", ["1"], "a=%20b&c=+"],
    ["key=1&key=2", ["1", "2"], null],
    ["k%65y=%31&&x", ["1"], "&x"],
    ["key", [""], null],
    ["key=a=b+c", ["a=b c"], null],
    ["Key=1&keys=2&xkey=3", [], "Key=1&keys=2&xkey=3"],
    ["%=%zz&key=%", ["%"], "%=%zz"],
  ];
  for (const [query, values, without] of table) {
    it(JSON.stringify(query), () => {
      assert.deepEqual(parametersOf(query, "key"), values);
      assert.equal(withoutParameter(query, "key"), without);
    });
  }

  it("are gone when they were taken out, as every server reads it, and the others are as they were", () => {
    const piece = fc.constantFrom(
      "key",
      "k%65y",
      "%6b%65%79",
      "a",
      "=",
      "&",
      "&",
      "%",
      "%2",
      "+",
      "1",
      "%3D",
      "%26",
      ";",
      "?",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const query = pieces.join("");
        const left = withoutParameter(query, "key");
        assert.equal(read(left ?? "").has("key"), false);
        const others = query.split("&").filter((pair) => !read(pair).has("key"));
        assert.equal(left ?? "", others.join("&"));
        const covered = read(coverQuery(query, new Set(["key"]), "[redacted]"));
        for (const value of covered.getAll("key")) assert.equal(value, "[redacted]");
      }),
      { seed },
    );
  });

  it("are covered in URLs", () => {
    const names = new Set(["key", "token"]);
    const cover = (url: string) => coverParameters(url, names, "#");
    assert.equal(cover("/a?b=1&key=2"), "/a?b=1&key=#");
    assert.equal(cover("https://a/key=2?k%65y=2&token"), "https://a/key=2?k%65y=#&token=#");
    assert.equal(cover("/key"), "/key");
    assert.equal(cover("*"), "*");
  });
});
