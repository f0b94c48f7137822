import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import { createIpAllowFeature } from "./index.ts";
import { ipAllowOptions } from "./options.ts";

describe("ipAllow", () => {
  const table: readonly (readonly [options: unknown, passes: readonly string[], refused: readonly string[]])[] = [
    [
      ["10.0.0.0/8", "::1"],
      ["10.9.8.7", "::1"],
      ["11.0.0.1", "::2", "", "/run/client.sock"],
    ],
    [{ deny: ["192.0.2.0/24"] }, ["10.0.0.1", "::1", ""], ["192.0.2.77"]],
    [{ allow: ["10.0.0.0/8"], deny: ["10.6.6.6"] }, ["10.6.6.7"], ["10.6.6.6", "192.0.2.1"]],
  ];
  for (const [options, passes, refused] of table) {
    it(JSON.stringify(options), () => {
      const feature = createIpAllowFeature(ipAllowOptions.parse(options));
      for (const clientAddress of [...passes, ...refused]) {
        const exchange = new StandInExchange({ clientAddress });
        feature.request?.(exchange);
        const expected = passes.includes(clientAddress) ? [] : [["http_request_denied", 403]];
        assert.deepEqual(
          exchange.errors.map(({ type, status }) => [type, status]),
          expected,
          clientAddress,
        );
      }
    });
  }

  it("refuses a network that is none, when it is made", () => {
    assert.throws(() => createIpAllowFeature({ allow: ["10.0.0.0/99"], deny: [] }), RangeError);
  });
});
