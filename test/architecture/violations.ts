// Applies the rules of rules.ts to the facts of source-facts.ts. Each function answers with sentences, one for each
// violation, and an empty list when the rule holds; paths are below src, with `.ts`.

import { isBuiltin } from "node:module";
import path from "node:path";
import {
  bannedGlobals,
  bannedNames,
  computingModules,
  entryPoints,
  foldersOfPeers,
  furtherEntryPoints,
  type Layer,
  layers,
  nodeModules,
  packages,
  publicApi,
} from "./rules.ts";
import type { Import, SourceFacts } from "./source-facts.ts";

export type Facts = ReadonlyMap<string, SourceFacts>;

/** Whether a pattern of rules.ts covers the file. */
export function covers(pattern: string, file: string): boolean {
  const names = file.replace(/\.ts$/, "").split("/");
  return pattern
    .split("/")
    .every((part, index) => names[index] !== undefined && (part === "*" || part === names[index]));
}

function coversAny(patterns: readonly string[], file: string): boolean {
  return patterns.some((pattern) => covers(pattern, file));
}

/** The file that a relative import names, or null for a package or a module of Node. */
export function targetOf(file: string, specifier: string | null): string | null {
  return specifier?.startsWith(".") ? path.posix.join(path.posix.dirname(file), specifier) : null;
}

/** The folder whose files may import each other freely. */
function unitOf(file: string): string {
  const [top = "", ...rest] = file.split("/");
  return foldersOfPeers.includes(top) && rest.length > 1 ? `${top}/${rest[0]}` : top;
}

function layerOf(file: string): Layer | undefined {
  return layers.find((layer) => layer.folder === file.split("/")[0]);
}

function mayImport(layer: Layer, target: string, kind: Import["kind"]): boolean {
  return coversAny(layer.imports, target) || (kind === "type" && coversAny(layer.types, target));
}

function everyImport(facts: Facts): Array<Import & { file: string }> {
  return [...facts].flatMap(([file, { imports }]) => imports.map((found) => ({ ...found, file })));
}

/** Imports between folders that the table does not allow. */
export function layerViolations(facts: Facts): string[] {
  const violations: string[] = [];
  for (const file of facts.keys()) {
    if (layerOf(file) === undefined && !covers(publicApi, file)) violations.push(`${file}: its folder is in no layer`);
  }
  for (const { file, specifier, kind, line } of everyImport(facts)) {
    const target = targetOf(file, specifier);
    const layer = layerOf(file);
    if (target === null || layer === undefined || unitOf(target) === unitOf(file)) continue;
    if (mayImport(layer, target, kind)) continue;
    const onlyTypes = kind !== "type" && coversAny(layer.types, target);
    violations.push(
      `${file}:${line}: ${unitOf(file)} may not import ${onlyTypes ? "more than the types of " : ""}${target}`,
    );
  }
  return violations;
}

/** Relative imports of files that are not there, or that tests alone may import. */
export function targetViolations(facts: Facts): string[] {
  return everyImport(facts).flatMap(({ file, specifier, line }) => {
    const target = targetOf(file, specifier);
    return target === null || facts.has(target) ? [] : [`${file}:${line}: ${specifier} is no source file of src`];
  });
}

/** Modules of Node, npm packages and computed imports outside their places. */
export function moduleViolations(facts: Facts): string[] {
  const violations: string[] = [];
  for (const { file, specifier, kind, line } of everyImport(facts)) {
    if (specifier === null) {
      if (!coversAny(nodeModules, file)) violations.push(`${file}:${line}: a computed import() may not stand here`);
    } else if (isBuiltin(specifier)) {
      const computes = computingModules.names.some((name) => name === specifier);
      const allowed = coversAny(nodeModules, file) || (computes && !coversAny(computingModules.notIn, file));
      if (!allowed) violations.push(`${file}:${line}: ${specifier} may not be imported here`);
    } else if (!specifier.startsWith(".") && kind !== "url") {
      const name = specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/");
      const allowed = coversAny(packages[name] ?? [], file);
      if (!allowed) violations.push(`${file}:${line}: the package ${name} may not be imported here`);
    }
  }
  return violations;
}

/** Circles of files that import each other at run time; each is told once, as the path around it. */
export function cycleViolations(facts: Facts): string[] {
  const violations: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, trail: string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) {
      violations.push([...trail.slice(start), file].join(" -> "));
      return;
    }
    if (done.has(file)) return;
    for (const { specifier, kind } of facts.get(file)?.imports ?? []) {
      const target = targetOf(file, specifier);
      if (target !== null && (kind === "value" || kind === "dynamic")) visit(target, [...trail, file]);
    }
    done.add(file);
  };
  for (const file of facts.keys()) visit(file, []);
  return violations;
}

/** Files that no entry point reaches, and entry points that are not there. */
export function deadFileViolations(
  facts: Facts,
  entries: readonly string[] = [...entryPoints, ...furtherEntryPoints],
): string[] {
  const queue = entries.map((entry) => `${entry}.ts`);
  const violations = queue
    .filter((file) => !facts.has(file))
    .map((file) => `${file}: an entry point that is not there`);
  const reached = new Set(queue);
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    for (const { specifier, kind } of facts.get(file)?.imports ?? []) {
      const target = targetOf(file, specifier);
      if (target === null || kind === "url" || reached.has(target)) continue;
      reached.add(target);
      queue.push(target);
    }
  }
  const dead = [...facts.keys()].filter((file) => !reached.has(file));
  return [...violations, ...dead.map((file) => `${file}: nothing reaches it from ${entries.join(", ")}`)];
}

/** Sources of time, chance and output, and globals of Node, where another way is prescribed. */
export function globalViolations(facts: Facts): string[] {
  const violations: string[] = [];
  for (const [file, { globals }] of facts) {
    for (const { name, line } of globals) {
      for (const ban of bannedGlobals) {
        const holds = ban.in ? coversAny(ban.in, file) : !coversAny(ban.notIn ?? [], file);
        if (holds && ban.names.includes(name)) violations.push(`${file}:${line}: ${name}; use ${ban.instead}`);
      }
    }
  }
  return violations;
}

/** Anything but re-exports in the public API. */
export function publicApiViolations(facts: Facts): string[] {
  const api = facts.get(`${publicApi}.ts`);
  return api === undefined || api.onlyReexports ? [] : [`${publicApi}.ts: holds something else than re-exports`];
}

/** Files and folders whose name says nothing. `paths` may be of the whole repository. */
export function nameViolations(paths: Iterable<string>): string[] {
  const violations = new Set<string>();
  for (const file of paths) {
    const names = file.split("/");
    for (const [index, name] of names.entries()) {
      const banned = name.split(/[-_.]|(?=[A-Z])/).find((word) => bannedNames.includes(word.toLowerCase()));
      if (banned !== undefined) violations.add(`${names.slice(0, index + 1).join("/")}: name what it is for`);
    }
  }
  return [...violations];
}
