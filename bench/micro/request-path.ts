/**
 * Nanoseconds of JavaScript for a request and its answer on the native transport, from the record of events to that of
 * commands, without a socket: the best of many short rounds, since everything else on the machine can only make a round slower.
 *
 *     node_modules/.bin/node --conditions=headgate-source bench/micro/request-path.ts [small | browser | connections | balanced | hit | vary | file]
 *
 * `connections`: each request on a connection of its own, which is closed behind the answer. `balanced`: an upstream of four servers.
 *
 * One kind of head a run, since V8 compiles for what it has seen. The two peers that are played take about a tenth of it. `hit`: 2 KB
 * from a shared cache in memory, of which only the first one is asked of the origin. `vary`: the same of an answer that varies by two
 * fields, asked for in three spellings of two variants. `file`: 100 KB, which are sent from a file.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inlineMore } from "../../src/cli/compiler.ts";
import { createProxy } from "../../src/index.ts";
import { browserHead, variantsOf } from "./heads.ts";

const CLIENTS = 64;
const TURNS = 100;
const ROUNDS = 600;
const WARM_UP_ROUNDS = 200;
const ANSWER = `HTTP/1.1 200 OK\r
Server: nginx\r
Date: Sat, 21 Nov 2026 05:00:00 GMT\r
Content-Type: application/json\r
Content-Length: 26\r
Connection: keep-alive\r
\r
{"message":"Hello world"}
`;

const cacheable = (date: string, vary: string, bytes: number): string => `HTTP/1.1 200 OK\r
Server: nginx\r
Date: ${date}\r
Content-Type: application/json\r
Content-Length: ${bytes}\r
Last-Modified: Sat, 21 Nov 2026 05:00:00 GMT\r
ETag: "65f0c1a2-800"\r
Cache-Control: public, max-age=86400\r
${vary}Accept-Ranges: bytes\r
\r
${"x".repeat(bytes)}`;

const smallHead = ["GET / HTTP/1.1", "Host: 127.0.0.1:8080"];
const varying = ["gzip, deflate, br, zstd", "gzip, br;q=1.0, deflate, zstd", "gzip, deflate"].map((codings) => [
  ...smallHead,
  `Accept-Encoding: ${codings}`,
  "Accept-Language: en-US,en;q=0.9",
]);
const kinds = {
  small: [smallHead],
  browser: variantsOf(browserHead),
  connections: [[...smallHead, "Connection: close"]],
  balanced: [smallHead],
  hit: [smallHead],
  vary: varying,
  file: [smallHead],
};
const [, , wanted = "small"] = process.argv;
const kind = Object.hasOwn(kinds, wanted) ? (wanted as keyof typeof kinds) : "small";
const isCached = kind === "hit" || kind === "vary" || kind === "file";
const folder = mkdtempSync(path.join(tmpdir(), "headgate-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

// As the command does. The addon is looked for when the proxy is made.
inlineMore();
const addon = path.join(import.meta.dirname, "silent-sockets.ts");
process.env.HEADGATE_ADDON = addon;
const { Peers } = (await import(addon)) as typeof import("./silent-sockets.ts");

const proxy = createProxy({
  transport: "native",
  admin: "off",
  via: "off",
  log: { level: "error", access: "off" },
  ...(isCached && { caches: { objects: { directory: folder, minFree: 0 } } }),
  upstreams: { app: { servers: [9, 10, 11, 12].map((port) => `http://127.0.0.1:${port}`) } },
  servers: {
    web: {
      listen: ["127.0.0.1:0"],
      proxy: kind === "balanced" ? "app" : "http://127.0.0.1:9",
      ...(isCached && { use: [{ cache: { store: "objects" } }] }),
    },
  },
});
await proxy.listen();

const vary = kind === "vary" ? "Vary: Accept-Encoding, Accept-Language\r\n" : "";
const peers = new Peers({
  requests: kinds[kind].map((lines) => Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1")),
  answer: Buffer.from(
    isCached ? cacheable(new Date().toUTCString(), vary, kind === "file" ? 100_000 : 2048) : ANSWER,
    "latin1",
  ),
});
// What is asked for the first time is waited for, and a moment passes until it is kept.
for (const clients of [1, CLIENTS - 1]) {
  peers.connect(clients);
  for (let turn = 0; turn < TURNS; turn++) {
    peers.turn();
    await delay(2);
  }
}
let best = Number.POSITIVE_INFINITY;
for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
  // Compilers and the garbage collector have their turn.
  await new Promise((resolve) => setImmediate(resolve));
  const started = process.hrtime.bigint();
  let answered = 0;
  for (let turn = 0; turn < TURNS; turn++) answered += peers.turn();
  const elapsed = Number(process.hrtime.bigint() - started) / answered;
  if (answered < (CLIENTS * TURNS) / 3)
    throw new Error(`of ${CLIENTS} clients, ${answered / TURNS} had answers in a turn`);
  if (round >= WARM_UP_ROUNDS) best = Math.min(best, elapsed);
}
console.log(`${kind}: ${best.toFixed(0)} ns`);
// Nothing closes a connection here, and the proxy would wait for it.
process.exit(0);
