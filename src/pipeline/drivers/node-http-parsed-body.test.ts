// What a body parser in front left in request.body, and what becomes of it: bytes again where that is beyond doubt.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../core/errors.ts";
import { FieldBlock } from "../../core/fields.ts";
import { encodeParsedBody } from "./node-http/parsed-body.ts";

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";

function fieldsOf(contentType: string | null, coding: string | null = null): FieldBlock {
  const fields = new FieldBlock();
  if (contentType !== null) fields.append("Content-Type", contentType);
  if (coding !== null) fields.append("Content-Encoding", coding);
  return fields;
}

const made: [name: string, body: unknown, contentType: string | null, expected: string][] = [
  ["an object as JSON", { a: [1, null, "ü"] }, JSON_TYPE, '{"a":[1,null,"ü"]}'],
  ["a type with a +json suffix and parameters", { a: 1 }, 'application/vnd.api+json; charset="UTF-8"', '{"a":1}'],
  ["values that JSON has beside objects", null, JSON_TYPE, "null"],
  ["a form", { a: "1 2", b: ["x", "y&"] }, `${FORM_TYPE}; charset=utf-8`, "a=1+2&b=x&b=y%26"],
  ["an empty form", {}, FORM_TYPE, ""],
  ["a string, as it is", '{ "a" : 1 }', JSON_TYPE, '{ "a" : 1 }'],
  ["a string of another type", "grüße", "text/plain", "grüße"],
  ["a Buffer, as it is", Buffer.from("any"), null, "any"],
  ["a Uint8Array that is a part of a larger one", new Uint8Array(Buffer.from("-any-")).subarray(1, 4), null, "any"],
];

for (const [name, body, contentType, expected] of made) {
  test(`made again: ${name}`, () => {
    const bytes = encodeParsedBody(body, fieldsOf(contentType));
    assert.ok(Buffer.isBuffer(bytes), String(bytes));
    assert.equal(bytes.toString(), expected);
  });
}

const circular: Record<string, unknown> = {};
circular.self = circular;

const refused: [name: string, body: unknown, fields: FieldBlock, because: RegExp][] = [
  ["nothing", undefined, fieldsOf(JSON_TYPE), /left nothing in request\.body: mount the proxy before body parsers/],
  [
    "an object of a type that nobody can write",
    { file: 1 },
    fieldsOf("multipart/form-data; boundary=x"),
    /multipart\/form-data/,
  ],
  ["an object without a type", {}, fieldsOf(null), /without Content-Type/],
  ["a form with nested values", { a: { b: "1" } }, fieldsOf(FORM_TYPE), /nested value, "a"/],
  ["a form that is not one", 7, fieldsOf(FORM_TYPE), /not a form/],
  ["a circle", circular, fieldsOf(JSON_TYPE), /as JSON/],
  ["a function", () => 1, fieldsOf(JSON_TYPE), /nothing that JSON can say/],
  ["text in another charset", "x", fieldsOf("text/plain; charset=iso-8859-1"), /charset iso-8859-1/],
  ["bytes that may be coded or not", Buffer.from("x"), fieldsOf(null, "gzip"), /still in gzip/],
];

for (const [name, body, fields, because] of refused) {
  test(`refused: ${name}`, () => {
    const error = encodeParsedBody(body, fields);
    assert.ok(error instanceof ProxyError);
    assert.equal(error.type, "proxy_configuration_error");
    assert.equal(error.status, 500);
    assert.match(error.message, because);
  });
}

test("Content-Encoding goes when a parser has decoded the body", () => {
  const fields = fieldsOf(JSON_TYPE, "gzip");
  assert.deepEqual(encodeParsedBody({ a: 1 }, fields), Buffer.from('{"a":1}'));
  assert.deepEqual([...fields.entries()], [["Content-Type", JSON_TYPE]]);
});
