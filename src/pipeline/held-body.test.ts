// A body that is held until it is whole, or until nobody waits for it any more: one piece, in however many it came.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldBody } from "./held-body.ts";
import type { RequestBody, RequestSource } from "./request-body.ts";

const SOURCE: RequestSource = { startRequestBody() {}, pauseRequestBody() {}, resumeRequestBody() {} };

/** What the request's body is given. */
class Taken {
  readonly pieces: string[] = [];
  isComplete = false;

  write(bytes: Buffer, start: number, end: number): void {
    this.pieces.push(bytes.toString("latin1", start, end));
  }

  end(): void {
    this.isComplete = true;
  }

  as(): RequestBody {
    return this as unknown as RequestBody;
  }
}

const TEXT = "byte by byte. ".repeat(100);

function heldByteByByte(bytesMax = TEXT.length): HeldBody {
  const held = new HeldBody(SOURCE, bytesMax);
  // Memory that is used again, as that of a transport is.
  const buffer = Buffer.alloc(1);
  for (const character of TEXT) {
    buffer.write(character, "latin1");
    held.write(buffer, 0, 1);
  }
  return held;
}

test("what came in pieces is given on as one, also when nobody waited for its end", () => {
  const held = heldByteByByte();
  const taken = new Taken();
  held.giveTo(taken.as());
  held.startRequestBody();
  assert.deepEqual([taken.pieces, taken.isComplete], [[TEXT], false]);
  held.write(Buffer.from("the rest"), 4, 8);
  held.end(null);
  assert.deepEqual([taken.pieces, taken.isComplete], [[TEXT, "rest"], true]);
});

test("who waits gets all of it, and the upstream as well", async () => {
  const held = heldByteByByte();
  held.end(null);
  assert.equal((await held.wholeWithin(TEXT.length)).toString("latin1"), TEXT);
  await assert.rejects(held.wholeWithin(TEXT.length - 1), { status: 413 });
  const taken = new Taken();
  held.giveTo(taken.as());
  held.startRequestBody();
  assert.deepEqual([taken.pieces, taken.isComplete], [[TEXT], true]);
});

test("what is too long is not kept, and not sent", async () => {
  const held = heldByteByByte(TEXT.length - 1);
  await assert.rejects(held.whole, { status: 413 });
  const taken = new Taken();
  held.giveTo(taken.as());
  assert.throws(() => held.startRequestBody(), { status: 413 });
  assert.deepEqual(taken.pieces, []);
});
