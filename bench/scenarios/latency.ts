/** How long an answer takes at a rate that everybody can serve, and what the hop through a proxy adds. */
import { h2load } from "../measure/h2load.ts";
import { median } from "../report/statistics.ts";
import { LOAD_CPU, missingCommand, type Running, type Stage } from "../stage.ts";
import { type Column, MANY_SHORT_ROUNDS, type Row, type Scenario } from "./scenario.ts";

/** Short runs by which nginx's greatest rate is found; the first only warms up. */
const CALIBRATION_ROUNDS = 4;

const columns: readonly Column[] = [
  { title: "p50 ms, median", metric: "p50Ms", statistic: "median", digits: 2 },
  { title: "p99 ms, median", metric: "p99Ms", statistic: "median", digits: 2 },
  { title: "p50 ratio", metric: "p50Ms", statistic: "median", digits: 2, ratio: true },
  { title: "p99 ratio", metric: "p99Ms", statistic: "median", digits: 2, ratio: true },
  { title: "CPU/request µs, median", metric: "cpuUs", statistic: "median", digits: 1 },
  { title: "requests/s", metric: "perSecond", statistic: "median", digits: 0 },
];

/** Requests in a second that everybody of the run should be able to serve; a note says how many. */
export async function halfOfNginxMaximum(stage: Stage, targets: readonly Running[]): Promise<number> {
  const nginx = targets.find(({ name }) => name === "nginx");
  if (nginx === undefined) throw new Error("the rate is half of nginx's: nginx must take part");
  const rate = Math.round((await nginxMaximum(stage, nginx)) / 2);
  stage.notes.push(`rate: ${rate} requests/s, half of nginx's maximum in this run`);
  return rate;
}

async function nginxMaximum(stage: Stage, nginx: Running): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < CALIBRATION_ROUNDS; round++) {
    const { requestsPerSecond } = await stage.wrk({ port: nginx.port, seconds: 1 });
    if (round > 0) rates.push(requestsPerSecond);
  }
  return median(rates);
}

function rateRow(stage: Stage, target: Running, requestsPerSecond: number): Row {
  const { connections, seconds } = stage.options;
  return {
    name: target.name,
    version: target.version,
    async sample() {
      const before = target.cpuSeconds();
      const result = await h2load(stage.children, {
        port: target.port,
        connections,
        cpus: LOAD_CPU,
        folder: stage.folder,
        load: { requestsPerSecond, seconds },
      });
      const used = target.cpuSeconds() - before;
      const { p50Ms, p99Ms, requests, requestsPerSecond: perSecond } = result;
      return { p50Ms, p99Ms, cpuUs: (used / requests) * 1e6, perSecond };
    },
  };
}

export const latency: Scenario = {
  name: "latency",
  title: "p50 and p99 at half of nginx's maximum rate",
  about:
    "First nginx's greatest rate is measured, then every target gets half of it, by h2load --rps. Who cannot serve the rate " +
    "shows it in requests/s, and its times say nothing. h2load lets all connections ask at the same moment, so a part of " +
    "every time is the wait behind the others: the same for all targets.",
  columns,
  baseline: "nginx",
  ...MANY_SHORT_ROUNDS,
  claims: [
    {
      text: "p99 at most 1.1 of nginx's",
      row: "headgate",
      against: "nginx",
      metric: "p99Ms",
      statistic: "median",
      atMost: 1.1,
    },
  ],
  chart: { metric: "p99Ms", title: "p99 at half of nginx's maximum rate", unit: "ms" },
  missing: () => missingCommand("taskset", "nginx", "wrk", "h2load"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const targets = await stage.startAll(stage.able("reverse"), { originPort });
    const rate = await halfOfNginxMaximum(stage, targets);
    return targets.map((target) => rateRow(stage, target, rate));
  },
};

function hopRow(stage: Stage, name: string, version: string, port: number): Row {
  return {
    name,
    version,
    async sample() {
      const { p50Ms, p99Ms, requestsPerSecond } = await stage.wrk({ port, connections: 1 });
      return { p50Ms, p99Ms, perSecond: requestsPerSecond };
    },
  };
}

export const direct: Scenario = {
  name: "direct",
  title: "straight to the origin against through a proxy, one user",
  about:
    "One connection, one request after another: what the hop adds to an answer when nobody else is there. The times are " +
    "wrk's, whose clock is in microseconds.",
  columns: [
    { title: "p50 ms, median", metric: "p50Ms", statistic: "median", digits: 3 },
    { title: "p99 ms, median", metric: "p99Ms", statistic: "median", digits: 3 },
    { title: "p50 ratio", metric: "p50Ms", statistic: "median", digits: 2, ratio: true },
    { title: "requests/s", metric: "perSecond", statistic: "median", digits: 0 },
  ],
  baseline: "direct",
  claims: [],
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const targets = await stage.startAll(stage.able("reverse"), { originPort });
    return [
      hopRow(stage, "direct", "", originPort),
      ...targets.map(({ name, version, port }) => hopRow(stage, name, version, port)),
    ];
  },
};
