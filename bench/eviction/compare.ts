/** Runs traces through policies, ours among them as the keeper uses it, and counts hits. */
import { S3Fifo } from "../../src/caching/eviction/s3-fifo.ts";
import { FREQUENCY_MAX } from "../../src/caching/shared.ts";
import { type MakeSimulated, POLICIES, type Simulated } from "./policies.ts";
import { footprintOf, type Trace } from "./traces.ts";

/** Ours, with slots as the keeper gives them. */
class Ours implements Simulated {
  readonly #bytesMax: number;
  readonly #slots = new Map<number, number>();
  readonly #objects: number[] = [];
  readonly #bytes: number[] = [];
  readonly #free: number[] = [];
  readonly #frequencies: Uint8Array;
  readonly #policy: S3Fifo;
  #sum = 0;

  constructor(bytesMax: number, objects: number) {
    this.#bytesMax = bytesMax;
    this.#frequencies = new Uint8Array(objects);
    this.#policy = new S3Fifo({ frequencies: this.#frequencies });
  }

  request(object: number, bytes: number): boolean {
    const known = this.#slots.get(object);
    if (known !== undefined) {
      if (this.#frequencies[known]! < FREQUENCY_MAX) this.#frequencies[known]!++;
      return true;
    }
    if (bytes > this.#bytesMax) return false;
    while (this.#sum + bytes > this.#bytesMax) this.#evict();
    const slot = this.#free.pop() ?? this.#objects.length;
    this.#objects[slot] = object;
    this.#bytes[slot] = bytes;
    this.#frequencies[slot] = 0;
    this.#slots.set(object, slot);
    this.#sum += bytes;
    this.#policy.add(slot, bytes, hashOf(object));
    return false;
  }

  #evict(): void {
    const slot = this.#policy.evict();
    this.#slots.delete(this.#objects[slot]!);
    this.#sum -= this.#bytes[slot]!;
    this.#free.push(slot);
  }
}

/** As random as the first bytes of a SHA-256. */
function hashOf(object: number): number {
  let hash = Math.imul(object ^ (object >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Shares of requests, and of their bytes, that were answered from the cache. */
export interface HitRatio {
  readonly requests: number;
  readonly bytes: number;
}

export const OURS = "ours";
export const NAMES: readonly string[] = [...Object.keys(POLICIES), OURS];

/** `share`: of the bytes of all different objects. */
export function hitRatio(trace: Trace, policy: string, share: number): HitRatio {
  const { objects, bytes } = trace;
  const make: MakeSimulated = policy === OURS ? (bytesMax) => new Ours(bytesMax, bytes.length) : POLICIES[policy]!;
  const cache = make(Math.floor(footprintOf(trace) * share));
  let hits = 0;
  let hitBytes = 0;
  let allBytes = 0;
  for (const object of objects) {
    const size = bytes[object]!;
    allBytes += size;
    if (!cache.request(object, size)) continue;
    hits++;
    hitBytes += size;
  }
  return { requests: hits / objects.length, bytes: hitBytes / allBytes };
}
