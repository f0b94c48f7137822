/**
 * The configuration's file as the commands need it: found, loaded, and every problem as one line that begins with its
 * place, whether the file is wrong in itself or asks for what the machine cannot give.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Config } from "../config/config.ts";
import { readDocument } from "../config/document.ts";
import { valueAt } from "../config/findings.ts";
import { CONFIG_FILE_NAMES, findConfigFile, loadConfig } from "../config/load.ts";
import { formatPath, formatProblem, joinOr, type Path } from "../config/problems.ts";
import type { SetupError } from "../server/setup-error.ts";
import { CommandError } from "./command-error.ts";

export interface LoadedFile {
  readonly file: string;
  readonly config: Config;
  /** The text of the program that it came from; null: it came from data. */
  readonly program: string | null;
  /** Lines. */
  readonly warnings: readonly string[];
}

/** The file that was named, or the one in the current folder. Throws a CommandError when there is none. */
export function chooseConfigFile(named: string | undefined): string {
  if (named !== undefined) return named;
  const folder = process.cwd();
  const found = findConfigFile(folder);
  if (found !== null) return path.relative(folder, found);
  const names = joinOr(CONFIG_FILE_NAMES);
  throw new CommandError([`no configuration in ${folder}: there is no ${names}; name one with --config FILE`]);
}

/** Rejects with a CommandError that has a line for each problem. */
export async function loadConfigFile(file: string): Promise<LoadedFile> {
  const result = await loadConfig(file);
  if (!result.ok) throw new CommandError(result.problems.map(formatProblem));
  const { config, program, warnings } = result;
  return { file, config, program, warnings: warnings.map(formatProblem) };
}

/** The problems of a configuration from this file with the machine, as lines with their places. */
export function setupLines(error: SetupError, file: string): readonly string[] {
  return error.problems.map((problem) => {
    const place = placeOf(file, problem.path);
    const suggestion = null;
    return formatProblem({ file, line: null, column: null, ...place, message: problem.message, suggestion });
  });
}

/** Where a field stands in the file, read once more for this; no line and column in a program. */
function placeOf(file: string, wanted: Path) {
  if (!/\.(ya?ml|json)$/.test(file)) return { path: formatPath(wanted) };
  try {
    const text = readFileSync(file, "utf8");
    const document = readDocument(text, file.endsWith(".json") ? "json" : "yaml", process.env);
    const fieldPath = visiblePath(wanted, document.value);
    const place = document.placeOf({ path: fieldPath, at: "value", message: "" });
    return { path: formatPath(fieldPath), line: place?.line ?? null, column: place?.column ?? null };
  } catch {
    return { path: formatPath(wanted) };
  }
}

/** The path as the file has it: of short forms, the part that is there ("listen" for "listen[0]"). */
function visiblePath(wanted: Path, value: unknown): Path {
  const visible = [...wanted];
  while (visible.length > 0 && valueAt(value, visible) === undefined) {
    // `listen` may be one block in place of a list of one.
    const index = visible.indexOf(0);
    const withoutIndex = visible.toSpliced(index, 1);
    if (index >= 0 && valueAt(value, withoutIndex) !== undefined) return withoutIndex;
    visible.pop();
  }
  return visible;
}
