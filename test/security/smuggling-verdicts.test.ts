// Every payload of the smuggling corpus gets its verdict from the codec: whole, byte by byte and cut at every place.
// What the running proxy makes of them is tested where it runs.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { requestError } from "../../src/protocol/http1/errors.ts";
import { errorCode, type ReadMessage, type ReadResult, readEveryWay, readPieces } from "../support/http1-reader.ts";
import { SMUGGLING_REQUESTS, SMUGGLING_RESPONSES } from "./smuggling-corpus.ts";

/** The long ones are cut in fewer ways, or each would take a second. */
const BYTES_FOR_EVERY_WAY = 1500;

function read(bytes: string, responsesTo?: readonly string[]): ReadResult {
  const options = responsesTo === undefined ? {} : { responsesTo };
  if (bytes.length <= BYTES_FOR_EVERY_WAY) return readEveryWay(bytes, options);
  const whole = Buffer.from(bytes, "latin1");
  const result = readPieces([whole], options);
  assert.deepEqual(
    readPieces(
      Array.from(whole, (byte) => Buffer.of(byte)),
      options,
    ),
    result,
  );
  return result;
}

function split(messages: readonly ReadMessage[], show: (message: ReadMessage) => string) {
  return {
    complete: messages.filter(({ complete }) => complete).map((message) => `${show(message)} ${message.body}`),
    begun: messages.filter(({ complete }) => !complete).map(show),
  };
}

describe("a request of the corpus", () => {
  const states = { between: "between", waits: "body", closed: "closed" } as const;
  for (const payload of SMUGGLING_REQUESTS) {
    it(`${payload.family}: ${payload.name}`, () => {
      const { messages, error, state } = read(payload.bytes);
      const { complete, begun } = split(messages, ({ start }) => start.replace(/ HTTP\/1\.[01]$/, ""));
      assert.equal(error, payload.refused?.error ?? null, payload.why);
      assert.deepEqual(complete, payload.accepted, payload.why);
      assert.deepEqual(begun, payload.begun === null ? [] : [payload.begun], payload.why);
      assert.equal(state, payload.refused === null ? states[payload.afterwards] : "refused");
    });
  }
});

describe("a response of the corpus", () => {
  for (const payload of SMUGGLING_RESPONSES) {
    it(`${payload.family}: ${payload.name}`, () => {
      const { messages, error } = read(payload.bytes, [payload.method]);
      const { complete, begun } = split(messages, ({ start }) => start.slice(9, 12));
      assert.equal(error, payload.refused?.error ?? null, payload.why);
      assert.deepEqual(complete, payload.accepted, payload.why);
      assert.deepEqual(begun, payload.begun === null ? [] : [String(payload.begun)], payload.why);
    });
  }
});

describe("the corpus", () => {
  it("has a name, a reason and bytes of its own for every payload", () => {
    for (const payloads of [SMUGGLING_REQUESTS, SMUGGLING_RESPONSES]) {
      assert.equal(new Set(payloads.map(({ family, name }) => `${family}: ${name}`)).size, payloads.length);
      assert.equal(new Set(payloads.map(({ bytes }) => bytes)).size, payloads.length);
      for (const { name, why } of payloads) assert.ok(why.length > 5, name);
    }
    assert.ok(SMUGGLING_REQUESTS.length >= 80);
  });

  it("names the status that each error has", () => {
    for (const { refused, afterwards, name } of SMUGGLING_REQUESTS) {
      if (refused === null) continue;
      assert.equal(refused.status, requestError(errorCode(refused.error)).status, name);
      assert.equal(afterwards, "closed", name);
    }
  });

  it("never gives an upstream the hidden request", () => {
    for (const { accepted, begun, name } of SMUGGLING_REQUESTS) {
      for (const request of [...accepted, ...(begun === null ? [] : [begun])]) {
        assert.notEqual(request.split(" ")[1], "/hidden", name);
      }
    }
  });
});
