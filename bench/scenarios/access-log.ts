/** What a line a request in a log costs. */
import path from "node:path";
import { missingCommand } from "../stage.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, MANY_SHORT_ROUNDS, type Row, type Scenario } from "./scenario.ts";

export const accessLog: Scenario = {
  name: "access-log",
  title: "a small answer, with an access log",
  about:
    "One line a request in the combined format (HAProxy: its httplog; Caddy: JSON) to a file in the same folder, in memory where " +
    "the machine has such a folder. nginx writes every line as it comes unless it is told to gather them: both are shown.",
  columns: costColumns("request", "requests/s"),
  baseline: "nginx",
  claims: [
    {
      text: "with access logs still below nginx",
      row: "headgate",
      against: "nginx",
      metric: "cpuUs",
      statistic: "median",
      atMost: 1,
    },
    {
      text: "also below nginx that gathers lines",
      row: "headgate",
      against: "nginx, gathered",
      metric: "cpuUs",
      statistic: "median",
      atMost: 1,
    },
  ],
  ...MANY_SHORT_ROUNDS,
  chart: { metric: "cpuUs", title: "small answer, access log to a file", unit: "µs of CPU per request" },
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const rows: Row[] = [];
    for (const target of stage.able("accessLog")) {
      const settings = target.name === "nginx" ? [false, true] : [false];
      for (const accessLogBuffered of settings) {
        const name = accessLogBuffered ? `${target.name}, gathered` : target.name;
        const file = path.join(stage.folder, `${name.replaceAll(/\W+/g, "-")}.log`);
        const running = await stage.start(target, { originPort, accessLog: file, accessLogBuffered, name });
        if (running !== null) rows.push(wrkRow(stage, running));
      }
    }
    return rows;
  },
};
