/** Authentication by an endpoint that is asked about every request. */
import { missingCommand } from "../stage.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, type Scenario } from "./scenario.ts";

export const externalAuth: Scenario = {
  name: "external-auth",
  title: "an endpoint is asked about every request",
  about:
    "nginx by auth_request, Caddy by forward_auth, Headgate by a plugin that asks with Node's own HTTP client, since it has no " +
    "feature for it yet. The endpoint answers 204 with X-User, which goes on to the origin. Traefik is not in Debian.",
  columns: costColumns("request", "requests/s"),
  baseline: "nginx",
  claims: [],
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const authPort = await stage.origin();
    const targets = await stage.startAll(stage.able("externalAuth"), { originPort, authPort });
    return targets.map((target) => wrkRow(stage, target));
  },
};
