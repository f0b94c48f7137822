import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange, standInResponse } from "../../../test/support/stand-in-exchange.ts";
import { createHeadersFeature } from "./index.ts";
import { type HeaderChanges, headersOptions } from "./options.ts";

const NONE: HeaderChanges = { set: {}, add: {}, remove: [] };

function changed(changes: Partial<HeaderChanges>, lines: readonly Line[]): Line[] {
  const feature = createHeadersFeature({ request: { ...NONE, ...changes }, response: NONE });
  const exchange = new StandInExchange({ fields: lines });
  feature.request?.(exchange);
  return exchange.requestLines;
}

describe("headers", () => {
  it("sets a field to exactly one value, whatever was there", () => {
    const set = { "x-a": "new" };
    assert.deepEqual(
      changed({ set }, [
        ["X-A", "1"],
        ["B", "2"],
        ["x-a", "3"],
      ]),
      [
        ["B", "2"],
        ["x-a", "new"],
      ],
    );
    assert.deepEqual(changed({ set }, []), [["x-a", "new"]]);
  });

  it("adds lines beside those that are there", () => {
    const add = { "x-a": ["2", "3"] };
    assert.deepEqual(changed({ add }, [["X-A", "1"]]), [
      ["X-A", "1"],
      ["x-a", "2"],
      ["x-a", "3"],
    ]);
  });

  it("removes by name, on every line and in any case", () => {
    assert.deepEqual(
      changed({ remove: ["x-a", "cookie"] }, [
        ["X-A", "1"],
        ["X-AB", "2"],
        ["x-a", "3"],
        ["Cookie", "c"],
      ]),
      [["X-AB", "2"]],
    );
  });

  it("removes by the beginning of a name", () => {
    const lines: Line[] = [
      ["X-Amz-Date", "1"],
      ["x-amz-", "2"],
      ["X-Am", "3"],
      ["AX-Amz-B", "4"],
    ];
    assert.deepEqual(changed({ remove: ["x-amz-*"] }, lines), [
      ["X-Am", "3"],
      ["AX-Amz-B", "4"],
    ]);
  });

  it("removes first, then sets, then adds", () => {
    const changes = { remove: ["a", "b*"], set: { a: "set", bc: "set" }, add: { a: ["added"] } };
    assert.deepEqual(
      changed(changes, [
        ["A", "1"],
        ["Bc", "2"],
      ]),
      [
        ["a", "set"],
        ["bc", "set"],
        ["a", "added"],
      ],
    );
  });

  it("leaves framing, connection and Host alone, even when all names are removed", () => {
    const lines: Line[] = [
      ["Host", "h"],
      ["Content-Length", "1"],
      ["Connection", "close"],
      ["Upgrade", "x"],
      ["Via", "v"],
    ];
    assert.deepEqual(changed({ remove: ["*"] }, lines), lines.slice(0, 4));
    for (const name of ["host", "Content-Length", "transfer-encoding", "connection", "te"]) {
      const refused = new TypeError(`${name} is set by the proxy itself`);
      for (const changes of [{ set: { [name]: "1" } }, { add: { [name]: ["1"] } }, { remove: [name] }]) {
        assert.throws(() => changed(changes, []), refused);
      }
    }
  });

  it("refuses what could not stand in a head, when it is made", () => {
    assert.throws(() => changed({ set: { "a b": "1" } }, []), TypeError);
    assert.throws(() => changed({ set: { a: "1\r\nb: 2" } }, []), TypeError);
    assert.throws(() => changed({ add: { a: ["1", "\0"] } }, []), TypeError);
  });

  it("changes answers too, and each direction on its own", () => {
    const options = headersOptions.parse({ response: { set: { "X-Frame-Options": "DENY" }, remove: ["Server"] } });
    const feature = createHeadersFeature(options);
    assert.equal(feature.request, undefined);
    const response = standInResponse(200, 0, [
      ["Server", "x"],
      ["Via", "1.1 a"],
    ]);
    feature.response?.(new StandInExchange(), response);
    assert.deepEqual(
      [...response.fields.entries()],
      [
        ["Via", "1.1 a"],
        ["x-frame-options", "DENY"],
      ],
    );
  });
});
