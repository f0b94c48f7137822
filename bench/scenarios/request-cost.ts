/** Scenarios in which wrk asks every target for the same thing, and CPU time per request is what counts. */
import { setTimeout as delay } from "node:timers/promises";
import type { OriginFile, RequestCounter } from "../origin/nginx-origin.ts";
import type { Running, Stage } from "../stage.ts";
import { missingCommand } from "../stage.ts";
import type { Ability } from "../targets/target.ts";
import { type Claim, costColumns, costSample, type Row, type Sample, type Scenario } from "./scenario.ts";

export interface RequestCost {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly abilities?: readonly Ability[];
  readonly path?: string;
  /** Clients speak TLS; the origin does not. */
  readonly tls?: boolean;
  readonly files?: readonly OriginFile[];
  readonly headers?: readonly string[];
  /** Lua that makes the requests; the text of it. */
  readonly script?: string;
  /** Instead of the run's number. */
  readonly connections?: number;
  readonly claims?: readonly Claim[];
  readonly chart?: string;
  readonly rounds?: number;
  readonly seconds?: number;
}

/** What a request costs while a load goes on, once it has settled; the origin says how many there were. */
export async function costBehind(
  settleSeconds: number,
  target: Running,
  counter: RequestCounter,
  seconds: number,
): Promise<Sample> {
  await delay(settleSeconds * 1000);
  const startedAt = performance.now();
  const answered = await counter.read();
  const before = target.cpuSeconds();
  await delay(seconds * 1000);
  const used = target.cpuSeconds() - before;
  const count = (await counter.read()) - answered;
  return costSample(used, count, (performance.now() - startedAt) / 1000, target.residentBytes());
}

/** A row that loads a running target by wrk. */
export function wrkRow(stage: Stage, target: Running, options: Omit<Parameters<Stage["wrk"]>[0], "port"> = {}): Row {
  return {
    name: target.name,
    version: target.version,
    async sample() {
      const before = target.cpuSeconds();
      const { requests, requestsPerSecond } = await stage.wrk({ port: target.port, ...options });
      const used = target.cpuSeconds() - before;
      return costSample(used, requests, requests / requestsPerSecond, target.residentBytes());
    },
  };
}

export function requestCost(definition: RequestCost): Scenario {
  const {
    name,
    title,
    about,
    abilities = ["reverse"],
    path = "/",
    tls = false,
    files = [],
    headers = [],
    script,
    connections,
    claims = [],
    chart,
    ...others
  } = definition;
  return {
    name,
    title,
    about,
    columns: costColumns("request", "requests/s"),
    baseline: "nginx",
    claims,
    ...others,
    ...(chart === undefined ? {} : { chart: { metric: "cpuUs", title: chart, unit: "µs of CPU per request" } }),
    missing: () => missingCommand("taskset", "nginx", "wrk"),
    async prepare(stage) {
      const originPort = await stage.origin({ files });
      const targets = await stage.startAll(stage.able(...abilities, ...(tls ? (["tls"] as const) : [])), {
        originPort,
        tls: tls ? stage.certificate() : null,
      });
      const options = {
        path,
        tls,
        headers,
        ...(connections === undefined ? {} : { connections }),
        ...(script === undefined ? {} : { script: stage.writeFile(`${name}.lua`, script) }),
      };
      return targets.map((target) => wrkRow(stage, target, options));
    },
  };
}
