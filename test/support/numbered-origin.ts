// An origin whose every answer is another one: each has a number of its own, higher than all before it, and its body follows from the
// path and the number, so that any answer that somebody gets by way of a cache can be judged: whole or not, whose, and how old. A
// number that was given once may be confirmed later (304), which has a number too.

import type http from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Origin } from "./origin.ts";

const KiB = 1024;

/** What the paths begin with, and what is answered there. */
const KINDS = {
  /** In the cache's records, of any length that fits there. */
  inline: { bytesMin: 0, bytesMax: 60 * KiB, isChunked: false, varies: false },
  /** With a length, and of more than one block. */
  file: { bytesMin: 100 * KiB, bytesMax: 2 * KiB * KiB, isChunked: false, varies: false },
  /** Nobody knows before the end how long it is. */
  chunked: { bytesMin: 1, bytesMax: 400 * KiB, isChunked: true, varies: false },
  /** Each language has an answer of its own. */
  varying: { bytesMin: 30 * KiB, bytesMax: 150 * KiB, isChunked: false, varies: true },
} as const;

export const KIND_NAMES = Object.keys(KINDS) as readonly (keyof typeof KINDS)[];
export const LANGUAGES = ["de", "en", "fr"] as const;
/** Names by which answers can be purged together: `t0` to `t3`. */
export const TAGS = 4;
/** What is written at a time, so that bodies take some turns to come. */
const PIECE_BYTES = 100_000;

export const kindOf = (path: string): (typeof KINDS)[keyof typeof KINDS] =>
  KINDS[path.split("/")[1] as keyof typeof KINDS];
export const tagOf = (path: string): string => `t${Number(path.split("/")[2]) % TAGS}`;

/** `language`: "" where they do not differ by it. */
export function bodyOf(path: string, language: string, number: number): Buffer {
  const { bytesMin, bytesMax } = kindOf(path);
  // A prime, so that lengths come in no order.
  const bytes = bytesMin + ((number * 7_368_787) % (bytesMax - bytesMin + 1));
  return Buffer.alloc(bytes, `${path} ${language} ${number};`);
}

export class NumberedOrigin {
  readonly #origin: Origin;
  #last = 0;
  /** Called with each request, before it is answered. */
  onAsked: () => void = () => {};

  private constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** `chance`: below it, an answer that is there already is confirmed; from 0 to 1. */
  static async start(confirms: () => boolean): Promise<NumberedOrigin> {
    const started: { origin: NumberedOrigin | null } = { origin: null };
    const origin = await Origin.start((request, response) => void started.origin!.#answer(request, response, confirms));
    started.origin = new NumberedOrigin(origin);
    return started.origin;
  }

  get url(): string {
    return this.#origin.url;
  }

  /** Every answer that the origin is asked for from here on has this number, or a higher one. */
  get next(): number {
    return this.#last + 1;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#origin[Symbol.asyncDispose]();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse, confirms: () => boolean): Promise<void> {
    this.onAsked();
    // Nobody looks at what was asked, and there is much of it.
    this.#origin.asked.length = 0;
    const { url: path = "", method, headers } = request;
    const number = ++this.#last;
    if (method !== "GET") return void response.writeHead(204).end();
    const { isChunked, varies } = kindOf(path);
    const fields = {
      "Cache-Control": "max-age=86400",
      "Surrogate-Key": tagOf(path),
      "X-Number": number,
      ...(varies && { Vary: "Accept-Language" }),
    };
    const known = headers["if-none-match"];
    if (known !== undefined && confirms()) return void response.writeHead(304, { ...fields, ETag: known }).end();
    const body = bodyOf(path, varies ? String(headers["accept-language"]) : "", number);
    response.writeHead(200, { ...fields, ETag: `"${number}"`, ...(!isChunked && { "Content-Length": body.length }) });
    for (let at = 0; at < body.length && !response.destroyed; at += PIECE_BYTES) {
      response.write(body.subarray(at, at + PIECE_BYTES));
      await nextTurn();
    }
    response.end();
  }
}
