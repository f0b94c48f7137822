/** Load by wrk: as many requests as the target answers, on a number of connections, for a time. */
import type { Children } from "../processes/children.ts";

export interface WrkOptions {
  readonly port: number;
  readonly path?: string;
  /** Without a look at the certificate. */
  readonly tls?: boolean;
  readonly connections: number;
  /** Whole seconds: wrk knows no others. */
  readonly seconds: number;
  readonly headers?: readonly string[];
  /** A Lua script that makes the requests. */
  readonly script?: string;
  readonly cpus: string;
  /**
   * The target closes after each answer without saying so, as HTTP/1.1 allows: that wrk then finds a connection closed under its
   * next request is no failure. Only answers count as requests.
   */
  readonly closesSilently?: boolean;
}

export interface WrkResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of answers, heads included, also of those that were not whole when the time was over; of three digits. */
  readonly bytes: number;
}

/** What a run may take beyond its time, until it counts as hanging. */
const GRACE_MS = 20_000;

/** wrk counts a connection that was closed before an answer as failed to be read, or to be written when it learns of it there. */
const CLOSED_ONLY = /Socket errors: connect 0, read \d+, write \d+, timeout 0/;

/** Rejects when an answer was not 2xx or 3xx, a connection failed, or nothing was answered: such a run measures something else. */
export async function wrk(children: Children, options: WrkOptions): Promise<WrkResult> {
  const { port, path = "/", tls = false, connections, seconds, headers = [], script, cpus } = options;
  const command = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "--latency"];
  for (const header of headers) command.push("-H", header);
  if (script !== undefined) command.push("-s", script);
  const output = await children.run([...command, `${tls ? "https" : "http"}://127.0.0.1:${port}${path}`], {
    cpus,
    msMax: seconds * 1000 + GRACE_MS,
  });
  return parseWrk(output, options.closesSilently);
}

export function parseWrk(output: string, closesSilently = false): WrkResult {
  const considered = closesSilently ? output.replace(CLOSED_ONLY, "") : output;
  const fault = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(considered)?.[0];
  if (fault !== undefined) throw new Error(`wrk says: ${fault}`);
  const [, count = "", read = "", unit = ""] = /(\d+) requests in \S+, ([\d.]+)([KMGT]?)B read/.exec(output) ?? [];
  const requests = Number(count);
  const bytes = Number(read) * 1024 ** " KMGT".indexOf(unit || " ");
  if (bytes === 0) throw new Error("no request was answered");
  return {
    requests,
    bytes,
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    p50Ms: milliseconds(/^ +50%\s+(\S+)/m.exec(output)?.[1] ?? ""),
    p99Ms: milliseconds(/^ +99%\s+(\S+)/m.exec(output)?.[1] ?? ""),
  };
}

function milliseconds(text: string): number {
  const [, value = "", unit = ""] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  if (unit === "us") return Number(value) / 1000;
  return Number(value) * ({ ms: 1, s: 1000, m: 60_000 }[unit] ?? Number.NaN);
}
