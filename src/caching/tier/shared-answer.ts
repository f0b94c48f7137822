/**
 * An answer as machines share it: a record as the disk has it, in front of it what it is for, which purges it has outlived and how old
 * it is, and its body in blocks beside it, each with its checksum in the record. Or only by which fields the answers of a key vary. What
 * does not verify is nothing.
 *
 * Ages are told and no times: the clocks of machines differ.
 */
import { hash } from "node:crypto";
import { crc32 } from "node:zlib";
import {
  type AnswerRecord,
  BLOCK_BYTES,
  decodeRecord,
  encodeRecord,
  type FileBody,
  RECORD_VERSION,
  verifyBlock,
} from "../keeping/record.ts";
import type { EntryId } from "../ports.ts";
import type { TierPosition } from "./ports.ts";

/** Where the log of purges was when the fetch began. */
export type TierMark = TierPosition;

export interface SharedAnswer {
  readonly kind: "answer";
  readonly mark: TierMark;
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** Its body stands beside it, always as blocks. */
  readonly record: AnswerRecord & { readonly body: FileBody };
  /** How old the answer was when it was given, and for how long from then on it is there. */
  readonly ageMs: number;
  readonly ttlMs: number;
}

export type SharedEntry = SharedAnswer | { readonly kind: "vary"; readonly names: readonly string[] };

/** Raised with each change of what stands in front of a record. */
const VERSION = 2;
/** Machines with another one cannot read each other's answers. */
export const SHARED_FORMAT = `${VERSION}.${RECORD_VERSION}`;

/** Any but 0, which is none. */
const SOME_BODY = 1;

export function encodeAnswer(id: EntryId, answer: Omit<SharedAnswer, "kind">): Buffer {
  const { mark, names, values, record, ageMs, ttlMs } = answer;
  return headOf(
    { id, mark: [mark.generation, mark.number, mark.id], names, values, ageMs, ttlMs },
    encodeRecord(record),
  );
}

export function encodeVary(id: EntryId, names: readonly string[]): Buffer {
  return headOf({ id, names, isVary: true }, Buffer.alloc(0));
}

/** null: it is not for this id and key, or does not verify. */
export function decodeShared(id: EntryId, key: string, head: Buffer): SharedEntry | null {
  const split = splitHead(head);
  if (split === null) return null;
  const { id: of, mark, names, values, isVary, ageMs, ttlMs } = split.meta;
  if (of !== id || !isTexts(names)) return null;
  if (isVary === true) return names.length === 0 ? null : { kind: "vary", names };
  const position = positionOf(mark);
  if (position === null || !isTexts(values) || !isTime(ageMs) || !isTime(ttlMs)) return null;
  const record = decodeRecord(split.record);
  if (record?.kind !== "answer" || record.key !== key || values.length !== names.length) return null;
  const { body } = record;
  if (body.kind !== "file" || body.start !== 0 || body.end !== record.head.bodyBytes) return null;
  return { kind: "answer", mark: position, names, values, record: { ...record, body }, ageMs, ttlMs };
}

/** The body of a record as it is shared, whatever it is here. */
export function sharedBodyOf({ body }: AnswerRecord): FileBody {
  if (body.kind === "file") return { ...body, body: SOME_BODY };
  const { start, end, bytes } = body;
  const checksums = bytes.length === 0 ? new Uint32Array(0) : Uint32Array.of(crc32(bytes));
  return { kind: "file", start, end, body: SOME_BODY, blockBytes: BLOCK_BYTES, checksums };
}

/** What tells a body from others of the same key: its length, and the checksums of its blocks. */
export function bodyNameOf({ end, checksums }: FileBody): string {
  return hash("sha256", `${end}\n${checksums.join("\n")}`, "base64url");
}

/** Whether these are its blocks, all of them. */
export function isBodyOf(body: FileBody, blocks: readonly Buffer[]): boolean {
  return blocks.length === body.checksums.length && blocks.every((block, index) => verifyBlock(body, index, block));
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

function positionOf(mark: unknown): TierPosition | null {
  if (!Array.isArray(mark)) return null;
  const [generation, number, id] = mark as unknown[];
  if (typeof generation !== "string" || !Number.isSafeInteger(number) || typeof id !== "string") return null;
  return { generation, number: number as number, id };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && value >= 0;
}
