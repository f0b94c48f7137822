// What an answer to an unsafe request makes obsolete, and what it cannot.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { FieldBlock } from "../../core/fields.ts";
import { invalidatedBy, isSafe } from "./invalidation.ts";

type Lines = readonly (readonly [string, string])[];

const TARGET = "https://example.org/dir/page?x=1";

function invalidated(method: string, status: number, response: Lines, url = TARGET) {
  return invalidatedBy(method, url, status, FieldBlock.from(response));
}

describe("an answer to an unsafe request", () => {
  it("makes its URL obsolete, whatever the method, unless it is an error", () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "X", "get"]) {
      for (const status of [200, 204, 299, 302, 399]) {
        assert.deepEqual(invalidated(method, status, []).urls, [TARGET], `${method} ${status}`);
      }
      for (const status of [101, 400, 404, 500, 599]) assert.deepEqual(invalidated(method, status, []).urls, []);
    }
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY"]) {
      assert.ok(isSafe(method));
      assert.deepEqual(
        invalidated(method, 200, [
          ["Location", "/x"],
          ["Cache-Group-Invalidation", '"g"'],
        ]),
        { urls: [], tags: [] },
      );
    }
  });

  const table: readonly (readonly [response: Lines, others: readonly string[]])[] = [
    [
      [
        ["Location", "/a"],
        ["Content-Location", "b?y#z"],
      ],
      ["https://example.org/a", "https://example.org/dir/b?y"],
    ],
    [[["Location", "https://EXAMPLE.org:443/a"]], ["https://example.org/a"]],
    [[["Location", "page?x=1"]], []],
    // Another origin's, or none.
    [[["Location", "https://other.example/a"]], []],
    [[["Location", "http://example.org/a"]], []],
    [[["Location", "https://example.org:8443/a"]], []],
    [[["Location", "//other.example/a"]], []],
    [
      [
        ["Location", "https://[/"],
        ["Content-Location", "javascript:alert(1)"],
      ],
      [],
    ],
  ];
  for (const [response, others] of table) {
    it(JSON.stringify(response), () => assert.deepEqual(invalidated("PUT", 201, response).urls, [TARGET, ...others]));
  }

  it("makes the groups of its origin obsolete that it names (RFC 9875)", () => {
    const groups = [["Cache-Group-Invalidation", '"a", "b c";x=1']] as const;
    assert.deepEqual(invalidated("POST", 200, groups).tags, ["https://example.org a", "https://example.org b c"]);
    assert.deepEqual(invalidated("POST", 200, groups, "http://other:81/").tags, [
      "http://other:81 a",
      "http://other:81 b c",
    ]);
    assert.deepEqual(invalidated("POST", 500, groups).tags, []);
    assert.deepEqual(invalidated("POST", 200, [["Cache-Group-Invalidation", "a"]]).tags, []);
  });

  it("makes its own URL obsolete also when no other can be resolved against it", () => {
    const response = [
      ["Location", "/a"],
      ["Cache-Group-Invalidation", '"g"'],
    ] as const;
    const url = "http://a_b..c|d/x";
    assert.deepEqual(invalidated("PUT", 200, response, url), { urls: [url], tags: ["http://a_b..c|d g"] });
  });

  it("never reaches another origin, whatever it says", () => {
    const text = fc.oneof(
      fc.webUrl(),
      fc.stringMatching(/^[/\\.:@a-z?#%[\]]{0,20}$/),
      fc.stringMatching(/^https?:[/\\]{0,3}[a-z.@:]{0,20}$/),
    );
    fc.assert(
      fc.property(text, (location) => {
        for (const url of invalidated("POST", 200, [["Location", location]]).urls) {
          assert.equal(new URL(url).origin, "https://example.org");
        }
      }),
      { seed, numRuns: 500 },
    );
  });
});
