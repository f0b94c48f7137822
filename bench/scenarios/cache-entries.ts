/** What a hit must not cost more of: other entries of the same cache. And what they take of memory. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BOTH_CPUS, missingCommand, type Running, type Stage } from "../stage.ts";
import { take } from "./cache.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, MANY_SHORT_ROUNDS, type Row, type Scenario } from "./scenario.ts";

const FEW = 1_000;
const MANY = 1_000_000;
/** Objects that are asked for, beside all that nobody asks for. */
const ASKED = 500;
const ASKED_BYTES = 2048;
const MIB = 1024 ** 2;
/** A process that does nothing but wake up now and then uses less than this. */
const REST_MS = 1_000;
const REST_CPU_SECONDS = 0.05;
/** A million are written in about a minute. */
const FILL_MS_MAX = 600_000;

/** Asks for all of them in turn; each request is put together before the load begins. */
const SCRIPT = `local requests, at = {}, 0
init = function()
  for object = 0, ${ASKED - 1} do requests[object] = wrk.format("GET", "/object/" .. object) end
end
request = function()
  at = (at + 1) % ${ASKED}
  return requests[at]
end
`;

function nameOf(entries: number): string {
  return `headgate, ${entries.toLocaleString("en-US")} entries`;
}

async function startWith(stage: Stage, entries: number, originPort: number): Promise<Running | null> {
  const target = stage.able("cache").find(({ name }) => name === "headgate");
  if (target === undefined) return null;
  const folder = path.join(stage.folder, `cache-${entries}`);
  mkdirSync(folder);
  const fill = path.join(import.meta.dirname, "../load/fill-cache.ts");
  const command = [process.execPath, "--conditions=headgate-source", fill, folder, String(entries)];
  await stage.children.run(command, { cpus: BOTH_CPUS, msMax: FILL_MS_MAX });
  const cache = { folder, memoryBytes: 64 * MIB, diskBytes: 16 * 1024 * MIB };
  const running = await stage.start(target, { originPort, name: nameOf(entries), cache });
  if (running === null) return null;
  await indexed(running);
  for (let object = 0; object < ASKED; object++) await take(running, `/object/${object}`);
  return running;
}

/** It reads what is in its folder after it has begun to serve, and rests when it has. */
async function indexed(running: Running): Promise<void> {
  for (;;) {
    const before = running.cpuSeconds();
    await delay(REST_MS);
    if (running.cpuSeconds() - before < REST_CPU_SECONDS) return;
  }
}

/** Its samples have the anonymous memory that it has more than the one with few, by entry. */
function entriesRow(running: Running, few: Running, entries: number, row: Row): Row {
  return {
    ...row,
    async sample() {
      const sample = await row.sample();
      if (running === few) return sample;
      return { ...sample, bytesPerEntry: (running.anonymousBytes() - few.anonymousBytes()) / (entries - FEW) };
    },
  };
}

export const cacheEntries: Scenario = {
  name: "cache-entries",
  title: "a hit of a shared cache with 1,000,000 entries against one with 1,000",
  about:
    "500 objects of 2 KB are asked for, beside entries of 2 KiB that nobody asks for, which were put into the folder before. It needs " +
    "5 GiB where the run stands. Meanwhile all of them are verified in the background, as soon after any start. The last column is what the process has more of anonymous resident memory, by entry.",
  columns: [
    ...costColumns("hit", "hits/s"),
    { title: "bytes/entry", metric: "bytesPerEntry", statistic: "max", digits: 0 },
  ],
  baseline: nameOf(FEW),
  ...MANY_SHORT_ROUNDS,
  claims: [
    {
      text: "1,000,000 entries cost a hit at most 1.1 of 1,000",
      row: nameOf(MANY),
      against: nameOf(FEW),
      metric: "cpuUs",
      statistic: "median",
      atMost: 1.1,
    },
    { text: "below 300 bytes an entry", row: nameOf(MANY), metric: "bytesPerEntry", statistic: "max", atMost: 300 },
  ],
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin({ bodies: new Array<number>(ASKED).fill(ASKED_BYTES) });
    const script = stage.writeFile("entries.lua", SCRIPT);
    const few = await startWith(stage, FEW, originPort);
    const many = await startWith(stage, MANY, originPort);
    if (few === null || many === null) return [];
    return [
      entriesRow(few, few, FEW, wrkRow(stage, few, { script })),
      entriesRow(many, few, MANY, wrkRow(stage, many, { script })),
    ];
  },
};
