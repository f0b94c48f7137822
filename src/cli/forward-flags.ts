/**
 * The configuration that the flags of `headgate forward` stand for: one server, one rule for public destinations, and one more for
 * the networks that are named. Passwords become hashes before anything else sees them.
 */
import { text } from "node:stream/consumers";
import { DEFAULT_CACHE } from "../config/caches.ts";
import type { ConfigProblem } from "../config/problems.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import type { LoadedFile } from "./config-file.ts";
import { configOfObject, numberOrText, problemOfFlag } from "./flag-config.ts";

/** Where it listens unless told otherwise: on this machine alone, on the port that forward proxies have had since Squid. */
export const LISTEN_DEFAULT = "127.0.0.1:3128";

export interface ForwardFlags {
  readonly listen: string;
  readonly auth: readonly string[];
  readonly clients?: string;
  readonly hosts?: string;
  readonly ports?: string;
  readonly connectPorts?: string;
  readonly networks?: string;
  readonly via?: string;
  readonly intercept?: string;
  readonly ca?: string;
  readonly cache?: string;
  readonly size?: string;
  readonly workers?: string;
}

/** The flag of each field, by the field's path within the server; those without a flag of their own are `openToStrangers`. */
const FLAGS: readonly (readonly [field: RegExp, flag: string])[] = [
  [/^listen\b/, "--listen"],
  [/^forward\.auth\b/, "--auth"],
  [/^forward\.allow\[\d\]\.clients\b/, "--clients"],
  [/^forward\.allow\[\d\]\.hosts\b/, "--hosts"],
  [/^forward\.allow\[\d\]\.ports\b/, "--ports"],
  [/^forward\.allow\[\d\]\.connectPorts\b/, "--connect-ports"],
  [/^forward\.allow\[\d\]\.networks\b/, "--networks"],
  [/^forward\.via\b/, "--via"],
  [/^forward\.intercept\.ca\b/, "--ca"],
  [/^forward\.intercept\.ports\b/, "--connect-ports"],
  [/^forward\.intercept\b/, "--intercept"],
];

/** Those of the cache, by the field's path within it. */
const CACHE_FLAGS: readonly (readonly [field: RegExp, flag: string])[] = [
  [/^directory\b/, "--cache"],
  [/^size\b/, "--size"],
];

/** Rejects with a CommandError when a flag's value is none, and when strangers could use the proxy. */
export async function configOfForwardFlags(flags: ForwardFlags): Promise<Omit<LoadedFile, "file">> {
  if (flags.ca !== undefined && flags.intercept === undefined)
    throw usage("--ca is the authority of --intercept HOSTS");
  if (flags.size !== undefined && flags.cache === undefined) throw usage("--size is that of --cache DIR");
  const users = await usersOf(flags.auth);
  const loaded = configOfObject(objectOf(flags, users), (problem) => told(problem, flags.listen));
  return { ...loaded, warnings: [...loaded.warnings, ...exposures(users, flags.via)] };
}

function objectOf(flags: ForwardFlags, users: Users | null) {
  const { listen, clients, hosts, ports, connectPorts, networks, via, intercept, ca, cache, size, workers } = flags;
  const rule = {
    ...(clients !== undefined && { clients: listOf(clients) }),
    ...(hosts !== undefined && { hosts: listOf(hosts) }),
    ...(ports !== undefined && { ports: listOf(ports) }),
    ...(connectPorts !== undefined && { connectPorts: listOf(connectPorts) }),
  };
  const allow = [
    { name: "flags", ...rule },
    ...(networks === undefined ? [] : [{ name: "networks", ...rule, networks: listOf(networks) }]),
  ];
  const isPlain = allow.length === 1 && Object.keys(rule).length === 0;
  const forward = {
    ...(users !== null && { auth: { basic: { users: users.hashes } } }),
    ...(!isPlain && { allow }),
    ...(via !== undefined && { via: [{ proxy: listOf(via) }] }),
    ...(intercept !== undefined && {
      intercept: {
        hosts: listOf(intercept),
        ...(connectPorts !== undefined && { ports: listOf(connectPorts) }),
        ...(ca !== undefined && { ca }),
      },
    }),
    ...(cache !== undefined && { cache: DEFAULT_CACHE }),
  };
  return {
    ...(workers !== undefined && { workers: numberOrText(workers) }),
    ...(cache !== undefined && {
      caches: { [DEFAULT_CACHE]: { directory: cache, ...(size !== undefined && { size }) } },
    }),
    servers: { proxy: { listen, forward } },
  };
}

function listOf(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

function told(problem: ConfigProblem, listen: string): string {
  if (problem.path === "workers") return problemOfFlag("--workers", problem);
  const ofCache = problem.path.replace(`caches.${DEFAULT_CACHE}.`, "");
  const cacheFlag = ofCache === problem.path ? undefined : CACHE_FLAGS.find(([pattern]) => pattern.test(ofCache))?.[1];
  if (cacheFlag !== undefined) return problemOfFlag(cacheFlag, problem);
  const field = problem.path.replace(/^servers\.proxy\./, "");
  const flag = FLAGS.find(([pattern]) => pattern.test(field))?.[1];
  if (flag !== undefined) return problemOfFlag(flag, problem);
  return /^forward(\.allow\[\d\])?$/.test(field) ? openToStrangers(listen) : problemOfFlag(field, problem);
}

function openToStrangers(listen: string): string {
  const local = `127.0.0.1${/:\d+$/.exec(listen)?.[0] ?? ":3128"}`;
  return (
    `--listen ${listen}: everybody who can reach this address could use the proxy, in your name. Add one of\n` +
    "  --clients 10.0.0.0/8     the networks of its clients\n" +
    "  --auth USER:PASS         a user; with --auth - it is read from standard input\n" +
    `or listen for this machine alone: --listen ${local}`
  );
}

/** null: nobody has to say who it is. */
async function usersOf(auth: readonly string[]): Promise<Users | null> {
  if (auth.length === 0) return null;
  const lines = (await Promise.all(auth.map(linesOfFlag))).flat();
  const { parseGivenUser, hashUsers } = await import("../server/user-hashes.ts");
  const names = new Set<string>();
  let isPasswordShown = false;
  const users = lines.map(({ place, text }) => {
    try {
      const user = parseGivenUser(text);
      if (names.has(user.name)) throw new TypeError("the same user comes twice");
      names.add(user.name);
      isPasswordShown ||= place === ON_COMMAND_LINE && "password" in user;
      return user;
    } catch (error) {
      if (error instanceof TypeError) throw usage(`${place}: ${error.message}`);
      throw error;
    }
  });
  return { hashes: await hashUsers(users), isPasswordShown };
}

const ON_COMMAND_LINE = "--auth";

interface Users {
  /** By name. */
  readonly hashes: Readonly<Record<string, string>>;
  /** One stands on the command line, and no hash of it. */
  readonly isPasswordShown: boolean;
}

interface Line {
  /** For messages, which never show the text. */
  readonly place: string;
  readonly text: string;
}

/** A user a line; as in files of users, lines that are empty or begin with "#" say nothing. */
async function linesOfFlag(given: string): Promise<readonly Line[]> {
  if (given !== "-") return [{ place: ON_COMMAND_LINE, text: given }];
  const lines = (await text(process.stdin))
    .split(/\r?\n/)
    .map((line, index) => ({ place: `--auth -: line ${index + 1}`, text: line }))
    .filter((line) => line.text.trim() !== "" && !line.text.startsWith("#"));
  if (lines.length === 0) throw usage("--auth -: standard input is empty; it has a line USER:PASSWORD for each user");
  return lines;
}

/** Secrets of the command line, which whoever lists its processes sees. */
function exposures(users: Users | null, via: string | undefined): readonly string[] {
  const seen = "a password on the command line can be read by everybody on this machine (ps)";
  return [
    ...(users?.isPasswordShown === true ? [`--auth: ${seen}; --auth - reads it from standard input`] : []),
    ...(via !== undefined && /:\/\/[^,/@]*:[^,/@]+@/.test(via)
      ? [`--via: ${seen}; a configuration file keeps it: see "via" in docs/forward.md`]
      : []),
  ];
}

function usage(message: string): CommandError {
  return new CommandError([`error: ${message}`], STATUS_USAGE);
}
