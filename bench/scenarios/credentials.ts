/**
 * A webmail's gateway: the cookie's token names a session in Redis, whose record holds encrypted credentials for the origin. `credentials`
 * asks for few sessions again and again, `credentials-cold` for another one each time, and `credentials-shots` is the load of the
 * text that the feature grew from: 10,000 requests of one user, and of eight.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { newKeys, storeSessions } from "../origin/sessions.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import type { Sessions } from "../targets/target.ts";
import { startRedis } from "./redis-reads.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, MANY_SHORT_ROUNDS, type Row, type Scenario } from "./scenario.ts";

/** As many as there are connections. */
const KNOWN_SESSIONS = 64;
/** More than any cache of the targets holds, asked for in turn: none is known when it is asked for again. */
const NEW_SESSIONS = 150_000;
const USERS = [1, 8] as const;

const cost = { metric: "cpuUs", statistic: "median" } as const;
const PLAIN = "headgate, plain";

/** Asks with the tokens of a file, one after another. */
function cookiesScript(file: string): string {
  return `local requests, at = {}, 0
init = function()
  for token in io.lines("${file}") do
    wrk.headers["Cookie"] = "theme=dark; Authorization=" .. token
    requests[#requests + 1] = wrk.format("GET", "/")
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
`;
}

interface Prepared {
  readonly originPort: number;
  readonly sessions: Sessions;
  readonly script: string;
}

async function prepare(stage: Stage, count: number): Promise<Prepared> {
  const originPort = await stage.origin();
  const redisPort = await startRedis(stage);
  const keys = newKeys();
  const tokens = await storeSessions(redisPort, keys, count);
  const file = path.join(stage.folder, "tokens");
  writeFileSync(file, `${tokens.join("\n")}\n`);
  return { originPort, sessions: { redisPort, ...keys }, script: stage.writeFile("cookies.lua", cookiesScript(file)) };
}

function gateways(stage: Stage, { originPort, sessions }: Prepared): Promise<Running[]> {
  return stage.startAll(stage.able("credentials"), { originPort, sessions });
}

/** The same requests without any authentication, to compare with. */
async function plain(stage: Stage, { originPort }: Prepared): Promise<Running[]> {
  const names = ["nginx", "headgate"];
  const targets = stage.options.targets.filter(({ name, missing }) => names.includes(name) && missing() === null);
  const started: Running[] = [];
  for (const target of targets) {
    const running = await stage.start(target, { originPort, name: `${target.name}, plain` });
    if (running !== null) started.push(running);
  }
  return started;
}

/** Peers that ask an endpoint of nginx's, which says yes to everybody and looks nothing up. */
async function asking(stage: Stage, { originPort }: Prepared): Promise<Running[]> {
  const authPort = await stage.origin();
  const targets = stage.able("forwardAuth").filter(({ name }) => name === "nginx" || name === "caddy");
  const started: Running[] = [];
  for (const target of targets) {
    const running = await stage.start(target, { originPort, authPort, name: `${target.name}, asking an endpoint` });
    if (running !== null) started.push(running);
  }
  return started;
}

const missing = () => missingCommand("taskset", "nginx", "wrk", "redis-server");

export const credentials: Scenario = {
  name: "credentials",
  title: `a token in a cookie becomes HTTP Basic: ${KNOWN_SESSIONS} sessions, asked for again and again`,
  about:
    "All gateways verify the token (HS512), have the session from Redis and decrypt its credentials (AES-256-GCM). nginx and Caddy can do " +
    "nothing of it: they ask an endpoint, which says yes without looking.",
  columns: costColumns("request", "requests/s"),
  baseline: "nginx, plain",
  ...MANY_SHORT_ROUNDS,
  claims: [
    {
      text: "a known session costs at most 3 µs above the plain proxy",
      row: "headgate",
      minus: PLAIN,
      atMost: 3,
      ...cost,
    },
    {
      text: "below nginx that asks an endpoint",
      row: "headgate",
      against: "nginx, asking an endpoint",
      atMost: 1,
      ...cost,
    },
  ],
  chart: { metric: "cpuUs", title: "token to credentials", unit: "µs of CPU per request" },
  missing,
  async prepare(stage) {
    const prepared = await prepare(stage, KNOWN_SESSIONS);
    const targets = [
      ...(await plain(stage, prepared)),
      ...(await gateways(stage, prepared)),
      ...(await asking(stage, prepared)),
    ];
    return targets.map((target) => wrkRow(stage, target, { script: prepared.script }));
  },
};

export const credentialsCold: Scenario = {
  name: "credentials-cold",
  title: "a token in a cookie becomes HTTP Basic: every session is new",
  about: `${NEW_SESSIONS.toLocaleString("en-US")} sessions in turn, so that no target knows one when it is asked for: Redis is asked for every request.`,
  columns: costColumns("request", "requests/s"),
  baseline: "http-proxy",
  claims: [
    {
      text: "at least four times the requests of the Python program",
      row: "headgate",
      against: "aiohttp",
      metric: "perSecond",
      statistic: "median",
      atLeast: 4,
    },
    { text: "below node-http-proxy that does the same", row: "headgate", against: "http-proxy", atMost: 1, ...cost },
  ],
  missing,
  async prepare(stage) {
    const prepared = await prepare(stage, NEW_SESSIONS);
    return (await gateways(stage, prepared)).map((target) => wrkRow(stage, target, { script: prepared.script }));
  },
};

export const credentialsShots: Scenario = {
  name: "credentials-shots",
  title: "the same for one user, and for eight: straight to the origin, and through each gateway",
  about:
    "The seven shots of a text that compared a gateway in Rust with one in Python, by time instead of by count: each user waits for an answer before asking again.",
  columns: [
    { title: "p50 ms", metric: "p50Ms", statistic: "median", digits: 3 },
    { title: "p99 ms", metric: "p99Ms", statistic: "median", digits: 3 },
    { title: "requests/s", metric: "perSecond", statistic: "median", digits: 0 },
    { title: "ratio", metric: "perSecond", statistic: "median", digits: 2, ratio: true },
  ],
  baseline: "origin, 1 user",
  claims: [],
  missing,
  async prepare(stage) {
    const prepared = await prepare(stage, KNOWN_SESSIONS);
    const targets = await gateways(stage, prepared);
    return USERS.flatMap((users) => [
      shotRow(stage, "origin", "", prepared.originPort, users, prepared.script),
      ...targets.map(({ name, version, port }) => shotRow(stage, name, version, port, users, prepared.script)),
    ]);
  },
};

function shotRow(stage: Stage, name: string, version: string, port: number, users: number, script: string): Row {
  return {
    name: `${name}, ${users} user${users === 1 ? "" : "s"}`,
    version,
    async sample() {
      const { requestsPerSecond, p50Ms, p99Ms } = await stage.wrk({ port, connections: users, script });
      return { perSecond: requestsPerSecond, p50Ms, p99Ms };
    },
  };
}
