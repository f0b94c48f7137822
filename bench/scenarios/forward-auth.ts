/** Authentication by an endpoint that is asked about every request, and by what it said before. */
import { missingCommand } from "../stage.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, type Scenario } from "./scenario.ts";

export const forwardAuth: Scenario = {
  name: "forward-auth",
  title: "an endpoint is asked about every request",
  about:
    "nginx by auth_request, Caddy by forward_auth, Headgate by forwardAuth, programs around http-proxy and aiohttp by a request of " +
    "their own. The endpoint answers 204 with X-User, which goes on to the origin. In the lines that say so, what it said is kept " +
    "for ten seconds by Authorization, method, host and path. Traefik is not in Debian.",
  columns: costColumns("request", "requests/s"),
  baseline: "nginx",
  claims: [
    {
      text: "with kept decisions below nginx that asks each time",
      row: "headgate, decisions kept",
      against: "nginx",
      metric: "cpuUs",
      statistic: "median",
      atMost: 1,
    },
    {
      text: "asking each time below the program around http-proxy",
      row: "headgate",
      against: "http-proxy",
      metric: "cpuUs",
      statistic: "median",
      atMost: 1,
    },
  ],
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const authPort = await stage.origin();
    const targets = await stage.startAll(stage.able("forwardAuth"), { originPort, authPort });
    const keepers = stage.options.targets.filter((target) => target.abilities.includes("keptDecisions"));
    for (const target of keepers.filter((candidate) => candidate.missing() === null)) {
      const name = `${target.name}, decisions kept`;
      const running = await stage.start(target, { originPort, authPort, keepsDecisions: true, name });
      if (running !== null) targets.push(running);
    }
    return targets.map((target) => wrkRow(stage, target, { headers: ["Authorization: Bearer token-of-the-bench"] }));
  },
};
