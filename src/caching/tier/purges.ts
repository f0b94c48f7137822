/** What machines tell each other of purges: one line of JSON each. Whatever cannot be read may be anything, and means everything. */
import type { PurgePattern } from "../cache.ts";
import { isMet, type PurgeTarget } from "../keeping/purge-patterns.ts";

export type TierPurge =
  | { readonly kind: "pattern"; readonly pattern: PurgePattern; readonly isSoft: boolean }
  /** What is stored under one key. */
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "everything" };

/** As everything is logged. */
export const EVERYTHING = '{"everything":true}';

const KINDS: ReadonlySet<unknown> = new Set(["url", "prefix", "wildcard", "host", "tag"]);

export function encodeTierPurge(purge: Exclude<TierPurge, { kind: "everything" }>): string {
  return purge.kind === "key"
    ? JSON.stringify({ key: purge.key })
    : JSON.stringify({ kind: purge.pattern.kind, text: purge.pattern.text, soft: purge.isSoft });
}

export function decodeTierPurge(line: string): TierPurge {
  try {
    const { key, kind, text, soft } = JSON.parse(line) as Record<string, unknown>;
    if (typeof key === "string") return { kind: "key", key };
    if (KINDS.has(kind) && typeof text === "string") {
      return { kind: "pattern", pattern: { kind, text } as PurgePattern, isSoft: soft === true };
    }
  } catch {
    // Of a later version, or not ours.
  }
  return { kind: "everything" };
}

/** Softly or not: what it meets is not taken from others any more. */
export function isMetBy(purge: TierPurge, key: string, target: PurgeTarget): boolean {
  switch (purge.kind) {
    case "pattern":
      return isMet(purge.pattern, target);
    case "key":
      return purge.key === key;
    case "everything":
      return true;
  }
}
