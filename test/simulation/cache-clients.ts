// Clients of a simulated cache: each asks on one thread, reads at its own pace, all of it or a part, and may leave at any moment. Every
// byte is compared with what the origin has sent.

import assert from "node:assert/strict";
import type { CachedAnswer } from "../../src/caching/cache.ts";
import { ProxyError } from "../../src/core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../src/pipeline/body.ts";
import { requestOf } from "../support/cache-dialogue.ts";
import { LANGUAGES, PLAIN, type Representation, VARYING } from "./cache-origin.ts";
import type { CacheWorld, SimulatedThread } from "./cache-world.ts";

const LEFT = new ProxyError("connection_terminated", "the client has left");

/** Reads a range, at its own pace, and compares each byte. */
export class Reading implements AnswerSink {
  readonly #world: CacheWorld;
  readonly #representation: Representation;
  readonly #start: number;
  readonly #length: number;
  readonly #end: number;
  readonly #isWild: boolean;
  #given = 0;
  #produced: ProducedBody | null = null;
  #isPaused = false;
  outcome: "" | "ended" | "aborted" | "left" = "";

  /** Of `length` bytes from `start` on; `end` as it is asked for. */
  constructor(
    world: CacheWorld,
    representation: Representation,
    start: number,
    length: number,
    end: number,
    isWild: boolean,
  ) {
    this.#world = world;
    this.#representation = representation;
    this.#start = start;
    this.#length = length;
    this.#end = end;
    this.#isWild = isWild;
  }

  get isOver(): boolean {
    return this.outcome !== "";
  }

  start(answer: CachedAnswer): void {
    this.#world.open++;
    this.#produced = answer.body.produce(this, this.#start, this.#end);
    if (this.#isPaused) this.#produced.pause();
  }

  write(bytes: Buffer, start: number, end: number): void {
    assert.equal(this.outcome, "", "a write behind the end");
    assert.ok(end > start);
    this.#compare(this.#given, bytes.subarray(start, end));
    this.#given += end - start;
    this.#mayChange();
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    assert.equal(this.outcome, "", "a file behind the end");
    const { random } = this.#world;
    if (random.chance(0.3)) return false;
    const given = this.#given;
    this.#given += length;
    this.#world.later(40, () => {
      // The kernel reads it when it has room, also when nobody waits any more.
      const bytes = this.#world.folder.readDescriptor(descriptor, offset, length);
      this.#compare(given, bytes);
      onSent();
    });
    this.#mayChange();
    return true;
  }

  end(): void {
    assert.equal(this.outcome, "", "a second end");
    assert.equal(this.#given, this.#length, "an answer that is short looks complete");
    assert.ok(this.#end >= 0 || this.#representation.isWhole, "what was not sent whole looks complete");
    this.#over("ended");
    this.#world.counts.whole++;
  }

  abort(): void {
    assert.equal(this.outcome, "", "a second end");
    this.#over("aborted");
    this.#world.counts.broken++;
  }

  #over(outcome: Reading["outcome"]): void {
    this.outcome = outcome;
    this.#world.open--;
  }

  #compare(given: number, bytes: Buffer): void {
    const from = this.#start + given;
    const expected = this.#representation.bytes.subarray(from, from + bytes.length);
    assert.ok(expected.equals(bytes), "bytes of another representation");
  }

  #mayChange(): void {
    if (!this.#isWild) return;
    const { random } = this.#world;
    if (random.chance(0.04)) {
      this.#world.later(20, () => {
        if (this.isOver) return;
        this.#over("left");
        this.#produced?.abort?.(LEFT);
      });
    }
    if (this.#isPaused || random.chance(0.6)) return;
    this.#isPaused = true;
    this.#produced?.pause();
    this.#world.later(random.chance(0.1) ? 3000 : 50, () => {
      this.#isPaused = false;
      if (!this.isOver) this.#produced!.resume();
    });
  }
}

/** Asks until there is something to read, or a reason to go without the cache. */
export class Client {
  readonly #world: CacheWorld;
  readonly #thread: SimulatedThread;
  readonly #key: string;
  readonly #language: string;
  readonly #isPicky: boolean;
  #looks = 0;
  #outcomes = 0;

  constructor(world: CacheWorld, thread: SimulatedThread, key: string | null = null) {
    const { random } = world;
    this.#world = world;
    this.#thread = thread;
    this.#key = key ?? random.pick([...PLAIN, ...VARYING]);
    this.#language = random.pick(LANGUAGES);
    this.#isPicky = random.chance(0.3);
    world.counts.clients++;
  }

  look(): void {
    const world = this.#world;
    const { cache, isDead } = this.#thread;
    if (isDead) return;
    const asked = ++world.now;
    const request = requestOf([["Accept-Language", this.#language]]);
    const found = cache.find(this.#key, request);
    if (found !== null) world.checkGiven(found, cache, this.#key, this.#language, asked);
    const isGood = found !== null && !(this.#isPicky && this.#looks === 0);
    if (isGood) {
      world.counts.hits++;
      return this.#read(found, asked);
    }
    assert.ok(++this.#looks < 30, "looks again and again");
    this.#outcomes = 0;
    world.open++;
    let isWaiting = true;
    const settle = (act: () => void): void => {
      assert.equal(++this.#outcomes, 1, "a second outcome");
      assert.ok(isWaiting, "an outcome behind the cancellation");
      isWaiting = false;
      world.open--;
      world.now++;
      if (!this.#thread.isDead) act();
    };
    const pending = cache.acquire(this.#key, request, found, {
      onFill: (fill) =>
        settle(() =>
          world.origin.fetch(fill, this.#thread, this.#key, this.#language, found, (answer) => {
            if (answer !== null && world.random.chance(0.8)) this.#read(answer, asked);
          }),
        ),
      onAnswer: (answer) => settle(() => this.#read(answer, asked)),
      onStored: () => settle(() => this.look()),
      onPass: () => settle(() => world.counts.passes++),
    });
    const leavesMs = world.random.chance(0.1) ? world.random.below(60) : null;
    if (leavesMs !== null) {
      world.later(60, () => {
        if (!isWaiting || this.#thread.isDead) return;
        isWaiting = false;
        world.open--;
        pending.cancel();
      });
    }
  }

  #read(answer: CachedAnswer, asked: number): void {
    const world = this.#world;
    const { random } = world;
    const representation = world.checkGiven(answer, this.#thread.cache, this.#key, this.#language, asked);
    const { length } = representation.bytes;
    const isPart = random.chance(0.3) && answer.body.bytes >= 0 && length > 1;
    const start = isPart ? random.below(length - 1) : 0;
    const end = isPart ? start + 1 + random.below(length - start) : -1;
    new Reading(world, representation, start, (isPart ? end : length) - start, end, true).start(answer);
  }
}
