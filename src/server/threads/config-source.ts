/**
 * How a configuration reaches the workers: as data where it is nothing else, and by the name of its file where it holds
 * code, which each thread has to import for itself.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Config } from "../../config/config.ts";
import type { ConfigSource } from "./protocol.ts";

/** `file`: where it came from; null: from the command line, which has no code. */
export function sourceOf(config: Config, file: string | null): ConfigSource {
  if (file === null || !holdsCode(config)) return { kind: "data", config };
  return { kind: "program", file: path.resolve(file), digest: digestOf(file) };
}

/** Plugins, or functions that answer requests. */
function holdsCode({ servers }: Config): boolean {
  const routes = servers.flatMap((server) => server.routes);
  return routes.some(({ use, action }) => action.kind === "handle" || use.some(({ feature }) => feature === "plugin"));
}

/** Stands for the text of a file; "" when it cannot be read. */
export function digestOf(file: string): string {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return "";
  }
}
