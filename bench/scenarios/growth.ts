/** What the cost of a request should not grow with: routes, and connections. */
import { RequestCounter } from "../origin/nginx-origin.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import type { RouteTable } from "../targets/target.ts";
import { costBehind, wrkRow } from "./request-cost.ts";
import { type Claim, costColumns, MANY_SHORT_ROUNDS, type Row, type Scenario } from "./scenario.ts";

const FEW_ROUTES = table(1, 1);
const MANY_ROUTES = table(100, 100);
const FEW_CONNECTIONS = 64;
const FEW = "64 connections";
const MANY = "many connections";
/** After which all connections stand, and the first rush is over. */
const SETTLE_SECONDS = 3;

function table(hosts: number, paths: number): RouteTable {
  return {
    hosts: Array.from({ length: hosts }, (_, index) => `host${index}.example.org`),
    paths: Array.from({ length: paths }, (_, index) => `/service${index}`),
  };
}

function size({ hosts, paths }: RouteTable): string {
  const count = hosts.length * paths.length;
  return count === 1 ? "1 route" : `${count.toLocaleString("en-US")} routes`;
}

/** Asks for every route in an order that looks like chance; each request is put together before the load begins. */
function routesScript({ hosts, paths }: RouteTable): string {
  return `local requests, at = {}, 0
init = function()
  for host = 0, ${hosts.length - 1} do
    for path = 0, ${paths.length - 1} do
      wrk.headers["Host"] = "host" .. host .. ".example.org"
      requests[#requests + 1] = wrk.format("GET", "/service" .. path .. "/item")
    end
  end
end
request = function()
  at = (at + 7919) % #requests
  return requests[at + 1]
end
`;
}

function growthClaims(name: string, few: string, many: string, atMost: number, text: string): readonly Claim[] {
  return [{ text, row: `${name}, ${many}`, against: `${name}, ${few}`, metric: "cpuUs", statistic: "median", atMost }];
}

export const routes: Scenario = {
  name: "routes",
  title: "1 route against 10,000 (100 hosts with 100 paths each)",
  about:
    "The same target twice, with a configuration of one route and with one of 10,000; the load asks for all of them in turn. " +
    "Compare the two lines of a target.",
  columns: costColumns("request", "requests/s"),
  baseline: "nginx, 1 route",
  ...MANY_SHORT_ROUNDS,
  claims: growthClaims("headgate", size(FEW_ROUTES), size(MANY_ROUTES), 1.1, "10,000 routes cost at most 1.1 of one"),
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const rows: Row[] = [];
    const tables = [FEW_ROUTES, MANY_ROUTES];
    const scripts = tables.map((routes, index) => stage.writeFile(`routes-${index}.lua`, routesScript(routes)));
    for (const target of stage.able("routes")) {
      for (const [index, routes] of tables.entries()) {
        const name = `${target.name}, ${size(routes)}`;
        const running = await stage.start(target, { originPort, routes, name });
        if (running !== null) rows.push(wrkRow(stage, running, { script: scripts[index]! }));
      }
    }
    return rows;
  },
};

/** The requests are counted by the origin, so that only the time counts in which all connections stand. */
function activeRow(stage: Stage, target: Running, label: string, connections: number, counter: RequestCounter): Row {
  const { seconds } = stage.options;
  return {
    name: `${target.name}, ${label}`,
    version: target.version,
    async sample() {
      const load = stage.wrk({ port: target.port, connections, seconds: seconds + SETTLE_SECONDS + 1 });
      // Neither outlives the turn, whichever fails.
      const [measured, loaded] = await Promise.allSettled([costBehind(SETTLE_SECONDS, target, counter, seconds), load]);
      if (loaded.status === "rejected") throw loaded.reason;
      if (measured.status === "rejected") throw measured.reason;
      return measured.value;
    },
  };
}

export const active: Scenario = {
  name: "active",
  title: "64 busy connections against 10,000",
  about:
    "The same target under both loads. It begins to count when all connections stand, and the origin says how many requests " +
    "there were. Connections to the origin come on top, so a limit on open files lowers the 10,000; the run says so.",
  columns: costColumns("request", "requests/s"),
  baseline: `nginx, ${FEW}`,
  claims: growthClaims("headgate", FEW, MANY, 1.25, "10,000 connections cost at most 1.25 of 64"),
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const many = stage.options.activeConnections;
    stage.notes.push(`many: ${many.toLocaleString("en-US")} connections`);
    const rows: Row[] = [];
    for (const target of stage.able("reverse")) {
      // One for each target: together they would keep more connections to it than a process or a port range may have.
      const originPort = await stage.origin({ clientsMax: many });
      const running = await stage.start(target, { originPort, clientsMax: many });
      if (running === null) continue;
      const counter = new RequestCounter(originPort);
      rows.push(activeRow(stage, running, FEW, FEW_CONNECTIONS, counter));
      rows.push(activeRow(stage, running, MANY, many, counter));
    }
    return rows;
  },
};
