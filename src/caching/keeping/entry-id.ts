/**
 * Under which id an answer is found. An answer that does not vary stands under the id of its key. Where answers vary, a vary record
 * stands there, and the answers under ids that are made of the key, of the record's generation, and of what the request has in the
 * fields that the record names: with another generation, all that was stored before is found no more.
 */
import { hash } from "node:crypto";
import type { EntryId } from "../ports.ts";

/** A version and 32 bits of chance, as text. */
export type Generation = string;

/** Hexadecimal digits of an id: 16 bytes, which nobody will find two keys for. */
const ID_DIGITS = 32;

export function entryIdOf(key: string, variant: string): EntryId {
  // No key contains NUL: it is made of a URL and of fields' values.
  return hash("sha256", variant === "" ? key : `${key}\0${variant}`, "hex").slice(0, ID_DIGITS);
}

/** What tells variants of one key apart; `values` as semantics normalises them, in the order of the record's names. "": there is none. */
export function variantOf(generation: Generation, values: readonly string[]): string {
  // Lengths keep apart what a separator could not: values are the client's.
  return `${generation}${values.map((value) => `\n${value.length}:${value}`).join("")}`;
}

/** The values that a variant was made of, in the order of its vary record's names; none when it is "". */
export function valuesOfVariant(variant: string): readonly string[] {
  const values: string[] = [];
  let at = variant.indexOf("\n") + 1;
  while (at > 0 && at < variant.length) {
    const colon = variant.indexOf(":", at);
    const end = colon + 1 + Number(variant.slice(at, colon));
    values.push(variant.slice(colon + 1, end));
    at = end + 1;
  }
  return values;
}

/** The URL of a key: what stands before its further parts. */
export function urlOfKey(key: string): string {
  const end = key.indexOf("\n");
  return end < 0 ? key : key.slice(0, end);
}

/** Which cell of the epochs an id belongs to: its first 12 bits. */
export function shardOf(id: EntryId): number {
  return Number.parseInt(id.slice(0, 3), 16);
}
