/**
 * How a configuration reaches the workers: as data where it is nothing else, and as the text of its file where it holds code,
 * which each thread has to import for itself. The text and not the file: a worker that takes a dead one's place has to serve
 * what the others serve, whatever has become of the file since.
 */
import path from "node:path";
import type { Config } from "../../config/config.ts";
import type { ConfigSource } from "./protocol.ts";

/** `file`: where it came from; null: from the command line. `program`: its text; null: it is data. */
export function sourceOf(config: Config, file: string | null, program: string | null): ConfigSource {
  if (file === null || program === null || !holdsCode(config)) return { kind: "data", config };
  return { kind: "program", file: path.resolve(file), text: program };
}

/** Plugins, or functions that answer requests. */
function holdsCode({ servers }: Config): boolean {
  const routes = servers.flatMap((server) => server.routes);
  const uses = [...routes.map(({ use }) => use), ...servers.map(({ forward }) => forward?.use ?? [])];
  return (
    routes.some(({ action }) => action.kind === "handle") || uses.flat().some(({ feature }) => feature === "plugin")
  );
}
