/**
 * Which descriptors connections and files of caches may have. The others are for whoever must go on when clients have taken all of
 * those: the admin interface, a worker in a dead one's place, files that are read again.
 *
 * Clients have fewer than the others: what they ask for needs connections to servers, and who cannot have one of his own waits for
 * one that comes free (upstreams/shortage.ts). So the proxy goes on while there are some.
 *
 * The system gives the lowest number that is free, so a number near its limit says that all below are taken. Nothing is counted,
 * threads need not know of each other, and far from the limit nothing is asked. The addon does the same for its sockets
 * (native/src/descriptor_limit.h).
 */
import { readFileSync } from "node:fs";

/** An operator's command takes one, a reload some, a new worker about ten. */
export const DESCRIPTORS_KEPT = 32;
/** So many more than that are for connections to servers, files and pipes. */
export const DESCRIPTORS_BESIDE_CLIENTS = 512;
/** Of few descriptors this share is kept, and kept from clients as well. */
const KEPT_SHARE = 8;
/** While clients are refused, so often it is looked whether the limit was raised. */
const READ_AGAIN_MS = 1_000;

export class DescriptorLimit {
  readonly #readMost: () => number | null;
  readonly #nowMs: () => number;
  /** The first number that none of them may have, and that clients may not have. */
  #end = 0;
  #clientsEnd = 0;
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

  /** The same for one that was accepted. */
  admitsClient(descriptor: number): boolean {
    if (descriptor >= this.#clientsEnd) this.#readAgain();
    return descriptor < this.#clientsEnd;
  }

  #readAgain(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#readMs < READ_AGAIN_MS) return;
    this.#readMs = nowMs;
    const most = this.#readMost();
    if (most !== null) {
      const share = Math.floor(most / KEPT_SHARE);
      this.#end = most - Math.min(DESCRIPTORS_KEPT, share);
      this.#clientsEnd = this.#end - Math.min(DESCRIPTORS_BESIDE_CLIENTS, share);
    } else if (this.#end === 0) this.#end = this.#clientsEnd = Number.POSITIVE_INFINITY;
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
