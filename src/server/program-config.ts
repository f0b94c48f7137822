/**
 * The configuration of a program that has the proxy in itself: the file's, as an object with plugins and functions, or one
 * server's own fields at the top. It says nothing about itself unless it is told to, but what is a fault of the proxy or of a plugin; and a
 * server need not listen: it may be mounted in another one.
 */
import path from "node:path";
import type { Config } from "../config/config.ts";
import { type ConfigWithCode, defineConfig as define } from "../config/define.ts";
import { filesBeside } from "../config/load.ts";
import { parseConfigObject } from "../config/parse.ts";
import { type ConfigProblem, nearest } from "../config/problems.ts";
import { configSchema } from "../config/schema.ts";
import type { Feature } from "../pipeline/phases.ts";
import type { Handler } from "../pipeline/site.ts";
import { ConfigError } from "./config-error.ts";

/** A configuration with plugins in `use` and functions in `handle`: what `headgate.ts` exports and `createProxy` takes. */
export type HeadgateConfig = ConfigWithCode<Feature, Handler>;

type ServerFields = HeadgateConfig["servers"][string];

/** One server without a name; without `listen` it is only mounted. The other fields are those of the file. */
export type SingleServerConfig = Omit<HeadgateConfig, "servers"> &
  Omit<ServerFields, "listen" | "log" | "limits"> &
  Partial<Pick<ServerFields, "listen">> & { readonly servers?: never };

export const defineConfig: (config: HeadgateConfig) => HeadgateConfig = define;

/** What stands at the top of a single server's configuration and belongs to the server. */
const SERVER_FIELDS: ReadonlySet<string> = new Set([
  "listen",
  "routes",
  "use",
  "proxy",
  "respond",
  "redirect",
  "handle",
  "upgrade",
  "timeouts",
  "halfClose",
] satisfies (keyof ServerFields)[]);

/** The name of a server that was given none. */
const SINGLE = "main";
/** Stands for an address where there is none; it is taken out again. */
const NOWHERE = "127.0.0.1:0";

/** Paths of files begin at `folder`. Throws a ConfigError. */
export function parseProgramConfig(given: HeadgateConfig | SingleServerConfig, folder: string): Config {
  refuseWorkers(given);
  const isSingle = typeof given === "object" && given !== null && given.servers === undefined;
  const value = isSingle ? withServers(given as SingleServerConfig) : given;
  const files = filesBeside(path.join(folder, "configuration"));
  const result = parseConfigObject(quiet(value), { file: "configuration", files });
  if (!result.ok) throw new ConfigError(isSingle ? result.problems.map(ofSingleServer) : result.problems);
  const { config } = result;
  if (!isSingle || (given as SingleServerConfig).listen !== undefined) return config;
  return { ...config, servers: config.servers.map((server) => ({ ...server, listen: [] })) };
}

/** Threads are made by `headgate run`, which owns its process; here the program does. */
function refuseWorkers(given: unknown): void {
  if (typeof given !== "object" || given === null || !("workers" in given) || given.workers === undefined) return;
  const message =
    "a proxy in a program serves in the program's own thread: leave this out, or let headgate run serve a headgate.ts";
  const nowhere = { file: "configuration", line: null, column: null, suggestion: null };
  throw new ConfigError([{ ...nowhere, path: "workers", message }]);
}

function withServers(given: SingleServerConfig): Readonly<Record<string, unknown>> {
  // As everywhere else, what is undefined is not said.
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  const { server = [], rest = [] } = Object.groupBy(entries, ([name]) => (isOfServer(name) ? "server" : "rest"));
  return {
    ...Object.fromEntries(rest),
    servers: { [SINGLE]: { listen: NOWHERE, ...Object.fromEntries(server) } },
  };
}

/** A misspelled name as well: where it belongs, it is known what was meant. */
function isOfServer(name: string): boolean {
  if (SERVER_FIELDS.has(name)) return true;
  const known = Object.keys(configSchema.shape);
  if (known.includes(name)) return false;
  const meant = nearest(name, [...SERVER_FIELDS, ...known]);
  return meant !== null && SERVER_FIELDS.has(meant);
}

/** A program's output is its own: it has the stacks of faults, which nobody else would tell, and no more unless that was asked for. */
function quiet(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { log } = value as { readonly log?: unknown };
  if (log !== undefined && (typeof log !== "object" || log === null)) return value;
  return { ...value, log: { level: "error", access: "off", ...log } };
}

function ofSingleServer(problem: ConfigProblem): ConfigProblem {
  return { ...problem, path: problem.path.replace(/^servers\.main\.?/, "") };
}
