/**
 * From an answer that is stored, or on its way, to the answer of one request: whole, 304, one range, several, or 416 (RFC 9110,
 * sections 13.2.2, 14 and 15.3.7). Whether it may be given at all was decided before.
 *
 * Most requests have neither conditions nor ranges: for them, nothing is parsed and nothing is made but the answer.
 */
import type { AnswerBody, CachedAnswer } from "../../caching/cache.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import { EncodedLines, type FieldBlock } from "../../core/fields.ts";
import type { Random } from "../../core/ports.ts";
import type { AnswerSink, BodyProducer } from "../../pipeline/body.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { AnswerHead } from "../../semantics/caching/answer-head.ts";
import { multipartBody } from "../../semantics/caching/byte-ranges-body.ts";
import { evaluateConditions, isForNotModified, rangeApplies } from "../../semantics/caching/conditionals.ts";
import { type ByteRange, contentRange, selectRanges, unsatisfiedRange } from "../../semantics/caching/ranges.ts";
import { EarlyReader } from "./early-reader.ts";
import { produceMultipart } from "./multipart.ts";

/** What became of the request. */
export type Given =
  /** It has its answer. */
  | "given"
  /** It has a condition that only the origin can judge. */
  | "ask-origin"
  /** It wants bytes that are not there. */
  | "not-covered"
  /** Its body is lost, or cannot be read for now: it is as if it were not there. */
  | "unreadable";

export type OnEarlyReader = (reader: EarlyReader) => void;

const FIELD_RANGE = fieldIdOf("range");
const FIELD_IF_FIRST = fieldIdOf("if-match");
const FIELD_IF_LAST = fieldIdOf("if-range");

export class AnswerGiver {
  readonly #random: Random;
  /** The fields of 304 of an answer: those that browsers validate are asked for again and again. */
  readonly #notModified = new WeakMap<AnswerHead, EncodedLines>();

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * `lines`: what is told of this one answer (Age, Cache-Status, ...). `onEarly` is told of the client's place at a body that is on
   * its way.
   */
  give(
    exchange: Exchange,
    { version, head, body }: CachedAnswer,
    lines: EncodedLines,
    onEarly: OnEarlyReader | null = null,
  ): Given {
    const { fields, method } = exchange.request;
    let hasRange = false;
    if (isConditional(fields)) {
      const verdict = evaluateConditions(fields, head);
      if (verdict === "ask-origin") return "ask-origin";
      if (verdict === "not-modified") {
        exchange.respond({ status: 304, fields: this.#notModifiedLines(head) });
        exchange.response?.fields.appendEncoded(lines);
        return "given";
      }
      hasRange = fields.rowOfId(FIELD_RANGE) >= 0 && rangeApplies(fields, head);
    } else hasRange = fields.rowOfId(FIELD_RANGE) >= 0;
    // Range means something to GET and to a representation alone; of one whose end nobody knows, the whole is given.
    if (hasRange && method === "GET" && head.status === 200 && body.bytes >= 0) {
      const ranges = selectRanges(fields.get("range") ?? "", body.bytes);
      if (ranges !== "whole") {
        return this.#giveRanges(exchange, head, body, ranges, lines, version === 0 ? onEarly : null);
      }
    }
    if (!isWhole(body)) return "not-covered";
    if (body.memory === null && !body.open()) return "unreadable";
    exchange.respond({
      status: head.status,
      fields: head.fields,
      body: body.memory ?? producerOf(body, 0, -1, version === 0 ? onEarly : null),
      bodyBytes: body.bytes,
    });
    exchange.response?.fields.appendEncoded(lines);
    return "given";
  }

  #giveRanges(
    exchange: Exchange,
    head: AnswerHead,
    body: AnswerBody,
    ranges: readonly ByteRange[] | "unsatisfiable",
    lines: EncodedLines,
    onEarly: OnEarlyReader | null,
  ): Given {
    if (ranges === "unsatisfiable") {
      exchange.respond({ status: 416, fields: [["Content-Range", unsatisfiedRange(body.bytes)]] });
      exchange.response?.fields.appendEncoded(lines);
      return "given";
    }
    if (!ranges.every((range) => isThere(body, range))) return "not-covered";
    if (body.memory === null && !body.open()) return "unreadable";
    const [first] = ranges;
    if (ranges.length === 1) {
      const { start, end } = first!;
      const { memory } = body;
      const isHere = memory !== null && memory.length === body.bytes;
      exchange.respond({
        status: 206,
        fields: head.fields,
        body: isHere ? memory.subarray(start, end) : producerOf(body, start, end, onEarly),
        bodyBytes: end - start,
      });
      exchange.response?.fields.set("Content-Range", contentRange(first!, body.bytes));
    } else {
      const multipart = multipartBody(ranges, body.bytes, head.fields.get("content-type"), this.#boundary());
      exchange.respond({
        status: 206,
        fields: head.fields,
        body: (sink: AnswerSink) => produceMultipart(body, multipart, sink),
        bodyBytes: multipart.bytes,
      });
      exchange.response?.fields.set("Content-Type", multipart.contentType);
      // One that came with a whole answer means nothing there; here it would.
      exchange.response?.fields.delete("Content-Range");
    }
    exchange.response?.fields.appendEncoded(lines);
    return "given";
  }

  #notModifiedLines(head: AnswerHead): EncodedLines {
    let lines = this.#notModified.get(head);
    if (lines === undefined) {
      lines = new EncodedLines([...head.fields.entries()].filter(([name]) => isForNotModified(name.toLowerCase())));
      this.#notModified.set(head, lines);
    }
    return lines;
  }

  /** 26 letters and digits: about 130 bits, so that they stand in no body by chance. */
  #boundary(): string {
    let boundary = "";
    while (boundary.length < 26) boundary += this.#random.next().toString(36).slice(2, 12);
    return boundary.slice(0, 26);
  }
}

function producerOf(body: AnswerBody, start: number, end: number, onEarly: OnEarlyReader | null): BodyProducer {
  if (onEarly === null) return (sink) => body.produce(sink, start, end);
  const reader = new EarlyReader(body, start, end);
  onEarly(reader);
  return reader.produce;
}

/** If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since or If-Range is among them. */
export function isConditional(fields: FieldBlock): boolean {
  return fields.hasIdBetween(FIELD_IF_FIRST, FIELD_IF_LAST);
}

/** All of the representation is there, or comes. */
export function isWhole(body: AnswerBody): boolean {
  return body.start === 0 && body.end === body.bytes;
}

function isThere(body: AnswerBody, { start, end }: ByteRange): boolean {
  return start >= body.start && (body.end < 0 || end <= body.end);
}
