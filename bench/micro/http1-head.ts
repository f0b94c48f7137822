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
import { browserHead, originHead, variantsOf } from "./heads.ts";

/** Short rounds and many of them: some are never interrupted, even on a busy machine. */
const ITERATIONS = 2_000;
const ROUNDS = 1_000;
const WARM_UP_ROUNDS = 150;
/** The prime length of the order in which different heads come. */
const ORDER = 997;
const limits = { headBytesMax: HEAD_BYTES_MAX, requestLineBytesMax: REQUEST_LINE_BYTES_MAX, fieldsMax: FIELDS_MAX };

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

measure("request, 15 fields, one head", [place(browserHead, 100)], asRequest);
measure("request, about 15 fields, 32 heads", variantsOf(browserHead).map(place), asRequest);
measure("request, 1 field", [place(["GET / HTTP/1.1", "Host: 127.0.0.1:9001"], 100)], asRequest);
measure("response, 7 fields, one head", [place(originHead, 100)], asResponse);
measure("response, about 7 fields, 32 heads", variantsOf(originHead).map(place), asResponse);
