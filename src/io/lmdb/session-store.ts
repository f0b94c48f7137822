/**
 * Sessions in an LMDB: a folder on this machine, read without locks by every thread and by the commands. It decides how a record is
 * laid out, and when what has expired is removed.
 *
 * A look-up reads at once, from memory that the system shares. The library's read transaction is renewed within a turn, so that a
 * session that anybody deletes is gone for every thread in about a millisecond. A `put` or `delete` that has resolved is on the
 * disk: a power loss takes nothing that was confirmed, and the database is never torn. A full disk makes them reject.
 *
 * Under a key stand a version byte, the expiry on the wall clock as a double (0: none), a revision (6 bytes of chance, by which an
 * unchanged record is known without reading it), and the value as UTF-8.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { open, type RootDatabase } from "lmdb";
import type { ProxyError } from "../../core/errors.ts";
import type { Clock, Random, SessionRecord, SessionStore, TimerHandle } from "../../core/ports.ts";
import { AnswerCache } from "../answer-cache.ts";
import { reasonOfCommit } from "../cache/commit-error.ts";
import { checkRecord, isPossibleKey } from "../session-records.ts";

export interface LmdbSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** What a store that cannot be asked rejects with. */
  unavailable(cause: Error): ProxyError;
}

const VERSION = 1;
const EXPIRY_AT = 1;
const REVISION_AT = 9;
const REVISION_BYTES = 6;
const VALUE_AT = REVISION_AT + REVISION_BYTES;

/** Records that each thread keeps decoded, and the memory that they may take. */
const DECODED_MAX = 16_384;
const DECODED_BYTES_MAX = 16 * 1024 * 1024;

/** What one turn reads of a listing or a sweep. */
const ENTRIES_AT_ONCE = 256;
/** Between two sweeps of a thread, half of it by chance: all threads sweep, and any of them is enough. */
const SWEEP_MS = 600_000;
/** Threads and processes that read at the same time. */
const READERS_MAX = 1024;

/** A record as it was read last, and what shows that it is still the same. */
interface Decoded extends SessionRecord {
  readonly expiry: number;
  readonly revision: number;
}

export class LmdbSessionStore implements SessionStore {
  readonly #around: LmdbSurroundings;
  readonly #database: RootDatabase<Buffer, string>;
  readonly #decoded = new AnswerCache(DECODED_MAX, DECODED_BYTES_MAX);
  #nextSweep: TimerHandle | null = null;
  #isClosed = false;
  /** The last commit has failed. */
  #hasFailed = false;

  /** Makes the folder when there is none. Throws an Error when it cannot be opened. */
  constructor(folder: string, around: LmdbSurroundings) {
    this.#around = around;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const options = {
      path: folder,
      noSubdir: false,
      encoding: "binary" as const,
      maxReaders: READERS_MAX,
      // With it, the library makes a promise for each commit that fails which nobody hears: it would end the process.
      eventTurnBatching: false,
      // The library passes it on, and its types do not know it.
      permissionsMode: 0o600,
    };
    this.#database = open<Buffer, string>(options);
    this.#planSweep();
  }

  peek(key: string): SessionRecord | null | undefined {
    if (this.#isClosed || !isPossibleKey(key)) return this.#isClosed ? undefined : null;
    let bytes: Buffer | undefined;
    try {
      bytes = this.#database.getBinaryFast(key);
    } catch {
      // Whoever asks by `get` is told why.
      return undefined;
    }
    return bytes === undefined ? null : this.#decode(key, bytes);
  }

  async get(key: string): Promise<SessionRecord | null> {
    this.#checkOpen();
    if (!isPossibleKey(key)) return null;
    try {
      const bytes = this.#database.getBinaryFast(key);
      return bytes === undefined ? null : this.#decode(key, bytes);
    } catch (error) {
      throw this.#around.unavailable(error as Error);
    }
  }

  async put(key: string, value: string, ttlMs: number | null): Promise<void> {
    this.#checkOpen();
    checkRecord(key, value, ttlMs);
    const bytes = Buffer.allocUnsafe(VALUE_AT + Buffer.byteLength(value));
    bytes[0] = VERSION;
    bytes.writeDoubleLE(ttlMs === null ? 0 : this.#around.clock.wallMs() + ttlMs, EXPIRY_AT);
    randomBytes(REVISION_BYTES).copy(bytes, REVISION_AT);
    bytes.write(value, VALUE_AT);
    await this.#write(() => this.#database.put(key, bytes));
  }

  async delete(key: string): Promise<boolean> {
    this.#checkOpen();
    if (!isPossibleKey(key)) return false;
    let wasThere = false;
    await this.#write(() =>
      this.#database.transaction(() => {
        const bytes = this.#database.getBinary(key);
        wasThere = bytes !== undefined && isRecord(bytes) && !this.#isExpired(bytes);
        if (bytes !== undefined) this.#database.removeSync(key);
      }),
    );
    this.#decoded.delete(key);
    return wasThere;
  }

  async *list(prefix: string): AsyncIterable<{ readonly key: string; readonly ttlMs: number | null }> {
    this.#checkOpen();
    for await (const entries of this.#pages(prefix)) {
      const wallMs = this.#around.clock.wallMs();
      for (const { key, value } of entries) {
        if (!key.startsWith(prefix)) return;
        if (!isRecord(value) || this.#isExpired(value)) continue;
        const expiry = value.readDoubleLE(EXPIRY_AT);
        yield { key, ttlMs: expiry === 0 ? null : expiry - wallMs };
      }
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#nextSweep?.cancel();
    this.#decoded.clear();
    // The library waits for the flush of the last commit, which never comes when that has failed: one that changes nothing succeeds.
    if (this.#hasFailed) await this.#write(() => this.#database.transaction(() => {})).catch(() => {});
    await this.#database.close();
  }

  #decode(key: string, bytes: Buffer): SessionRecord | null {
    if (!isRecord(bytes) || this.#isExpired(bytes)) return null;
    const revision = bytes.readUIntLE(REVISION_AT, REVISION_BYTES);
    const expiry = bytes.readDoubleLE(EXPIRY_AT);
    const known = this.#decoded.get(key);
    if (known !== undefined) {
      const decoded = known.record as Decoded;
      if (decoded.revision === revision && decoded.expiry === expiry) {
        known.isUsed = true;
        return decoded;
      }
    }
    const { clock } = this.#around;
    const expiresMs = expiry === 0 ? Number.POSITIVE_INFINITY : clock.now() + expiry - clock.wallMs();
    const record: Decoded = { value: bytes.toString("utf8", VALUE_AT, bytes.length), expiresMs, expiry, revision };
    this.#decoded.set(key, record, Number.POSITIVE_INFINITY);
    return record;
  }

  #isExpired(bytes: Buffer): boolean {
    const expiry = bytes.readDoubleLE(EXPIRY_AT);
    return expiry !== 0 && expiry <= this.#around.clock.wallMs();
  }

  /** Resolves when it is on the disk. */
  async #write(change: () => Promise<unknown>): Promise<void> {
    try {
      await change();
      await this.#database.flushed;
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      throw this.#around.unavailable(await reasonOfCommit(error));
    }
  }

  /** Entries from a key on, some at a time: each step reads the database as it is then, and holds nothing until the next. */
  async *#pages(start: string): AsyncGenerator<{ readonly key: string; readonly value: Buffer }[]> {
    let range: { start: string; exclusiveStart?: true } = { start };
    for (;;) {
      if (this.#isClosed) return;
      const entries = this.#read(range);
      yield entries;
      const last = entries.at(-1);
      if (last === undefined || entries.length < ENTRIES_AT_ONCE) return;
      range = { start: last.key, exclusiveStart: true };
      await new Promise(setImmediate);
    }
  }

  #read(range: { readonly start: string; readonly exclusiveStart?: true }) {
    try {
      return [...this.#database.getRange({ ...range, limit: ENTRIES_AT_ONCE })];
    } catch (error) {
      throw this.#around.unavailable(error as Error);
    }
  }

  #planSweep(): void {
    const { clock, random } = this.#around;
    this.#nextSweep = clock.after(SWEEP_MS * (0.5 + random.next() / 2), () => {
      if (this.#isClosed) return;
      // A sweep that fails leaves what it found to the next one.
      this.sweep()
        .catch(() => {})
        .finally(() => {
          if (!this.#isClosed) this.#planSweep();
        });
    });
  }

  /** Removes what has expired; resolves with how many that were. */
  async sweep(): Promise<number> {
    let swept = 0;
    for await (const entries of this.#pages("")) {
      const expired = entries.filter(({ value }) => isRecord(value) && this.#isExpired(value)).map(({ key }) => key);
      if (expired.length === 0) continue;
      await this.#write(() =>
        this.#database.transaction(() => {
          for (const key of expired) {
            // It may have been put anew since.
            const bytes = this.#database.getBinary(key);
            if (bytes !== undefined && this.#isExpired(bytes)) swept += this.#database.removeSync(key) ? 1 : 0;
          }
        }),
      );
    }
    return swept;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw this.#around.unavailable(new Error("the store is closed"));
  }
}

/** The database may be somebody else's: what is none of our records is neither shown nor removed by itself. */
function isRecord(bytes: Buffer): boolean {
  return bytes.length >= VALUE_AT && bytes[0] === VERSION;
}
