/**
 * The option `failedAttempts` of one feature: whether an address is heard, and what counts against it. Without a limit nothing is
 * counted either, since other features count in the same table. Nor are clients without an address, those of unix sockets: they
 * would all be one, and each could lock out the others. There the proxy in front has to limit them.
 *
 * An address that is blocked is still heard for credentials that were good when they came from that very address. From
 * anywhere else a good secret gets the same answer as a wrong one: otherwise the answer would tell whoever is blocked
 * that a guess was right.
 */
import type { ProxyError } from "../core/errors.ts";
import { FAILED_ATTEMPTS_MAX } from "../core/limits.ts";
import type { FailedAttempts } from "./failed-attempts.ts";
import { refusal } from "./refusal.ts";

export class AttemptLimit {
  readonly #by: string;
  readonly #attempts: FailedAttempts;
  readonly #max: number | null;

  /** `by` is the feature's name, for the log; `max` the option: undefined is its default, null no limit. */
  constructor(by: string, attempts: FailedAttempts, max: number | null | undefined) {
    this.#by = by;
    this.#attempts = attempts;
    this.#max = max === undefined ? FAILED_ATTEMPTS_MAX : max;
  }

  /** The answer for an address that is not heard until the minute is over; null: it is. */
  refusalOf(address: string): ProxyError | null {
    const max = this.#max;
    if (max === null || address === "") return null;
    const retryAfterSeconds = this.#attempts.blockedSeconds(address, max);
    return retryAfterSeconds === 0 ? null : refusal(this.#by, "too_many_failures", { retryAfterSeconds });
  }

  count(address: string): void {
    if (this.#isFor(address)) this.#attempts.count(address);
  }

  /** What was counted ahead was no failure. */
  takeBack(address: string): void {
    if (this.#isFor(address)) this.#attempts.takeBack(address);
  }

  /** `digest` stands for credentials: of a fixed length, and never the secret itself. */
  isProved(address: string, digest: string): boolean {
    return this.#isFor(address) && this.#attempts.proved.has(digest + address);
  }

  /** The credentials were good, and came from there. */
  prove(address: string, digest: string): void {
    if (this.#isFor(address)) this.#attempts.proved.add(digest + address);
  }

  #isFor(address: string): boolean {
    return this.#max !== null && address !== "";
  }
}
