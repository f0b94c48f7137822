/** Connections that wait for their next request: what they cost in memory, and in CPU time. */
import { setTimeout as delay } from "node:timers/promises";
import { missingCommand, type Stage } from "../stage.ts";
import type { Target } from "../targets/target.ts";
import type { Row, Sample, Scenario } from "./scenario.ts";

/** Before the first look at its memory, a target has answered this much: what it needs anyway is then there. */
const WARM_UP = { connections: 64, seconds: 1 };
/** Between the last answer and the second look, so that what a target frees late is free. */
const SETTLE_MS = 2_000;
const MIB = 1024 ** 2;

/** Each turn starts the target anew: memory that an earlier turn has freed would hide what this one needs. */
async function sample(stage: Stage, target: Target, originPort: number, count: number): Promise<Sample> {
  const running = await stage.start(target, { originPort, clientsMax: count + 256 });
  if (running === null) throw new Error(stage.leftOut.pop()!.reason);
  try {
    await stage.wrk({ port: running.port, ...WARM_UP });
    await delay(SETTLE_MS);
    const residentBefore = running.residentBytes();
    const cpuBefore = running.cpuSeconds();
    const load = await stage.load("load/idle-connections.ts", [running.port, count]);
    const opened = running.cpuSeconds();
    await delay(SETTLE_MS);
    const residentBytes = running.residentBytes();
    const idleMs = (running.cpuSeconds() - opened) * 1000;
    if (!load.running) throw new Error(load.lastLine);
    await load.end();
    return {
      bytesEach: (residentBytes - residentBefore) / count,
      residentBefore,
      residentBytes,
      openUs: ((opened - cpuBefore) / count) * 1e6,
      idleMsPerSecond: idleMs / (SETTLE_MS / 1000),
    };
  } finally {
    await running.end();
  }
}

export const idle: Scenario = {
  name: "idle",
  title: "10,000 connections that rest after one request each",
  about:
    "Resident memory with the connections, less resident memory before, divided by their number. Each turn starts the target " +
    "anew and lets it answer for a second first. nginx sets aside the memory of all connections that its configuration " +
    "allows when it starts, so most of it is in the column `before`. Memory of the kernel is not counted, for any target.",
  columns: [
    { title: "bytes/connection, median", metric: "bytesEach", statistic: "median", digits: 0 },
    { title: "min", metric: "bytesEach", statistic: "min", digits: 0 },
    { title: "MiB before", metric: "residentBefore", statistic: "median", digits: 1, per: MIB },
    { title: "MiB with them", metric: "residentBytes", statistic: "median", digits: 1, per: MIB },
    { title: "CPU µs to open and ask once", metric: "openUs", statistic: "median", digits: 1 },
    { title: "CPU ms per idle second", metric: "idleMsPerSecond", statistic: "median", digits: 2 },
  ],
  baseline: null,
  rounds: 3,
  warmUp: false,
  claims: [{ text: "at most 3 KiB each", row: "headgate", metric: "bytesEach", statistic: "median", atMost: 3072 }],
  chart: { metric: "bytesEach", title: "10,000 idle connections", unit: "bytes of resident memory each" },
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const count = stage.options.idleConnections;
    stage.notes.push(`${count.toLocaleString("en-US")} connections`);
    const originPort = await stage.origin();
    return stage.able("reverse").map(
      (target): Row => ({
        name: target.name,
        version: target.version(),
        sample: () => sample(stage, target, originPort, count),
      }),
    );
  },
};
