/**
 * Sessions that were opened, by the cookie that they came with: decrypting one costs more than all else that is done
 * for a request. Bounded by the bytes that they hold; the one that nobody has used since it was looked at last goes
 * first (second chance). What is in here is never the only copy, and is believed only as long as its keeper says so.
 */
import { FifoMap } from "../../core/fifo-map.ts";
import type { SessionRecord } from "../../core/ports.ts";
import type { Session } from "./session.ts";
import type { View } from "./view.ts";

/** Of each thread and each login: some thousands of sessions with their tokens. */
const BYTES_MAX = 32 * 1024 * 1024;
/** Of an entry besides its texts: the objects, the field lines. */
const OVERHEAD_BYTES = 1024;

export class Entry {
  /** The value of the cookie. */
  readonly value: string;
  /** Under which the store has it; "" where there is no store. */
  readonly key: string;
  readonly session: Session;
  /** What the store has; null where there is no store. */
  record: SessionRecord | null;
  /** On the monotonic clock: until then nothing needs to be looked at. 0: it was not looked at yet. */
  calmUntilMs = 0;
  /** On the monotonic clock: the provider could not be asked, and is not asked again before. */
  retryMs = 0;
  /** The tokens cannot be refreshed with what this entry has. */
  isSpent = false;
  /** The browser has, or gets, this one in its place. */
  replacedBy: Entry | null = null;
  wasUsed = false;
  readonly bytes: number;
  /** For each feature that uses the login, by its number: what it makes of the session. */
  readonly views: (View | undefined)[] = [];

  constructor(value: string, session: Session, record: SessionRecord | null = null, key = "") {
    this.value = value;
    this.key = key;
    this.session = session;
    this.record = record;
    const { idToken, accessToken, refreshToken } = session;
    const texts = idToken.length + (accessToken?.length ?? 0) + (refreshToken?.length ?? 0);
    this.bytes = OVERHEAD_BYTES + value.length + texts + (record?.value.length ?? 0);
  }
}

/** What has come in the place of a session's cookie, however often. */
export function latestOf(entry: Entry): Entry {
  let latest = entry;
  while (latest.replacedBy !== null) latest = latest.replacedBy;
  return latest;
}

export class Entries {
  readonly #entries = new FifoMap<string, Entry>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(value: string): Entry | null {
    const entry = this.#entries.get(value);
    if (entry === undefined) return null;
    entry.wasUsed = true;
    return entry;
  }

  keep(entry: Entry): void {
    this.drop(entry.value);
    this.#entries.set(entry.value, entry);
    this.#bytes += entry.bytes;
    while (this.#bytes > this.#bytesMax && this.#entries.size > 1) this.#passOver(entry);
  }

  /** Looks at the oldest one: it goes, or, when it was used, is the youngest from now on. */
  #passOver(newest: Entry): void {
    const value = this.#entries.oldest!;
    const oldest = this.#entries.get(value)!;
    if (oldest === newest || oldest.wasUsed) {
      oldest.wasUsed = false;
      this.#entries.set(value, oldest);
    } else this.drop(value);
  }

  drop(value: string): void {
    const entry = this.#entries.get(value);
    if (entry === undefined) return;
    this.#entries.delete(value);
    this.#bytes -= entry.bytes;
  }
}
