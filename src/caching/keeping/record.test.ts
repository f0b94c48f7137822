// Records: what was written is read again, whatever it is; and whatever a disk makes of the bytes is no record.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { EncodedLines } from "../../core/fields.ts";
import {
  type AnswerRecord,
  BLOCK_BYTES,
  BlockChecksums,
  decodeRecord,
  encodeRecord,
  type FileBody,
  purgedParts,
  type StoredBody,
  summariseRecord,
  type VaryRecord,
  verifyBlock,
} from "./record.ts";

const ms = fc.oneof(fc.nat(2 ** 45), fc.constantFrom(0, 0.25, Number.POSITIVE_INFINITY));
const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }).filter((text) => text.isWellFormed());
const name = fc.stringMatching(/^[a-z-]{1,20}$/);
const u32 = fc.nat(2 ** 32 - 1);
const version = fc.nat(2 ** 53 - 1);

const inlineBody: fc.Arbitrary<StoredBody> = fc
  .tuple(fc.uint8Array({ maxLength: 300 }), fc.nat(2 ** 40))
  .map(([bytes, start]) => ({ kind: "inline", start, end: start + bytes.length, bytes: Buffer.from(bytes) }));

const fileBody: fc.Arbitrary<StoredBody> = fc
  .record({
    start: fc.nat(2 ** 40),
    length: fc.integer({ min: 1, max: 40 * BLOCK_BYTES }),
    body: fc.integer({ min: 1, max: 2 ** 52 }),
  })
  .map(({ start, length, body }) => ({
    kind: "file",
    start,
    end: start + length,
    body,
    blockBytes: BLOCK_BYTES,
    checksums: Uint32Array.from({ length: Math.ceil(length / BLOCK_BYTES) }, (_, index) => (index * 2654435761) >>> 0),
  }));

const answer: fc.Arbitrary<AnswerRecord> = fc
  .record({
    key,
    variant: fc.oneof(fc.constant(""), key),
    version,
    slot: u32,
    purges: u32,
    status: fc.integer({ min: 100, max: 599 }),
    times: fc.tuple(ms, ms, ms, ms, ms, ms),
    flags: fc.nat(31),
    vary: fc.array(name, { maxLength: 4 }),
    tags: fc.array(fc.stringMatching(/^[\x21-\xff]{1,20}$/), { maxLength: 4 }),
    bodyBytes: fc.oneof(fc.constant(-1), fc.nat(2 ** 45)),
    fields: fc.array(fc.tuple(name, fc.stringMatching(/^[\x20-\x7e]{0,60}$/)), { maxLength: 12 }),
    body: fc.oneof(inlineBody, fileBody),
  })
  .map(({ status, times, flags, vary, tags, bodyBytes, fields, ...rest }) => ({
    kind: "answer",
    ...rest,
    head: {
      status,
      fields: new EncodedLines(fields),
      requestedMs: times[0],
      receivedMs: times[1],
      initialAgeMs: times[2],
      freshMs: times[3],
      staleWhileRevalidateMs: times[4],
      staleIfErrorMs: times[5],
      flags,
      vary,
      tags,
      bodyBytes,
    },
  }));

const vary: fc.Arbitrary<VaryRecord> = fc
  .record({
    kind: fc.constant("vary" as const),
    key,
    version,
    slot: u32,
    names: fc.array(name, { minLength: 1, maxLength: 6 }),
    generation: fc.stringMatching(/^[0-9a-f]{16}$/),
  })
  .map((fields) => ({ ...fields }));

const record = fc.oneof(answer, vary);

describe("a record", () => {
  it("is read as it was written, and keeps nothing of the bytes that it was read from", () => {
    fc.assert(
      fc.property(record, (written) => {
        const bytes = encodeRecord(written);
        const read = decodeRecord(bytes);
        bytes.fill(0xdd);
        assert.deepEqual(read, written);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it("tells the keeper what it indexes without being read whole", () => {
    fc.assert(
      fc.property(record, (written) => {
        const bytes = encodeRecord(written);
        const file = written.kind === "answer" && written.body.kind === "file" ? written.body : null;
        assert.deepEqual(summariseRecord(bytes), {
          kind: written.kind,
          version: written.version,
          slot: written.slot,
          purges: written.kind === "answer" ? written.purges : 0,
          body: file?.body ?? 0,
          fileBytes: file === null ? 0 : file.end - file.start,
          receivedMs: written.kind === "answer" ? written.head.receivedMs : 0,
          recordBytes: bytes.length,
        });
      }),
      { seed },
    );
  });

  it("tells what purges are about without being read whole, and beyond its own bytes nothing", () => {
    fc.assert(
      fc.property(answer, fc.nat(), u32, (written, where, number) => {
        const bytes = encodeRecord(written);
        const { key, variant, head } = written;
        assert.deepEqual(purgedParts(bytes), { key, variant, tags: head.tags });
        bytes.writeUInt32LE(number, 60 + (where % (bytes.length - 63)));
        const parts = purgedParts(bytes);
        assert.ok(parts === null || Buffer.byteLength(parts.key) <= 3 * bytes.length);
        purgedParts(bytes.subarray(0, where % bytes.length));
      }),
      { seed, numRuns: 1000 },
    );
  });

  it("with a byte changed, a piece missing or something behind it is no record", () => {
    fc.assert(
      fc.property(record, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, where, change) => {
        const bytes = encodeRecord(written);
        const changed = Buffer.from(bytes);
        changed[where % bytes.length]! ^= change;
        assert.equal(decodeRecord(changed), null);
        assert.equal(decodeRecord(bytes.subarray(0, where % bytes.length)), null);
        assert.equal(decodeRecord(Buffer.concat([bytes, Buffer.from([change])])), null);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it("is what it says only: lengths that lie are refused, though all checksums are right", () => {
    fc.assert(
      fc.property(record, fc.nat(), u32, (written, where, number) => {
        const bytes = encodeRecord(written);
        const at = 60 + (where % (bytes.length - 63));
        bytes.writeUInt32LE(number, at);
        bytes.writeUInt32LE(crc32(bytes.subarray(60)), 52);
        bytes.writeUInt32LE(crc32(bytes.subarray(0, 56)), 56);
        const read = decodeRecord(bytes);
        if (read?.kind !== "answer") return;
        // Whoever could do this could write any record; but none may lead beyond its own bytes.
        assert.ok(read.body.kind === "file" || read.body.bytes.length === read.body.end - read.body.start);
        assert.equal(EncodedLines.parse(read.head.fields.bytes) === null, false);
      }),
      { seed, numRuns: 3000 },
    );
  });

  it("is not made of anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => assert.equal(decodeRecord(Buffer.from(bytes)), null)),
      { seed },
    );
  });
});

describe("checksums of a body's blocks", () => {
  it("are the same whatever the pieces, and show each change", () => {
    const bytes = Buffer.alloc(3 * BLOCK_BYTES + 1000);
    for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31 + (at >>> 8)) & 255;
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: BLOCK_BYTES * 2 }), { maxLength: 6 }),
        fc.nat(bytes.length - 1),
        (pieces, where) => {
          const counting = new BlockChecksums();
          let at = 0;
          for (const length of [...pieces, bytes.length]) {
            counting.add(bytes.subarray(at, at + length));
            at = Math.min(bytes.length, at + length);
          }
          assert.equal(counting.bytes, bytes.length);
          const body: FileBody = {
            kind: "file",
            start: 5,
            end: 5 + bytes.length,
            body: 1,
            blockBytes: BLOCK_BYTES,
            checksums: counting.read(),
          };
          for (let block = 0; block < 4; block++) {
            const piece = bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
            assert.ok(verifyBlock(body, block, piece));
            assert.ok(!verifyBlock(body, block, piece.subarray(1)));
          }
          const block = Math.floor(where / BLOCK_BYTES);
          const piece = Buffer.from(bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
          piece[where % BLOCK_BYTES]! ^= 1;
          assert.ok(!verifyBlock(body, block, piece));
        },
      ),
      { seed, numRuns: 20 },
    );
    assert.equal(new BlockChecksums().read().length, 0);
  });
});
