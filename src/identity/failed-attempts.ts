/**
 * How often each client address has failed to authenticate in the current minute, in memory that all threads share. A table of
 * fixed size: where it is full, the address with the fewest failures is forgotten, so that a flood from many addresses can
 * never grow it. Threads count at the same time without locks; what that may lose is a failure or two.
 *
 * IPv6 clients are counted by their /64, which is what one of them has to itself.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../core/ports.ts";
import { clientNetwork } from "./client-network.ts";
import { ShortMemory } from "./short-memory.ts";

const WINDOW_MS = 60_000;
/** Sets of places; an address can only stand in one of them. */
const SETS = 4096;
const WAYS = 4;
/** Ints of a place: two of the address's digest, the minute, the failures. */
const PLACE = 4;
/** As many credentials, each with an address that it was good from, as passwords are remembered. About a megabyte. */
const PROVED_MAX = 4096;
/** A user who has logged in within the hour is not locked out by a neighbour. */
const PROVED_MS = 3_600_000;
/** Secret, so that nobody can choose addresses that push another one out; and its own minute 0. */
const KEY_INTS = 4;

export class FailedAttempts {
  readonly memory: SharedArrayBuffer;
  /** Digests of credentials with the address from which they were good; of this thread alone. See AttemptLimit. */
  readonly proved: ShortMemory;
  readonly #ints: Int32Array;
  readonly #key: Buffer;
  readonly #clock: Clock;

  /** `memory` is that of another thread's table, to count in the same one. */
  constructor(clock: Clock, memory: SharedArrayBuffer | null = null) {
    this.#clock = clock;
    this.proved = new ShortMemory(clock, PROVED_MAX, PROVED_MS);
    this.memory = memory ?? new SharedArrayBuffer((KEY_INTS + SETS * WAYS * PLACE) * 4);
    this.#ints = new Int32Array(this.memory);
    const key = new Uint8Array(this.memory, 0, KEY_INTS * 4);
    if (memory === null) key.set(randomBytes(KEY_INTS * 4));
    this.#key = Buffer.from(key);
  }

  /** Seconds until the address may try again; 0: it may now. */
  blockedSeconds(address: string, max: number): number {
    const place = this.#find(address);
    if (place < 0 || Atomics.load(this.#ints, place + 3) < max) return 0;
    const wallMs = this.#clock.wallMs();
    return Math.max(1, Math.ceil((WINDOW_MS - (wallMs % WINDOW_MS)) / 1000));
  }

  count(address: string): void {
    const ints = this.#ints;
    const found = this.#find(address);
    if (found >= 0) {
      Atomics.add(ints, found + 3, 1);
      return;
    }
    const { high, low, set } = this.#digest(address);
    const minute = this.#minute();
    let victim = set;
    for (let place = set; place < set + WAYS * PLACE; place += PLACE) {
      if (ints[place + 2] !== minute) {
        victim = place;
        break;
      }
      if (ints[place + 3]! < ints[victim + 3]!) victim = place;
    }
    Atomics.store(ints, victim + 3, 1);
    Atomics.store(ints, victim + 2, minute);
    Atomics.store(ints, victim, high);
    Atomics.store(ints, victim + 1, low);
  }

  /** A failure less: what was counted ahead was none. In another minute it is forgotten already. */
  takeBack(address: string): void {
    const found = this.#find(address);
    if (found >= 0 && Atomics.load(this.#ints, found + 3) > 0) Atomics.sub(this.#ints, found + 3, 1);
  }

  /** The place of an address with failures in this minute; -1: it has none. */
  #find(address: string): number {
    const { high, low, set } = this.#digest(address);
    const minute = this.#minute();
    const ints = this.#ints;
    for (let place = set; place < set + WAYS * PLACE; place += PLACE) {
      if (ints[place] === high && ints[place + 1] === low && ints[place + 2] === minute) return place;
    }
    return -1;
  }

  #minute(): number {
    return Math.floor(this.#clock.wallMs() / WINDOW_MS) | 0;
  }

  #digest(address: string): { high: number; low: number; set: number } {
    const digest = createHash("sha256").update(this.#key).update(clientNetwork(address)).digest();
    const set = KEY_INTS + (digest.readUInt32LE(8) % SETS) * WAYS * PLACE;
    return { high: digest.readInt32LE(0), low: digest.readInt32LE(4), set };
  }
}
