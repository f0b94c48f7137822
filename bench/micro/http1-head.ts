/**
 * Nanoseconds to parse a head, after warming up: the best of several rounds, since everything else on the machine can
 * only make a round slower. Run it as `node_modules/.bin/node bench/micro/http1-head.ts`; quote ratios between rows of
 * one run.
 *
 * One head over and over flatters every parser, because the processor learns its branches; the row of many heads is the
 * one to improve.
 */
import { FieldStorage } from "../../src/core/fields.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX } from "../../src/core/limits.ts";
import { parseRequestHead, RequestHead } from "../../src/protocol/http1/request-head.ts";
import { parseResponseHead, ResponseHead } from "../../src/protocol/http1/response-head.ts";

/** Short rounds and many of them: some are never interrupted, even on a busy machine. */
const ITERATIONS = 2_000;
const ROUNDS = 1_000;
const WARM_UP_ROUNDS = 150;
/** Heads that differ from each other, and the prime length of the order in which they come. */
const VARIANTS = 32;
const ORDER = 997;
const limits = { headBytesMax: HEAD_BYTES_MAX, requestLineBytesMax: REQUEST_LINE_BYTES_MAX, fieldsMax: FIELDS_MAX };

const browser = [
  "GET /jmap/upload/u123/?types=a,b&x=1 HTTP/1.1",
  "Host: mail.example.org",
  "Connection: keep-alive",
  'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Sec-Fetch-Site: none",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-User: ?1",
  "Sec-Fetch-Dest: document",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-US,en;q=0.9",
  "Cookie: session=abcdef0123456789abcdef0123456789; theme=dark",
];

const origin = [
  "HTTP/1.1 200 OK",
  "Server: nginx",
  "Date: Sat, 21 Nov 2026 05:00:00 GMT",
  "Content-Type: application/json",
  "Content-Length: 2048",
  "Connection: keep-alive",
  'ETag: "65f0c1a2-800"',
  "Cache-Control: no-cache",
];

/** Heads like the given one: some lines longer, some missing. */
function variantsOf(lines: readonly string[]): string[][] {
  return Array.from({ length: VARIANTS }, (_, variant) =>
    lines.flatMap((line, index) => {
      const chance = (variant * 31 + index * 17) % 23;
      if (index > 1 && chance < 3) return [];
      return [index > 1 && chance > 17 ? line + "x".repeat(chance) : line];
    }),
  );
}

interface Placed {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  readonly storage: FieldStorage;
}

/** As in the proxy: the head stands somewhere in a larger buffer. */
function place(lines: readonly string[], at: number): Placed {
  const buffer = Buffer.alloc(64 * 1024);
  const end = at + buffer.write(`${lines.join("\r\n")}\r\n\r\n`, at, "latin1");
  return { buffer, start: at, end, storage: new FieldStorage() };
}

function measure(name: string, heads: readonly Placed[], parse: (head: Placed) => number): void {
  const order = Array.from({ length: ORDER }, (_, index) => heads[(index * 7 + (index >> 3)) % heads.length]!);
  const bytes = heads.reduce((sum, { start, end }) => sum + end - start, 0) / heads.length;
  for (const head of heads) if (parse(head) !== head.end - head.start) throw new Error(`${name} was not parsed`);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0, next = 0; round < ROUNDS; round++) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < ITERATIONS; i++) {
      parse(order[next]!);
      if (++next === ORDER) next = 0;
    }
    const elapsed = Number(process.hrtime.bigint() - started) / ITERATIONS;
    if (round >= WARM_UP_ROUNDS) best = Math.min(best, elapsed);
  }
  console.log(`${name.padEnd(36)} ${bytes.toFixed(0).padStart(5)} bytes ${best.toFixed(0).padStart(5)} ns`);
}

const request = new RequestHead();
const response = new ResponseHead();
const asRequest = ({ buffer, start, end, storage }: Placed) =>
  parseRequestHead(buffer, start, end, storage, limits, request);
const asResponse = ({ buffer, start, end, storage }: Placed) =>
  parseResponseHead(buffer, start, end, storage, limits, response);

measure("request, 15 fields, one head", [place(browser, 100)], asRequest);
measure("request, about 15 fields, 32 heads", variantsOf(browser).map(place), asRequest);
measure("request, 1 field", [place(["GET / HTTP/1.1", "Host: 127.0.0.1:9001"], 100)], asRequest);
measure("response, 7 fields, one head", [place(origin, 100)], asResponse);
measure("response, about 7 fields, 32 heads", variantsOf(origin).map(place), asResponse);
