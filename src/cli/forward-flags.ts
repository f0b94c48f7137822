/**
 * The configuration that the flags of `headgate forward` stand for: one server, one rule for public destinations, and one more for
 * the networks that are named. Passwords become hashes before anything else sees them.
 */
import { text } from "node:stream/consumers";
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
  [/^forward\.intercept\b/, "--intercept"],
];

/** Rejects with a CommandError when a flag's value is none, and when strangers could use the proxy. */
export async function configOfForwardFlags(flags: ForwardFlags): Promise<Omit<LoadedFile, "file">> {
  if (flags.ca !== undefined && flags.intercept === undefined)
    throw usage("--ca is the authority of --intercept HOSTS");
  const users = await usersOf(flags.auth);
  return configOfObject(objectOf(flags, users), (problem) => told(problem, flags.listen));
}

function objectOf(flags: ForwardFlags, users: Readonly<Record<string, string>> | null) {
  const { listen, clients, hosts, ports, connectPorts, networks, via, intercept, ca, workers } = flags;
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
    ...(users !== null && { auth: { basic: { users } } }),
    ...(!isPlain && { allow }),
    ...(via !== undefined && { via: [{ proxy: listOf(via) }] }),
    ...(intercept !== undefined && { intercept: { hosts: listOf(intercept), ...(ca !== undefined && { ca }) } }),
  };
  return {
    ...(workers !== undefined && { workers: numberOrText(workers) }),
    servers: { proxy: { listen, forward } },
  };
}

function listOf(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

function told(problem: ConfigProblem, listen: string): string {
  if (problem.path === "workers") return problemOfFlag("--workers", problem);
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

/** Names and hashes; null: nobody has to say who it is. */
async function usersOf(auth: readonly string[]): Promise<Readonly<Record<string, string>> | null> {
  if (auth.length === 0) return null;
  const lines = (await Promise.all(auth.map((given) => (given === "-" ? linesOfInput() : [given])))).flat();
  const { parseUserPassword, hashUsers } = await import("../server/user-hashes.ts");
  try {
    return await hashUsers(lines.map(parseUserPassword));
  } catch (error) {
    if (error instanceof TypeError) throw usage(`--auth: ${error.message}`);
    throw error;
  }
}

/** A user a line. */
async function linesOfInput(): Promise<readonly string[]> {
  const lines = (await text(process.stdin)).split(/\r?\n/).filter((line) => line !== "");
  if (lines.length === 0) throw usage("--auth -: standard input is empty; it has a line USER:PASS for each user");
  return lines;
}

function usage(message: string): CommandError {
  return new CommandError([`error: ${message}`], STATUS_USAGE);
}
