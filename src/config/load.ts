/**
 * Finds and reads the configuration's file: YAML and JSON as text, TypeScript by importing it. The only part of config/
 * that touches the file system; what the file means is decided by parse.ts.
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { registerHooks } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { OptionFiles } from "../core/option-files.ts";
import { FILE_BYTES_MAX } from "./document.ts";
import { type ParseResult, parseConfig, parseConfigObject } from "./parse.ts";
import type { ConfigProblem } from "./problems.ts";

/** In the order in which they are looked for. */
export const CONFIG_FILE_NAMES = ["headgate.yaml", "headgate.yml", "headgate.json", "headgate.ts"] as const;

/** A token or a key; a secret that is longer is most likely the wrong file. */
const SECRET_BYTES_MAX = 64 * 1024;

type Failed = Extract<ParseResult, { readonly ok: false }>;

/** `program`: the text of the program that was imported; null: the file is data. */
export type LoadResult = (Exclude<ParseResult, Failed> & { readonly program: string | null }) | Failed;

/** The configuration's file in a folder; null when it has none. */
export function findConfigFile(folder: string): string | null {
  return CONFIG_FILE_NAMES.map((name) => path.join(folder, name)).find(isFile) ?? null;
}

/**
 * Reads and parses one file. Problems carry `file` as it was given. Never rejects: a file that cannot be read, and a
 * program that throws while it is imported, are problems too.
 */
export async function loadConfig(
  file: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<LoadResult> {
  const absolute = path.resolve(file);
  const read = readText(absolute, FILE_BYTES_MAX);
  if ("error" in read) return failed(file, `cannot read the file: ${read.error}`);
  if (/\.[cm]?[jt]s$/.test(file)) return loadProgram(file, read.text, env);
  const result = parseConfig(read.text, { file, env, files: filesBeside(absolute) });
  return result.ok ? { ...result, program: null } : result;
}

/** The same for a program whose text was read before, whatever its file says by now. */
export async function loadProgram(
  file: string,
  text: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<LoadResult> {
  const absolute = path.resolve(file);
  // A URL with the content's digest: a changed file is imported again, an unchanged one is the same module, so that its
  // plugins are the same objects and a reload that changes nothing restarts nothing.
  const url = pathToFileURL(absolute);
  url.searchParams.set("content", createHash("sha256").update(text).digest("hex").slice(0, 16));
  let module: { readonly default?: unknown };
  try {
    module = await importText(url.href, absolute, text);
  } catch (error) {
    return importFailed(file, absolute, error);
  }
  if (module.default === undefined)
    return failed(file, "has no default export: write export default defineConfig({ ... })");
  const result = parseConfigObject(module.default, { file, env, files: filesBeside(absolute) });
  return result.ok ? { ...result, program: text } : result;
}

/** The module of this text, which Node reads by itself while the file still says it. */
async function importText(url: string, file: string, text: string): Promise<{ readonly default?: unknown }> {
  const now = readText(file, FILE_BYTES_MAX);
  if ("text" in now && now.text === text) return import(url);
  // What has a default export is an ES module.
  const format = /\.[cm]?ts$/.test(file) ? "module-typescript" : "module";
  const hooks = registerHooks({
    // Node would look for the file.
    resolve: (specifier, context, next) =>
      specifier === url ? { url, format, shortCircuit: true } : next(specifier, context),
    load: (loaded, context, next) => {
      if (loaded !== url) return next(loaded, context);
      // What it imports is loaded without them: in Node 22 some CommonJS packages cannot be loaded while there are any.
      hooks.deregister();
      return { format, source: text, shortCircuit: true };
    },
  });
  try {
    return await import(url);
  } finally {
    hooks.deregister();
  }
}

/** Paths relative to the folder of the configuration's file, and secrets from the disk. */
export function filesBeside(configFile: string): OptionFiles {
  const folder = path.dirname(path.resolve(configFile));
  return {
    resolvePath: (file) => path.resolve(folder, file),
    readSecret: (file) =>
      readSecretBytes(file)
        .toString("utf8")
        .replace(/\r?\n$/, ""),
    readSecretBytes,
  };
}

function readSecretBytes(file: string): Buffer {
  const read = readBytes(file, SECRET_BYTES_MAX);
  if ("error" in read) throw new Error(read.error);
  return read.bytes;
}

function readText(file: string, bytesMax: number): { readonly text: string } | { readonly error: string } {
  const read = readBytes(file, bytesMax);
  return "error" in read ? read : { text: read.bytes.toString("utf8") };
}

function readBytes(file: string, bytesMax: number): { readonly bytes: Buffer } | { readonly error: string } {
  try {
    const stats = statSync(file);
    if (stats.isDirectory()) return { error: "it is a folder" };
    if (stats.size > bytesMax) return { error: `it is larger than ${bytesMax / 1024} KiB` };
    return { bytes: readFileSync(file) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return { error: "there is no such file" };
    if (code === "EACCES" || code === "EPERM") return { error: "permission denied" };
    return { error: code ?? (error instanceof Error ? error.message : String(error)) };
  }
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

function failed(file: string, message: string, line: number | null = null, column: number | null = null): Failed {
  const problem: ConfigProblem = { file, line, column, path: "", message, suggestion: null };
  return { ok: false, problems: [problem] };
}

/** What the program threw, in one line, at the place in its own text where the stack has one. */
function importFailed(file: string, absolute: string, error: unknown): Failed {
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const url = pathToFileURL(absolute).pathname;
  const line = stack.split("\n").find((entry) => entry.includes(url));
  const place = /:(\d+)(?::(\d+))?\)?\s*$/.exec(line ?? "");
  const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  const text = `cannot be imported: ${name}${message.split("\n")[0]}`;
  return place === null ? failed(file, text) : failed(file, text, Number(place[1]), Number(place[2] ?? 1));
}
