/**
 * Names to addresses, with a cache in front of whatever is asked. By default that is the system (getaddrinfo: the hosts file,
 * search domains, RFC 6724 order), which does not tell how long an answer is good, so it is believed for a short fixed time; an
 * answer that tells is believed for as long, within bounds; a failure for a shorter time. A name is asked for once at a time,
 * however many wait for it. When resolving fails or takes long, the last good answer serves on within a bound: an outage of the
 * resolver need not be one of the proxy. One that says that there is no address is no outage, and is believed soon.
 */

import dns from "node:dns";
import { ProxyError } from "../../core/errors.ts";
import { FifoMap } from "../../core/fifo-map.ts";
import { DNS_NEGATIVE_TTL_MS, DNS_TIMEOUT_MS, DNS_TTL_MAX_MS, DNS_TTL_MIN_MS, DNS_TTL_MS } from "../../core/limits.ts";
import type { Clock, TimerHandle } from "../../core/ports.ts";
import { mappedIpv4Of } from "../addresses.ts";
import { failureOfLookup, isAbsence, type SystemError } from "../failures.ts";

export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/**
 * Asks the system or a server; calls back in a later turn. Once, or a second time with all addresses when it gave some before
 * the others were known.
 */
export type Lookup = (name: string, callback: LookupCallback) => void;
/** `ttlMs` is how long the addresses are good; left out: nobody knows. `isPart`: it is called a second time. */
export type LookupCallback = (
  error: SystemError | null,
  addresses: readonly ResolvedAddress[],
  ttlMs?: number,
  isPart?: boolean,
) => void;

/** How long an answer that says its time is believed at least and at most. */
export interface TtlBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

export const DEFAULT_TTL_BOUNDS: TtlBounds = { minMs: DNS_TTL_MIN_MS, maxMs: DNS_TTL_MAX_MS };

/** Told once, unless it was cancelled before. */
export interface ResolveHandler {
  /** `isPart`: there may be others, for which `resolveRest` waits. */
  onResolved(addresses: readonly ResolvedAddress[], isPart: boolean): void;
  onUnresolved(error: ProxyError): void;
}

/** How long an expired answer serves on while resolving fails. RFC 8767 allows days; an hour bridges an outage. */
const STALE_MS_MAX = 3_600_000;
/** The same where the answer is that there is no address any more: whoever has the old one now may be somebody else. HAProxy's hold nx. */
const STALE_ABSENT_MS_MAX = 30_000;
/** How long an expired answer waits for a fresh one. RFC 8767 suggests 1.8 s, which is too much of a connect timeout. */
const STALE_WAIT_MS = 500;
/** Names that are remembered. A reverse proxy has tens, a forward proxy hundreds; the least recently used one goes first. */
const NAMES_MAX = 4096;

/**
 * Of each family. What is tried one after the other is a few; a name whose owner says thousands would have us connect to all of
 * them, and keep them.
 */
const ADDRESSES_MAX = 16;

/** In the order in which they came. A name that is led elsewhere by what is left out leads nowhere. */
function few(addresses: readonly ResolvedAddress[]): readonly ResolvedAddress[] {
  if (addresses.length <= ADDRESSES_MAX) return addresses;
  const counts = { 4: 0, 6: 0 };
  return addresses.filter(({ family }) => ++counts[family] <= ADDRESSES_MAX);
}

export const systemLookup: Lookup = (name, callback) => {
  try {
    dns.lookup(name, { all: true, order: "verbatim" }, (error, addresses) => {
      if (error !== null) callback(error, []);
      else callback(null, addresses as ResolvedAddress[]);
    });
  } catch (error) {
    // A name that cannot even be asked for, with a NUL in it.
    process.nextTick(callback, error as SystemError, []);
  }
};

interface NameEntry {
  readonly name: string;
  /** The last good answer and until when it is believed; empty when there was none. */
  addresses: readonly ResolvedAddress[];
  expiresAtMs: number;
  /** The last failure, until an answer comes. */
  failure: ProxyError | null;
  failedAtMs: number;
  /** Since the last good answer it was said that there is no address: no failure of whoever was asked. */
  isAbsent: boolean;
  /** What is known is a part of the answer, and the rest is on its way. */
  isPart: boolean;
  readonly waiters: Set<Waiter>;
  /** Who wants the whole answer. */
  readonly restWaiters: Set<Waiter<Pick<ResolveHandler, "onResolved">>>;
  isResolving: boolean;
  /** How often it was asked for: what an older question still learns is not news. */
  questions: number;
}

export class NameCache {
  readonly #clock: Clock;
  readonly #lookup: Lookup;
  readonly #bounds: TtlBounds;
  /** In the order of last use. */
  readonly #entries = new FifoMap<string, NameEntry>();

  constructor(clock: Clock, lookup: Lookup = systemLookup, bounds: TtlBounds = DEFAULT_TTL_BOUNDS) {
    this.#clock = clock;
    this.#lookup = lookup;
    this.#bounds = bounds;
  }

  /** Forgets every name. Who waits still gets the answer to the question that was asked; who comes next asks anew. */
  flush(): void {
    this.#entries.clear();
  }

  /** The handler is called before this returns when the answer is known. Cancelling the result is always allowed. */
  resolve(name: string, handler: ResolveHandler): TimerHandle {
    const entry = this.#entryOf(name);
    const now = this.#clock.now();
    if (entry.addresses.length > 0 && now < entry.expiresAtMs) {
      handler.onResolved(entry.addresses, entry.isPart);
      return NOTHING_TO_CANCEL;
    }
    if (entry.failure !== null && now - entry.failedAtMs < DNS_NEGATIVE_TTL_MS) {
      this.#settleFailure(entry, handler, entry.failure);
      return NOTHING_TO_CANCEL;
    }
    const waitMs = this.#isUsable(entry) ? STALE_WAIT_MS : DNS_TIMEOUT_MS;
    const waiter = new Waiter(this.#clock, entry.waiters, handler, waitMs, () => {
      this.#settleFailure(entry, handler, timeoutOf(name));
    });
    if (!entry.isResolving) this.#start(entry);
    return waiter;
  }

  /** For who was given a part: all addresses, once they are known or have taken too long. They may be none. */
  resolveRest(name: string, handler: Pick<ResolveHandler, "onResolved">): TimerHandle {
    const entry = this.#entryOf(name);
    const give = (): void => handler.onResolved(entry.addresses, false);
    if (entry.isPart) return new Waiter(this.#clock, entry.restWaiters, handler, DNS_TIMEOUT_MS, give);
    give();
    return NOTHING_TO_CANCEL;
  }

  #entryOf(name: string): NameEntry {
    const key = name.toLowerCase();
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        name: key,
        addresses: [],
        expiresAtMs: 0,
        failure: null,
        failedAtMs: 0,
        isAbsent: false,
        isPart: false,
        waiters: new Set(),
        restWaiters: new Set(),
        isResolving: false,
        questions: 0,
      };
      if (this.#entries.size >= NAMES_MAX) this.#entries.delete(this.#entries.oldest!);
    }
    this.#entries.set(key, entry);
    return entry;
  }

  /** The last good answer may still serve. */
  #isUsable(entry: NameEntry): boolean {
    const staleMsMax = entry.isAbsent ? STALE_ABSENT_MS_MAX : STALE_MS_MAX;
    return entry.addresses.length > 0 && this.#clock.now() - entry.expiresAtMs < staleMsMax;
  }

  #settleFailure(entry: NameEntry, handler: ResolveHandler, failure: ProxyError): void {
    if (this.#isUsable(entry)) handler.onResolved(entry.addresses, false);
    else handler.onUnresolved(failure);
  }

  #believedMs(ttlMs: number | undefined): number {
    if (ttlMs === undefined) return DNS_TTL_MS;
    return Math.max(this.#bounds.minMs, Math.min(ttlMs, this.#bounds.maxMs));
  }

  /** A resolver that hangs keeps the question open: asking again would only fill the threads that ask. */
  #start(entry: NameEntry): void {
    const question = ++entry.questions;
    entry.isResolving = true;
    this.#lookup(entry.name, (error, addresses, ttlMs, isPart = false) => {
      if (entry.questions !== question) return;
      entry.isResolving = false;
      entry.isPart = isPart;
      if (error === null && addresses.length > 0) {
        const kept = few(addresses);
        entry.addresses = kept.some(isMapped) ? kept.map(unmapped) : kept;
        entry.expiresAtMs = this.#clock.now() + this.#believedMs(ttlMs);
        entry.failure = null;
        entry.isAbsent = false;
      } else {
        entry.isAbsent ||= error === null || isAbsence(error);
        const what = `cannot resolve ${entry.name}`;
        entry.failure =
          error === null
            ? new ProxyError("dns_error", `${what}: the name has no address`)
            : failureOfLookup(error, what);
        entry.failedAtMs = this.#clock.now();
      }
      for (const waiter of [...entry.waiters]) {
        if (!waiter.cancel()) continue;
        if (entry.failure === null) waiter.handler.onResolved(entry.addresses, isPart);
        else this.#settleFailure(entry, waiter.handler, entry.failure);
      }
      if (isPart) return;
      for (const waiter of [...entry.restWaiters]) {
        if (waiter.cancel()) waiter.handler.onResolved(entry.addresses, false);
      }
    });
  }
}

/** Somebody who waits for an answer, for a limited time. */
class Waiter<Handler = ResolveHandler> implements TimerHandle {
  readonly handler: Handler;
  readonly #all: Set<Waiter<Handler>>;
  readonly #timer: TimerHandle;

  constructor(clock: Clock, all: Set<Waiter<Handler>>, handler: Handler, waitMs: number, onTimeout: () => void) {
    this.handler = handler;
    this.#all = all;
    all.add(this);
    this.#timer = clock.after(waitMs, () => {
      if (this.cancel()) onTimeout();
    });
  }

  /** False when it was settled or cancelled before. */
  cancel(): boolean {
    this.#timer.cancel();
    return this.#all.delete(this);
  }
}

const NOTHING_TO_CANCEL: TimerHandle = { cancel() {} };

function timeoutOf(name: string): ProxyError {
  return new ProxyError("dns_timeout", `cannot resolve ${name}: no answer within ${DNS_TIMEOUT_MS} ms`);
}

/** IPv4 that a server wrote as IPv6 is IPv4, so that whoever judges addresses need not know that there are such. */
function isMapped({ family, address }: ResolvedAddress): boolean {
  return family === 6 && mappedIpv4Of(address) !== null;
}

function unmapped(resolved: ResolvedAddress): ResolvedAddress {
  return isMapped(resolved) ? { address: mappedIpv4Of(resolved.address)!, family: 4 } : resolved;
}
