// What stands between the ranges of multipart/byteranges, and how long it all is.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { multipartBody } from "./byte-ranges-body.ts";

const CONTENT = "0123456789";

function bodyOf(contentType: string | null) {
  const body = multipartBody(
    [
      { start: 0, end: 1 },
      { start: 7, end: 10 },
    ],
    10,
    contentType,
    "THIS",
  );
  const text = body.parts
    .map(({ head, range }) => head.toString("latin1") + CONTENT.slice(range.start, range.end))
    .join("");
  return { ...body, text: text + body.tail.toString("latin1") };
}

describe("the body of an answer with several ranges", () => {
  it("has each with its place and type (RFC 9110, section 14.6)", () => {
    const body = bodyOf("text/plain");
    assert.equal(body.contentType, "multipart/byteranges; boundary=THIS");
    const lines = [
      "--THIS",
      "Content-Type: text/plain",
      "Content-Range: bytes 0-0/10",
      "",
      "0",
      "--THIS",
      "Content-Type: text/plain",
      "Content-Range: bytes 7-9/10",
      "",
      "789",
      "--THIS--",
      "",
    ];
    assert.equal(body.text, lines.join("\r\n"));
    assert.equal(body.bytes, body.text.length);
  });

  it("has no type when the representation has none", () => {
    const body = bodyOf(null);
    assert.ok(!body.text.includes("Content-Type"));
    assert.equal(body.bytes, body.text.length);
  });
});
