import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { createStripPrefixFeature } from "./index.ts";

function passed(target: string, features: readonly Feature[], outer?: string): readonly [string, string | null] {
  const exchange = new StandInExchange({
    target,
    ...(outer !== undefined && { fields: [["X-Forwarded-Prefix", outer]] }),
  });
  for (const feature of features) feature.request?.(exchange);
  return [exchange.request.target, exchange.request.fields.get("x-forwarded-prefix")];
}

describe("stripPrefix: /app", () => {
  const app = createStripPrefixFeature("/app");
  const table: readonly (readonly [target: string, stripped: string, prefix: string | null])[] = [
    ["/app/x/y", "/x/y", "/app"],
    ["/app", "/", "/app"],
    ["/app/", "/", "/app"],
    ["/app?a=/app/b", "/?a=/app/b", "/app"],
    ["/app/x?", "/x?", "/app"],
    ["/app/app/x", "/app/x", "/app"],
    ["/application", "/application", null],
    ["/app%2Fx", "/app%2Fx", null],
    ["/x/app/y", "/x/app/y", null],
    ["/APP/x", "/APP/x", null],
    ["/", "/", null],
    ["*", "*", null],
  ];
  for (const [target, stripped, prefix] of table) {
    it(`makes ${target} to ${stripped}`, () => assert.deepEqual(passed(target, [app]), [stripped, prefix]));
  }

  it("tells the whole prefix where a proxy or a feature further out has stripped one before", () => {
    assert.deepEqual(passed("/app/x", [app], "/outer"), ["/x", "/outer/app"]);
    assert.deepEqual(passed("/app/x", [app], "/outer/"), ["/x", "/outer/app"]);
    assert.deepEqual(passed("/app/v1/x", [app, createStripPrefixFeature("/v1")]), ["/x", "/app/v1"]);
  });
});
