import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EncodedLines } from "../core/fields.ts";
import { BODY_UNTIL_END } from "../core/message.ts";
import type { BodyProducer } from "./body.ts";
import type { Answer } from "./exchange.ts";
import { bodyOf, messageOf } from "./own-answer.ts";

const produce: BodyProducer = () => ({ pause() {}, resume() {} });

function headOf(answer: Answer) {
  const { status, bodyBytes, fields } = messageOf(answer, bodyOf(answer));
  return { status, bodyBytes, fields: [...fields.entries()] };
}

describe("the body of an own answer", () => {
  it("is text as UTF-8, bytes as they are, and none where none is given", () => {
    assert.deepEqual(bodyOf({ status: 200, body: "é" }), Buffer.from([0xc3, 0xa9]));
    assert.deepEqual(bodyOf({ status: 200, body: new Uint8Array([0, 1, 2, 3]).subarray(1, 3) }), Buffer.from([1, 2]));
    for (const answer of [{ status: 200 }, { status: 200, body: null }, { status: 200, body: "" }]) {
      assert.equal(bodyOf(answer).length, 0);
    }
  });

  it("is the very Buffer, or the very producer, that was given", () => {
    const bytes = Buffer.from("hi");
    assert.equal(bodyOf({ status: 200, body: bytes }), bytes);
    assert.equal(bodyOf({ status: 200, body: produce }), produce);
  });
});

describe("the message of an own answer", () => {
  it("has its status, its fields in order, and the length of the body that is there, whatever was said of it", () => {
    const fields = [
      ["X-A", "1"],
      ["x-b", "2"],
      ["X-A", "3"],
    ] as const;
    const expected = { status: 404, bodyBytes: 2, fields: fields.map((line) => [...line]) };
    for (const lines of [fields, new EncodedLines(fields)]) {
      assert.deepEqual(headOf({ status: 404, fields: lines, body: "hi", bodyBytes: 7 }), expected);
    }
  });

  it("of a producer is as long as it says, or until its end", () => {
    assert.equal(headOf({ status: 200, body: produce, bodyBytes: 7 }).bodyBytes, 7);
    assert.equal(headOf({ status: 200, body: produce, bodyBytes: 0 }).bodyBytes, 0);
    assert.equal(headOf({ status: 200, body: produce }).bodyBytes, BODY_UNTIL_END);
  });

  it("says that it has no body, but where the status says it, or a length is said that GET would give", () => {
    const zero = [["Content-Length", "0"]];
    assert.deepEqual(headOf({ status: 200 }).fields, zero);
    assert.deepEqual(headOf({ status: 502, body: "" }).fields, zero);
    for (const status of [204, 304]) assert.deepEqual(headOf({ status }).fields, []);
    const said = [["content-length", "12"]] as const;
    assert.deepEqual(headOf({ status: 200, fields: said }).fields, [["content-length", "12"]]);
    assert.deepEqual(headOf({ status: 200, body: produce, bodyBytes: 0 }).fields, []);
  });

  it("throws for what cannot be said", () => {
    for (const status of [0, 103, 199, 600, 200.5, Number.NaN]) assert.throws(() => headOf({ status }), RangeError);
    for (const line of [
      ["a b", ""],
      ["a", "x\r\ny"],
      ["", "x"],
    ] as const) {
      assert.throws(() => headOf({ status: 200, fields: [line] }), TypeError);
    }
  });
});
