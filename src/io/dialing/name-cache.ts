/**
 * Names to addresses, by the system's own rules (getaddrinfo: the hosts file, search domains, RFC 6724 order), with a
 * cache in front: getaddrinfo does not tell how long an answer is good, so it is believed for a short fixed time, and a
 * failure for a shorter one. A name is asked for once at a time, however many wait for it. When resolving fails or takes
 * long, the last good answer serves on within a bound: an outage of the resolver need not be one of the proxy.
 */
import dns from "node:dns";
import { ProxyError } from "../../core/errors.ts";
import { DNS_NEGATIVE_TTL_MS, DNS_TIMEOUT_MS, DNS_TTL_MS } from "../../core/limits.ts";
import type { Clock, TimerHandle } from "../../core/ports.ts";
import { failureOf, type SystemError } from "../failures.ts";

export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Asks the system; calls back once, in a later turn. */
export type Lookup = (name: string, callback: LookupCallback) => void;
export type LookupCallback = (error: SystemError | null, addresses: readonly ResolvedAddress[]) => void;

/** Told once, unless it was cancelled before. */
export interface ResolveHandler {
  onResolved(addresses: readonly ResolvedAddress[]): void;
  onUnresolved(error: ProxyError): void;
}

/** How old an answer may be that serves while resolving fails. RFC 8767 allows days; an hour bridges an outage. */
const STALE_MS_MAX = 3_600_000;
/** How long an expired answer waits for a fresh one. RFC 8767 suggests 1.8 s, which is too much of a connect timeout. */
const STALE_WAIT_MS = 500;
/** Names that are remembered. A reverse proxy has tens; the least recently used one goes first. */
const NAMES_MAX = 4096;

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
  /** The last good answer and when it came; empty when there was none. */
  addresses: readonly ResolvedAddress[];
  answeredAtMs: number;
  /** The last failure, until an answer comes. */
  failure: ProxyError | null;
  failedAtMs: number;
  readonly waiters: Set<Waiter>;
  isResolving: boolean;
}

export class NameCache {
  readonly #clock: Clock;
  readonly #lookup: Lookup;
  /** In the order of last use. */
  readonly #entries = new Map<string, NameEntry>();

  constructor(clock: Clock, lookup: Lookup = systemLookup) {
    this.#clock = clock;
    this.#lookup = lookup;
  }

  /** The handler is called before this returns when the answer is known. Cancelling the result is always allowed. */
  resolve(name: string, handler: ResolveHandler): TimerHandle {
    const entry = this.#entryOf(name);
    const now = this.#clock.now();
    if (entry.addresses.length > 0 && now - entry.answeredAtMs < DNS_TTL_MS) {
      handler.onResolved(entry.addresses);
      return NOTHING_TO_CANCEL;
    }
    if (entry.failure !== null && now - entry.failedAtMs < DNS_NEGATIVE_TTL_MS) {
      this.#settleFailure(entry, handler, entry.failure);
      return NOTHING_TO_CANCEL;
    }
    const waiter = new Waiter(
      this.#clock,
      entry,
      handler,
      this.#isUsable(entry) ? STALE_WAIT_MS : DNS_TIMEOUT_MS,
      () => {
        this.#settleFailure(entry, handler, timeoutOf(name));
      },
    );
    if (!entry.isResolving) this.#start(entry);
    return waiter;
  }

  #entryOf(name: string): NameEntry {
    const key = name.toLowerCase();
    let entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
    } else {
      entry = {
        name: key,
        addresses: [],
        answeredAtMs: 0,
        failure: null,
        failedAtMs: 0,
        waiters: new Set(),
        isResolving: false,
      };
      if (this.#entries.size >= NAMES_MAX) this.#entries.delete(this.#entries.keys().next().value!);
    }
    this.#entries.set(key, entry);
    return entry;
  }

  /** The last good answer may still serve. */
  #isUsable(entry: NameEntry): boolean {
    return entry.addresses.length > 0 && this.#clock.now() - entry.answeredAtMs < STALE_MS_MAX;
  }

  #settleFailure(entry: NameEntry, handler: ResolveHandler, failure: ProxyError): void {
    if (this.#isUsable(entry)) handler.onResolved(entry.addresses);
    else handler.onUnresolved(failure);
  }

  /** A resolver that hangs keeps the question open: asking again would only fill the threads that ask. */
  #start(entry: NameEntry): void {
    entry.isResolving = true;
    this.#lookup(entry.name, (error, addresses) => {
      entry.isResolving = false;
      if (error === null && addresses.length > 0) {
        entry.addresses = addresses;
        entry.answeredAtMs = this.#clock.now();
        entry.failure = null;
      } else {
        const what = `cannot resolve ${entry.name}`;
        entry.failure =
          error === null
            ? new ProxyError("dns_error", `${what}: the name has no address`)
            : failureOfLookup(error, what);
        entry.failedAtMs = this.#clock.now();
      }
      for (const waiter of [...entry.waiters]) {
        if (!waiter.cancel()) continue;
        if (entry.failure === null) waiter.handler.onResolved(entry.addresses);
        else this.#settleFailure(entry, waiter.handler, entry.failure);
      }
    });
  }
}

/** Somebody who waits for an answer, for a limited time. */
class Waiter implements TimerHandle {
  readonly handler: ResolveHandler;
  readonly #entry: NameEntry;
  readonly #timer: TimerHandle;

  constructor(clock: Clock, entry: NameEntry, handler: ResolveHandler, waitMs: number, onTimeout: () => void) {
    this.handler = handler;
    this.#entry = entry;
    entry.waiters.add(this);
    this.#timer = clock.after(waitMs, () => {
      if (this.cancel()) onTimeout();
    });
  }

  /** False when it was settled or cancelled before. */
  cancel(): boolean {
    this.#timer.cancel();
    return this.#entry.waiters.delete(this);
  }
}

const NOTHING_TO_CANCEL: TimerHandle = { cancel() {} };

function timeoutOf(name: string): ProxyError {
  return new ProxyError("dns_timeout", `cannot resolve ${name}: no answer within ${DNS_TIMEOUT_MS} ms`);
}

/** Whatever a resolver says, it is an error of name resolution. */
function failureOfLookup(error: SystemError, what: string): ProxyError {
  const failure = failureOf(error, what, "upstream");
  return failure.type === "dns_error" ? failure : new ProxyError("dns_error", failure.message, { cause: error });
}
