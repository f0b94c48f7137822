/**
 * Reads a stream of HTTP/1.1 messages with the codec, as a connection would, and tells what it found as a list of plain
 * events: so tests compare what a stream means, whatever pieces it came in.
 */
import { acquireStorage, FieldBlock, releaseStorage } from "../../src/core/fields.ts";
import { latin1At } from "../../src/core/latin1.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX } from "../../src/core/limits.ts";
import { BodyReader } from "../../src/protocol/http1/body-reader.ts";
import { connectionOptions, expectContinue, isPersistent } from "../../src/protocol/http1/connection.ts";
import * as errors from "../../src/protocol/http1/errors.ts";
import { BodyFraming, requestFraming, responseFraming } from "../../src/protocol/http1/framing.ts";
import type { HeadLimits } from "../../src/protocol/http1/head.ts";
import { headMayBeComplete, parseRequestHead, RequestHead } from "../../src/protocol/http1/request-head.ts";
import { parseResponseHead, ResponseHead } from "../../src/protocol/http1/response-head.ts";

export const DEFAULT_LIMITS: HeadLimits = {
  headBytesMax: HEAD_BYTES_MAX,
  requestLineBytesMax: REQUEST_LINE_BYTES_MAX,
  fieldsMax: FIELDS_MAX,
};

/** One message, or what stands where one should begin. */
export interface ReadMessage {
  /** "GET /path HTTP/1.1" or "HTTP/1.1 200 OK", from the parts that were parsed. */
  start: string;
  fields: [name: string, value: string][];
  framing: "none" | "length" | "chunked" | "close";
  body: string;
  trailers: [name: string, value: string][];
  /** The message is complete. */
  complete: boolean;
}

export interface ReadResult {
  messages: ReadMessage[];
  /** Name of the ERR_ constant that ended the reading; null when none did. */
  error: string | null;
  /** Where the stream stopped: between two messages, within one, refused, or in what is no HTTP any more. */
  state: "between" | "head" | "body" | "refused" | "tunnel" | "closed";
  /** What came behind the last message of a connection. */
  tunnel: string;
}

const nameByCode = new Map<number, string>(
  Object.entries(errors).flatMap(([name, value]) => (typeof value === "number" ? [[value, name] as const] : [])),
);

/** The name of the constant with this value. */
export function errorName(code: number): string {
  const name = nameByCode.get(code);
  if (name === undefined) throw new Error(`no codec error has the code ${code}`);
  return name;
}

/** The value of the constant with this name. */
export function errorCode(name: string): number {
  for (const [code, known] of nameByCode) if (known === name) return code;
  throw new Error(`no codec error is called ${name}`);
}

export interface ReaderOptions {
  readonly limits?: HeadLimits;
  /**
   * Responses are read, to requests with these methods; GET when there are more responses. Absent: requests are read.
   */
  readonly responsesTo?: readonly string[];
  /** Parse an incomplete head after every piece, instead of when it may be complete. */
  readonly eager?: boolean;
  /** What stands around every piece in its buffer: it must not matter. */
  readonly surroundings?: string;
}

const FRAMINGS = ["none", "length", "chunked", "close"] as const;

export class Http1Reader {
  readonly result: ReadResult = { messages: [], error: null, state: "between", tunnel: "" };
  readonly #options: ReaderOptions;
  readonly #limits: HeadLimits;
  readonly #methods: string[] | null;
  readonly #bodyReader = new BodyReader();
  readonly #framing = new BodyFraming();
  #kept: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  #persistent = true;
  #tunnelNext = false;

  constructor(options: ReaderOptions = {}) {
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#methods = options.responsesTo === undefined ? null : [...options.responsesTo];
  }

  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) {
      switch (this.result.state) {
        case "between":
        case "head":
          at = this.#head(piece, at);
          break;
        case "body":
          at = this.#body(piece, at);
          break;
        case "tunnel":
          this.result.tunnel += latin1At(piece, at, piece.length);
          return;
        default:
          return;
      }
    }
  }

  /** The peer has sent everything. */
  finish(): ReadResult {
    if (this.result.state === "head") this.#parse(this.#kept);
    const last = this.result.messages.at(-1);
    if (this.result.state === "body" && last?.framing === "close") {
      last.complete = true;
      this.result.state = "closed";
    }
    this.#bodyReader.reset();
    return this.result;
  }

  /** Copies bytes to where something else stands in front of them and behind them. */
  #surround(bytes: Buffer): { buffer: Buffer; start: number; end: number } {
    const around = Buffer.from(this.#options.surroundings ?? "", "latin1");
    return {
      buffer: Buffer.concat([around, bytes, around]),
      start: around.length,
      end: around.length + bytes.length,
    };
  }

  #head(piece: Buffer, at: number): number {
    const before = this.#kept.length;
    const bytes = Buffer.concat([this.#kept, piece.subarray(at)]);
    this.#kept = bytes;
    this.result.state = "head";
    const due =
      this.#options.eager ||
      before === 0 ||
      bytes.length >= this.#limits.headBytesMax || //
      headMayBeComplete(bytes, before, bytes.length);
    const consumed = due ? this.#parse(bytes) : 0;
    return consumed === 0 ? piece.length : at + consumed - before;
  }

  /** Returns how many of the bytes were a head; 0 when there is none yet, or it was refused. */
  #parse(bytes: Buffer): number {
    const { buffer, start, end } = this.#surround(bytes);
    const storage = acquireStorage();
    const fields = new FieldBlock();
    const message: ReadMessage = { start: "", fields: [], framing: "none", body: "", trailers: [], complete: false };
    let code: number;
    let consumed: number;
    if (this.#methods === null) {
      const head = new RequestHead();
      consumed = parseRequestHead(buffer, start, end, storage, this.#limits, head);
      if (consumed <= 0) return this.#noHead(consumed, () => releaseStorage(storage));
      const target = latin1At(storage.bytes, head.targetStart, head.targetEnd);
      message.start = `${head.method} ${target} HTTP/1.${head.minor}`;
      fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
      code = requestFraming(head, fields, this.#framing);
      if (code === 0) code = Math.min(0, expectContinue(fields, head.seen, head.minor));
      this.#persistent = isPersistent(connectionOptions(fields, head.seen, head.minor), head.minor);
      this.#tunnelNext = head.method === "CONNECT";
    } else {
      const head = new ResponseHead();
      consumed = parseResponseHead(buffer, start, end, storage, this.#limits, head);
      if (consumed <= 0) return this.#noHead(consumed, () => releaseStorage(storage));
      message.start = `HTTP/1.${head.minor} ${head.status} ${latin1At(storage.bytes, head.reasonStart, head.reasonEnd)}`;
      fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
      const method = this.#methods[0] ?? "GET";
      if (head.status >= 200) this.#methods.shift();
      code = responseFraming(head, fields, method, this.#framing);
      this.#persistent =
        head.status < 200 || isPersistent(connectionOptions(fields, head.seen, head.minor), head.minor);
      this.#tunnelNext = head.status === 101 || (method === "CONNECT" && head.status >= 200 && head.status < 300);
    }
    if (code !== 0) return this.#noHead(code, () => fields.release());
    message.fields = [...fields.entries()];
    fields.release();
    message.framing = FRAMINGS[this.#framing.kind]!;
    this.result.messages.push(message);
    this.#kept = Buffer.alloc(0);
    this.#begin(message);
    return consumed;
  }

  #noHead(code: number, release: () => void): 0 {
    release();
    if (code < 0) this.#refuse(code);
    return 0;
  }

  #refuse(code: number): void {
    this.result.error = errorName(code);
    this.result.state = "refused";
  }

  #begin(message: ReadMessage): void {
    this.#bodyReader.begin(this.#framing);
    if (this.#bodyReader.ended) this.#end(message);
    else this.result.state = "body";
  }

  #end(message: ReadMessage): void {
    message.complete = true;
    if (this.#tunnelNext) this.result.state = "tunnel";
    else this.result.state = this.#persistent ? "between" : "closed";
  }

  #body(piece: Buffer, at: number): number {
    const message = this.result.messages.at(-1)!;
    const body = this.#bodyReader;
    const { buffer, start, end } = this.#surround(piece.subarray(at));
    const next = body.next(buffer, start, end);
    if (next < 0) {
      this.#refuse(next);
      return piece.length;
    }
    message.body += latin1At(buffer, body.dataStart, body.dataEnd);
    if (body.ended) {
      message.trailers = [...(body.trailers?.entries() ?? [])];
      this.#end(message);
    }
    return at + next - start;
  }
}

/** Reads a stream in the given pieces. */
export function readPieces(pieces: Iterable<Buffer>, options: ReaderOptions = {}): ReadResult {
  const reader = new Http1Reader(options);
  for (const piece of pieces) reader.push(piece);
  return reader.finish();
}

/** Reads a whole stream at once. */
export function readWhole(text: string, options: ReaderOptions = {}): ReadResult {
  return readPieces([Buffer.from(text, "latin1")], options);
}

/**
 * Reads a stream whole, byte by byte, and cut at every place, with different bytes around the pieces, and gives the one
 * result of all; throws when they differ.
 */
export function readEveryWay(text: string, options: ReaderOptions = {}): ReadResult {
  const bytes = Buffer.from(text, "latin1");
  const whole = readWhole(text, options);
  const expected = JSON.stringify(whole);
  const check = (way: string, pieces: Iterable<Buffer>, more: ReaderOptions): void => {
    const actual = JSON.stringify(readPieces(pieces, { ...options, ...more }));
    if (actual !== expected) throw new Error(`${way} it reads ${actual}, whole ${expected}: ${JSON.stringify(text)}`);
  };
  check("among other messages", [bytes], { surroundings: "\r\n\r\nGET / HTTP/1.1\r\n\r\n" });
  check("among digits", [bytes], { surroundings: "0123456789" });
  const single = Array.from(bytes, (byte) => Buffer.of(byte));
  check("byte by byte", single, { eager: true });
  check("byte by byte, among LF", single, { surroundings: "\n\n\n" });
  for (let cut = 1; cut < bytes.length; cut++) {
    const halves = [bytes.subarray(0, cut), bytes.subarray(cut)];
    check(`cut at ${cut}`, halves, { eager: cut % 2 === 0, surroundings: cut % 3 === 0 ? "\r\n0" : "" });
  }
  return whole;
}
