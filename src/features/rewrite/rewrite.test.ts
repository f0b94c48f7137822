import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import { createTestProxy } from "../../testing/index.ts";
import { createRewriteFeature } from "./index.ts";

function rewritten(match: string, to: string, target: string): StandInExchange {
  const exchange = new StandInExchange({ target });
  createRewriteFeature({ match, to }).request?.(exchange);
  return exchange;
}

describe("rewrite", () => {
  const table: readonly (readonly [match: string, to: string, target: string, result: string])[] = [
    ["^/old/", "/new/", "/old/a/old/b", "/new/a/old/b"],
    ["^/user/(\\d+)/(?<what>\\w+)$", "/$<what>?of=$1".replace("?of=", "/of/"), "/user/7/photos", "/photos/of/7"],
    ["^/a", "/$$$&", "/a/b", "/$/a/b"],
    ["^/.*$", "/index.html", "/any/where?q=1", "/index.html?q=1"],
    ["^/v1", "", "/v1/x", "/x"],
    ["x", "y", "/none?x", "/none?x"],
    ["^/f/", "/g//./", "/f/a", "/g/a"],
    ["^/f/(.*)$", "/base/$1", "/f/a%2Fb", "/base/a%2Fb"],
  ];
  for (const [match, to, target, result] of table) {
    it(`of ${match} to ${to || "nothing"} makes ${target} to ${result}`, () => {
      const { request, errors } = rewritten(match, to, target);
      assert.deepEqual(errors, []);
      assert.equal(request.target, result);
    });
  }

  it("cannot make a path that climbs", () => {
    assert.equal(rewritten("^/(.*)-(.*)$", "/public/$1.$2/secret", "/.-").request.target, "/secret");
  });

  it("leaves OPTIONS * alone, which has no path", () => {
    const proxy = createTestProxy({ use: [createRewriteFeature({ match: "^(.*)$", to: "/base$1" })] });
    proxy.connect().sends("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(proxy.origin.accepts().receivesHead().startLine, "OPTIONS * HTTP/1.1");
  });

  it("fails with 500 when the result is no path", () => {
    for (const [match, to, target] of [
      ["^/v1", "v2", "/v1"],
      ["^/.*", "", "/a"],
      ["^/", "/%", "/zz"],
      ["^/a", "/\\", "/a"],
    ]) {
      const { errors, request } = rewritten(match!, to!, target!);
      assert.deepEqual(
        errors.map(({ type, status }) => [type, status]),
        [["proxy_configuration_error", 500]],
      );
      assert.equal(request.target, target);
    }
  });

  it("refuses an expression that does not compile, when it is made", () => {
    assert.throws(() => createRewriteFeature({ match: "(", to: "" }), SyntaxError);
  });
});
