/** Round trips of small messages through tunnels. What counts is CPU time per round trip. */
import { freePort } from "../processes/ports.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import { costColumns, costSample, type Row, type Scenario } from "./scenario.ts";

interface RoundTrips {
  readonly roundTrips: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const columns = [
  ...costColumns("round trip", "round trips/s"),
  { title: "p50 ms", metric: "p50Ms", statistic: "median", digits: 2 },
  { title: "p99 ms", metric: "p99Ms", statistic: "median", digits: 2 },
] as const;

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
      const report = load.stdout.split("\n")[1] ?? "";
      if (!report.startsWith("{")) throw new Error(load.lastLine);
      const { roundTrips, seconds: elapsed, p50Ms, p99Ms } = JSON.parse(report) as RoundTrips;
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

export const connect: Scenario = {
  name: "connect",
  title: "echo of 64 bytes through a CONNECT tunnel",
  about: "As `websocket`, through a forward proxy. Of the peers only Squid is one.",
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
