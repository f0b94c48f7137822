import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ErrorFormat, preferredErrorFormat } from "./accept.ts";

describe("an error is given as", () => {
  const table: readonly (readonly [accept: string | null, format: ErrorFormat])[] = [
    [null, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "html"],
    ["application/json", "json"],
    ["APPLICATION/JSON; charset=utf-8", "json"],
    ["application/json, text/plain, */*", "json"],
    ["application/problem+json", "json"],
    ["application/vnd.api+json, */*;q=0.1", "json"],
    ["application/json;q=0.5, text/html;q=0.4", "json"],
    ["text/plain", "text"],
    ["text/plain, text/html;q=0.9", "text"],
    ["text/*", "text"],
    ["application/*", "json"],
    ["application/*, */*", "json"],
    ["text/html;q=0, */*", "text"],
    ["text/plain;q=0, */*;q=0.1", "html"],
    ["text/html;q=0, text/plain;q=0, */*;q=0.1", "json"],
    ["image/png, image/*", "text"],
    ["text/html;q=broken, application/json;q=0.1", "json"],
  ];
  for (const [accept, format] of table) {
    it(`${format} for ${JSON.stringify(accept)}`, () => assert.equal(preferredErrorFormat(accept), format));
  }
});
