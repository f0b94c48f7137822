// One large body through the proxy, compared byte for byte at the other end, while the proxy's resident memory is looked at
// each time another part of it has arrived. `npm test` and `npm run soak` run the same with other sizes.
//
// What is compared is the most that was ever resident: garbage comes and goes by 30 MiB between two collections, and two
// looks at the present would find it at any height.

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

/** Passes one through a proxy of its own; fails when more is resident at the last part than at the first, by `growthBytesMax`. */
export async function passLargeBody(test: TestContext, body: LargeBody, growthBytesMax: number): Promise<void> {
  const broken = Promise.withResolvers<never>();
  const resident: number[] = [];
  const arrived = new Arrival(body.partBytes, () => resident.push(proxy.residentBytesMax));
  await using origin = await Origin.start((request, response) => {
    serve(request, response, body, arrived).catch(broken.reject);
  });
  await using proxy = await ProxyProcess.start({ proxy: origin.url });

  const startedMs = performance.now();
  const response = await Promise.race([exchange(proxy.port, body, arrived), broken.promise]);
  const seconds = (performance.now() - startedMs) / 1000;
  const passed = body.direction === "upload" ? origin.asked[0]!.headers : response.headers;
  for (const [name, value] of Object.entries(framingFields(body))) assert.equal(passed[name], String(value));
  assert.equal(arrived.bytes, body.bytes);
  assert.equal(resident.length, Math.floor(body.bytes / body.partBytes));

  const growth = resident.at(-1)! - resident[0]!;
  const listed = resident.map((bytes) => (bytes / MiB).toFixed(1)).join(", ");
  const speed = (body.bytes / MiB / seconds).toFixed(0);
  test.diagnostic(`most MiB resident by each part: ${listed}; growth ${(growth / MiB).toFixed(1)} MiB; ${speed} MiB/s`);
  assert.ok(growth < growthBytesMax, `memory grew by ${growth} bytes: ${listed} MiB`);
  await proxy.stop();
}

function framingFields({ framing, bytes }: LargeBody): http.OutgoingHttpHeaders {
  return framing === "length" ? { "content-length": bytes } : { "transfer-encoding": "chunked" };
}

/** The origin's side. */
async function serve(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  body: LargeBody,
  arrived: Arrival,
): Promise<void> {
  if (body.direction === "upload") {
    for await (const chunk of request) arrived.add(chunk as Buffer);
    response.end(String(arrived.bytes));
  } else {
    response.writeHead(200, framingFields(body));
    await send(response, body.bytes);
  }
}

/** The client's side, up to the end of the answer. */
async function exchange(port: number, body: LargeBody, arrived: Arrival): Promise<http.IncomingMessage> {
  const isUpload = body.direction === "upload";
  const method = isUpload ? "POST" : "GET";
  const request = http.request({ port, agent: false, method, headers: isUpload ? framingFields(body) : {} });
  const [[response]] = await Promise.all([
    once(request, "response") as Promise<[http.IncomingMessage]>,
    send(request, isUpload ? body.bytes : 0),
  ]);
  assert.equal(response.statusCode, 200);
  let told = "";
  for await (const chunk of response) {
    if (isUpload) told += chunk;
    else arrived.add(chunk as Buffer);
  }
  if (isUpload) assert.equal(told, String(body.bytes));
  return response;
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
