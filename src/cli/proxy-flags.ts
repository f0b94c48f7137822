/**
 * The configuration that the flags of `headgate proxy` stand for: one server, one route. The flags are checked by the
 * schema of the file, so they take what its fields take; a problem is told with the flag's name.
 */
import type { ConfigProblem } from "../config/problems.ts";
import type { LoadedFile } from "./config-file.ts";
import { configOfObject, numberOrText, problemOfFlag } from "./flag-config.ts";

export interface ProxyFlags {
  readonly listen: string;
  readonly to: string;
  readonly path?: string;
  readonly websocket?: boolean;
  readonly serverName?: string;
  readonly insecure?: boolean;
  readonly hostHeader?: string;
  readonly workers?: string;
}

/** The flag of each field, by the end of the field's path. */
const FLAGS: readonly (readonly [field: string, flag: string])[] = [
  ["workers", "--workers"],
  ["listen", "--listen"],
  ["proxy.to", "--to"],
  ["match.path", "--path"],
  ["proxy.tls.serverName", "--server-name"],
  ["proxy.tls.verify", "--insecure"],
  ["proxy.tls", "--server-name and --insecure"],
  ["proxy.host", "--host-header"],
];

/** Throws a CommandError when a flag's value is none. */
export function configOfFlags(flags: ProxyFlags): Omit<LoadedFile, "file"> {
  return configOfObject(objectOf(flags), line);
}

function objectOf({ listen, to, path, websocket, serverName, insecure, hostHeader, workers }: ProxyFlags) {
  const match = { ...(path !== undefined && { path }), ...(websocket === true && { websocket }) };
  const tls = { ...(serverName !== undefined && { serverName }), ...(insecure === true && { verify: false }) };
  const route = {
    ...(Object.keys(match).length > 0 && { match }),
    proxy: {
      to,
      ...(Object.keys(tls).length > 0 && { tls }),
      ...(hostHeader !== undefined && { host: hostHeader }),
    },
  };
  return {
    ...(workers !== undefined && { workers: numberOrText(workers) }),
    servers: { proxy: { listen, routes: [route] } },
  };
}

function line(problem: ConfigProblem): string {
  const field = problem.path.replace(/^servers\.proxy\.(routes\[0\]\.)?/, "");
  return problemOfFlag(FLAGS.find(([name]) => field === name)?.[1] ?? field, problem);
}
