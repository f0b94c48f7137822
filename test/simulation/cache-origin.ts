// The origin of a simulated cache: it answers after a while, in pieces, breaks off, and finds what it said before still good. No two of
// its answers have a part in common, so that whoever gets bytes can be shown to have got them of one answer.

import assert from "node:assert/strict";
import type { CachedAnswer, Fill } from "../../src/caching/cache.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { EncodedLines } from "../../src/core/fields.ts";
import { headOf } from "../support/cache-dialogue.ts";
import type { CacheWorld, SimulatedThread } from "./cache-world.ts";

export const PLAIN = ["http://a.test/one", "http://a.test/two"];
export const VARYING = ["http://b.test/vary"];
export const LANGUAGES = ["en", "de"];
export const TAGS = ["red", "green"];
/** What is longer has a file; what is longer than the last is never stored. */
const LENGTHS = [0, 1, 500, 500, 5000, 64 * 1024, 64 * 1024 + 1, 150_000, 400_000];
export const OBJECT_BYTES_MAX = 300_000;
/** Now and then one that is more than may be in memory. */
const LONG_BYTES = 2_500_000;
const BROKEN = new ProxyError("connection_terminated", "the origin broke off");

/** What an origin has sent once, and nobody else ever. */
export interface Representation {
  readonly number: number;
  readonly key: string;
  readonly language: string | null;
  readonly tags: readonly string[];
  readonly bytes: Buffer;
  /** When its fetch began, in the order of events. */
  readonly began: number;
  /** When it was validated last. */
  validated: number;
  isWhole: boolean;
}

/** A body on its way from the origin. */
interface Sending {
  readonly fill: Fill;
  readonly thread: SimulatedThread;
  readonly representation: Representation;
  readonly isLengthTold: boolean;
  at: number;
  readonly over: () => void;
  isOver: boolean;
}

export class CacheOrigin {
  readonly #world: CacheWorld;
  readonly #sent: Representation[] = [];
  /** Fetches that are under way, by what they are for. */
  readonly #fetching = new Map<string, number>();

  constructor(world: CacheWorld) {
    this.#world = world;
  }

  representationOf({ head }: CachedAnswer): Representation {
    const field = /^X-Number: (\d+)\r\n/.exec(head.fields.bytes.toString("latin1"));
    return this.#sent[Number(field?.[1])]!;
  }

  /** The origin is asked, for a fill. `onAnswer`: what the one who began it reads. */
  fetch(
    fill: Fill,
    thread: SimulatedThread,
    key: string,
    language: string,
    found: CachedAnswer | null,
    onAnswer: (answer: CachedAnswer | null) => void,
  ): void {
    const world = this.#world;
    const { random, weather } = world;
    world.counts.fetches++;
    const began = world.now;
    const varies = VARYING.includes(key);
    const what = varies ? `${key} ${language}` : key;
    const others = this.#fetching.get(what) ?? 0;
    const isCalm = !weather.purges && !weather.deaths && !weather.diskFaults && !weather.originFaults;
    if (isCalm) assert.equal(others, 0, `two fetches of ${what} at a time`);
    this.#fetching.set(what, others + 1);
    const over = (): void => void this.#fetching.set(what, this.#fetching.get(what)! - 1);
    world.later(60, () => {
      if (thread.isDead) return over();
      if (weather.originFaults && random.chance(0.15)) {
        over();
        fill.release(random.chance(0.5) ? "uncacheable" : "failed", random.below(200));
        return onAnswer(null);
      }
      if (found !== null && random.chance(0.5)) {
        over();
        const representation = this.representationOf(found);
        // Who asked earlier, and hears later, takes nothing back.
        representation.validated = Math.max(representation.validated, began);
        fill.refresh(found, { ...found.head, flags: 0 });
        return onAnswer(null);
      }
      const length = random.pick(isCalm ? LENGTHS.slice(0, -1) : LENGTHS);
      const bytes = this.#newBytes(!isCalm && random.chance(0.02) ? LONG_BYTES : length);
      const representation: Representation = {
        number: this.#sent.length,
        key,
        language: varies ? language : null,
        tags: TAGS.filter(() => random.chance(0.3)),
        bytes,
        began,
        validated: began,
        isWhole: false,
      };
      this.#sent.push(representation);
      const head = headOf(random.chance(0.5) ? bytes.length : -1, {
        fields: new EncodedLines([["X-Number", `${representation.number}`]]),
        tags: representation.tags,
        vary: varies ? ["accept-language"] : [],
      });
      const sending: Sending = {
        fill,
        thread,
        representation,
        isLengthTold: head.bodyBytes >= 0,
        at: 0,
        over,
        isOver: false,
      };
      const isGivenUp = random.chance(0.5);
      fill.onUnwanted = () => {
        if (isGivenUp && this.#stop(sending)) fill.fail(BROKEN);
      };
      onAnswer(fill.begin(head));
      this.#send(sending);
    });
  }

  /** Nothing more is sent; false: that was so already. */
  #stop(sending: Sending): boolean {
    if (sending.isOver) return false;
    sending.isOver = true;
    sending.over();
    return true;
  }

  #newBytes(length: number): Buffer {
    const number = this.#sent.length;
    // No part of it is like another part of it, or of another one.
    const pattern = Buffer.allocUnsafe(7919);
    for (let at = 0; at < pattern.length; at++) pattern[at] = (at * 7 + (at >> 8) * 31 + number * 131) & 255;
    return Buffer.alloc(length, pattern);
  }

  #send(sending: Sending): void {
    const world = this.#world;
    const { random, weather } = world;
    const { fill, representation, thread, isLengthTold } = sending;
    const { bytes } = representation;
    world.later(30, () => {
      if (thread.isDead) this.#stop(sending);
      if (sending.isOver) return;
      if (weather.originFaults && random.chance(0.05)) {
        this.#stop(sending);
        // A length that was told shows that something is missing.
        if (isLengthTold && sending.at < bytes.length && random.chance(0.5)) return fill.end();
        return random.chance(0.5) ? fill.fail(BROKEN) : fill.release("failed", 0);
      }
      if (sending.at === bytes.length) {
        this.#stop(sending);
        representation.isWhole = true;
        return fill.end();
      }
      assert.equal(fill.writtenBytes, sending.at);
      const piece = random.chance(0.3) ? 200 : Math.max(120_000, bytes.length / 8);
      const next = Math.min(bytes.length, sending.at + 1 + random.below(piece));
      const { at } = sending;
      sending.at = next;
      fill.write(bytes, at, next);
      if (sending.isOver) return;
      if (!fill.isFull) return this.#send(sending);
      world.open++;
      world.counts.pauses++;
      fill.onDrain = () => {
        fill.onDrain = null;
        world.open--;
        this.#send(sending);
      };
    });
  }
}
