// One large body through the proxy, compared byte for byte at the other end, while the proxy's resident memory is looked at
// each time another part of it has arrived. `npm test` and `npm run soak` run the same with other sizes.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { Writable } from "node:stream";
import type { TestContext } from "node:test";
import { Origin } from "./origin.ts";
import { PatternCheck, patternAt } from "./soak-pattern.ts";
import { ProxyProcess } from "./soak-process.ts";

const MiB = 1024 * 1024;
const PIECE_BYTES = 65_536;

export interface LargeBody {
  readonly direction: "upload" | "download";
  readonly framing: "length" | "chunked";
  readonly bytes: number;
  /** The memory is looked at whenever another such part has arrived. */
  readonly partBytes: number;
}

/** Every direction with every framing. */
export function largeBodies(size: Pick<LargeBody, "bytes" | "partBytes">): LargeBody[] {
  const directions = ["upload", "download"] as const;
  const framings = ["length", "chunked"] as const;
  return directions.flatMap((direction) => framings.map((framing) => ({ direction, framing, ...size })));
}

/** Passes one through a proxy of its own; fails when memory grows by `growthBytesMax` between the first part and the last. */
export async function passLargeBody(test: TestContext, body: LargeBody, growthBytesMax: number): Promise<void> {
  await using origin = await Origin.start((request, response) => void serve(request, response));
  await using proxy = await ProxyProcess.start({ proxy: origin.url });
  const resident: number[] = [];
  const arrived = new Arrival(body.partBytes, () => resident.push(proxy.residentBytes));
  const fields = body.framing === "length" ? { "content-length": body.bytes } : { "transfer-encoding": "chunked" };

  async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (body.direction === "upload") {
      for await (const chunk of request) arrived.add(chunk as Buffer);
      response.end(String(arrived.bytes));
    } else {
      response.writeHead(200, fields);
      await send(response, body.bytes);
    }
  }

  const startedMs = performance.now();
  const isUpload = body.direction === "upload";
  const request = http.request({
    port: proxy.port,
    agent: false,
    method: isUpload ? "POST" : "GET",
    headers: isUpload ? fields : {},
  });
  const answered = once(request, "response") as Promise<[http.IncomingMessage]>;
  await send(request, isUpload ? body.bytes : 0);
  const [response] = await answered;
  assert.equal(response.statusCode, 200);
  let told = "";
  for await (const chunk of response) {
    if (isUpload) told += chunk;
    else arrived.add(chunk as Buffer);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const [asked] = origin.asked;
  const passedFields = isUpload ? asked!.headers : response.headers;
  for (const [name, value] of Object.entries(fields)) assert.equal(passedFields[name], String(value));
  assert.equal(arrived.bytes, body.bytes);
  if (isUpload) assert.equal(told, String(body.bytes));
  assert.equal(resident.length, Math.floor(body.bytes / body.partBytes));

  const growth = resident.at(-1)! - resident[0]!;
  const listed = resident.map((bytes) => (bytes / MiB).toFixed(1)).join(", ");
  const speed = (body.bytes / MiB / seconds).toFixed(0);
  test.diagnostic(`resident MiB after each part: ${listed}; growth ${(growth / MiB).toFixed(1)} MiB; ${speed} MiB/s`);
  assert.ok(growth < growthBytesMax, `memory grew by ${growth} bytes: ${listed} MiB`);
  await proxy.stop();
}

/** What has arrived so far: compared and counted. */
class Arrival {
  readonly #check = new PatternCheck();
  readonly #partBytes: number;
  readonly #onPart: () => void;
  #parts = 0;

  constructor(partBytes: number, onPart: () => void) {
    this.#partBytes = partBytes;
    this.#onPart = onPart;
  }

  get bytes(): number {
    return this.#check.position;
  }

  add(chunk: Buffer): void {
    this.#check.add(chunk);
    while (this.bytes >= (this.#parts + 1) * this.#partBytes) {
      this.#parts++;
      this.#onPart();
    }
  }
}

async function send(to: Writable, bytes: number): Promise<void> {
  for (let position = 0; position < bytes; position += PIECE_BYTES) {
    if (!to.write(patternAt(position, Math.min(PIECE_BYTES, bytes - position)))) await once(to, "drain");
  }
  to.end();
}
