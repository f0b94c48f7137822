/**
 * Sessions in a store that threads and machines share. The browser has a random id of 256 bits; the record lies under a
 * digest of it, sealed with the record's key as its context: who can read the store can neither use a session nor put
 * one in another's place.
 *
 * Changes exclude each other by a lock in the store itself, by Fischer's algorithm: take the lock when it is free, wait
 * longer than anybody needs between finding it free and taking it, and go on if it is still ours. Where that time does
 * not hold, two may refresh at once; the provider then refuses one of them, who finds the other's tokens in the store.
 * A session that ends leaves a mark for as long as a change can be under way: whoever has written meanwhile sees it,
 * and takes the record back.
 */
import { createHash, randomBytes } from "node:crypto";
import { SESSION_VALUE_BYTES_MAX } from "../../core/limits.ts";
import type { Clock, SessionRecord, SessionStore } from "../../core/ports.ts";
import { type KeyRing, open, seal } from "../../identity/envelope.ts";
import { refusal } from "../../identity/refusal.ts";
import { Entries, Entry } from "./entries.ts";
import type { Change, Keeper } from "./keeper.ts";
import { decodeSession, encodeSession, type Lifetimes, type Session, sessionEndMs } from "./session.ts";

/** 256 bits in base64url. */
const ID = /^[A-Za-z0-9_-]{43}$/;
/** A change holds the lock no longer: two requests to the provider and some to the store. */
const LOCK_MS = 45_000;
/** Longer than a write to the store takes on its way. */
const SETTLE_MS = 50;
/** Between two looks at a lock that somebody else has. */
const POLL_MS = 100;

export class StoredSessions implements Keeper {
  readonly isShared = true;
  readonly #entries: Entries;
  readonly #store: SessionStore;
  readonly #keys: KeyRing;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #lifetimes: Lifetimes;
  /** Somebody will ask for sessions by the issuer's ids. */
  readonly #isIndexed: boolean;
  /** Changes that are under way in this thread, by key. */
  readonly #changing = new Map<string, Promise<Entry | null>>();

  constructor(
    store: SessionStore,
    keys: KeyRing,
    prefix: string,
    clock: Clock,
    lifetimes: Lifetimes,
    isIndexed: boolean,
    entries = new Entries(),
  ) {
    this.#store = store;
    this.#keys = keys;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#lifetimes = lifetimes;
    this.#isIndexed = isIndexed;
    this.#entries = entries;
  }

  peek(value: string): Entry | null | undefined {
    const known = this.#entries.find(value);
    if (known === null && !ID.test(value)) return null;
    const record = this.#store.peek(known === null ? this.#keyOf(value) : known.key);
    return record === undefined ? undefined : this.#entryOf(value, record, known);
  }

  async find(value: string): Promise<Entry | null> {
    if (!ID.test(value)) return null;
    const record = await this.#ask(() => this.#store.get(this.#keyOf(value)));
    return this.#entryOf(value, record, this.#entries.find(value));
  }

  /** The session of a record, opened anew when it is another one than before. */
  #entryOf(value: string, record: SessionRecord | null, known: Entry | null): Entry | null {
    if (record === null) {
      if (known !== null) this.#entries.drop(value);
      return null;
    }
    if (known !== null) {
      if (known.record === record) return known;
      if (known.record!.value === record.value) {
        known.record = record;
        return known;
      }
    }
    const key = this.#keyOf(value);
    const text = open(this.#keys, record.value, key);
    const session = text === null ? null : decodeSession(text);
    if (session === null) return null;
    const entry = new Entry(value, session, record, key);
    this.#entries.keep(entry);
    return entry;
  }

  async create(session: Session): Promise<Entry | null> {
    const value = randomBytes(32).toString("base64url");
    const key = this.#keyOf(value);
    const sealed = seal(this.#keys, encodeSession(session), key);
    if (sealed.length > SESSION_VALUE_BYTES_MAX) return null;
    await this.#ask(async () => {
      if (this.#isIndexed) {
        for (const index of this.#indexesOf(session, key))
          await this.#store.put(index, key, this.#lifetimes.lifetimeMs);
      }
      await this.#store.put(key, sealed, this.#ttlOf(session));
    });
    return this.find(value);
  }

  update(entry: Entry, change: Change, inPassing: boolean): Promise<Entry | null> {
    const running = this.#changing.get(entry.key);
    if (running !== undefined) return inPassing ? Promise.resolve(entry) : running;
    const changing = this.#change(entry, change, inPassing).finally(() => this.#changing.delete(entry.key));
    this.#changing.set(entry.key, changing);
    return changing;
  }

  async #change(entry: Entry, change: Change, inPassing: boolean): Promise<Entry | null> {
    const { key, value } = entry;
    const lock = `${key}:lock`;
    for (;;) {
      // Somebody else may have done it already, or ended the session.
      const current = await this.find(value);
      if (current === null || current.record!.value !== entry.record!.value) return current;
      const holder = randomBytes(16).toString("base64url");
      if (await this.#take(lock, holder)) return this.#changeLocked(current, change).finally(() => this.#release(lock));
      if (inPassing) return current;
      await this.#wait(POLL_MS);
    }
  }

  async #take(lock: string, holder: string): Promise<boolean> {
    if ((await this.#ask(() => this.#store.get(lock))) !== null) return false;
    await this.#ask(() => this.#store.put(lock, holder, LOCK_MS));
    await this.#wait(SETTLE_MS);
    return (await this.#ask(() => this.#store.get(lock)))?.value === holder;
  }

  /** A lock that cannot be given back ends by itself. */
  #release(lock: string): void {
    this.#store.delete(lock).catch(() => {});
  }

  async #changeLocked(before: Entry, change: Change): Promise<Entry | null> {
    const { key, value } = before;
    const entry = await this.find(value);
    if (entry === null || entry.record!.value !== before.record!.value) return entry;
    const session = await change(entry.session);
    if (session === null) return entry;
    const sealed = seal(this.#keys, encodeSession(session), key);
    if (sealed.length > SESSION_VALUE_BYTES_MAX) return entry;
    return this.#ask(async () => {
      await this.#store.put(key, sealed, this.#ttlOf(session));
      if ((await this.#store.get(endedMark(key))) === null) return this.find(value);
      await this.#store.delete(key);
      return null;
    });
  }

  async end(entry: Entry): Promise<void> {
    this.#entries.drop(entry.value);
    await this.#endKey(entry.key);
    if (!this.#isIndexed) return;
    for (const index of this.#indexesOf(entry.session, entry.key)) await this.#ask(() => this.#store.delete(index));
  }

  async #endKey(key: string): Promise<void> {
    await this.#ask(async () => {
      await this.#store.put(endedMark(key), "1", LOCK_MS * 2);
      await this.#store.delete(key);
    });
  }

  /** Ends what an issuer names: one of its sessions, or all of a subject. */
  async endAll(by: { readonly sid: string } | { readonly subject: string }): Promise<number> {
    const prefix = "sid" in by ? this.#indexOf("sid", by.sid) : this.#indexOf("sub", by.subject);
    let ended = 0;
    await this.#ask(async () => {
      for await (const { key: index } of this.#store.list(prefix)) {
        await this.#endKey(`${this.#prefix}s:${index.slice(prefix.length)}`);
        await this.#store.delete(index);
        ended++;
      }
    });
    return ended;
  }

  /** Whether a logout token of this id has done its work. Two that come at the same time may both: to end a session twice is no harm. */
  isUsed(tokenId: string): Promise<boolean> {
    return this.#ask(async () => (await this.#store.get(this.#keyOfToken(tokenId))) !== null);
  }

  markUsed(tokenId: string, ttlMs: number): Promise<void> {
    return this.#ask(() => this.#store.put(this.#keyOfToken(tokenId), "1", ttlMs));
  }

  #keyOfToken(id: string): string {
    return `${this.#prefix}jti:${digest(id)}`;
  }

  #keyOf(id: string): string {
    return `${this.#prefix}s:${digest(id)}`;
  }

  #indexOf(kind: "sid" | "sub", name: string): string {
    return `${this.#prefix}${kind}:${digest(name)}:`;
  }

  #indexesOf({ sid, subject }: Session, key: string): readonly string[] {
    const tail = key.slice(this.#prefix.length + "s:".length);
    const indexes = [this.#indexOf("sub", subject) + tail];
    return sid === null ? indexes : [...indexes, this.#indexOf("sid", sid) + tail];
  }

  #ttlOf(session: Session): number {
    return Math.max(1, sessionEndMs(session, this.#lifetimes) - this.#clock.wallMs());
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }

  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      throw refusal("oidc", "store_unavailable", { cause });
    }
  }
}

function endedMark(key: string): string {
  return `${key}:ended`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
