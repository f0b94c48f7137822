/**
 * What zod says about a value, as plain sentences. A field that takes several forms makes a union, and a union's errors are
 * one list for each form: the form that was meant is the one whose kind of value is there; when none is, the forms are
 * named together.
 */
import type { z } from "zod";
import { describeValue } from "../core/option-types.ts";
import { takesPlaceholders } from "./foreign-placeholders.ts";
import { type Block, blockAt, meantByField } from "./foreign-words.ts";
import { hintOf } from "./hints.ts";
import { knownFields, whereItBelongs } from "./known-fields.ts";
import { whereItStands } from "./misplaced-fields.ts";
import { type Finding, joinOr, nearest, type Path } from "./problems.ts";

type Issue = z.core.$ZodIssue;

/** The sentences for what has none of its own in a schema. */
export const plainMessages: z.core.$ZodErrorMap = (issue) => {
  const got = describeValue(issue.input);
  switch (issue.code) {
    case "invalid_type": {
      const expected = KINDS[issue.expected] ?? issue.expected;
      return `expected ${expected}, got ${isOfParts(expected) ? describeKind(issue.input) : got}`;
    }
    case "invalid_value":
      return `expected ${joinOr([...new Set(issue.values.map(String))])}, got ${got}`;
    case "too_small":
      if (issue.origin === "array") return "expected at least one item, got none";
      if (issue.origin === "string") return "expected text, got none";
      return `expected a number of at least ${issue.minimum}, got ${got}`;
    case "too_big":
      return `expected a number of at most ${issue.maximum}, got ${got}`;
    default:
      return undefined;
  }
};

const KINDS: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};

const OF_PARTS: ReadonlySet<string> = new Set(["a list", "a mapping"]);

function isOfParts(expected: string): boolean {
  return OF_PARTS.has(expected);
}

/** Where something of several parts is meant, people put the secret that is one of them: it is not repeated. */
function describeKind(value: unknown): string {
  if (typeof value === "string") return "text";
  return typeof value === "number" ? "a number" : describeValue(value);
}

/** Everything that is wrong with `input`, whose issues these are. */
export function findingsOf(issues: readonly Issue[], input: unknown): readonly Finding[] {
  return issues.flatMap((issue) => findingsOfIssue(issue, [], input));
}

function findingsOfIssue(issue: Issue, base: Path, input: unknown): readonly Finding[] {
  const path = [...base, ...(issue.path as Path)];
  const value = valueAt(input, path);
  const braces = wordInBraces(path, input);
  if (braces !== null) return [braces];
  if (issue.code === "invalid_union" && issue.errors.length > 0) return findingsOfUnion(issue.errors, path, input);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownField([...path, key], input));
  if (issue.code === "invalid_key") {
    return issue.issues.map((inner) => ({ ...findingOfLeaf(inner, path, String(path.at(-1))), at: "key" as const }));
  }
  if (value === undefined && path.length > 0) return [required(path)];
  return [findingOfLeaf(issue, path, value)];
}

/** `{host}` without quotes is a block to YAML, with a field that has no value. */
function wordInBraces(path: Path, input: unknown): Finding | null {
  const places = path.map((_, index) => path.slice(0, index + 1)).filter(takesPlaceholders);
  for (const place of places) {
    const value = valueAt(input, place);
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    const [[word, inner] = [], ...others] = Object.entries(value);
    if (word === undefined || inner !== null || others.length > 0 || knownFields(place).includes(word)) continue;
    return { path: place, at: "value", message: `put quotes around it: ${JSON.stringify(`{${word}}`)}` };
  }
  return null;
}

function findingOfLeaf(issue: Issue, path: Path, value: unknown): Finding {
  let suggestion: string | null = null;
  if (issue.code === "invalid_value" && typeof value === "string")
    suggestion = nearest(value, issue.values.map(String));
  if (issue.code === "custom" && typeof issue.params?.suggestion === "string") suggestion = issue.params.suggestion;
  return hinted(path, value, issue.message, suggestion);
}

function hinted(path: Path, value: unknown, message: string, suggestion: string | null): Finding {
  const hint = hintOf(path, value);
  const advised = hint.advice === undefined ? message : `${message}: ${hint.advice}`;
  return { path, at: "value", message: advised, suggestion: suggestion ?? hint.suggestion ?? null };
}

function required(path: Path): Finding {
  return { path, at: "block", message: "this field is required", missing: [path] };
}

function unknownField(path: Path, input: unknown): Finding {
  const holder = path.slice(0, -1);
  const elsewhere = whereItBelongs(path);
  if (elsewhere !== null) return { path, at: "key", message: elsewhere };
  const meant = meantByField(path);
  if (meant !== null && "write" in meant) {
    const { says, write, at } = meant;
    return { path, at: "key", message: `${says}: write ${write}`, instead: fieldsWritten(write, holder, at) };
  }
  if (meant !== null && "absent" in meant) return { path, at: "key", message: meant.absent };
  const place = meant === null ? whereItStands(path, valueAt(input, holder)) : null;
  if (place !== null) return { path, at: "key", message: place };
  const suggestion = meant?.name ?? nearest(String(path.at(-1)), knownFields(holder));
  return { path, at: "key", message: "unknown field", suggestion };
}

/** The fields that a text has when it stands where it belongs: in this block, or in one around it. */
function fieldsWritten(text: string, holder: Path, at: Block | undefined): readonly Path[] {
  const lengths = holder.map((_, index) => holder.length - index);
  const block =
    at === undefined
      ? holder
      : [...lengths, 0].map((length) => holder.slice(0, length)).find((one) => blockAt(one) === at);
  const [name = ""] = /^\w+/.exec(text) ?? [];
  return block === undefined ? [] : [[...block, name]];
}

function findingsOfUnion(branches: readonly (readonly Issue[])[], path: Path, input: unknown): readonly Finding[] {
  const value = valueAt(input, path);
  if (value === undefined && path.length > 0) return [required(path)];
  const meant = branches.find((branch) => !branch.some(isOfOtherKind));
  if (meant !== undefined) return meant.flatMap((issue) => findingsOfIssue(issue, path, input));
  const leaves = branches.flatMap((branch) => leavesOf(branch));
  const expected = leaves.flatMap((leaf) => /^expected (.*), got .*$/s.exec(leaf.message)?.[1] ?? []);
  const words = leaves.flatMap((leaf) => (leaf.code === "invalid_value" ? leaf.values.map(String) : []));
  // YAML 1.1 read "off" as false; people and tools still do.
  const text = value === false && words.includes("off") ? "off" : value;
  const suggestion = typeof text === "string" ? nearest(text, words) : null;
  const got = expected.some(isOfParts) ? describeKind(value) : describeValue(value);
  const message = `expected ${joinOr([...new Set(expected)])}, got ${got}`;
  return [hinted(path, value, message, suggestion)];
}

/** The value is not of the kind that this form is about, so this form was not meant. */
function isOfOtherKind(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === "invalid_type" || issue.code === "invalid_value") return true;
  if (issue.code === "invalid_union") return issue.errors.every((branch) => branch.some(isOfOtherKind));
  return issue.code === "custom" && issue.params?.otherKind === true;
}

function leavesOf(issues: readonly Issue[]): readonly Issue[] {
  return issues.flatMap((issue) => {
    if (issue.code === "invalid_union") return issue.errors.flatMap((branch) => leavesOf(branch));
    return issue.code === "custom" ? [] : [issue];
  });
}

/** Paths at which a number or `true` was wanted where there is text, in any of the forms. */
export function pathsThatWantOtherScalars(issues: readonly Issue[], base: Path = []): readonly Path[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...(issue.path as Path)];
    if (issue.code === "invalid_union")
      return issue.errors.flatMap((branch) => pathsThatWantOtherScalars(branch, path));
    return issue.code === "invalid_type" || issue.code === "invalid_value" ? [path] : [];
  });
}

/** Without the fields that are only missing because they are misspelled or have a wrong value: saying so once is enough. */
export function withoutConsequences(findings: readonly Finding[]): readonly Finding[] {
  const meant = new Set(
    findings.flatMap(({ path, at, suggestion, instead }) => {
      if (instead !== undefined) return instead.map((one) => JSON.stringify(one));
      if (at === "value") return [JSON.stringify(path)];
      return at === "key" && suggestion ? [JSON.stringify([...path.slice(0, -1), suggestion])] : [];
    }),
  );
  return findings.filter(({ missing }) => missing?.some((path) => meant.has(JSON.stringify(path))) !== true);
}

export function valueAt(input: unknown, path: Path): unknown {
  let value = input;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
