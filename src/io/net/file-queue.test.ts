// Hundreds of connections that are sent files at the same time: each gets its bytes in order, and they share the memory for them.

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { type FileOutlet, FileQueue } from "./file-queue.ts";

const BYTES = 300_000;
const QUEUES = 200;
/** What a thread keeps for itself, and what waits to be taken. */
const PIECES_MAX = 40;

class Outlet implements FileOutlet {
  readonly pieces: Buffer[] = [];
  readonly memory: Set<ArrayBufferLike>;
  readonly ended = Promise.withResolvers<void>();
  files = 0;

  constructor(memory: Set<ArrayBufferLike>) {
    this.memory = memory;
  }

  putPiece(bytes: Buffer, onTaken: () => void): void {
    this.memory.add(bytes.buffer);
    this.pieces.push(Buffer.from(bytes));
    setImmediate(onTaken);
  }

  queueEmptied(): void {
    this.ended.resolve();
  }

  fileFailed(error: Error | null): void {
    this.ended.reject(error ?? new Error("it is too short"));
  }

  fileDone(onSent: () => void): void {
    this.files++;
    onSent();
  }
}

test("hundreds of queues read with the memory of a few, and each sends its own", async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-queue-"));
  const content = Buffer.from(Array.from({ length: BYTES }, (_, at) => at % 251));
  writeFileSync(path.join(folder, "file"), content);
  const descriptor = openSync(path.join(folder, "file"), "r");
  const memory = new Set<ArrayBufferLike>();
  try {
    const outlets = Array.from({ length: QUEUES }, (_, number) => {
      const outlet = new Outlet(memory);
      const queue = new FileQueue(outlet);
      queue.addFile(descriptor, number, BYTES - number, () => {});
      queue.addBytes(Buffer.from("behind"));
      queue.addFile(descriptor, 0, 10, () => {});
      // Every tenth one is given up.
      if (number % 10 === 9) {
        queue.stop();
        queue.giveBack();
      }
      return outlet;
    });
    for (const [number, outlet] of outlets.entries()) {
      if (number % 10 === 9) assert.deepEqual([outlet.pieces.length, outlet.files], [0, 2]);
      else {
        await outlet.ended.promise;
        const expected = Buffer.concat([content.subarray(number), Buffer.from("behind"), content.subarray(0, 10)]);
        assert.ok(Buffer.concat(outlet.pieces).equals(expected), `${number}`);
        assert.equal(outlet.files, 2);
      }
    }
    // Those of the bytes in between are not files' pieces.
    assert.ok(memory.size <= PIECES_MAX, `${memory.size}`);
  } finally {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  }
});
