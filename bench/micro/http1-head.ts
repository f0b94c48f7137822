/**
 * Nanoseconds to parse a head, after warming up: the best of several rounds, since everything else on the machine can only
 * make a round slower. Run it as `node_modules/.bin/node bench/micro/http1-head.ts`; quote ratios between rows of one run.
 */
import { acquireStorage } from "../../src/core/fields.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX } from "../../src/core/limits.ts";
import { parseRequestHead, RequestHead } from "../../src/protocol/http1/request-head.ts";

const ITERATIONS = 200_000;
const ROUNDS = 9;
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

function measure(name: string, parseOnce: () => number): void {
  for (let i = 0; i < ITERATIONS; i++) parseOnce();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < ITERATIONS; i++) parseOnce();
    best = Math.min(best, Number(process.hrtime.bigint() - started) / ITERATIONS);
  }
  console.log(`${name.padEnd(40)} ${String(parseOnce()).padStart(5)} bytes ${best.toFixed(0).padStart(5)} ns`);
}

function request(name: string, lines: readonly string[]): void {
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  // As in the proxy: the head stands somewhere in a larger buffer.
  const buffer = Buffer.alloc(64 * 1024);
  bytes.copy(buffer, 100);
  const storage = acquireStorage();
  const head = new RequestHead();
  measure(name, () => parseRequestHead(buffer, 100, 100 + bytes.length, storage, limits, head));
}

request("request of a browser, 15 fields", browser);
request("request of a load tool, 1 field", ["GET / HTTP/1.1", "Host: 127.0.0.1:9001"]);
