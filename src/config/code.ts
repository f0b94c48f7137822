/**
 * What a program's own configuration may hold besides data: plugins in `use`, and functions in `handle`. The configuration
 * carries them and never calls them, so it knows no more of them than it takes to tell them from data.
 */
import { HOOK_NAMES } from "../core/hook-names.ts";
import { nearest } from "./problems.ts";

const HOOKS: ReadonlySet<string> = new Set(HOOK_NAMES);

/** A feature of the user's own: a name and at least one hook. */
export interface PluginObject {
  readonly name: string;
}

/** Answers the requests of a route. */
export type HandleFunction = (exchange: never) => unknown;

/** An object with a name and at least one function, its own or its class's. */
export function isPlugin(value: unknown): value is PluginObject {
  return isMeantAsPlugin(value) && typeof value.name === "string";
}

/**
 * Of what stands in `use`, where data has no functions; `faultOfPlugin` says whether it will do. A list has functions of its own, and is
 * none: the features in it would not be asked.
 */
export function isMeantAsPlugin(value: unknown): value is { readonly name?: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && functionsOf(value).length > 0;
}

/** What is wrong with a plugin; null: it has a name and a hook, and its hooks are functions. */
export function faultOfPlugin(plugin: { readonly name?: unknown }): string | null {
  const names = functionsOf(plugin);
  const given = plugin.name;
  if (typeof given !== "string" || given === "")
    return `a plugin needs a name beside ${names.join(", ")}: { name: "mine", ... }`;
  const other = Object.keys(plugin).find(
    (key) => HOOKS.has(key) && !names.includes(key) && plugin[key as "name"] !== undefined,
  );
  if (other !== undefined) return `${other} of the plugin ${JSON.stringify(given)} is not a function`;
  if (names.some((name) => HOOKS.has(name))) return null;
  const meant = names.map((name) => nearest(name, HOOK_NAMES)).find((name) => name !== null);
  const hint = meant === undefined ? `: ${HOOK_NAMES.join(", ")}` : `; did you mean "${meant}"?`;
  return `the plugin ${JSON.stringify(given)} has only ${names.join(", ")}, and none of the hooks that are called${hint}`;
}

function functionsOf(value: object): readonly string[] {
  const names = new Set<string>();
  for (
    let level: object | null = value;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (key !== "constructor" && typeof property.value === "function") names.add(key);
    }
  }
  return [...names];
}

/**
 * The form of `Input` in which plugins are `Plugin` and functions of `handle` are `Handle`: what a program is offered by
 * its editor. `Input` is the schema's own, which knows only that there are such things.
 */
export type WithCode<Input, Plugin, Handle> = Input extends HandleFunction
  ? Handle
  : Input extends PluginObject
    ? Plugin
    : Input extends readonly (infer Item)[]
      ? WithCode<Item, Plugin, Handle>[]
      : Input extends object
        ? { [Key in keyof Input]: WithCode<Input[Key], Plugin, Handle> }
        : Input;
