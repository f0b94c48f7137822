/**
 * Load by h2load over HTTP/1.1: at a fixed rate, or a fixed number of requests. It writes one line a request to a file,
 * of which the percentiles are taken: its own summary has none.
 */
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import type { Children } from "../processes/children.ts";
import { percentile } from "../report/statistics.ts";

export interface H2loadOptions {
  readonly port: number;
  readonly path?: string;
  readonly connections: number;
  readonly cpus: string;
  /** Where its file of requests may stand; better in memory. */
  readonly folder: string;
  /** Either at a rate for whole seconds, or so many requests as fast as they are answered. */
  readonly load: { readonly requestsPerSecond: number; readonly seconds: number } | { readonly requests: number };
}

export interface H2loadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From the first request's start until the last answer's end. */
  readonly finishedMs: number;
}

/** What a run may take beyond its time, until it counts as hanging. */
const GRACE_MS = 20_000;

/** Rejects when a request failed or was not answered by 2xx or 3xx. */
export async function h2load(children: Children, options: H2loadOptions): Promise<H2loadResult> {
  const { port, path: target = "/", connections, cpus, folder, load } = options;
  const log = path.join(folder, `h2load-${port}.log`);
  const command = ["h2load", "--h1", "-t1", `-c${connections}`, `--log-file=${log}`];
  let msMax = GRACE_MS;
  if ("requests" in load) {
    command.push(`-n${load.requests}`);
  } else {
    command.push("-D", String(load.seconds), `--rps=${load.requestsPerSecond / connections}`);
    msMax += load.seconds * 1000;
  }
  try {
    const output = await children.run([...command, `http://127.0.0.1:${port}${target}`], { cpus, msMax });
    return parseH2load(output, readFileSync(log, "latin1"));
  } finally {
    rmSync(log, { force: true });
  }
}

/** The second text is the file of requests: start in microseconds since the epoch, status, microseconds that it took. */
export function parseH2load(output: string, log: string): H2loadResult {
  const [, failed, errored, timedOut] = /(\d+) failed, (\d+) errored, (\d+) timeout/.exec(output) ?? [];
  if (Number(failed) + Number(errored) + Number(timedOut) !== 0) throw new Error("h2load says: a request failed");
  const durations: number[] = [];
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const line of log.trim().split("\n")) {
    const [start = 0, status = 0, duration = 0] = line.split("\t").map(Number);
    if (status < 200 || status > 399) throw new Error(`h2load saw the status ${status}`);
    durations.push(duration / 1000);
    first = Math.min(first, start);
    last = Math.max(last, start + duration);
  }
  const finishedMs = (last - first) / 1000;
  return {
    requests: durations.length,
    requestsPerSecond: (durations.length / finishedMs) * 1000,
    p50Ms: percentile(durations, 0.5),
    p99Ms: percentile(durations, 0.99),
    finishedMs,
  };
}
