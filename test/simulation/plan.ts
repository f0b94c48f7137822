// What is to happen in one exchange: known to the model client that asks and to the model origin that answers, so that both
// can tell whether what arrives is what the other one sent. Every byte of a body says whose it is and where it stands.

import type { SeededRandom } from "../../src/testing/seeded-random.ts";

/** What may go wrong in a run. In a run without faults every exchange must succeed. */
export interface Weather {
  /** Clients abort: while they send, or while they wait. */
  readonly clientFaults: boolean;
  /** Origins break, truncate and delay answers, or close connections that they promised to keep. */
  readonly originFaults: boolean;
  /** Hooks and transforms of features throw. */
  readonly featureFaults: boolean;
}

export type BodyFraming = "none" | "length" | "chunked" | "close";

export interface BodyPlan {
  readonly framing: BodyFraming;
  readonly bytes: number;
  readonly trailers: boolean;
}

/** What a client does instead of waiting for its answer. */
export type ClientFault =
  | { readonly kind: "none" }
  /** Closes once so many bytes of the request were sent. */
  | { readonly kind: "abortSending"; readonly afterBytes: number; readonly reset: boolean }
  /** Closes so long after the request was sent. */
  | { readonly kind: "abortWaiting"; readonly afterMs: number; readonly how: "fin" | "close" | "reset" }
  /** Reads nothing for so long once the answer has begun. */
  | { readonly kind: "stall"; readonly forMs: number };

/** What an origin does instead of answering as it should. */
export type OriginFault =
  | { readonly kind: "none" }
  /** Closes when the request has come, without a byte. */
  | { readonly kind: "noAnswer"; readonly reset: boolean }
  /** Never answers. */
  | { readonly kind: "silence" }
  /** Closes after so many bytes of the answer. */
  | { readonly kind: "truncate"; readonly afterBytes: number; readonly reset: boolean }
  /** Sends what is no HTTP. */
  | { readonly kind: "garbage" }
  /** Promises to keep the connection and closes it so long after the answer. */
  | { readonly kind: "closeIdle"; readonly afterMs: number };

export interface Plan {
  readonly id: number;
  readonly method: string;
  readonly http10: boolean;
  readonly body: BodyPlan;
  readonly expectContinue: boolean;
  readonly takesTrailers: boolean;
  /** The client asks for this to be the last exchange of its connection. */
  readonly lastOfConnection: boolean;
  /** The client asks to switch protocols; `agreed`: the origin does. */
  readonly upgrade: { readonly agreed: boolean; readonly clientBytes: number; readonly originBytes: number } | null;
  readonly clientFault: ClientFault;

  readonly status: number;
  readonly answer: BodyPlan;
  readonly interim: readonly number[];
  /** The origin answers before it has read the body. */
  readonly early: boolean;
  readonly answerDelayMs: number;
  /** The origin sends its answer in parts, with pauses. */
  readonly inParts: boolean;
  readonly originCloses: boolean;
  readonly originHttp10: boolean;
  readonly originFault: OriginFault;
}

const CELL_BYTES = 16;

/** `[from, to)` of the body that belongs to an exchange: "q" of the request, "a" of the answer. */
export function patternOf(side: "q" | "a", id: number, from: number, to: number): Buffer {
  const first = Math.floor(from / CELL_BYTES);
  const cells: string[] = [];
  for (let cell = first; cell * CELL_BYTES < to; cell++) {
    cells.push(`${side}${String(id).padStart(6, "0")}:${String(cell).padStart(7, "0")};`);
  }
  return Buffer.from(cells.join("")).subarray(from - first * CELL_BYTES, to - first * CELL_BYTES);
}

const IDEMPOTENT = ["GET", "GET", "GET", "HEAD", "PUT", "DELETE", "OPTIONS"] as const;
const NOT_IDEMPOTENT = ["POST", "POST", "PATCH"] as const;

export function isIdempotent(method: string): boolean {
  return (IDEMPOTENT as readonly string[]).includes(method);
}

export function randomPlan(random: SeededRandom, id: number, weather: Weather): Plan {
  const method = random.chance(0.6) ? random.pick(IDEMPOTENT) : random.pick(NOT_IDEMPOTENT);
  const http10 = random.chance(0.12);
  const upgrade = !http10 && method === "GET" && random.chance(0.12) ? randomUpgrade(random) : null;
  const body: BodyPlan = upgrade === null ? randomRequestBody(random, method, http10) : NO_BODY;
  const status = random.pick([200, 200, 200, 200, 201, 204, 206, 301, 304, 404, 500, 503]);
  const originHttp10 = upgrade === null && random.chance(0.06);
  return {
    id,
    method,
    http10,
    body,
    expectContinue: !http10 && body.framing !== "none" && random.chance(0.2),
    takesTrailers: !http10 && random.chance(0.3),
    lastOfConnection: random.chance(0.15),
    upgrade,
    clientFault: randomClientFault(random, weather),
    status,
    answer: randomAnswerBody(random, status, originHttp10),
    interim: originHttp10 || random.chance(0.85) ? [] : random.pick([[103], [102, 103], [103, 103, 103]]),
    early: body.framing !== "none" && random.chance(0.15),
    answerDelayMs: random.chance(0.5) ? 0 : random.between(1, 300),
    inParts: random.chance(0.3),
    originCloses: random.chance(0.15),
    originHttp10,
    originFault: weather.originFaults && random.chance(0.3) ? randomOriginFault(random) : { kind: "none" },
  };
}

const NO_BODY: BodyPlan = { framing: "none", bytes: 0, trailers: false };

/** Mostly small, sometimes larger than any buffer on the way, and so long that it may pass unseen. */
function randomSize(random: SeededRandom): number {
  if (random.chance(0.7)) return random.below(300);
  return random.chance(0.85) ? random.below(20_000) : random.between(150_000, 500_000);
}

function randomRequestBody(random: SeededRandom, method: string, http10: boolean): BodyPlan {
  const usual = method === "POST" || method === "PUT" || method === "PATCH";
  if (random.chance(usual ? 0.15 : 0.95)) return NO_BODY;
  if (http10 || random.chance(0.5)) return { framing: "length", bytes: randomSize(random), trailers: false };
  return { framing: "chunked", bytes: randomSize(random), trailers: random.chance(0.2) };
}

function randomAnswerBody(random: SeededRandom, status: number, originHttp10: boolean): BodyPlan {
  if (status === 204) return NO_BODY;
  const bytes = randomSize(random);
  if (originHttp10) return { framing: random.pick(["length", "close"]), bytes, trailers: false };
  const framing = random.pick(["length", "length", "chunked", "chunked", "close"] as const);
  return { framing, bytes, trailers: framing === "chunked" && random.chance(0.3) };
}

function randomUpgrade(random: SeededRandom): NonNullable<Plan["upgrade"]> {
  return { agreed: random.chance(0.8), clientBytes: randomSize(random), originBytes: randomSize(random) };
}

function randomClientFault(random: SeededRandom, weather: Weather): ClientFault {
  // To be slow is no fault.
  if (random.chance(0.06)) return { kind: "stall", forMs: random.between(1, 20_000) };
  if (!weather.clientFaults || random.chance(0.8)) return { kind: "none" };
  if (random.chance(0.5)) {
    return { kind: "abortSending", afterBytes: random.between(1, 2000), reset: random.chance(0.5) };
  }
  const afterMs = random.chance(0.3) ? 0 : random.below(400);
  return { kind: "abortWaiting", afterMs, how: random.pick(["fin", "close", "reset"]) };
}

function randomOriginFault(random: SeededRandom): OriginFault {
  switch (random.below(5)) {
    case 0:
      return { kind: "noAnswer", reset: random.chance(0.5) };
    case 1:
      return { kind: "silence" };
    case 2:
      return { kind: "truncate", afterBytes: random.between(1, 600), reset: random.chance(0.5) };
    case 3:
      return { kind: "garbage" };
    default:
      return { kind: "closeIdle", afterMs: random.below(200) };
  }
}
