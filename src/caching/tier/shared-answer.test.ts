// What machines give each other, as bytes: what was put is what is got; whatever else stands there is nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { headOf } from "../../../test/support/cache-dialogue.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { purgeTarget } from "../keeping/purge-patterns.ts";
import { type AnswerRecord, BLOCK_BYTES, type FileBody } from "../keeping/record.ts";
import { decodeTierPurge, encodeTierPurge, isMetBy } from "./purges.ts";
import {
  bodyNameOf,
  decodeShared,
  encodeAnswer,
  encodeVary,
  isBodyOf,
  type SharedAnswer,
  sharedBodyOf,
} from "./shared-answer.ts";

const ID = "0".repeat(32);
const KEY = "http://host/a";
const mark = { generation: "g", number: 7, id: "m.1" };
const vary = { names: ["accept-language"], values: ["en"] };

function recordOf<B extends AnswerRecord["body"]>(body: B): AnswerRecord & { readonly body: B } {
  const head = headOf(body.end, { tags: ["x"] });
  return { kind: "answer", key: KEY, variant: "", version: 1, slot: 2, purges: 3, head, body };
}

function blocksOf(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) blocks.push(bytes.subarray(at, at + BLOCK_BYTES));
  return blocks;
}

function fileOf(bytes: Buffer): FileBody {
  const checksums = Uint32Array.from(blocksOf(bytes), (block) => crc32(block));
  return { kind: "file", start: 0, end: bytes.length, body: 5, blockBytes: BLOCK_BYTES, checksums };
}

function answerOf(bytes: Buffer): Omit<SharedAnswer, "kind"> {
  return { mark, ...vary, ageMs: 12, ttlMs: 3000, record: recordOf(fileOf(bytes)) };
}

const LARGE = Buffer.alloc(BLOCK_BYTES * 2 + 9, "abc");

test("an answer comes back as it was given", () => {
  for (const bytes of [LARGE, Buffer.from("hello"), Buffer.alloc(0)]) {
    const given = answerOf(bytes);
    const entry = decodeShared(ID, KEY, encodeAnswer(ID, given));
    assert.ok(entry?.kind === "answer");
    const { kind, record, ...rest } = entry;
    const { record: before, ...said } = given;
    assert.deepEqual(rest, said);
    assert.deepEqual(record.body, before.body);
    assert.deepEqual(record.head.tags, ["x"]);
    assert.ok(isBodyOf(record.body, blocksOf(bytes)));
  }
  assert.deepEqual(decodeShared(ID, KEY, encodeVary(ID, ["a", "b"])), { kind: "vary", names: ["a", "b"] });
});

test("a body is the same one wherever it stands here, and another one when a byte differs", () => {
  for (const text of ["", "hello"]) {
    const bytes = Buffer.from(text);
    const inline = sharedBodyOf(recordOf({ kind: "inline", start: 0, end: bytes.length, bytes }));
    const file = sharedBodyOf(recordOf(fileOf(bytes)));
    assert.deepEqual(inline, file);
    assert.ok(isBodyOf(inline, blocksOf(bytes)));
  }
  const names = [LARGE, Buffer.concat([LARGE, Buffer.from("x")]), Buffer.alloc(LARGE.length, "abd")].map((bytes) =>
    bodyNameOf(fileOf(bytes)),
  );
  assert.equal(new Set(names).size, 3);
});

test("what is for another id or key, and a body that lacks a block or has one too many, is nothing", () => {
  const head = encodeAnswer(ID, answerOf(LARGE));
  assert.ok(decodeShared(ID, KEY, head));
  assert.equal(decodeShared("1".repeat(32), KEY, head), null);
  assert.equal(decodeShared(ID, `${KEY}?`, head), null);
  const body = fileOf(LARGE);
  const blocks = blocksOf(LARGE);
  assert.ok(isBodyOf(body, blocks));
  assert.ok(!isBodyOf(body, blocks.slice(0, -1)));
  assert.ok(!isBodyOf(body, [...blocks, Buffer.from("x")]));
  assert.ok(!isBodyOf(body, [blocks[1]!, blocks[0]!, blocks[2]!.subarray(1)]));
  const part = { ...answerOf(LARGE), record: recordOf({ ...body, start: 1 }) };
  assert.equal(decodeShared(ID, KEY, encodeAnswer(ID, part)), null);
  const inline = recordOf({ kind: "inline", start: 0, end: 1, bytes: Buffer.from("a") }) as never;
  assert.equal(decodeShared(ID, KEY, encodeAnswer(ID, { ...answerOf(LARGE), record: inline })), null);
});

test("one bad byte of a record or a body is seen; nothing that is cut or made up throws", () => {
  const random = new SeededRandom(6);
  const head = encodeAnswer(ID, answerOf(LARGE));
  const blocks = blocksOf(LARGE);
  const metaEnd = 4 + head.readUInt32LE(0);
  for (let round = 0; round < 500; round++) {
    const bad = Buffer.from(head);
    bad[random.between(metaEnd, head.length - 1)]! ^= 1 << random.below(8);
    assert.equal(decodeShared(ID, KEY, bad), null, `round ${round}`);
    const block = Buffer.from(blocks[random.below(2)]!);
    block[random.below(block.length)]! ^= 1 << random.below(8);
    assert.ok(!isBodyOf(fileOf(LARGE), [block, block, blocks[2]!]), `round ${round}`);
    const other = Buffer.from(head);
    other[random.below(metaEnd)]! ^= 1 << random.below(8);
    decodeShared(ID, KEY, other);
    assert.equal(decodeShared(ID, KEY, head.subarray(0, random.below(head.length))), null);
    decodeShared(ID, KEY, Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256))));
  }
});

test("a purge comes back as it was logged; what nobody can read means everything", () => {
  const purges = [
    { kind: "pattern", pattern: { kind: "tag", text: 'a"b\n' }, isSoft: true },
    { kind: "pattern", pattern: { kind: "host", text: "host" }, isSoft: false },
    { kind: "key", key: `${KEY}\nde` },
  ] as const;
  for (const purge of purges) assert.deepEqual(decodeTierPurge(encodeTierPurge(purge)), purge);
  for (const line of ["", "null", "{}", "[]", '{"kind":"later","text":"x"}', '{"kind":"url"}']) {
    const purge = decodeTierPurge(line);
    assert.deepEqual(purge, { kind: "everything" });
    assert.equal(isMetBy(purge, KEY, purgeTarget(KEY, [])), true);
  }
  assert.deepEqual(
    purges.map((purge) => isMetBy(purge, KEY, purgeTarget(KEY, ['a"b\n']))),
    [true, true, false],
  );
});
