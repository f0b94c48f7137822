/** Hits of a shared cache: small ones, large ones, and what is asked for when not all of it fits into memory. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { RequestCounter } from "../origin/nginx-origin.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import { bulkColumns } from "./bulk.ts";
import { wrkRow } from "./request-cost.ts";
import {
  type Claim,
  type Column,
  costColumns,
  costSample,
  MANY_SHORT_ROUNDS,
  type Row,
  type Scenario,
} from "./scenario.ts";

const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const OBJECT = "/object/0";

const cost = { metric: "cpuUs", statistic: "median", row: "headgate" } as const;

interface CacheStage {
  readonly bodies: readonly number[];
  readonly memoryBytes: number;
  /** On the disk, and not where the rest of the run is. */
  readonly onDisk?: boolean;
}

interface Cached {
  readonly target: Running;
  readonly counter: RequestCounter;
}

/** Starts all caches, each with an origin of its own, which counts what it is still asked for. */
async function startCaches(stage: Stage, { bodies, memoryBytes, onDisk = false }: CacheStage): Promise<Cached[]> {
  const started: Cached[] = [];
  const parent = onDisk ? stage.diskFolder() : stage.folder;
  for (const target of stage.able("cache")) {
    const originPort = await stage.origin({ bodies });
    const folder = path.join(parent, `cache-${target.name}`);
    mkdirSync(folder);
    const running = await stage.start(target, { originPort, cache: { folder, memoryBytes, diskBytes: GIB } });
    if (running !== null) started.push({ target: running, counter: new RequestCounter(originPort) });
  }
  return started;
}

/** The row of one object, which is asked for once before it counts, and not at the origin after that. */
function hitRow({ target, counter }: Cached, row: Row): Row {
  let before = -1;
  return {
    ...row,
    async sample() {
      if (before < 0) {
        await take(target, OBJECT);
        // A cache may only learn by further times, or a moment later, that it is worth to be kept.
        await row.sample();
        before = await counter.read();
      }
      const sample = await row.sample();
      if ((await counter.read()) !== before) throw new Error("the origin was asked: these are not all hits");
      return sample;
    },
  };
}

/** CPU time per byte. */
function bytesRow(stage: Stage, target: Running): Row {
  return {
    name: target.name,
    version: target.version,
    async sample() {
      const before = target.cpuSeconds();
      const { bytes } = await stage.wrk({ port: target.port, path: OBJECT });
      const used = target.cpuSeconds() - before;
      const { seconds } = stage.options;
      return {
        cpuMsPerGiB: (used * 1000) / (bytes / GIB),
        seconds: (seconds * GIB) / bytes,
        residentBytes: target.residentBytes(),
      };
    },
  };
}

export async function take({ port }: Running, target: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${target}`);
  await response.arrayBuffer();
  if (response.status !== 200) throw new Error(`${target} is answered with ${response.status}`);
}

function notInstalled(): string | null {
  return missingCommand("taskset", "nginx", "wrk");
}

export const cacheHitSmall: Scenario = {
  name: "cache-hit-small",
  title: "a hit of a shared cache, 2 KB",
  about:
    "One object that is fresh. nginx has it in a file that it keeps open, the others in memory. All say Age by themselves but nginx; " +
    "Headgate says Cache-Status too.",
  columns: costColumns("hit", "hits/s"),
  baseline: "nginx",
  ...MANY_SHORT_ROUNDS,
  claims: [
    { text: "a small hit costs at most 0.85 of nginx", against: "nginx", atMost: 0.85, ...cost },
    ...belowOthers("a small hit"),
  ],
  chart: { metric: "cpuUs", title: "hit of 2 KB", unit: "µs of CPU per hit" },
  missing: notInstalled,
  async prepare(stage) {
    const caches = await startCaches(stage, { bodies: [2 * KIB], memoryBytes: 64 * MIB });
    return caches.map((cached) => hitRow(cached, wrkRow(stage, cached.target, { path: OBJECT })));
  },
};

function belowOthers(what: string): Claim[] {
  return ["varnish", "squid", "ats"].map((against) => ({
    text: `${what} costs less than one of ${against}`,
    against,
    atMost: 1,
    ...cost,
  }));
}

export const cacheHitLarge: Scenario = {
  name: "cache-hit-large",
  title: "a hit of a shared cache, 1 MiB from the disk",
  about:
    "Moving bytes is most of the work: nginx and Headgate leave it to the kernel (sendfile), whose pages of the file are in memory after " +
    "the first time; the others have them in memory of their own.",
  columns: costColumns("hit", "hits/s"),
  baseline: "nginx",
  ...MANY_SHORT_ROUNDS,
  claims: [{ text: "a hit of 1 MiB costs at most what it costs nginx", against: "nginx", atMost: 1, ...cost }],
  missing: notInstalled,
  async prepare(stage) {
    const caches = await startCaches(stage, { bodies: [MIB], memoryBytes: 64 * MIB, onDisk: true });
    return caches.map((cached) => hitRow(cached, wrkRow(stage, cached.target, { path: OBJECT })));
  },
};

export const cacheHitLargeFile: Scenario = {
  name: "cache-hit-large-file",
  title: "a hit of a shared cache, 100 MiB from the disk",
  about:
    "On the disk of the system's temporary folder, whose pages the kernel has after the first time. Varnish of Debian 12 has it in " +
    "memory: it has no disk. Bytes are counted, not answers: few are whole when a round is over.",
  columns: bulkColumns,
  baseline: "nginx",
  ...MANY_SHORT_ROUNDS,
  claims: [
    {
      text: "a hit of 100 MiB costs at most what it costs nginx",
      against: "nginx",
      atMost: 1,
      ...cost,
      metric: "cpuMsPerGiB",
    },
  ],
  missing: notInstalled,
  async prepare(stage) {
    const caches = await startCaches(stage, { bodies: [100 * MIB], memoryBytes: 256 * MIB, onDisk: true });
    return caches.map((cached) => hitRow(cached, bytesRow(stage, cached.target)));
  },
};

/** Of sizes as the web has them, more small ones than large ones; together twice what each cache may keep in memory. */
const MIXED_OBJECTS = 6000;
const MIXED_MEMORY_BYTES = 64 * MIB;
const MIXED_BYTES_MIN = 1 * KIB;
const MIXED_BYTES_MAX = 256 * KIB;
/** As measurements of caches find it: a hundredth of the objects gets a third of the requests. */
const ZIPF_EXPONENT = 0.9;
const MIXED_SEED = 20261126;

/** Numbers between 0 and 1, always the same ones (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function mixedBodies(): number[] {
  const random = seeded(MIXED_SEED);
  const ratio = MIXED_BYTES_MAX / MIXED_BYTES_MIN;
  const bodies = Array.from({ length: MIXED_OBJECTS }, () => MIXED_BYTES_MIN * ratio ** random());
  const scale = (2 * MIXED_MEMORY_BYTES) / bodies.reduce((sum, bytes) => sum + bytes, 0);
  return bodies.map((bytes) => Math.round(bytes * scale));
}

/** Each object's share of the requests falls with its rank; which has which rank looks like chance, as do the turns. */
const MIXED_SCRIPT = `local sums, requests, total = {}, {}, 0
init = function(args)
  math.randomseed(${MIXED_SEED})
  for rank = 1, ${MIXED_OBJECTS} do
    total = total + 1 / rank ^ ${ZIPF_EXPONENT}
    sums[rank] = total
    requests[rank] = wrk.format("GET", "/object/" .. (rank * 3571) % ${MIXED_OBJECTS})
  end
end
request = function()
  local wanted, low, high = math.random() * total, 1, ${MIXED_OBJECTS}
  while low < high do
    local middle = math.floor((low + high) / 2)
    if sums[middle] < wanted then low = middle + 1 else high = middle end
  end
  return requests[low]
end
`;

const mixedColumns: readonly Column[] = [
  ...costColumns("request", "requests/s"),
  { title: "hits %", metric: "hitPercent", statistic: "median", digits: 1 },
];

export const cacheMixed: Scenario = {
  name: "cache-mixed",
  title: "6,000 objects of 1 to 250 KiB, asked for by Zipf's law, twice what each cache may keep in memory",
  about:
    "All have been asked for when it begins. Varnish of Debian 12 has memory only, so it asks the origin for what does not fit; of the " +
    "others, nginx has no memory of its own but the kernel's pages, which nothing bounds here.",
  columns: mixedColumns,
  baseline: "nginx",
  claims: [
    { text: "what is asked for in a mixture costs at most what it costs nginx", against: "nginx", atMost: 1, ...cost },
  ],
  missing: notInstalled,
  async prepare(stage) {
    const bodies = mixedBodies();
    const script = stage.writeFile("mixed.lua", MIXED_SCRIPT);
    const caches = await startCaches(stage, { bodies, memoryBytes: MIXED_MEMORY_BYTES });
    return caches.map((cached) => mixedRow(stage, cached, bodies.length, script));
  },
};

function mixedRow(stage: Stage, { target, counter }: Cached, objects: number, script: string): Row {
  let filled = false;
  return {
    name: target.name,
    version: target.version,
    async sample() {
      if (!filled) for (let index = 0; index < objects; index++) await take(target, `/object/${index}`);
      filled = true;
      const askedBefore = await counter.read();
      const before = target.cpuSeconds();
      const { requests, requestsPerSecond } = await stage.wrk({ port: target.port, script });
      const used = target.cpuSeconds() - before;
      const asked = (await counter.read()) - askedBefore;
      const sample = costSample(used, requests, requests / requestsPerSecond, target.residentBytes());
      return { ...sample, hitPercent: 100 * (1 - asked / requests) };
    },
  };
}
