/** Round trips through tunnels: what one costs in CPU time, and what many tunnels at once cost in memory. */
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../../test/support/free-port.ts";
import type { Child } from "../processes/children.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import type { Target } from "../targets/target.ts";
import { costColumns, costSample, type Row, type Sample, type Scenario } from "./scenario.ts";

interface RoundTrips {
  readonly roundTrips: number;
  /** Of the slowest tunnel. */
  readonly fewest: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const columns = [
  ...costColumns("round trip", "round trips/s"),
  { title: "p50 ms", metric: "p50Ms", statistic: "median", digits: 2 },
  { title: "p99 ms", metric: "p99Ms", statistic: "median", digits: 2 },
] as const;

/** What the load says at its end, after the line "open". */
function reportOf(load: Child): RoundTrips {
  const report = load.stdout.split("\n")[1] ?? "";
  if (!report.startsWith("{")) throw new Error(load.lastLine);
  return JSON.parse(report) as RoundTrips;
}

/** The CPU time is that from when all tunnels stand until the load has ended. */
function tunnelRow(stage: Stage, target: Running, kind: "websocket" | "connect", destination: number): Row {
  const { connections, seconds } = stage.options;
  return {
    name: target.name,
    version: target.version,
    async sample() {
      const load = await stage.load("load/round-trips.ts", [kind, target.port, connections, seconds, destination]);
      const before = target.cpuSeconds();
      await load.exited;
      const used = target.cpuSeconds() - before;
      const { roundTrips, seconds: elapsed, p50Ms, p99Ms } = reportOf(load);
      return { ...costSample(used, roundTrips, elapsed, target.residentBytes()), p50Ms, p99Ms };
    },
  };
}

async function echo(stage: Stage): Promise<{ webSocketPort: number; tcpPort: number }> {
  const [webSocketPort, tcpPort] = [await freePort(), await freePort()];
  await stage.program("origin/echo.ts", [webSocketPort, tcpPort]);
  return { webSocketPort, tcpPort };
}

export const websocket: Scenario = {
  name: "websocket",
  title: "echo of 64 bytes through a WebSocket",
  about:
    "Every connection sends a message, waits until it has come back, and sends the next. The tunnels stand before it begins.",
  columns,
  baseline: "nginx",
  claims: [],
  chart: { metric: "cpuUs", title: "WebSocket echo", unit: "µs of CPU per round trip" },
  missing: () => missingCommand("taskset"),
  async prepare(stage) {
    const { webSocketPort, tcpPort } = await echo(stage);
    const targets = await stage.startAll(stage.able("websocket"), { originPort: webSocketPort });
    return targets.map((target) => tunnelRow(stage, target, "websocket", tcpPort));
  },
};

export const connectEcho: Scenario = {
  name: "connect-echo",
  title: "echo of 64 bytes through a CONNECT tunnel",
  about: "As `websocket`, through a forward proxy.",
  columns,
  baseline: "squid",
  claims: [],
  missing: () => missingCommand("taskset"),
  async prepare(stage) {
    const { webSocketPort, tcpPort } = await echo(stage);
    const targets = await stage.startAll(stage.able("connect"), { originPort: webSocketPort, role: "forward" });
    return targets.map((target) => tunnelRow(stage, target, "connect", tcpPort));
  },
};

const TUNNELS = 2_000;
/** As much as a client of TLS sends in one record, and more than fits where a target keeps only heads. */
const TUNNEL_MESSAGE_BYTES = 16 * 1024;
/** Before the first look at its memory, a target has passed this much: what it needs anyway is then there. */
const WARM_UP = { connections: 64, seconds: 1 };
/** How often the resident memory is looked at while data moves; its greatest value counts. */
const LOOK_MS = 100;
const MIB = 1024 ** 2;

/** Each turn starts the target anew: memory that an earlier turn has freed would hide what this one needs. */
async function memorySample(stage: Stage, target: Target, destination: number, count: number): Promise<Sample> {
  const running = await stage.start(target, {
    originPort: destination,
    role: "forward",
    clientsMax: count + 256,
    asInstalled: true,
  });
  if (running === null) throw new Error(stage.leftOut.pop()!.reason);
  const load = (connections: number, seconds: number): Promise<Child> =>
    stage.load("load/round-trips.ts", [
      "connect",
      running.port,
      connections,
      seconds,
      destination,
      TUNNEL_MESSAGE_BYTES,
    ]);
  try {
    const warmUp = await load(WARM_UP.connections, WARM_UP.seconds);
    await warmUp.exited;
    reportOf(warmUp);
    const residentBefore = running.residentBytes();
    const many = await load(count, stage.options.seconds);
    const cpuBefore = running.cpuSeconds();
    let residentBytes = 0;
    while (many.running) {
      residentBytes = Math.max(residentBytes, running.residentBytes());
      await Promise.race([many.exited, delay(LOOK_MS)]);
    }
    await many.exited;
    const used = running.cpuSeconds() - cpuBefore;
    const { roundTrips, fewest, seconds, p50Ms } = reportOf(many);
    if (fewest === 0) throw new Error("nothing moved in some of the tunnels");
    const bytesEach = (residentBytes - residentBefore) / count;
    const residentMiB = residentBytes / MIB;
    return { ...costSample(used, roundTrips, seconds, residentBytes), residentMiB, residentBefore, bytesEach, p50Ms };
  } finally {
    await running.end();
  }
}

export const tunnels: Scenario = {
  name: "tunnels",
  title: "2,000 CONNECT tunnels at once, all moving data",
  about:
    "Every tunnel sends 16 KiB, waits until they have come back, and sends the next. What counts is the greatest resident memory " +
    "of all processes of the target while data moves. Each turn starts the target anew, and lets 64 tunnels move data for a " +
    "second first. Headgate runs as it is installed, from JavaScript: what strips the types of its sources would be in memory too. Memory of the kernel is not counted, for any target: a target that splices has its bytes there.",
  columns: [
    { title: "MiB with them, greatest", metric: "residentMiB", statistic: "max", digits: 1 },
    { title: "median", metric: "residentMiB", statistic: "median", digits: 1 },
    { title: "MiB before", metric: "residentBefore", statistic: "median", digits: 1, per: MIB },
    { title: "KiB/tunnel, median", metric: "bytesEach", statistic: "median", digits: 1, per: 1024 },
    { title: "CPU/round trip µs", metric: "cpuUs", statistic: "median", digits: 1 },
    { title: "round trips/s", metric: "perSecond", statistic: "median", digits: 0 },
  ],
  baseline: null,
  rounds: 3,
  seconds: 5,
  warmUp: false,
  claims: [{ text: "below 150 MiB", row: "headgate", metric: "residentMiB", statistic: "max", atMost: 150 }],
  chart: { metric: "residentMiB", title: "2,000 tunnels moving data", unit: "MiB of resident memory" },
  missing: () => missingCommand("taskset"),
  async prepare(stage) {
    // A proxy has a connection to the origin for each tunnel.
    const count = Math.min(TUNNELS, stage.options.activeConnections);
    stage.notes.push(`${count.toLocaleString("en-US")} tunnels`);
    const { tcpPort } = await echo(stage);
    return stage.able("connect").map(
      (target): Row => ({
        name: target.name,
        version: target.version(),
        sample: () => memorySample(stage, target, tcpPort, count),
      }),
    );
  },
};
