/**
 * The addresses of this machine, whatever networks they are of: whoever connects to one of them comes from the machine itself, which
 * more is open to than to others. Interfaces come and go, so they are looked at again, when somebody asks and not too often.
 */
import os from "node:os";
import type { Clock } from "../core/ports.ts";
import { addressOf } from "./addresses.ts";

/** An address that was just given to an interface is known after so long at the latest. */
const LOOK_INTERVAL_MS = 5_000;

export class OwnAddresses {
  readonly #clock: Clock;
  #addresses: ReadonlySet<string> = new Set();
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `address` is canonical, without brackets. */
  has(address: string): boolean {
    const now = this.#clock.now();
    if (now - this.#lookedMs >= LOOK_INTERVAL_MS) {
      this.#lookedMs = now;
      const all = Object.values(os.networkInterfaces()).flatMap((one) => one ?? []);
      this.#addresses = new Set(all.map((one) => addressOf(one.address, 0).address));
    }
    return this.#addresses.has(address);
  }
}
