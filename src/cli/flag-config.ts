/**
 * A configuration from flags: the schema of the file checks them, so they take what its fields take, and a problem is told with the
 * flag's name in place of the field's.
 */
import { filesBeside } from "../config/load.ts";
import { parseConfigObject } from "../config/parse.ts";
import type { ConfigProblem } from "../config/problems.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import type { LoadedFile } from "./config-file.ts";

/** `told` says a problem in the words of flags. Throws a CommandError when a flag's value is none. */
export function configOfObject(
  config: Readonly<Record<string, unknown>>,
  told: (problem: ConfigProblem) => string,
): Omit<LoadedFile, "file"> {
  const result = parseConfigObject(config, { file: "", files: filesBeside("headgate") });
  // One flag may stand in several fields.
  if (result.ok) return { config: result.config, program: null, warnings: [...new Set(result.warnings.map(told))] };
  const lines = new Set(result.problems.map((problem) => `error: ${told(problem)}`));
  throw new CommandError([...lines], STATUS_USAGE);
}

/** `--listen: expected ...; did you mean ...?` */
export function problemOfFlag(flag: string, { message, suggestion }: ConfigProblem): string {
  const hint = suggestion === null ? "" : `; did you mean ${JSON.stringify(suggestion)}?`;
  return `${flag}: ${message}${hint}`;
}

/** A number where the field may be one, else the text for the schema to judge. */
export function numberOrText(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}
