// What the encoder writes, the parser reads back: the same start line, fields, body and trailers, and one framing that
// all agree on.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DEFAULT_LIMITS, type ReadMessage, readPieces, readWhole } from "../../../test/support/http1-reader.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { acquireStorage, FieldBlock } from "../../core/fields.ts";
import { BODY_UNTIL_END, RequestMessage, ResponseMessage } from "../../core/message.ts";
import { freshRoom } from "../../core/write-room.ts";
import { encodeChunkHead } from "./chunked.ts";
import {
  encodeLastChunk,
  encodeRequestHead,
  encodeResponseHead,
  type HeadTaker,
  SAY_CLOSE,
  SAY_KEEP_ALIVE,
  SAY_NOTHING,
  SEND_CHUNKED,
  SEND_LENGTH,
  SEND_NO_BODY,
  SEND_UNTIL_CLOSE,
} from "./encode.ts";
import { parseRequestHead, RequestHead } from "./request-head.ts";
import { parseResponseHead, ResponseHead } from "./response-head.ts";

const RUNS = { seed, numRuns: 500 };

/** Names that the encoder or the parser gives a meaning to. */
const MEANT = /^(?:host|connection|content-length|transfer-encoding|te|upgrade|expect)$/i;
const name = fc
  .oneof(
    fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/),
    fc.constantFrom("Accept", "cookie", "Via", "X-Forwarded-For", "ETag", "Date"),
  )
  .filter((text) => !MEANT.test(text));
const value = fc.stringMatching(/^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,60}[\x21-\x7e\x80-\xff])?)?$/);
const fields = fc.array(fc.tuple(name, value), { maxLength: 12 });
const chunks = fc.array(
  fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 5 },
);
const target = fc.oneof(
  fc.stringMatching(/^\/[\x21\x22\x24-\x3e\x40-\x7e]{0,30}(?:\?[\x21\x22\x24-\x7e]{0,30})?$/),
  fc.constant("/"),
);
const method = fc.oneof(
  fc.constantFrom("GET", "POST", "HEAD", "PUT", "QUERY"),
  fc.stringMatching(/^[A-Z][A-Z\-_0-9]{0,14}$/).filter((text) => text !== "CONNECT"),
);
/** Trailers that may stand there. */
const trailers = fc.array(fc.tuple(fc.stringMatching(/^X-[a-z]{1,8}$/), value), { maxLength: 4 });

/** What `encode` writes, as latin1. */
function text(encode: (to: HeadTaker) => void): string {
  let room = freshRoom(0);
  let written = "";
  encode({
    reserve: (bytesMax) => (room = freshRoom(bytesMax)),
    commit: (end) => (written = room.bytes.toString("latin1", 0, end)),
  });
  return written;
}

function chunkedText(pieces: readonly Buffer[], trailerFields: readonly [string, string][]): string {
  const line = Buffer.alloc(20);
  const parts = pieces.map((piece) => {
    return `${line.toString("latin1", 0, encodeChunkHead(line, 0, piece.length))}${piece.toString("latin1")}\r\n`;
  });
  const block = trailerFields.length === 0 ? null : FieldBlock.from(trailerFields);
  const last = text((to) => encodeLastChunk(to, block));
  block?.release();
  return parts.join("") + last;
}

/** The fields of a message without those that frame it or speak of its connection. */
function ownFields(message: ReadMessage): [string, string][] {
  return message.fields.filter(([fieldName]) => !MEANT.test(fieldName));
}

describe(`a request (${replayHint})`, () => {
  it("is read back as it was encoded, with each kind of body", () => {
    const kinds = fc.constantFrom("none", "length", "chunked");
    const property = fc.property(method, target, fields, kinds, chunks, trailers, (...given) => {
      const [aMethod, aTarget, someFields, kind, pieces, someTrailers] = given;
      const request = new RequestMessage();
      const body = Buffer.concat(pieces);
      request.method = aMethod;
      const query = aTarget.indexOf("?");
      if (query < 0) request.setTarget(aTarget, null);
      else request.setTarget(aTarget.slice(0, query), aTarget.slice(query + 1));
      request.fields.append("Host", "a.example:80");
      for (const field of someFields) request.fields.append(...field);
      request.bodyBytes = kind === "none" ? 0 : kind === "length" ? body.length : BODY_UNTIL_END;
      let wire = text((to) => encodeRequestHead(to, request, null, kind === "chunked"));
      request.fields.release();
      if (kind === "length") wire += body.toString("latin1");
      if (kind === "chunked") wire += chunkedText(pieces, someTrailers);
      const { messages, error, state } = readWhole(`${wire}GET / HTTP/1.1\r\nHost: a\r\n\r\n`);
      assert.deepEqual([error, state, messages.length], [null, "between", 2]);
      const message = messages[0]!;
      assert.equal(message.start, `${aMethod} ${aTarget} HTTP/1.1`);
      assert.deepEqual(ownFields(message), someFields);
      assert.equal(message.body, kind === "none" ? "" : body.toString("latin1"));
      assert.deepEqual(message.trailers, kind === "chunked" ? someTrailers : []);
    });
    fc.assert(property, RUNS);
  });

  it("to a proxy is in absolute form, with one line more, whatever form it came in", () => {
    const through = { origin: "http://a.example:8080", line: "X-Line: 1\r\n" };
    const property = fc.property(method, target, fields, (aMethod, aTarget, someFields) => {
      const request = new RequestMessage();
      request.method = aMethod;
      const query = aTarget.indexOf("?");
      if (query < 0) request.setTarget(aTarget, null);
      else request.setTarget(aTarget.slice(0, query), aTarget.slice(query + 1));
      for (const field of someFields) request.fields.append(...field);
      const direct = text((to) => encodeRequestHead(to, request, null, false));
      const wire = text((to) => encodeRequestHead(to, request, null, false, through));
      request.fields.release();
      const expected = direct.replace(` ${aTarget} `, () => ` http://a.example:8080${aTarget} `);
      assert.equal(wire, expected.replace(/\r\n$/, "X-Line: 1\r\n\r\n"));
    });
    fc.assert(property, RUNS);
    const asterisk = new RequestMessage();
    asterisk.method = "OPTIONS";
    asterisk.setTarget("*", null);
    const wire = text((to) => encodeRequestHead(to, asterisk, null, false, { ...through, line: "" }));
    assert.equal(wire, "OPTIONS http://a.example:8080 HTTP/1.1\r\n\r\n");
  });

  it("that was parsed is encoded as it came, whatever its lines look like", () => {
    const line = fc.tuple(name, fc.constantFrom("", " ", "\t", "  "), value, fc.constantFrom("", " ", "\t "));
    const property = fc.property(method, target, fc.array(line, { maxLength: 12 }), (aMethod, aTarget, lines) => {
      const head = new RequestHead();
      const storage = acquireStorage();
      const written = lines.map(([n, before, v, after]) => `${n}:${before}${v}${after}\r\n`).join("");
      const wire = `${aMethod} ${aTarget} HTTP/1.1\r\nhOST:a\r\n${written}\r\n`;
      const bytes = Buffer.from(wire, "latin1");
      assert.equal(parseRequestHead(bytes, 0, bytes.length, storage, DEFAULT_LIMITS, head), bytes.length);
      const request = new RequestMessage();
      request.method = head.method;
      request.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
      request.setTargetRange(head.targetStart, head.pathEnd, head.targetEnd);
      assert.equal(
        text((to) => encodeRequestHead(to, request, null, false)),
        wire,
      );
      if (head.plainLine) request.keepStartLine();
      assert.equal(
        text((to) => encodeRequestHead(to, request, null, false)),
        wire,
      );
      assert.equal(request.query === null ? request.path : `${request.path}?${request.query}`, aTarget);
      request.fields.release();
    });
    fc.assert(property, RUNS);
  });
});

describe(`a response (${replayHint})`, () => {
  it("is read back as it was encoded, with each kind of body", () => {
    const kinds = fc.constantFrom(SEND_LENGTH, SEND_CHUNKED, SEND_UNTIL_CLOSE);
    const status = fc.integer({ min: 200, max: 599 }).filter((code) => code !== 204 && code !== 304);
    const property = fc.property(status, fields, kinds, chunks, trailers, (...given) => {
      const [aStatus, someFields, kind, pieces, someTrailers] = given;
      const response = new ResponseMessage(aStatus);
      const body = Buffer.concat(pieces);
      for (const field of someFields) response.fields.append(...field);
      response.bodyBytes = kind === SEND_LENGTH ? body.length : BODY_UNTIL_END;
      let wire = text((to) =>
        encodeResponseHead(to, response, kind, kind === SEND_UNTIL_CLOSE ? SAY_CLOSE : SAY_KEEP_ALIVE),
      );
      response.fields.release();
      wire += kind === SEND_CHUNKED ? chunkedText(pieces, someTrailers) : body.toString("latin1");
      const { messages, error } = readPieces([Buffer.from(wire, "latin1")], { responsesTo: ["GET"] });
      assert.deepEqual([error, messages.length, messages[0]?.complete], [null, 1, true]);
      const message = messages[0]!;
      assert.match(message.start, new RegExp(`^HTTP/1\\.1 ${aStatus} `));
      assert.deepEqual(ownFields(message), someFields);
      assert.equal(message.body, body.toString("latin1"));
      assert.deepEqual(message.trailers, kind === SEND_CHUNKED ? someTrailers : []);
      assert.equal(message.framing, ["none", "length", "chunked", "close"][kind]);
    });
    fc.assert(property, RUNS);
  });

  it("without a body leaves the next one where it is", () => {
    const next = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (const [status, requestMethod] of [
      [204, "GET"],
      [304, "GET"],
      [200, "HEAD"],
    ] as const) {
      const response = new ResponseMessage(status);
      response.fields.append("Content-Length", "5");
      const wire = text((to) => encodeResponseHead(to, response, SEND_NO_BODY, SAY_NOTHING));
      response.fields.release();
      const { messages, error } = readWhole(wire + next, { responsesTo: [requestMethod] });
      assert.deepEqual([error, messages.length], [null, 2]);
      assert.equal(/content-length/i.test(wire), status !== 204);
    }
  });

  it("that was parsed is encoded as it came, its reason phrase too", () => {
    const reason = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/);
    const property = fc.property(fc.integer({ min: 200, max: 599 }), reason, fields, (status, phrase, someFields) => {
      const head = new ResponseHead();
      const storage = acquireStorage();
      const wire = `HTTP/1.1 ${status} ${phrase}\r\n${someFields.map((field) => `${field.join(": ")}\r\n`).join("")}\r\n`;
      const bytes = Buffer.from(wire, "latin1");
      assert.equal(parseResponseHead(bytes, 0, bytes.length, storage, DEFAULT_LIMITS, head), bytes.length);
      assert.equal(head.plainLine, true);
      const response = new ResponseMessage(head.status);
      response.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
      response.keepStartLine();
      assert.equal(
        text((to) => encodeResponseHead(to, response, SEND_UNTIL_CLOSE, SAY_NOTHING)),
        wire,
      );
      response.fields.release();
    });
    fc.assert(property, RUNS);
  });
});
