/**
 * A session store in memory, for tests: what it decides is what every store must, with a clock that the test moves. It may know
 * its records at once or only when asked, and it can be away.
 */
import type { ProxyError } from "../core/errors.ts";
import { SESSION_KEY_BYTES_MAX, SESSION_VALUE_BYTES_MAX } from "../core/limits.ts";
import type { Clock, SessionRecord, SessionStore } from "../core/ports.ts";

export class MemorySessionStore implements SessionStore {
  readonly #clock: Clock;
  readonly #records = new Map<string, SessionRecord>();
  /** `peek` answers; false: only `get` does, as with a store that has to be asked each time. */
  knowsAtOnce = true;
  /** What everything rejects with while the store is away; `peek` then knows nothing. */
  unavailable: ProxyError | null = null;
  /** How often `get` was asked. */
  gets = 0;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  peek(key: string): SessionRecord | null | undefined {
    if (!this.knowsAtOnce || this.unavailable !== null) return undefined;
    return this.#find(key);
  }

  async get(key: string): Promise<SessionRecord | null> {
    this.gets++;
    this.#ask();
    return this.#find(key);
  }

  async put(key: string, value: string, ttlMs: number | null): Promise<void> {
    this.#ask();
    if (key === "" || !isText(key, SESSION_KEY_BYTES_MAX)) throw new RangeError("the key is no text, or too long");
    if (!isText(value, SESSION_VALUE_BYTES_MAX)) throw new RangeError("the value is no text, or too long");
    if (ttlMs !== null && !(ttlMs > 0)) throw new RangeError("a session lives for more than no time");
    this.#records.set(key, { value, expiresMs: ttlMs === null ? Number.POSITIVE_INFINITY : this.#clock.now() + ttlMs });
  }

  async delete(key: string): Promise<boolean> {
    this.#ask();
    const wasThere = this.#find(key) !== null;
    this.#records.delete(key);
    return wasThere;
  }

  async *list(prefix: string): AsyncIterable<{ readonly key: string; readonly ttlMs: number | null }> {
    this.#ask();
    for (const key of [...this.#records.keys()]) {
      const record = key.startsWith(prefix) ? this.#find(key) : null;
      if (record === null) continue;
      yield { key, ttlMs: record.expiresMs === Number.POSITIVE_INFINITY ? null : record.expiresMs - this.#clock.now() };
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#records.clear();
  }

  #find(key: string): SessionRecord | null {
    const record = this.#records.get(key);
    if (record === undefined) return null;
    if (record.expiresMs > this.#clock.now()) return record;
    this.#records.delete(key);
    return null;
  }

  #ask(): void {
    if (this.unavailable !== null) throw this.unavailable;
    if (this.#isClosed) throw new Error("the store is closed");
  }
}

function isText(text: string, bytesMax: number): boolean {
  return text.isWellFormed() && Buffer.byteLength(text) <= bytesMax;
}
