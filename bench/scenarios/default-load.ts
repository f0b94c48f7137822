/** The first impression: few requests, right after the start. */
import { h2load } from "../measure/h2load.ts";
import { LOAD_CPU, missingCommand, type Stage } from "../stage.ts";
import type { Target } from "../targets/target.ts";
import type { Row, Sample, Scenario } from "./scenario.ts";

/** What popular load programs do when they are started without options. */
const REQUESTS = 200;
const CONNECTIONS = 50;
/** Precise enough for the fastest start. */
const POLL_MS = 2;

async function sample(stage: Stage, target: Target, originPort: number): Promise<Sample> {
  const startedAt = performance.now();
  const running = await stage.start(target, { originPort, pollMs: POLL_MS });
  if (running === null) throw new Error(stage.leftOut.pop()!.reason);
  try {
    const startMs = performance.now() - startedAt;
    const { finishedMs, requestsPerSecond, p99Ms } = await h2load(stage.children, {
      port: running.port,
      connections: CONNECTIONS,
      cpus: LOAD_CPU,
      folder: stage.folder,
      load: { requests: REQUESTS },
    });
    return { startMs, finishedMs, perSecond: requestsPerSecond, p99Ms };
  } finally {
    await running.end();
  }
}

export const defaultLoad: Scenario = {
  name: "default-load",
  title: "200 requests on 50 connections, right after the start",
  about:
    "The quick look that many people take first. Each turn starts the target anew, so programs that compile as they run are " +
    "measured before they have compiled, and no connection to the origin stands yet.",
  columns: [
    { title: "ms for all 200, median", metric: "finishedMs", statistic: "median", digits: 1 },
    { title: "ratio", metric: "finishedMs", statistic: "median", digits: 2, ratio: true },
    { title: "requests/s", metric: "perSecond", statistic: "median", digits: 0 },
    { title: "p99 ms", metric: "p99Ms", statistic: "median", digits: 1 },
    { title: "ms from start to serving", metric: "startMs", statistic: "median", digits: 0 },
  ],
  baseline: "nginx",
  rounds: 7,
  warmUp: false,
  claims: [],
  missing: () => missingCommand("taskset", "nginx", "h2load"),
  async prepare(stage) {
    const originPort = await stage.origin();
    return stage.able("reverse").map(
      (target): Row => ({
        name: target.name,
        version: target.version(),
        sample: () => sample(stage, target, originPort),
      }),
    );
  },
};
