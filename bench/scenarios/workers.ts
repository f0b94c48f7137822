/** What a second worker costs, and what it brings. */
import { BOTH_CPUS, missingCommand } from "../stage.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, MANY_SHORT_ROUNDS, type Row, type Scenario } from "./scenario.ts";

const WORKERS = [1, 2] as const;

/** Everybody may run everywhere here: that is how two workers, an origin and a load share a machine of two processors. */
export const workers: Scenario = {
  name: "workers",
  title: "one worker against two, beside the load",
  about:
    "Nothing is pinned: workers, origin and load share both processors, so requests per second say what is left for the load " +
    "when the target has done its work, and CPU per request what a second worker adds.",
  columns: costColumns("request", "requests/s"),
  baseline: "nginx, 2 workers",
  ...MANY_SHORT_ROUNDS,
  claims: [
    {
      text: "two workers cost at most 1.05 of one per request",
      row: "headgate, 2 workers",
      against: "headgate, 1 worker",
      metric: "cpuUs",
      statistic: "median",
      atMost: 1.05,
    },
    {
      text: "two workers serve at least 0.95 of two nginx workers",
      row: "headgate, 2 workers",
      against: "nginx, 2 workers",
      metric: "perSecond",
      statistic: "median",
      atLeast: 0.95,
    },
  ],
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin({ cpus: BOTH_CPUS });
    const rows: Row[] = [];
    for (const target of stage.able("workers")) {
      for (const count of WORKERS) {
        const name = `${target.name}, ${count} ${count === 1 ? "worker" : "workers"}`;
        const running = await stage.start(target, { originPort, workers: count, cpus: BOTH_CPUS, name });
        if (running !== null) rows.push(wrkRow(stage, running, { cpus: BOTH_CPUS }));
      }
    }
    return rows;
  },
};
