/**
 * Nanoseconds that `credentials` and `jwt` take from a request whose token is known: parsing a browser's head, the
 * feature, and encoding what is left, less the same without the feature. The best of many short rounds, since
 * everything else on the machine can only make a round slower.
 *
 *     node_modules/.bin/node --conditions=headgate-source bench/micro/credentials.ts
 *
 * Tokens are of 300 bytes, as those with half a dozen claims. One of them over and over flatters every cache: the rows
 * of many are the ones to improve.
 */
import { createHmac } from "node:crypto";
import { acquireStorage } from "../../src/core/fields.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX } from "../../src/core/limits.ts";
import { RequestMessage } from "../../src/core/message.ts";
import { createCredentialsFeature } from "../../src/features/credentials/index.ts";
import { credentialsOptions } from "../../src/features/credentials/options.ts";
import { createJwtFeature } from "../../src/features/jwt/index.ts";
import { jwtOptions } from "../../src/features/jwt/options.ts";
import { KeyRing, seal } from "../../src/identity/envelope.ts";
import { FailedAttempts } from "../../src/identity/failed-attempts.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { parseRequestHead, RequestHead } from "../../src/protocol/http1/request-head.ts";
import { MemorySessionStore } from "../../src/testing/session-store.ts";
import { browserHead } from "./heads.ts";

const ITERATIONS = 2_000;
const ROUNDS = 600;
const WARM_UP_ROUNDS = 150;
const SECRET = "the secret of the measurement, long enough for it";
const KEY = "42".repeat(32);
const limits = { headBytesMax: HEAD_BYTES_MAX, requestLineBytesMax: REQUEST_LINE_BYTES_MAX, fieldsMax: FIELDS_MAX };
const clock = new SystemClock();

function tokenOf(session: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    iss: "https://login.example.org",
    sub: `user-${session}@example.org`,
    sid: `session-${session}`,
    iat: 1_790_000_000,
  };
  const input = `${part({ alg: "HS512", typ: "JWT" })}.${part({ ...claims, exp: 4_000_000_000 })}`;
  return `${input}.${createHmac("sha512", SECRET).update(input).digest("base64url")}`;
}

const connection = {
  local: { family: 4, address: "127.0.0.1", port: 8080 },
  remote: { family: 4, address: "127.0.0.1", port: 50_000 },
  tls: null,
} as const;

class BenchExchange extends Exchange {
  readonly routeName = null;
  failed = false;
  respond(): boolean {
    return false;
  }
  wholeBody(): Promise<Buffer> {
    return Promise.reject(new Error("there is no body"));
  }
  informational(): void {}
  fork(): never {
    throw new Error("there is nothing to fork");
  }
  forkPoint(): never {
    throw new Error("there is nothing to fork");
  }
  fail(): void {
    this.failed = true;
  }
}

const target = Buffer.alloc(64 * 1024);
const targetView = new DataView(target.buffer, target.byteOffset, target.length);
const head = new RequestHead();

/** One request's way through what is measured; how many bytes are left of its head. */
function pass(bytes: Buffer, feature: Feature | null): number {
  const storage = acquireStorage();
  const length = parseRequestHead(bytes, 0, bytes.length, storage, limits, head);
  if (length !== bytes.length) throw new Error("the head was not parsed");
  const request = new RequestMessage();
  request.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
  request.setTargetRange(head.targetStart, head.pathEnd, head.targetEnd);
  const exchange = new BenchExchange(connection, request, 0);
  if (feature?.request?.(exchange) !== undefined || exchange.failed)
    throw new Error("the request waited or was refused");
  const end = request.fields.encode(target, targetView, 0);
  request.fields.release();
  return end;
}

function measure(heads: readonly Buffer[], feature: Feature | null): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0, next = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < ITERATIONS; i++) {
      pass(heads[next]!, feature);
      next = (next + 7919) % heads.length;
    }
    const elapsed = Number(process.hrtime.bigint() - started) / ITERATIONS;
    if (round >= WARM_UP_ROUNDS) best = Math.min(best, elapsed);
  }
  return best;
}

const store = new MemorySessionStore(clock);
const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: KEY }]);
const attempts = new FailedAttempts(clock);
const fetchFor = () => () => Promise.reject(new Error("nothing is fetched"));
const kept = <T>(_kind: string, _options: unknown, make: () => T) => make();
const token = { algorithm: "HS512", key: SECRET };
const credentials = (place: object) =>
  createCredentialsFeature(
    credentialsOptions.parse({ token: { ...place, ...token }, session: { store: "s" }, decrypt: { key: KEY } }),
    { clock, attempts, fetchFor, kept, store },
  );
const jwt = createJwtFeature(jwtOptions.parse({ ...token, headers: { "x-user": "sub" } }), {
  clock,
  attempts,
  fetchFor,
  kept,
});

const withCookie = (text: string) =>
  browserHead.map((line) =>
    line.startsWith("Cookie: ") ? `${line.replace("; theme", `; token=${text}; theme`)}` : line,
  );
const withBearer = (text: string) => [...browserHead, `Authorization: Bearer ${text}`];
const bytesOf = (lines: readonly string[]) => Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");

for (const sessions of [1, 1_000, 10_000]) {
  const tokens = Array.from({ length: sessions }, (_, index) => tokenOf(index));
  for (const index of tokens.keys()) {
    const key = `session-${index}`;
    await store.put(key, JSON.stringify({ v: 1, credentials: seal(ring, `user-${index}:a password`, key) }), null);
  }
  const rows: readonly (readonly [name: string, heads: readonly Buffer[], feature: Feature])[] = [
    ["credentials, cookie", tokens.map((text) => bytesOf(withCookie(text))), credentials({ cookie: "token" })],
    ["credentials, bearer", tokens.map((text) => bytesOf(withBearer(text))), credentials({ bearer: true })],
    ["jwt, one header", tokens.map((text) => bytesOf(withBearer(text))), jwt],
  ];
  for (const [name, heads, feature] of rows) {
    for (const bytes of heads) pass(bytes, feature);
    const plain = measure(heads, null);
    const guarded = measure(heads, feature);
    const difference = (guarded - plain).toFixed(0).padStart(5);
    console.log(
      `${name.padEnd(20)} ${String(sessions).padStart(6)} tokens ${difference} ns (${plain.toFixed(0)} without it)`,
    );
  }
}
