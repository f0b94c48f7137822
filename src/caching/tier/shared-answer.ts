/**
 * An answer as machines share it: a record as the disk has it, in front of it what it is for and which purges it has outlived, and its
 * body in blocks behind it, each with its checksum in the record. Or only by which fields the answers of a key vary. What does not
 * verify is nothing.
 */
import { type AnswerRecord, decodeRecord, encodeRecord, verifyBlock } from "../keeping/record.ts";
import type { EntryId } from "../ports.ts";

/** Where the log of purges was when the fetch began. */
export interface TierMark {
  readonly generation: string;
  readonly number: number;
}

export type SharedEntry =
  | {
      readonly kind: "answer";
      readonly mark: TierMark;
      readonly names: readonly string[];
      readonly values: readonly string[];
      readonly record: AnswerRecord;
      /** Of a body that does not stand in the record. */
      readonly blocks: readonly Buffer[];
    }
  | { readonly kind: "vary"; readonly names: readonly string[] };

/** Raised with each change: what others have written is nothing then. */
const VERSION = 1;

export function encodeAnswer(
  id: EntryId,
  { mark, names, values, record, blocks }: Omit<Extract<SharedEntry, { kind: "answer" }>, "kind">,
): Buffer[] {
  const { generation, number } = mark;
  return [headOf({ version: VERSION, id, generation, number, names, values }, encodeRecord(record)), ...blocks];
}

export function encodeVary(id: EntryId, names: readonly string[]): Buffer[] {
  return [headOf({ version: VERSION, id, names, isVary: true }, Buffer.alloc(0))];
}

/** null: it is not for this id and key, or does not verify. */
export function decodeShared(id: EntryId, key: string, parts: readonly Buffer[]): SharedEntry | null {
  const [head, ...blocks] = parts;
  const split = head === undefined ? null : splitHead(head);
  if (split === null) return null;
  const { version, id: of, generation, number, names, values, isVary } = split.meta;
  if (version !== VERSION || of !== id || !isTexts(names)) return null;
  if (isVary === true) return names.length === 0 ? null : { kind: "vary", names };
  if (typeof generation !== "string" || !Number.isSafeInteger(number) || !isTexts(values)) return null;
  const record = decodeRecord(split.record);
  if (record?.kind !== "answer" || record.key !== key || values.length !== names.length) return null;
  if (!hasBody(record, blocks)) return null;
  return { kind: "answer", mark: { generation, number: number as number }, names, values, record, blocks };
}

function headOf(meta: object, record: Buffer): Buffer {
  const text = Buffer.from(JSON.stringify(meta));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text, record]);
}

function splitHead(head: Buffer): { readonly meta: Readonly<Record<string, unknown>>; readonly record: Buffer } | null {
  if (head.length < 4) return null;
  const end = 4 + head.readUInt32LE(0);
  if (end > head.length) return null;
  try {
    const meta: unknown = JSON.parse(head.toString("utf8", 4, end));
    if (typeof meta !== "object" || meta === null) return null;
    return { meta: meta as Record<string, unknown>, record: head.subarray(end) };
  } catch {
    return null;
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function hasBody({ body }: AnswerRecord, blocks: readonly Buffer[]): boolean {
  if (body.kind === "inline") return blocks.length === 0;
  return blocks.length === body.checksums.length && blocks.every((block, index) => verifyBlock(body, index, block));
}
