// Messages that are nearly HTTP/1.1: samples and attacks, mutated. Whatever comes, the codec does not throw, says the
// same of the pieces as of the whole, looks at nothing that is not part of the message, and finds exactly the messages
// that a reading by regular expressions finds.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { SMUGGLING_REQUESTS, SMUGGLING_RESPONSES } from "../security/smuggling-corpus.ts";
import { type ReaderOptions, type ReadResult, readPieces } from "../support/http1-reader.ts";
import { replayHint, seed } from "../support/seed.ts";
import { type ReferenceMessage, readRequest, readResponse } from "./http1-reference.ts";

const CASES = 30_000;
/** Small, so that mutations often meet them. */
const LIMITS = { headBytesMax: 400, requestLineBytesMax: 120, fieldsMax: 8 };

/** Some words of the language, put where they do not belong. */
const WORDS = [
  ...[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "\x00",
    "\x7f",
    "\xff",
    "0",
    "5",
    "a",
    "chunked",
    '"',
    "\\",
  ],
  ...["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Host: a\r\n", "HTTP/1.1", "HTTP/1.0", "0\r\n\r\n"],
  ...[
    "5\r\nhello\r\n",
    ";a=b",
    ';a="b"',
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "GET ",
    "CONNECT ",
    "*",
    "/",
  ],
  ...["http://a", "?", "#", "%41", "..", "[::1]", ":80", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"],
  "x".repeat(300),
];

const REQUESTS = [
  "GET /a/b?c=d HTTP/1.1\r\nHost: a.example:80\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
  'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n3;c\r\nabc\r\n0\r\nX: y\r\n\r\n',
  "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
  ...SMUGGLING_REQUESTS.filter(({ bytes }) => bytes.length < 400).map(({ bytes }) => bytes),
];

const RESPONSES = [
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
  "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\nHTTP/1.1 204 \r\n\r\n",
  ...SMUGGLING_RESPONSES.filter(({ method }) => method === "GET").map(({ bytes }) => bytes),
];

class Mutator {
  readonly random: SeededRandom;
  readonly #samples: readonly string[];

  constructor(random: SeededRandom, samples: readonly string[]) {
    this.random = random;
    this.#samples = samples;
  }

  /** A sample after none to five changes. */
  next(): string {
    let text = this.random.pick(this.#samples);
    for (let changes = this.random.below(6); changes > 0; changes--) text = this.#change(text);
    return text.slice(0, 1200);
  }

  #change(text: string): string {
    const at = this.random.below(text.length + 1);
    const length = this.random.below(12);
    switch (this.random.below(7)) {
      case 0:
        return text.slice(0, at) + String.fromCharCode(this.random.below(256)) + text.slice(at + 1);
      case 1:
        return text.slice(0, at) + String.fromCharCode(this.random.below(256)) + text.slice(at);
      case 2:
        return text.slice(0, at) + text.slice(at + length);
      case 3:
        return text.slice(0, at) + text.slice(at, at + length).repeat(2) + text.slice(at + length);
      case 4:
        return text.slice(0, at) + this.random.pick(WORDS) + text.slice(at);
      case 5:
        return text.slice(0, at) + this.random.pick(this.#samples).slice(this.random.below(60));
      default:
        return text.slice(0, at);
    }
  }

  /** The bytes of the text, cut at one to four places, or into bytes. */
  pieces(text: string): Buffer[] {
    const bytes = Buffer.from(text, "latin1");
    if (this.random.below(8) === 0) return Array.from(bytes, (byte) => Buffer.of(byte));
    const cuts = Array.from({ length: 1 + this.random.below(4) }, () => this.random.below(bytes.length + 1)).sort(
      (a, b) => a - b,
    );
    return [...cuts, bytes.length].map((cut, index) => bytes.subarray(cuts[index - 1] ?? 0, cut));
  }
}

/** Behind these there are no messages. */
const TUNNEL = /^(?:CONNECT |HTTP\/1\.[01] 101 )/;

/** What the reference finds before it finds nothing more, or what may not be read. */
function referenceMessages(text: string, read: typeof readRequest): ReferenceMessage[] {
  const messages: ReferenceMessage[] = [];
  for (let at = 0; at < text.length; ) {
    const found = read(text.slice(at), LIMITS);
    if (found === null) break;
    messages.push(found.message);
    at += found.length;
    if (!found.persistent || TUNNEL.test(found.message.start)) break;
  }
  return messages;
}

function completeMessages(result: ReadResult): ReferenceMessage[] {
  return result.messages.filter(({ complete }) => complete).map(({ start, fields, body }) => ({ start, fields, body }));
}

/** Reads one text in every respect; gives how it ended, so that a test can tell whether its cases are of all kinds. */
function examine(
  text: string,
  mutator: Mutator,
  options: ReaderOptions,
  read: typeof readRequest,
): ReadResult["state"] {
  const whole = readPieces([Buffer.from(text, "latin1")], options);
  const around = mutator.random.pick([
    "\r\n\r\n",
    "\n",
    "0123456789",
    "\x00",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "]:80",
  ]);
  const eager = mutator.random.below(2) === 0;
  const pieces = readPieces(mutator.pieces(text), { ...options, surroundings: around, eager });
  const where = `${replayHint}: ${JSON.stringify(text)}`;
  assert.deepEqual(pieces, whole, `in pieces and whole differ, ${where}`);
  const isIpv6 = /\[[0-9A-Fa-f:.]{2,45}\]/.test(text);
  if (!isIpv6) assert.deepEqual(completeMessages(whole), referenceMessages(text, read), `reference differs, ${where}`);
  return whole.state;
}

describe(`mutated HTTP/1.1 (${replayHint})`, () => {
  for (const [what, samples, options, read] of [
    ["requests", REQUESTS, { limits: LIMITS }, readRequest],
    ["responses", RESPONSES, { limits: LIMITS, responsesTo: [] }, readResponse],
  ] as const) {
    it(`${what} are read alike, however they come`, () => {
      const mutator = new Mutator(new SeededRandom(seed), samples);
      const states = new Set<string>();
      for (let count = 0; count < CASES; count++) states.add(examine(mutator.next(), mutator, options, read));
      for (const state of ["between", "head", "body", "refused", "tunnel", "closed"]) {
        assert.ok(states.has(state), `no case ended in the state "${state}", ${replayHint}`);
      }
    });
  }
});
