/**
 * The text of a file as plain values, together with where each of them stands. YAML and JSON come by the same parser, so
 * both have positions and in both a key that is there twice is an error.
 *
 * A file is trusted to be the operator's but not to be sane: its size, its depth and what its aliases expand to are
 * bounded, and nothing in it can become anything but text, numbers, booleans, lists and mappings.
 */
import { isAlias, isMap, isScalar, isSeq, type Node, parseDocument, type Scalar, type YAMLError } from "yaml";
import { suggestPlaceholders } from "./foreign-placeholders.ts";
import { interpolate } from "./interpolate.ts";
import type { Finding, Path } from "./problems.ts";
import { jsonMistake } from "./strict-json.ts";
import { adviceOnKey, unquotedAt } from "./unquoted.ts";

/** Larger than any configuration that a person or a generator of ours writes; parsing it takes well under a second. */
export const FILE_BYTES_MAX = 1024 * 1024;
/** Values after aliases were expanded. A "billion laughs" of ten lines would have 10^9. */
const VALUES_MAX = 100_000;
/** The schema's own depth is 10. */
const DEPTH_MAX = 32;

const SYNTAX_FINDINGS_MAX = 3;
const TOO_DEEP = `blocks are nested more than ${DEPTH_MAX} deep`;

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface SourceDocument {
  readonly value: unknown;
  /** With a finding, `value` is worth nothing below its path. */
  readonly findings: readonly Finding[];
  /** Texts in which a reference to the environment was replaced, by `pathKey`. */
  readonly interpolated: ReadonlyMap<string, string>;
  /** Where a finding is, or the nearest block around it that the text has; null when there is no text. */
  placeOf(finding: Finding): Place | null;
}

/** A path as the key of a map. */
export function pathKey(path: Path): string {
  return JSON.stringify(path);
}

interface Offsets {
  readonly key: number;
  readonly value: number;
}

export function readDocument(
  text: string,
  format: "yaml" | "json",
  env: Readonly<Record<string, string | undefined>>,
): SourceDocument {
  const places = new Map<string, Offsets>();
  const placeOfOffset = placesIn(text);
  const placeOf = (finding: Finding): Place => placeOfOffset(finding.offset ?? offsetOf(finding, places));
  const failed = (findings: readonly Finding[]): SourceDocument => ({
    value: undefined,
    findings,
    interpolated: new Map(),
    placeOf,
  });
  if (text.length > FILE_BYTES_MAX || Buffer.byteLength(text) > FILE_BYTES_MAX) {
    return failed([{ path: [], at: "value", message: "the file is larger than 1 MiB" }]);
  }

  const document = parse(text, format);
  const mistake = format === "json" ? jsonMistake(text) : null;
  if (mistake !== null) {
    const message = `not valid JSON: expected ${mistake.expected}, got ${mistake.found}`;
    return failed([{ path: [], at: "value", message, offset: mistake.offset }]);
  }
  if (document === null) return failed([{ path: [], at: "value", message: TOO_DEEP }]);
  const syntax = [...document.errors, ...document.warnings];
  if (syntax.length > 0) return failed(syntaxFindings(syntax, text));
  const reader = new Reader(places, env);
  const value = reader.read(document.contents, [], 0);
  if (reader.excess !== null) return failed([reader.excess]);
  return { value, findings: reader.findings, interpolated: reader.interpolated, placeOf };
}

/** null: the parser's recursion ran out of stack. */
function parse(text: string, format: "yaml" | "json") {
  try {
    const schema = format === "json" ? "json" : "core";
    return parseDocument(text, { prettyErrors: false, uniqueKeys: false, schema, version: "1.2" });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Gives line and column, from 1. A byte order mark is no column. The parser's own counter loses lines behind some mistakes. */
function placesIn(text: string): (offset: number) => Place {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  const mark = text.startsWith("\uFEFF") ? 1 : 0;
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    const column = offset - (starts[low] ?? 0) - (low === 0 ? mark : 0);
    return { line: low + 1, column: Math.max(column, 0) + 1 };
  };
}

function offsetOf({ path, at }: Finding, places: ReadonlyMap<string, Offsets>): number {
  for (let length = path.length; length > 0; length--) {
    const offsets = places.get(pathKey(path.slice(0, length)));
    if (offsets === undefined) continue;
    // A missing field is pointed at by the block that lacks it: by its key, where it has one.
    return at === "key" || (at === "block" && length < path.length) ? offsets.key : offsets.value;
  }
  return places.get(pathKey([]))?.value ?? 0;
}

/** What the parser says, once for each place, and not all of it: one mistake often makes many errors. */
function syntaxFindings(errors: readonly YAMLError[], text: string): readonly Finding[] {
  const findings = new Map<number, Finding>();
  // The parser catches its own stack's overflow and reports it as an error of the text, over and over.
  const overflow = errors.find((error) => /call stack|stack overflow/i.test(error.message));
  if (overflow !== undefined) return [{ path: [], at: "value", message: TOO_DEEP, offset: overflow.pos[0] }];
  for (const error of errors) {
    const offset = behindIndentation(error, text);
    if (text.startsWith("${", offset - 1) || text.startsWith("${", offset - 2)) {
      const message = "a reference to the environment is put in quotes inside { } and [ ]";
      return [{ path: [], at: "value", message, offset }];
    }
    const unquoted = findings.size < SYNTAX_FINDINGS_MAX ? unquotedAt(text, offset, error.code) : null;
    // What else the parser complains of comes of that.
    if (unquoted !== null) return [unquoted];
    if (!findings.has(offset)) findings.set(offset, { path: [], at: "value", message: syntaxMessage(error), offset });
    if (error.code === "TAB_AS_INDENT") break;
  }
  return [...findings.values()].slice(0, SYNTAX_FINDINGS_MAX);
}

/** The parser points at the beginning of a line that is indented wrongly, or of an empty one in front of it. */
function behindIndentation({ code, pos: [offset] }: YAMLError, text: string): number {
  if (code === "TAB_AS_INDENT" || (offset > 0 && text[offset - 1] !== "\n")) return offset;
  let at = offset;
  while (/^[ \r\n]$/.test(text[at] ?? "")) at++;
  return at;
}

/** The parser's sentences on what most often goes wrong in a block, which speak of its own terms, and ours. */
const SENTENCES: Readonly<Record<string, string>> = {
  "All mapping items must start at the same column": "the fields of a block begin at the same column",
  "Sequence item without - indicator": "the fields of a block begin at the same column",
  "Implicit map keys need to be followed by map values": "a key has a colon and a space behind it",
  "Implicit keys need to be on a single line": "a key has a colon and a space behind it, in the same line",
};

function syntaxMessage(error: YAMLError): string {
  if (error.code === "BAD_ALIAS") return "* begins an alias in YAML: put the text in quotes";
  if (error.code === "MULTIPLE_DOCS") return "the file has more than one document";
  if (error.code === "TAB_AS_INDENT") return "a tab cannot indent YAML: use spaces";
  const [sentence = ""] = error.message.split("\n");
  const ours = SENTENCES[sentence];
  if (ours !== undefined) return `not valid: ${ours}`;
  return `not valid: ${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`;
}

/** What to say of a name that no anchor has. What could not be one is text. */
function adviceOnAlias(name: string): string {
  const port = /^:\d+$/.exec(name)?.[0];
  if (port !== undefined) return `* begins an alias in YAML: for every address write ${port}`;
  const advice = "put quotes around a text that begins with *";
  return /^[\w-]+$/.test(name) ? `there is no anchor &${name}: ${advice}` : `${advice}: ${JSON.stringify(`*${name}`)}`;
}

/** Makes values of nodes, top down. */
class Reader {
  readonly findings: Finding[] = [];
  readonly interpolated = new Map<string, string>();
  /** Set when the file is too deep or too large to be read on. */
  excess: Finding | null = null;
  readonly #places: Map<string, Offsets>;
  readonly #env: Readonly<Record<string, string | undefined>>;
  /** Nodes that we are inside of: an alias to one of them would never end. */
  readonly #open = new Set<unknown>();
  /** What each name means at this point of the text: the last node before it that has it. */
  readonly #anchors = new Map<string, unknown>();
  /** Aliases that we are inside of; what they repeat gives no names anew. */
  #aliases = 0;
  #values = 0;

  constructor(places: Map<string, Offsets>, env: Readonly<Record<string, string | undefined>>) {
    this.#places = places;
    this.#env = env;
  }

  read(node: unknown, path: Path, keyOffset: number): unknown {
    const offset = (node as Node | null)?.range?.[0] ?? keyOffset;
    this.#places.set(pathKey(path), { key: keyOffset, value: offset });
    if (this.excess !== null) return undefined;
    if (++this.#values > VALUES_MAX) {
      const message = `the file has more than ${VALUES_MAX} values, its aliases expanded`;
      this.excess = { path: [], at: "value", message, offset };
    } else if (path.length > DEPTH_MAX) {
      this.excess = { path: [], at: "value", message: TOO_DEEP, offset };
    }
    if (isAlias(node)) return this.#readAlias(node.source, path, offset);
    const anchor = (node as Scalar | null)?.anchor;
    if (anchor !== undefined && this.#aliases === 0) this.#anchors.set(anchor, node);
    if (isScalar(node)) return this.#readScalar(node.value, path);
    if (!isMap(node) && !isSeq(node)) return null;
    this.#open.add(node);
    const value = isSeq(node)
      ? node.items.map((item, index) => this.read(item, [...path, index], (item as Node).range?.[0] ?? offset))
      : this.#readMap(node.items, path, offset);
    this.#open.delete(node);
    return value;
  }

  #readAlias(name: string, path: Path, offset: number): unknown {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      this.#found(path, adviceOnAlias(name));
      return undefined;
    }
    if (this.#open.has(target)) {
      this.#found(path, `the alias *${name} stands inside what it names`);
      return undefined;
    }
    this.#aliases++;
    const value = this.read(target, path, offset);
    this.#aliases--;
    return value;
  }

  #readScalar(value: unknown, path: Path): unknown {
    if (typeof value !== "string") return value;
    const { text, changed, errors } = interpolate(value, this.#env);
    const suggestion = errors.length > 0 ? suggestPlaceholders(path, value) : null;
    for (const message of errors) this.#found(path, message, suggestion);
    if (changed && errors.length === 0) this.interpolated.set(pathKey(path), text);
    return text;
  }

  #readMap(pairs: readonly { key: unknown; value: unknown }[], path: Path, offset: number): unknown {
    const value: Record<string, unknown> = {};
    for (const pair of pairs) {
      const keyOffset = (pair.key as Node | null)?.range?.[0] ?? offset;
      const key = isScalar(pair.key) && pair.key.value !== null ? String(pair.key.source ?? pair.key.value) : null;
      const isCollection = isSeq(pair.key) || isMap(pair.key);
      const problem = isCollection ? adviceOnKey(isSeq(pair.key)) : keyProblem(key, value);
      if (key === null || problem !== null) {
        const keyPath = key === null ? path : [...path, key];
        this.findings.push({ path: keyPath, at: "key", message: problem ?? "", offset: keyOffset });
        continue;
      }
      const keyPath = [...path, key];
      value[key] = this.read(pair.value, keyPath, keyOffset);
    }
    return value;
  }

  #found(path: Path, message: string, suggestion: string | null = null): void {
    this.findings.push({ path, at: "value", message, suggestion });
  }
}

/** Why a key cannot stand in a mapping that has `value` so far; null when it can. */
function keyProblem(key: string | null, value: object): string | null {
  if (key === null) return "a key must be text";
  if (Object.hasOwn(value, key)) return "this field is there twice";
  if (key === "<<") return "merge keys are no part of YAML 1.2: repeat the fields";
  return key === "__proto__" ? "unknown field" : null;
}
