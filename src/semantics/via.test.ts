import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { isLoop, viaValue } from "./via.ts";

describe("Via", () => {
  it("says in which version a message came, and who received it", () => {
    assert.equal(viaValue(10, "edge-1"), "1.0 edge-1");
    assert.equal(viaValue(11, "edge-1"), "1.1 edge-1");
    assert.equal(viaValue(20, "edge-1"), "2 edge-1");
  });

  const table: readonly (readonly [lines: readonly string[], isLoop: boolean])[] = [
    [[], false],
    [["1.1 edge-1"], true],
    [["1.1 EDGE-1"], true],
    [["HTTP/1.1 edge-1"], true],
    [["1.0 fred, 1.1 edge-1 (Headgate)"], true],
    [["1.0 fred", "2 edge-1"], true],
    [["1.1\tedge-1"], true],
    [["1.1 edge-10"], false],
    [["1.1 edge"], false],
    [["1.1 edge-1:8080"], false],
    [["1.1 fred (1.1 edge-1)"], false],
    [["1.1 fred (, 1.1 edge-1 ,)"], false],
    [["1.1 fred (a (b) , 1.1 edge-1 )"], false],
    [["1.1 fred (\\), 1.1 edge-1 )"], false],
    [["1.1 fred (a), 1.1 edge-1"], true],
    [['1.1 fred ", 1.1 edge-1 ,"'], false],
    [["edge-1"], false],
    [["edge-1 1.1"], false],
    [["1.1 fred (unclosed, 1.1 edge-1"], false],
  ];
  for (const [lines, loop] of table) {
    it(`${JSON.stringify(lines.join(" | "))} is ${loop ? "a loop" : "no loop"} for edge-1`, () => {
      assert.equal(isLoop(FieldBlock.from(lines.map((value) => ["Via", value] as const)), "edge-1"), loop);
    });
  }
});
