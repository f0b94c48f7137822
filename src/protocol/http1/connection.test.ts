// What Connection and Expect ask for, in any spelling that the grammar of lists allows.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FIELD_BIT, FIELD_CONNECTION, FIELD_EXPECT } from "../../core/field-names.ts";
import { FieldBlock } from "../../core/fields.ts";
import {
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  CONNECTION_OTHER,
  CONNECTION_UPGRADE,
  connectionOptions,
  expectContinue,
  isPersistent,
} from "./connection.ts";
import { ERR_EXPECTATION } from "./errors.ts";

const SEEN = FIELD_BIT[FIELD_CONNECTION]! | FIELD_BIT[FIELD_EXPECT]!;

function block(name: string, values: readonly string[]): FieldBlock {
  return FieldBlock.from([["X-Before", "close"], ...values.map((value) => [name, value] as const), ["X", "upgrade"]]);
}

describe("Connection", () => {
  const cases: [values: string[], options: number][] = [
    [[], 0],
    [["close"], CONNECTION_CLOSE],
    [["Close"], CONNECTION_CLOSE],
    [["keep-alive"], CONNECTION_KEEP_ALIVE],
    [["Keep-Alive"], CONNECTION_KEEP_ALIVE],
    [["Upgrade"], CONNECTION_UPGRADE],
    [["keep-alive, Upgrade"], CONNECTION_KEEP_ALIVE | CONNECTION_UPGRADE],
    [["keep-alive,close"], CONNECTION_KEEP_ALIVE | CONNECTION_CLOSE],
    [["keep-alive", "close"], CONNECTION_KEEP_ALIVE | CONNECTION_CLOSE],
    [["keep-alive \t,\t Upgrade ,"], CONNECTION_KEEP_ALIVE | CONNECTION_UPGRADE],
    [[",, ,close"], CONNECTION_CLOSE],
    [["", ","], 0],
    [["te"], CONNECTION_OTHER],
    [["close, X-Secret"], CONNECTION_CLOSE | CONNECTION_OTHER],
    [["closed"], CONNECTION_OTHER],
    [["clos"], CONNECTION_OTHER],
    [["close x"], CONNECTION_OTHER],
    [["keep-alive; timeout=5"], CONNECTION_OTHER],
    [['"close"'], CONNECTION_OTHER],
  ];
  for (const [values, options] of cases) {
    it(`with ${JSON.stringify(values)} gives ${options}`, () => {
      assert.equal(connectionOptions(block("CoNNection", values), SEEN, 1), options);
    });
  }

  it("cannot ask for an upgrade in HTTP/1.0", () => {
    assert.equal(connectionOptions(block("Connection", ["upgrade, close"]), SEEN, 0), CONNECTION_CLOSE);
  });

  it("is not looked for when the parser saw none", () => {
    assert.equal(connectionOptions(block("Connection", ["close"]), 0, 1), 0);
  });

  it("decides on persistence as RFC 9112 section 9.3 says", () => {
    assert.equal(isPersistent(0, 1), true);
    assert.equal(isPersistent(CONNECTION_KEEP_ALIVE | CONNECTION_OTHER, 1), true);
    assert.equal(isPersistent(CONNECTION_CLOSE, 1), false);
    assert.equal(isPersistent(CONNECTION_CLOSE | CONNECTION_KEEP_ALIVE, 1), false);
    assert.equal(isPersistent(0, 0), false);
    assert.equal(isPersistent(CONNECTION_OTHER, 0), false);
    assert.equal(isPersistent(CONNECTION_KEEP_ALIVE, 0), true);
    assert.equal(isPersistent(CONNECTION_CLOSE | CONNECTION_KEEP_ALIVE, 0), false);
  });
});

describe("Expect", () => {
  const cases: [values: string[], outcome: number][] = [
    [[], 0],
    [[""], 0],
    [["100-continue"], 1],
    [["100-Continue"], 1],
    [["100-continue, 100-continue"], 1],
    [["100-continue", "100-continue"], 1],
    [["100-continue, x"], ERR_EXPECTATION],
    [["x", "100-continue"], ERR_EXPECTATION],
    [["100-continue=1"], ERR_EXPECTATION],
    [["200-ok"], ERR_EXPECTATION],
  ];
  for (const [values, outcome] of cases) {
    it(`with ${JSON.stringify(values)} gives ${outcome}`, () => {
      assert.equal(expectContinue(block("expect", values), SEEN), outcome);
    });
  }

  it("is ignored in HTTP/1.0, and when the parser saw none", () => {
    assert.equal(expectContinue(block("Expect", ["100-continue"]), SEEN, 0), 0);
    assert.equal(expectContinue(block("Expect", ["x"]), SEEN, 0), 0);
    assert.equal(expectContinue(block("Expect", ["x"]), 0), 0);
  });
});
