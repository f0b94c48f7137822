// A body that is not kept, and many who read it: what the slowest of them needs stays in memory, what all have goes, and the source goes
// on then; and none of that costs more for each of them when there are more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { ProxyError } from "../../core/errors.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { BodyReader } from "./body-reader.ts";
import { FILL_AHEAD_BYTES_MAX, GrowingBody, type GrowingBodyOwner } from "./growing-body.ts";

const PIECE = 64 * 1024;
const GONE = new ProxyError("http_request_error", "the client has left");

const owner: GrowingBodyOwner = {
  createFile: () => {
    throw new Error("the disk is full");
  },
  reopen: () => {
    throw new Error("there is none");
  },
  onProgress() {},
  onFile() {},
  onUnkept() {},
  onWhole() {},
  onDrained() {},
  unwanted() {},
  onReader() {},
};

/** Longer than what may be stored from its first piece on. */
function unkeptBody(): GrowingBody {
  return new GrowingBody(owner, -1, 0, -1, 1);
}

/** What all bodies are the beginning of. */
const SOURCE = Buffer.alloc(8 * 1024 * 1024);
for (let at = 0; at < SOURCE.length; at += 4) SOURCE.writeUInt32LE(at, at);

/** Takes what it is given and compares it; stops when it is told to. */
class Taking {
  taken = 0;
  outcome: "" | "ended" | "aborted" = "";
  isPaused = false;
  readonly produced: ReturnType<GrowingBody["produce"]>;

  constructor(body: GrowingBody) {
    this.produced = body.produce(this, 0, -1);
  }

  write(bytes: Buffer, start: number, end: number): void {
    assert.equal(this.outcome, "");
    const from = this.taken;
    this.taken += end - start;
    assert.ok(bytes.compare(SOURCE, from, this.taken, start, end) === 0, replayHint);
  }

  sendFile(): boolean {
    return false;
  }

  end(): void {
    this.outcome = "ended";
  }

  abort(): void {
    this.outcome = "aborted";
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (isPaused) this.produced.pause();
    else this.produced.resume();
  }

  leave(): void {
    this.outcome = "aborted";
    this.produced.abort?.(GONE);
  }
}

test("each reader gets all of it at its own pace, and the source waits for the slowest and for nobody else", () => {
  const random = new SeededRandom(seed);
  for (let round = 0; round < 20; round++) {
    const body = unkeptBody();
    const takers = Array.from({ length: 8 }, () => new Taking(body));
    let written = 0;
    const write = (length: number): void => {
      body.write(SOURCE, written, written + length);
      written += length;
    };
    const isStill = (one: Taking): boolean => one.outcome === "";
    for (let step = 0; step < 100; step++) {
      const one = takers[random.below(takers.length)]!;
      if (!body.isFull && random.chance(0.5)) write(random.between(1, 2 * PIECE));
      else if (isStill(one) && random.chance(0.05)) one.leave();
      else if (isStill(one)) one.pause(random.chance(0.5));
      const slowest = Math.min(written, ...takers.filter(isStill).map(({ taken }) => taken));
      // In whole blocks: it holds what the slowest has not had, and a block at each end.
      assert.equal(body.isFull && written - slowest < FILL_AHEAD_BYTES_MAX / 2 - 2 * PIECE, false, replayHint);
    }
    const last = takers.filter(isStill);
    for (const one of last) one.pause(false);
    assert.equal(body.isFull, false, replayHint);
    body.complete();
    for (const one of last) assert.deepEqual([one.outcome, one.taken], ["ended", written], replayHint);
  }
});

test("where it breaks, none of its readers has the others looked at", (t) => {
  const body = unkeptBody();
  const takers = Array.from({ length: 300 }, () => new Taking(body));
  body.write(SOURCE, 0, PIECE / 2);
  const looks = t.mock.getter(BodyReader.prototype, "position");
  body.fail(GONE);
  assert.ok(takers.every(({ outcome }) => outcome === "aborted"));
  assert.ok(looks.mock.callCount() <= 2 * takers.length, `${looks.mock.callCount()} looks`);
});

test("what a piece costs each of its readers does not grow with their number", (t) => {
  const looks = t.mock.getter(BodyReader.prototype, "position");
  const looksFor = (readers: number): number => {
    const body = unkeptBody();
    const takers = Array.from({ length: readers }, () => new Taking(body));
    const before = looks.mock.callCount();
    for (let count = 0; count < 4; count++) body.write(SOURCE, count * PIECE, (count + 1) * PIECE);
    for (const one of takers.slice(0, readers / 2)) one.leave();
    body.complete();
    return looks.mock.callCount() - before;
  };
  const [few, many] = [looksFor(20), looksFor(320)];
  assert.ok(many < 20 * few, `${few} looks for 20 readers, ${many} for 320`);
});
