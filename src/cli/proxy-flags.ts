/**
 * The configuration that the flags of `headgate proxy` stand for: one server, one route. The flags are checked by the
 * schema of the file, so they take what its fields take; a problem is told with the flag's name.
 */

import { filesBeside } from "../config/load.ts";
import { type ParseResult, parseConfigObject } from "../config/parse.ts";
import type { ConfigProblem } from "../config/problems.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import type { LoadedFile } from "./config-file.ts";

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
  const result = parse(flags);
  if (!result.ok)
    throw new CommandError(
      result.problems.map((problem) => `error: ${line(problem)}`),
      STATUS_USAGE,
    );
  return { config: result.config, program: null, warnings: result.warnings.map(line) };
}

function parse({ listen, to, path, websocket, serverName, insecure, hostHeader, workers }: ProxyFlags): ParseResult {
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
  const config = {
    ...(workers !== undefined && { workers: /^\d+$/.test(workers) ? Number(workers) : workers }),
    servers: { proxy: { listen, routes: [route] } },
  };
  return parseConfigObject(config, { file: "", files: filesBeside("headgate") });
}

function line({ path, message, suggestion }: ConfigProblem): string {
  const field = path.replace(/^servers\.proxy\.(routes\[0\]\.)?/, "");
  const flag = FLAGS.find(([name]) => field === name)?.[1] ?? field;
  const hint = suggestion === null ? "" : `; did you mean ${JSON.stringify(suggestion)}?`;
  return `${flag}: ${message}${hint}`;
}
