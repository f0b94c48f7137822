/**
 * What stands under an id, as bytes: a fixed part with what the keeper needs to index it, and behind it key, fields and the rest.
 * Each part has a checksum. Decoding takes whatever a disk may give: what does not verify, or is of another version, is no record.
 *
 * All numbers are little-endian; lengths and offsets in bytes:
 *
 *      0  u8   version of the format           24  f64  BodyId; 0: the body stands in the record
 *      1  u8   kind                            32  f64  bytes of the body's file
 *      2  u16  status                          40  f64  receivedMs
 *      4  u32  slot                            48  u32  length of the record
 *      8  u32  purges                          52  u32  checksum of what is behind the fixed part
 *     12  u32  flags                           56  u32  checksum of the fixed part
 *     16  f64  version of the answer
 *     60  of an answer: eight f64 and seven u32, then key, variant, names of Vary, tags, fields, checksums of blocks, body;
 *         of a vary record: u32 lengths of key and names, then key, names, generation; lists have LF between their texts
 */
import { crc32 } from "node:zlib";
import { EncodedLines } from "../../core/fields.ts";
import type { AnswerHead } from "../cache.ts";
import type { BodyId } from "../ports.ts";
import type { Generation } from "./entry-id.ts";

/** Raised with each change of the layout; io/cache refuses a folder of another one. */
export const RECORD_VERSION = 1;

/**
 * A body in a file has a checksum for each block of this length: what a reader holds to verify before it gives it on, and what one
 * bad byte spoils. A body of 1 GiB has 16 KiB of checksums.
 */
export const BLOCK_BYTES = 256 * 1024;

/** A file with more blocks would make a record that is read with each look-up larger than any inline body: 64 GiB. */
export const BLOCKS_MAX = 256 * 1024;

const KIND_ANSWER = 1;
const KIND_VARY = 2;

const STATUS_AT = 2;
const SLOT_AT = 4;
const PURGES_AT = 8;
const FLAGS_AT = 12;
const VERSION_AT = 16;
const BODY_AT = 24;
const FILE_BYTES_AT = 32;
const RECEIVED_AT = 40;
const LENGTH_AT = 48;
const CHECKSUM_AT = 52;
const FIXED_CHECKSUM_AT = 56;
const FIXED = 60;
const ANSWER_NUMBERS = FIXED;
const ANSWER_LENGTHS = ANSWER_NUMBERS + 8 * 8;
const ANSWER_PARTS = ANSWER_LENGTHS + 7 * 4;
const VARY_PARTS = FIXED + 8;

/** Where the body is. `start` and `end` are the part of the representation that is there. */
export type StoredBody = InlineBody | FileBody;

export interface InlineBody {
  readonly kind: "inline";
  readonly start: number;
  readonly end: number;
  readonly bytes: Buffer;
}

export interface FileBody {
  readonly kind: "file";
  readonly start: number;
  readonly end: number;
  readonly body: BodyId;
  readonly blockBytes: number;
  /** CRC-32 of each block of the file, the last one of what is left. */
  readonly checksums: Uint32Array;
}

export interface AnswerRecord {
  readonly kind: "answer";
  /** Of the whole key, as the id was made of it. */
  readonly key: string;
  /** variantOf; "" when the key has no vary record. */
  readonly variant: string;
  readonly version: number;
  readonly slot: number;
  /** No purge of this number or a lower one has met it. */
  readonly purges: number;
  readonly head: AnswerHead;
  readonly body: StoredBody;
}

export interface VaryRecord {
  readonly kind: "vary";
  readonly key: string;
  readonly version: number;
  readonly slot: number;
  /** Lower-case, in the order in which the values of a variant stand. */
  readonly names: readonly string[];
  readonly generation: Generation;
}

export type StoredRecord = AnswerRecord | VaryRecord;

/** What the keeper needs of a record. */
export interface RecordSummary {
  readonly kind: "answer" | "vary";
  readonly version: number;
  readonly slot: number;
  readonly purges: number;
  /** 0: it has no file. */
  readonly body: BodyId;
  readonly fileBytes: number;
  readonly receivedMs: number;
  readonly recordBytes: number;
}

export function encodeRecord(record: StoredRecord): Buffer {
  return record.kind === "answer" ? encodeAnswer(record) : encodeVary(record);
}

function encodeAnswer({ key, variant, version, slot, purges, head, body }: AnswerRecord): Buffer {
  const keyBytes = Buffer.from(key);
  const variantBytes = Buffer.from(variant);
  const vary = Buffer.from(head.vary.join("\n"), "latin1");
  const tags = Buffer.from(head.tags.join("\n"));
  const fields = head.fields.bytes;
  const checksums = body.kind === "file" ? body.checksums : NO_CHECKSUMS;
  const inline = body.kind === "inline" ? body.bytes : EMPTY;
  const parts = [keyBytes, variantBytes, vary, tags, fields];
  let length = ANSWER_PARTS + checksums.length * 4 + inline.length;
  for (const part of parts) length += part.length;
  const bytes = Buffer.allocUnsafeSlow(length);
  bytes[1] = KIND_ANSWER;
  bytes.writeUInt16LE(head.status, STATUS_AT);
  bytes.writeUInt32LE(purges, PURGES_AT);
  bytes.writeUInt32LE(head.flags, FLAGS_AT);
  bytes.writeDoubleLE(body.kind === "file" ? body.body : 0, BODY_AT);
  bytes.writeDoubleLE(body.kind === "file" ? body.end - body.start : 0, FILE_BYTES_AT);
  bytes.writeDoubleLE(head.receivedMs, RECEIVED_AT);
  const { requestedMs, initialAgeMs, freshMs, staleWhileRevalidateMs, staleIfErrorMs, bodyBytes } = head;
  const numbers = [requestedMs, initialAgeMs, freshMs, staleWhileRevalidateMs, staleIfErrorMs, bodyBytes];
  numbers.push(body.start, body.end);
  let at = ANSWER_NUMBERS;
  for (const number of numbers) at = bytes.writeDoubleLE(number, at);
  for (const part of parts) at = bytes.writeUInt32LE(part.length, at);
  at = bytes.writeUInt32LE(checksums.length, at);
  at = bytes.writeUInt32LE(body.kind === "file" ? body.blockBytes : 0, at);
  for (const part of parts) at += part.copy(bytes, at);
  for (const checksum of checksums) at = bytes.writeUInt32LE(checksum, at);
  inline.copy(bytes, at);
  return seal(bytes, version, slot);
}

function encodeVary({ key, version, slot, names, generation }: VaryRecord): Buffer {
  const keyBytes = Buffer.from(key);
  const nameBytes = Buffer.from(names.join("\n"), "latin1");
  // Zeros: what an answer has in the fixed part stands for nothing here.
  const bytes = Buffer.alloc(VARY_PARTS + keyBytes.length + nameBytes.length + generation.length);
  bytes[1] = KIND_VARY;
  bytes.writeUInt32LE(keyBytes.length, FIXED);
  bytes.writeUInt32LE(nameBytes.length, FIXED + 4);
  let at = VARY_PARTS;
  at += keyBytes.copy(bytes, at);
  at += nameBytes.copy(bytes, at);
  bytes.write(generation, at, "latin1");
  return seal(bytes, version, slot);
}

function seal(bytes: Buffer, version: number, slot: number): Buffer {
  bytes[0] = RECORD_VERSION;
  bytes.writeUInt32LE(slot, SLOT_AT);
  bytes.writeDoubleLE(version, VERSION_AT);
  bytes.writeUInt32LE(bytes.length, LENGTH_AT);
  bytes.writeUInt32LE(crc32(bytes.subarray(FIXED)), CHECKSUM_AT);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, FIXED_CHECKSUM_AT)), FIXED_CHECKSUM_AT);
  return bytes;
}

/** The fixed part alone, verified: what stands behind it may be damaged. null: it is no record. */
export function summariseRecord(bytes: Buffer): RecordSummary | null {
  if (bytes.length < FIXED || bytes[0] !== RECORD_VERSION || bytes.readUInt32LE(LENGTH_AT) !== bytes.length)
    return null;
  if (bytes.readUInt32LE(FIXED_CHECKSUM_AT) !== crc32(bytes.subarray(0, FIXED_CHECKSUM_AT))) return null;
  return {
    kind: bytes[1] === KIND_VARY ? "vary" : "answer",
    version: bytes.readDoubleLE(VERSION_AT),
    slot: bytes.readUInt32LE(SLOT_AT),
    purges: bytes.readUInt32LE(PURGES_AT),
    body: bytes.readDoubleLE(BODY_AT),
    fileBytes: bytes.readDoubleLE(FILE_BYTES_AT),
    receivedMs: bytes.readDoubleLE(RECEIVED_AT),
    recordBytes: bytes.length,
  };
}

/** The same, when all that stands behind it verifies too. */
export function verifyRecord(bytes: Buffer): RecordSummary | null {
  const summary = summariseRecord(bytes);
  return summary !== null && bytes.readUInt32LE(CHECKSUM_AT) === crc32(bytes.subarray(FIXED)) ? summary : null;
}

/** All of it, verified; nothing of it is in `bytes` any more. null: it is no record, or damaged. */
export function decodeRecord(bytes: Buffer): StoredRecord | null {
  if (verifyRecord(bytes) === null) return null;
  if (bytes[1] === KIND_ANSWER) return decodeAnswer(bytes);
  return bytes[1] === KIND_VARY ? decodeVary(bytes) : null;
}

function decodeAnswer(bytes: Buffer): AnswerRecord | null {
  if (bytes.length < ANSWER_PARTS) return null;
  const number = (index: number): number => bytes.readDoubleLE(ANSWER_NUMBERS + index * 8);
  const length = (index: number): number => bytes.readUInt32LE(ANSWER_LENGTHS + index * 4);
  const keyAt = ANSWER_PARTS;
  const variantAt = keyAt + length(0);
  const varyAt = variantAt + length(1);
  const tagsAt = varyAt + length(2);
  const fieldsAt = tagsAt + length(3);
  const checksumsAt = fieldsAt + length(4);
  const inlineAt = checksumsAt + length(5) * 4;
  if (inlineAt > bytes.length) return null;
  // One piece of memory for what is kept as bytes, so that a record that is held costs no more than it must.
  const kept = Buffer.allocUnsafeSlow(checksumsAt - fieldsAt + bytes.length - inlineAt);
  const inlineStart = bytes.copy(kept, 0, fieldsAt, checksumsAt);
  bytes.copy(kept, inlineStart, inlineAt);
  const fields = EncodedLines.parse(kept.subarray(0, inlineStart));
  const body = decodeBody(bytes, kept.subarray(inlineStart), checksumsAt, length(5), length(6));
  if (fields === null || body === null) return null;
  return {
    kind: "answer",
    key: bytes.toString("utf8", keyAt, variantAt),
    variant: bytes.toString("utf8", variantAt, varyAt),
    version: bytes.readDoubleLE(VERSION_AT),
    slot: bytes.readUInt32LE(SLOT_AT),
    purges: bytes.readUInt32LE(PURGES_AT),
    head: {
      status: bytes.readUInt16LE(STATUS_AT),
      fields,
      requestedMs: number(0),
      receivedMs: bytes.readDoubleLE(RECEIVED_AT),
      initialAgeMs: number(1),
      freshMs: number(2),
      staleWhileRevalidateMs: number(3),
      staleIfErrorMs: number(4),
      flags: bytes.readUInt32LE(FLAGS_AT),
      vary: namesAt(bytes, varyAt, tagsAt, "latin1"),
      tags: namesAt(bytes, tagsAt, fieldsAt, "utf8"),
      bodyBytes: number(5),
    },
    body,
  };
}

/** What purges are about. */
export type PurgedParts = Pick<AnswerRecord, "key" | "variant"> & Pick<AnswerHead, "tags">;

/**
 * Of an answer whose fixed part verifies, at the cost of these texts alone; whether they are what was written, nobody knows then. null:
 * they are not there.
 */
export function purgedParts(bytes: Buffer): PurgedParts | null {
  if (bytes.length < ANSWER_PARTS) return null;
  const length = (index: number): number => bytes.readUInt32LE(ANSWER_LENGTHS + index * 4);
  const variantAt = ANSWER_PARTS + length(0);
  const varyAt = variantAt + length(1);
  const tagsAt = varyAt + length(2);
  const fieldsAt = tagsAt + length(3);
  if (fieldsAt > bytes.length) return null;
  return {
    key: bytes.toString("utf8", ANSWER_PARTS, variantAt),
    variant: bytes.toString("utf8", variantAt, varyAt),
    tags: namesAt(bytes, tagsAt, fieldsAt, "utf8"),
  };
}

/** Of an answer that verifies: how much of the representation is there. */
export function storedBytes(bytes: Buffer): number {
  if (bytes.length < ANSWER_PARTS) return 0;
  return bytes.readDoubleLE(ANSWER_NUMBERS + 7 * 8) - bytes.readDoubleLE(ANSWER_NUMBERS + 6 * 8);
}

function decodeBody(
  bytes: Buffer,
  inline: Buffer,
  checksumsAt: number,
  blocks: number,
  blockBytes: number,
): StoredBody | null {
  const start = bytes.readDoubleLE(ANSWER_NUMBERS + 6 * 8);
  const end = bytes.readDoubleLE(ANSWER_NUMBERS + 7 * 8);
  const body = bytes.readDoubleLE(BODY_AT);
  if (body === 0) {
    if (blocks !== 0 || inline.length !== end - start) return null;
    return { kind: "inline", start, end, bytes: inline };
  }
  if (inline.length > 0 || blockBytes === 0 || blocks !== Math.ceil((end - start) / blockBytes)) return null;
  const checksums = new Uint32Array(blocks);
  for (let block = 0; block < blocks; block++) checksums[block] = bytes.readUInt32LE(checksumsAt + block * 4);
  return { kind: "file", start, end, body, blockBytes, checksums };
}

function decodeVary(bytes: Buffer): VaryRecord | null {
  if (bytes.length < VARY_PARTS) return null;
  const namesStart = VARY_PARTS + bytes.readUInt32LE(FIXED);
  const namesEnd = namesStart + bytes.readUInt32LE(FIXED + 4);
  if (namesEnd > bytes.length) return null;
  return {
    kind: "vary",
    key: bytes.toString("utf8", VARY_PARTS, namesStart),
    version: bytes.readDoubleLE(VERSION_AT),
    slot: bytes.readUInt32LE(SLOT_AT),
    names: namesAt(bytes, namesStart, namesEnd, "latin1"),
    generation: bytes.toString("latin1", namesEnd),
  };
}

function namesAt(bytes: Buffer, start: number, end: number, encoding: "latin1" | "utf8"): readonly string[] {
  return start === end ? NO_NAMES : bytes.toString(encoding, start, end).split("\n");
}

/** Whether a block of a body's file is what was written: `index` counts from the file's beginning. */
export function verifyBlock(body: FileBody, index: number, block: Buffer): boolean {
  const { blockBytes, checksums, start, end } = body;
  return block.length === Math.min(blockBytes, end - start - index * blockBytes) && crc32(block) === checksums[index];
}

/** Counts the checksums of a body's blocks as it is written, in pieces of any length. */
export class BlockChecksums {
  #checksums = new Uint32Array(1);
  #bytes = 0;

  add(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const block = Math.floor(this.#bytes / BLOCK_BYTES);
      const length = Math.min(bytes.length - at, (block + 1) * BLOCK_BYTES - this.#bytes);
      if (block === this.#checksums.length) this.#grow();
      this.#checksums[block] = crc32(bytes.subarray(at, at + length), this.#checksums[block]);
      at += length;
      this.#bytes += length;
    }
  }

  /** Of all that was added. */
  get bytes(): number {
    return this.#bytes;
  }

  read(): Uint32Array {
    return this.#checksums.slice(0, Math.ceil(this.#bytes / BLOCK_BYTES));
  }

  #grow(): void {
    const larger = new Uint32Array(this.#checksums.length * 2);
    larger.set(this.#checksums);
    this.#checksums = larger;
  }
}

const EMPTY = Buffer.alloc(0);
const NO_CHECKSUMS = new Uint32Array(0);
const NO_NAMES: readonly string[] = [];
