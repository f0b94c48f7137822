// Bytes that wait: first in, first out, whatever the sizes, and no memory while there are none.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { ByteQueue } from "./byte-queue.ts";

function contentOf(queue: ByteQueue): string {
  return queue.bytes.toString("latin1", queue.start, queue.end);
}

describe("ByteQueue", () => {
  it("gives bytes in the order in which they came, part by part or all at once", () => {
    const queue = new ByteQueue();
    const text = Buffer.from("..hello, world..");
    queue.append(text, 2, 7);
    queue.append(text, 7, 14);
    assert.equal(queue.length, 12);
    queue.consume(7);
    assert.equal(contentOf(queue), "world");
    assert.equal(queue.take().toString(), "world");
    assert.deepEqual([queue.length, queue.start, queue.end, queue.bytes.length], [0, 0, 0, 0]);
  });

  it("copies what is appended, and gives away what is taken", () => {
    const queue = new ByteQueue();
    const bytes = Buffer.from("kept");
    queue.append(bytes, 0, 4);
    bytes.fill("x");
    const taken = queue.take();
    queue.append(Buffer.from("next"), 0, 4);
    assert.equal(taken.toString(), "kept");
    assert.equal(contentOf(queue), "next");
  });

  it("holds no memory once everything was consumed", () => {
    const queue = new ByteQueue();
    queue.append(Buffer.alloc(100_000), 0, 100_000);
    queue.consume(100_000);
    assert.equal(queue.bytes.length, 0);
  });

  it("does not grow while as much leaves as comes", () => {
    const queue = new ByteQueue();
    const bytes = Buffer.alloc(100);
    for (let i = 0; i < 10_000; i++) {
      queue.append(bytes, 0, 100);
      if (i >= 5) queue.consume(100);
    }
    assert.equal(queue.length, 500);
    assert.ok(queue.bytes.length < 4096, `${queue.bytes.length} bytes for 500`);
  });

  it("does what a string would do", () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), size: fc.nat(700) }),
      fc.record({ kind: fc.constant("consume" as const), size: fc.nat(700) }),
      fc.record({ kind: fc.constant("take" as const), size: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const queue = new ByteQueue();
        let model = "";
        for (const [index, { kind, size }] of commands.entries()) {
          if (kind === "append") {
            const text = `${index};`.repeat(Math.ceil(size / 2)).slice(0, size);
            queue.append(Buffer.from(`<${text}>`), 1, 1 + size);
            model += text;
          } else if (kind === "take") {
            assert.equal(queue.take().toString(), model);
            model = "";
          } else {
            const count = Math.min(size, model.length);
            queue.consume(count);
            model = model.slice(count);
          }
          assert.equal(queue.length, model.length);
          assert.equal(contentOf(queue), model);
        }
      }),
      { seed, numRuns: 200 },
    );
  });
});
