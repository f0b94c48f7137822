/**
 * What a session needs before it may be used: its end is seen, its tokens are refreshed in time, its use is noted. Most
 * of the time it needs nothing, and says until when (`calmUntilMs`).
 *
 * A shared session is changed in passing, while the request goes on with the tokens that it still has; one in a cookie
 * is changed before, because the answer must bring the new cookie. When the provider cannot be asked, a session goes on
 * as long as its tokens do, and for who forwards none as long as the session does.
 */
import { ProxyError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { refusal } from "../../identity/refusal.ts";
import { type Entry, latestOf } from "./entries.ts";
import type { Keeper } from "./keeper.ts";
import { type Provider, ProviderRefusal, type Tokens } from "./provider.ts";
import { type Lifetimes, refreshMs, type Session, sessionEndMs, touchMs } from "./session.ts";

/** After a refresh that failed because the provider was away. */
const RETRY_MS = 10_000;
/** A change is under way, here or elsewhere: long enough for it to be seen. */
const IN_PASSING_MS = 500;
/** Changes by others that a request may find in the way of its own. */
const ROUNDS_MAX = 4;

/** Refusals that are about us and not about this session: to end it would help nobody. */
const OUR_FAULT = new Set([
  "invalid_client",
  "invalid_request",
  "invalid_scope",
  "unauthorized_client",
  "unsupported_grant_type",
]);

export interface RenewalOptions {
  readonly keeper: Keeper;
  readonly provider: Provider;
  readonly clock: Clock;
  readonly lifetimes: Lifetimes;
  /** The session that tokens make, of a new login or of the one that it was before. */
  sessionOf(tokens: Tokens, before: Session | null): Session;
  /** A token is forwarded: without a valid one the session is of no use. */
  needsToken(): boolean;
}

export class Renewal {
  readonly #options: RenewalOptions;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /**
   * The session as it is to be used now, possibly another entry; null: it has ended. At once, unless it must wait for
   * the provider or the store. Rejects with a refusal of status 503 when it cannot be used without an answer that is
   * not to be had.
   */
  attend(entry: Entry, needsToken: boolean): Entry | null | Promise<Entry | null> {
    const { clock, keeper, lifetimes } = this.#options;
    const { session } = entry;
    const wallMs = clock.wallMs();
    if (wallMs >= sessionEndMs(session, lifetimes)) return null;
    const isOver = session.endsMs !== null && wallMs >= session.endsMs;
    if (entry.isSpent && isOver) return null;
    const isDue = !entry.isSpent && wallMs >= refreshMs(session, lifetimes);
    const mayAsk = clock.now() >= entry.retryMs;
    if (isDue && mayAsk) {
      if (!keeper.isShared || isOver) return this.#refreshFirst(entry, needsToken);
      this.#inPassing(this.#refresh(entry, true));
      return this.#calm(entry, IN_PASSING_MS);
    }
    if (isOver && needsToken) {
      if (!isDue) return null;
      return Promise.reject(refusal("oidc", "auth_service_unavailable"));
    }
    if (wallMs >= touchMs(session, lifetimes)) {
      const touched = keeper.update(entry, (current) => this.#touched(current), true);
      if (!keeper.isShared) return touched;
      this.#inPassing(touched);
      return this.#calm(entry, IN_PASSING_MS);
    }
    return this.#calm(entry, this.#calmMs(entry, wallMs, isOver));
  }

  #calm(entry: Entry, ms: number): Entry {
    entry.calmUntilMs = this.#options.clock.now() + ms;
    return entry;
  }

  /** How long nothing will be due. */
  #calmMs(entry: Entry, wallMs: number, isOver: boolean): number {
    const { clock, lifetimes, needsToken } = this.#options;
    const { session, isSpent, retryMs } = entry;
    if (isOver && needsToken()) return 0;
    const refresh = isSpent ? Number.POSITIVE_INFINITY : refreshMs(session, lifetimes);
    const ahead = [
      sessionEndMs(session, lifetimes) - wallMs,
      touchMs(session, lifetimes) - wallMs,
      Math.max(refresh - wallMs, retryMs - clock.now()),
      isOver || session.endsMs === null ? Number.POSITIVE_INFINITY : session.endsMs - wallMs,
    ];
    return Math.max(0, Math.min(...ahead));
  }

  #touched(current: Session): Session | null {
    const { clock, lifetimes } = this.#options;
    const wallMs = clock.wallMs();
    return wallMs < touchMs(current, lifetimes) ? null : { ...current, seenMs: wallMs };
  }

  /** Nobody waits for it; what fails is tried again by a later request. */
  #inPassing(change: Promise<unknown>): void {
    change.catch(() => {});
  }

  async #refreshFirst(entry: Entry, needsToken: boolean): Promise<Entry | null> {
    let current = entry;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      try {
        const next = await this.#refresh(current, false);
        if (next === null) return null;
        current = latestOf(next);
      } catch (error) {
        // Without an answer nothing has changed, and nobody asks again for a while: what then becomes of it is decided
        // below.
        if (!isUnavailable(error)) throw error;
      }
      // Otherwise somebody else has changed it in another way.
      if (!this.#isDue(current)) return this.attend(current, needsToken);
    }
    throw refusal("oidc", "auth_service_unavailable");
  }

  #isDue(entry: Entry): boolean {
    const { clock, lifetimes } = this.#options;
    return !entry.isSpent && clock.wallMs() >= refreshMs(entry.session, lifetimes) && clock.now() >= entry.retryMs;
  }

  async #refresh(entry: Entry, inPassing: boolean): Promise<Entry | null> {
    const { keeper, clock } = this.#options;
    try {
      return await keeper.update(entry, (current) => this.#refreshed(current), inPassing);
    } catch (error) {
      if (!(error instanceof ProviderRefusal)) {
        entry.retryMs = clock.now() + RETRY_MS;
        throw error;
      }
      return this.#refused(entry);
    }
  }

  async #refreshed(current: Session): Promise<Session | null> {
    const { clock, lifetimes, provider, sessionOf } = this.#options;
    if (clock.wallMs() < refreshMs(current, lifetimes)) return null;
    const known = await provider.find();
    try {
      return sessionOf(await provider.refresh(known, current.refreshToken!, current.subject), current);
    } catch (error) {
      if (error instanceof ProviderRefusal && OUR_FAULT.has(error.code ?? "")) {
        throw refusal("oidc", "auth_service_unavailable", { cause: error });
      }
      throw error;
    }
  }

  /** The provider wants no more of it: a shared session ends, unless somebody else has refreshed it meanwhile. */
  async #refused(entry: Entry): Promise<Entry | null> {
    const { keeper } = this.#options;
    if (!keeper.isShared) {
      // Another thread may have refreshed it, and the browser have the new cookie: this one lasts as long as its
      // tokens.
      entry.isSpent = true;
      return entry;
    }
    const latest = await keeper.find(entry.value);
    if (latest === null || latest.record!.value !== entry.record!.value) return latest;
    await keeper.end(latest);
    return null;
  }
}

/** Whether it is an answer that the client gets as it is. */
function isUnavailable(error: unknown): error is ProxyError {
  return error instanceof ProxyError && error.status === 503;
}
