/**
 * One text for equal values: keys in order, functions and plugins by identity. Two configurations are compared by it, and
 * pools of connections are named after it. Values with code in them have an equal text only within one process.
 */
import { isPlugin } from "./code.ts";

const identities = new WeakMap<object, number>();
let identitiesGiven = 0;

/** A number that stands for a function or an object for as long as it lives. */
function identityOf(code: object): number {
  let identity = identities.get(code);
  if (identity === undefined) {
    identity = ++identitiesGiven;
    identities.set(code, identity);
  }
  return identity;
}

export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === "function") return `code ${identityOf(inner)}`;
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    if (isPlugin(inner)) return `code ${identityOf(inner)}`;
    return Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)));
  });
}
