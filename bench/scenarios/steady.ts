/** What connections cost that are used now and then: thousands of clients, at a rate that everybody can serve. */
import { RequestCounter } from "../origin/nginx-origin.ts";
import { missingCompiler } from "../processes/c-programs.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import { halfOfNginxMaximum } from "./latency.ts";
import { costBehind } from "./request-cost.ts";
import { costColumns, type Row, type Scenario } from "./scenario.ts";

const FEW_CONNECTIONS = 64;
const FEW = "64 connections";
const MANY = "many connections";
/** After which the first requests, which open connections to the origin, are behind us. */
const SETTLE_SECONDS = 1;
/** The load goes on for so long behind the measurement. */
const TAIL_SECONDS = 0.5;

interface Report {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

function steadyRow(
  stage: Stage,
  target: Running,
  load: { name: string; connections: number; rate: number },
  counter: RequestCounter,
): Row {
  const { seconds } = stage.options;
  return {
    name: `${target.name}, ${load.name}`,
    version: target.version,
    async sample() {
      const child = await stage.load("load/open-loop.c", [
        target.port,
        load.connections,
        load.rate,
        SETTLE_SECONDS,
        seconds + TAIL_SECONDS,
      ]);
      const cost = await costBehind(SETTLE_SECONDS, target, counter, seconds);
      await child.exited;
      if (child.process.exitCode !== 0) throw new Error(child.lastLine);
      const { p50Ms, p99Ms } = JSON.parse(child.stdout.slice("open\n".length)) as Report;
      return { ...cost, p50Ms, p99Ms };
    },
  };
}

export const steady: Scenario = {
  name: "steady",
  title: "10,000 connections against 64, at half of nginx's maximum rate",
  about:
    "The same number of requests in a second by few clients, each of which asks often, and by many that ask now and then, at moments " +
    "of chance, whether or not those before are answered. What the connections cost shows in the ratio of a target's two lines; what a " +
    "request costs a proxy that has time to rest, in the ratio to nginx. Times count from the moment at which a request was due.",
  columns: [
    ...costColumns("request", "requests/s"),
    { title: "p50 ms", metric: "p50Ms", statistic: "median", digits: 2 },
    { title: "p99 ms", metric: "p99Ms", statistic: "median", digits: 2 },
  ],
  baseline: `nginx, ${FEW}`,
  claims: [
    {
      text: "10,000 connections that are used now and then cost at most 1.25 of 64",
      row: `headgate, ${MANY}`,
      against: `headgate, ${FEW}`,
      metric: "cpuUs",
      statistic: "median",
      atMost: 1.25,
    },
  ],
  missing: () => missingCommand("taskset", "nginx", "wrk") ?? missingCompiler(),
  async prepare(stage) {
    const many = stage.options.activeConnections;
    const originPort = await stage.origin({ clientsMax: many });
    const targets = await stage.startAll(stage.able("reverse"), { originPort, clientsMax: many });
    const rate = await halfOfNginxMaximum(stage, targets);
    stage.notes.push(`many: ${many.toLocaleString("en-US")} connections`);
    const counter = new RequestCounter(originPort);
    return targets.flatMap((target) => [
      steadyRow(stage, target, { name: FEW, connections: FEW_CONNECTIONS, rate }, counter),
      steadyRow(stage, target, { name: MANY, connections: many, rate }, counter),
    ]);
  },
};
