// What machines give each other, as bytes: what was put is what is got; whatever else stands there is nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { headOf } from "../../../test/support/cache-dialogue.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { type AnswerRecord, BLOCK_BYTES } from "../keeping/record.ts";
import { decodeTierPurge, encodeTierPurge, isMetBy } from "./purges.ts";
import { decodeShared, encodeAnswer, encodeVary } from "./shared-answer.ts";

const ID = "0".repeat(32);
const KEY = "http://host/a";
const mark = { generation: "g", number: 7 };
const vary = { names: ["accept-language"], values: ["en"] };

function recordOf(body: AnswerRecord["body"]): AnswerRecord {
  const head = headOf(body.end, { tags: ["x"] });
  return { kind: "answer", key: KEY, variant: "", version: 1, slot: 2, purges: 3, head, body };
}

function inFile(bytes: Buffer): { readonly record: AnswerRecord; readonly blocks: Buffer[] } {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) blocks.push(bytes.subarray(at, at + BLOCK_BYTES));
  const checksums = Uint32Array.from(blocks, (block) => crc32(block));
  const place = { start: 0, end: bytes.length, body: 5, blockBytes: BLOCK_BYTES, checksums };
  return { record: recordOf({ kind: "file", ...place }), blocks };
}

const inline = {
  record: recordOf({ kind: "inline", start: 0, end: 5, bytes: Buffer.from("hello") }),
  blocks: [],
};
const large = inFile(Buffer.alloc(BLOCK_BYTES * 2 + 9, "abc"));

test("an answer comes back as it was given", () => {
  for (const { record, blocks } of [inline, large]) {
    const entry = decodeShared(ID, KEY, encodeAnswer(ID, { mark, ...vary, record, blocks }));
    assert.ok(entry?.kind === "answer");
    assert.deepEqual([entry.mark, entry.names, entry.values], [mark, vary.names, vary.values]);
    assert.deepEqual(entry.record.body, record.body);
    assert.deepEqual(entry.blocks, blocks);
    assert.deepEqual(entry.record.head.tags, ["x"]);
  }
  assert.deepEqual(decodeShared(ID, KEY, encodeVary(ID, ["a", "b"])), { kind: "vary", names: ["a", "b"] });
});

test("what is for another id or key, or lacks a block, or has one too many, is nothing", () => {
  const parts = encodeAnswer(ID, { mark, ...vary, ...large });
  assert.ok(decodeShared(ID, KEY, parts));
  assert.equal(decodeShared("1".repeat(32), KEY, parts), null);
  assert.equal(decodeShared(ID, `${KEY}?`, parts), null);
  assert.equal(decodeShared(ID, KEY, parts.slice(0, -1)), null);
  assert.equal(decodeShared(ID, KEY, [...parts, Buffer.from("x")]), null);
  assert.equal(decodeShared(ID, KEY, [parts[0]!, parts[2]!, parts[1]!, parts[3]!]), null);
  assert.equal(decodeShared(ID, KEY, []), null);
});

test("one bad byte of a record or a body is seen; nothing that is cut or made up throws", () => {
  const random = new SeededRandom(6);
  const parts = encodeAnswer(ID, { mark, names: [], values: [], ...large });
  const metaEnd = 4 + parts[0]!.readUInt32LE(0);
  for (let round = 0; round < 500; round++) {
    const copies = parts.map((part) => Buffer.from(part));
    const part = copies[random.below(copies.length)]!;
    const at = random.between(part === copies[0] ? metaEnd : 0, part.length - 1);
    part[at]! ^= 1 << random.below(8);
    assert.equal(decodeShared(ID, KEY, copies), null, `round ${round}`);
    const head = Buffer.from(parts[0]!);
    head[random.below(metaEnd)]! ^= 1 << random.below(8);
    decodeShared(ID, KEY, [head, ...parts.slice(1)]);
    assert.equal(decodeShared(ID, KEY, [parts[0]!.subarray(0, random.below(parts[0]!.length))]), null);
    decodeShared(ID, KEY, [Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)))]);
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
    assert.equal(isMetBy(purge, KEY, []), true);
  }
  assert.deepEqual(
    purges.map((purge) => isMetBy(purge, KEY, ['a"b\n'])),
    [true, true, false],
  );
});
