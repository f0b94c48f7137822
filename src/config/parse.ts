/**
 * From the text of a file, or from a program's own object, to a configuration or to everything that is wrong with it. Pure
 * but for the files that secrets stand in, which the caller reads.
 */
import { type OptionFiles, parseWithFiles } from "../core/option-files.ts";
import { describeValue } from "../core/option-types.ts";
import { cacheProblems, cacheWarnings } from "./cache-checks.ts";
import { checkConfig } from "./checks.ts";
import type { Config } from "./config.ts";
import { pathKey, readDocument, type SourceDocument } from "./document.ts";
import { findingsOf, pathsThatWantOtherScalars, plainMessages, valueAt, withoutConsequences } from "./findings.ts";
import { placeholderWarnings } from "./foreign-placeholders.ts";
import { forwardProblems } from "./forward-checks.ts";
import { opennessWarnings } from "./forward-openness.ts";
import { forwardWarnings } from "./forward-warnings.ts";
import { matchWarnings } from "./match-warnings.ts";
import { type ConfigProblem, type Finding, formatPath, type Path } from "./problems.ts";
import { resolveConfig } from "./resolve.ts";
import { configSchema } from "./schema.ts";
import { useOrderProblems } from "./use-order.ts";

export type ParseResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

export interface ParseOptions {
  /** The name that problems carry; its ending decides between YAML and JSON. */
  readonly file: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Left out: paths stay as they are, and a secret in a file is a problem. */
  readonly files?: OptionFiles;
}

/** Parses YAML, or JSON when the file's name ends so. Never throws. */
export function parseConfig(text: string, options: ParseOptions): ParseResult {
  const document = readDocument(text, options.file.endsWith(".json") ? "json" : "yaml", options.env ?? {});
  return judge(document, options);
}

/** Parses an object that a program made. References to the environment in it are text like any other. Never throws. */
export function parseConfigObject(value: unknown, options: ParseOptions): ParseResult {
  return judge({ value, findings: [], interpolated: new Map(), placeOf: () => null }, options);
}

function judge(document: SourceDocument, options: ParseOptions): ParseResult {
  const report = (findings: readonly Finding[]) => problemsOf(findings, document, options.file);
  if (document.value === undefined || document.value === null) {
    const empty: Finding = { path: [], at: "value", message: "the configuration is empty" };
    return { ok: false, problems: report(document.findings.length > 0 ? document.findings : [empty]) };
  }
  const parsed = parseValue(document, options.files);
  const checks = checkConfig(document.value);
  // What could not be read is not also of the wrong kind.
  const unread = new Set(document.findings.filter(({ path }) => path.length > 0).map(({ path }) => pathKey(path)));
  const orders = parsed.success
    ? [...useOrderProblems(parsed.data), ...forwardProblems(parsed.data), ...cacheProblems(parsed.data)]
    : [];
  const later = [...findingsOf(parsed.error?.issues ?? [], document.value), ...checks.errors, ...orders].filter(
    ({ path }) => !path.some((_, index) => unread.has(pathKey(path.slice(0, index + 1)))),
  );
  const findings = [...document.findings, ...withoutConsequences(later)];
  if (findings.length > 0 || !parsed.success) return { ok: false, problems: report(findings) };
  const warnings = report([
    ...checks.warnings,
    ...placeholderWarnings(document.value),
    ...matchWarnings(parsed.data),
    ...forwardWarnings(parsed.data),
    ...opennessWarnings(parsed.data),
    ...cacheWarnings(parsed.data),
  ]);
  return { ok: true, config: resolveConfig(parsed.data), warnings };
}

/**
 * A value of the environment is text; where only a number or `true` will do, it is read as one. Whether it will do is known
 * to the schema alone, so the values that it refused are changed and it is asked again.
 */
function parseValue(document: SourceDocument, files: OptionFiles | undefined) {
  const ask = () => {
    const parse = () => configSchema.safeParse(document.value, { error: plainMessages });
    return files === undefined ? parse() : parseWithFiles(files, parse);
  };
  const parsed = ask();
  if (parsed.success || document.interpolated.size === 0) return parsed;
  let changed = false;
  for (const path of pathsThatWantOtherScalars(parsed.error.issues)) {
    const text = document.interpolated.get(pathKey(path));
    if (text === undefined || path.length === 0) continue;
    const scalar = /^(true|false|-?\d+(\.\d+)?)$/.test(text)
      ? (JSON.parse(text.replace(/^(-?)0+(?=\d)/, "$1")) as unknown)
      : text;
    const block = valueAt(document.value, path.slice(0, -1)) as Record<string | number, unknown>;
    block[path.at(-1) ?? ""] = scalar;
    changed = true;
  }
  return changed ? ask() : parsed;
}

/** Nobody reads more of them at once. */
const PROBLEMS_MAX = 100;

const FROM_ENVIRONMENT = "a value of the environment";
/** A shorter one may be a part of any word. */
const TELLING_CHARACTERS_MIN = 6;

/** What stands in the environment may be a secret, and problems are logged: they say where a value came from, not what it is. */
function withoutEnvironment(finding: Finding, interpolated: SourceDocument["interpolated"]): Finding {
  const lengths = finding.path.map((_, index) => finding.path.length - index);
  const text = lengths.map((length) => interpolated.get(pathKey(finding.path.slice(0, length)))).find((one) => one);
  if (text === undefined) return finding;
  // As it stands there, and as messages have it, which cut what is long.
  let message = finding.message
    .replaceAll(JSON.stringify(text), FROM_ENVIRONMENT)
    .replaceAll(describeValue(text), FROM_ENVIRONMENT);
  if (text.length >= TELLING_CHARACTERS_MIN) message = message.replaceAll(text, FROM_ENVIRONMENT);
  return { ...finding, message, suggestion: null };
}

/** In the order of the text, each once. */
function problemsOf(findings: readonly Finding[], document: SourceDocument, file: string): readonly ConfigProblem[] {
  const problems = findings.map((found): ConfigProblem => {
    const finding = withoutEnvironment(found, document.interpolated);
    const place = document.placeOf(finding);
    return {
      file,
      line: place?.line ?? null,
      column: place?.column ?? null,
      path: formatPath(visiblePath(finding, document.value)),
      message: finding.message,
      suggestion: finding.suggestion ?? null,
    };
  });
  const unique = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  const sorted = [...unique.values()].sort(
    (left, right) => (left.line ?? 0) - (right.line ?? 0) || (left.column ?? 0) - (right.column ?? 0),
  );
  const last = sorted[PROBLEMS_MAX - 1];
  if (last === undefined || sorted.length === PROBLEMS_MAX) return sorted;
  const message = `and ${sorted.length - PROBLEMS_MAX + 1} problems more, from here on`;
  return [...sorted.slice(0, PROBLEMS_MAX - 1), { ...last, path: "", message, suggestion: null }];
}

/** The path as far as the text has it: a short form has no fields inside, and a missing field is named all the same. */
function visiblePath({ path, at }: Finding, value: unknown): Path {
  if (at !== "value") return path;
  let length = path.length;
  while (length > 0 && !hasField(valueAt(value, path.slice(0, length - 1)), path[length - 1] ?? "")) length--;
  return path.slice(0, length);
}

function hasField(block: unknown, step: string | number): boolean {
  return typeof block === "object" && block !== null && Object.hasOwn(block, step);
}
