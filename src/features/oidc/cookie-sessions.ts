/**
 * Sessions in the browser's own cookie, sealed: nothing is kept here that another thread or machine lacks, and nothing
 * ends a session but its time and the browser. A session that changes is another cookie; the old value leads to the new
 * one for a while, since requests that are under way still bear it.
 */
import type { Clock } from "../../core/ports.ts";
import { type KeyRing, open, seal } from "../../identity/envelope.ts";
import { Entries, Entry, latestOf } from "./entries.ts";
import type { Change, Keeper } from "./keeper.ts";
import { decodeSession, encodeSession, type Session } from "./session.ts";

/** How long an old value leads to the new one: requests that were under way when the browser got the new cookie. */
export const REPLACED_MS = 60_000;

export class CookieSessions implements Keeper {
  readonly isShared = false;
  readonly #entries: Entries;
  readonly #keys: KeyRing;
  readonly #context: string;
  readonly #clock: Clock;
  /** Whether a value is short enough for the cookies that hold it. */
  readonly #fits: (value: string) => boolean;
  /** Changes that are under way. */
  readonly #changing = new Map<Entry, Promise<Entry | null>>();

  constructor(keys: KeyRing, context: string, clock: Clock, fits: (value: string) => boolean, entries = new Entries()) {
    this.#keys = keys;
    this.#context = context;
    this.#clock = clock;
    this.#fits = fits;
    this.#entries = entries;
  }

  peek(value: string): Entry | null {
    return this.#entries.find(value) ?? this.#open(value);
  }

  async find(value: string): Promise<Entry | null> {
    return this.peek(value);
  }

  async create(session: Session): Promise<Entry | null> {
    const value = seal(this.#keys, encodeSession(session), this.#context);
    if (!this.#fits(value)) return null;
    const entry = new Entry(value, session);
    this.#entries.keep(entry);
    return entry;
  }

  async update(entry: Entry, change: Change, inPassing: boolean): Promise<Entry | null> {
    const latest = latestOf(entry);
    const running = this.#changing.get(latest);
    if (running !== undefined) return inPassing ? latest : running;
    const changing = this.#change(latest, change).finally(() => this.#changing.delete(latest));
    this.#changing.set(latest, changing);
    return changing;
  }

  async #change(entry: Entry, change: Change): Promise<Entry | null> {
    const session = await change(entry.session);
    if (session === null) return entry;
    const next = await this.create(session);
    // It has grown too large for the browser: what there is lasts until its end.
    if (next === null) return entry;
    entry.replacedBy = next;
    this.#clock.after(REPLACED_MS, () => this.#entries.drop(entry.value));
    return next;
  }

  async end(entry: Entry): Promise<void> {
    this.#entries.drop(entry.value);
  }

  #open(value: string): Entry | null {
    const text = open(this.#keys, value, this.#context);
    const session = text === null ? null : decodeSession(text);
    if (session === null) return null;
    const entry = new Entry(value, session);
    this.#entries.keep(entry);
    return entry;
  }
}
