// The numbers of field names: by text and by bytes, whatever the case, and nothing else is taken for one of them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fieldNames from "./field-names.ts";
import { FIELD_BIT, FIELD_OTHER, fieldIdAt, fieldIdOf, LOWER } from "./field-names.ts";

/** FIELD_CONTENT_LENGTH is "content-length". */
const known = Object.entries(fieldNames).flatMap(([constant, value]) =>
  constant.startsWith("FIELD_") && constant !== "FIELD_OTHER" && typeof value === "number"
    ? [{ name: constant.slice("FIELD_".length).toLowerCase().replaceAll("_", "-"), id: value }]
    : [],
);

/** RFC 9110, section 5.6.2 */
const TOKEN_CHARACTERS = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index)).filter(
  (character) => !'"(),/:;<=>?@[\\]{}'.includes(character),
);

function idOfBytes(text: string, junk = ""): number {
  const bytes = Buffer.from(`${junk}${text}${junk}`, "latin1");
  return fieldIdAt(bytes, junk.length, junk.length + text.length);
}

describe("field names", () => {
  it("that the proxy names have a number each", () => {
    assert.ok(known.length > 20);
    assert.equal(new Set(known.map(({ id }) => id)).size, known.length);
    for (const { name, id } of known) {
      assert.notEqual(id, FIELD_OTHER, name);
      assert.equal(fieldIdOf(name), id, name);
    }
  });

  it("are recognised on their bytes in any case, wherever they stand", () => {
    for (const { name, id } of known) {
      const mixed = name.replace(/./g, (character, index: number) => (index % 2 ? character : character.toUpperCase()));
      for (const spelling of [name, name.toUpperCase(), mixed]) {
        assert.equal(idOfBytes(spelling), id, spelling);
        assert.equal(idOfBytes(spelling, "xx"), id, spelling);
      }
    }
  });

  it("are not taken for others: one byte more, less or different is another name", () => {
    for (const { name } of known) {
      for (const other of [`${name}x`, `x${name}`, name.slice(1), name.slice(0, -1), `${name.slice(0, -1)}~`]) {
        assert.equal(idOfBytes(other), fieldIdOf(other), other);
        assert.equal(idOfBytes(other), FIELD_OTHER, other);
      }
    }
  });

  it("are not taken for a token with any one character changed", () => {
    for (const { name, id } of known) {
      for (let at = 0; at < name.length; at++) {
        for (const character of TOKEN_CHARACTERS) {
          const text = name.slice(0, at) + character + name.slice(at + 1);
          const expected = text.toLowerCase() === name ? id : fieldIdOf(text.toLowerCase());
          assert.equal(idOfBytes(text), expected, text);
        }
      }
    }
  });

  it("of one byte or of very many are others", () => {
    assert.equal(idOfBytes("x"), FIELD_OTHER);
    assert.equal(idOfBytes("x".repeat(1000)), FIELD_OTHER);
    assert.equal(fieldIdOf(""), FIELD_OTHER);
    assert.equal(fieldIdOf("constructor"), FIELD_OTHER);
  });

  it("have a bit each, up to the number of bits", () => {
    assert.equal(FIELD_BIT[FIELD_OTHER], 0);
    const bits = known.map(({ id }) => FIELD_BIT[id]!).filter((bit) => bit !== 0);
    assert.equal(new Set(bits).size, bits.length);
    for (const bit of bits) assert.equal(bit & (bit - 1), 0);
    for (const { name, id } of known) assert.equal(FIELD_BIT[id] === 0, id > 31, name);
  });

  it("are folded by LOWER, which changes letters of ASCII and nothing else", () => {
    assert.equal(LOWER.length, 256);
    for (let byte = 0; byte < 256; byte++) {
      const isUpper = byte >= 0x41 && byte <= 0x5a;
      assert.equal(LOWER[byte], isUpper ? byte + 0x20 : byte);
    }
  });
});
