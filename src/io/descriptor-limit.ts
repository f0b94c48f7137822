/**
 * Which descriptors connections and files of caches may have. The others are for whoever must go on when clients have taken all of
 * those: the admin interface, a worker in a dead one's place, files that are read again.
 *
 * The system gives the lowest number that is free, so a number near its limit says that all below are taken. Nothing is counted,
 * threads need not know of each other, and far from the limit nothing is asked. The addon does the same for its sockets
 * (native/src/descriptor_limit.h).
 */
import { readFileSync } from "node:fs";

/** An operator's command takes one, a reload some, a new worker about ten. */
export const DESCRIPTORS_KEPT = 32;
/** Of few descriptors this share is kept. */
const KEPT_SHARE = 8;
/** While clients are refused, so often it is looked whether the limit was raised. */
const READ_AGAIN_MS = 1_000;

export class DescriptorLimit {
  readonly #readMost: () => number | null;
  readonly #nowMs: () => number;
  /** The first number that none of them may have. */
  #end = 0;
  #readMs = Number.NEGATIVE_INFINITY;

  /** `readMost`: how many the process may have; null: that cannot be told now. */
  constructor(readMost: () => number | null, nowMs: () => number) {
    this.#readMost = readMost;
    this.#nowMs = nowMs;
  }

  /** Whether the descriptor may be kept. Otherwise it is to be closed, as if there had been none (EMFILE). */
  admits(descriptor: number): boolean {
    if (descriptor >= this.#end) this.#readAgain();
    return descriptor < this.#end;
  }

  #readAgain(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#readMs < READ_AGAIN_MS) return;
    this.#readMs = nowMs;
    const most = this.#readMost();
    if (most !== null) this.#end = most - Math.min(DESCRIPTORS_KEPT, Math.floor(most / KEPT_SHARE));
    else if (this.#end === 0) this.#end = Number.POSITIVE_INFINITY;
  }
}

/** Of this thread, as far as it knows. */
export const descriptorLimit = new DescriptorLimit(readMost, () => performance.now());

/** Where there is no such file, there is no limit to be known. */
function readMost(): number | null {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return null;
  }
}
