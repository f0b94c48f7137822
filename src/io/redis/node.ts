/**
 * The sessions of one server of Redis: a link to it, and the answers that it gave, kept right by what it says of changes. It
 * decides which answers may be believed:
 *
 * - While the server tells what changes (client tracking, RESP3), an answer is good until it says otherwise, and never longer than
 *   the key itself. An answer that was under way when its key changed is not kept: the two may arrive in one read, and the change
 *   is then heard before anyone has seen the answer. Whoever asks after the change asks anew.
 * - Where it does not, an answer is good for a short time.
 * - When the link is lost, or silent for longer than a ping and its answer take, all answers are gone; with a grace, records (not
 *   the absence of one) are good for that long, and all are forgotten when the link is back.
 */

import type { ProxyError } from "../../core/errors.ts";
import { STORE_CACHE_BYTES_MAX } from "../../core/limits.ts";
import type { Clock, Random, SessionRecord, SessionStore } from "../../core/ports.ts";
import { AnswerCache } from "../answer-cache.ts";
import { checkRecord, isPossibleKey } from "../session-records.ts";
import { failureOf } from "./failure.ts";
import { type LinkObserver, type LinkOptions, PING_MS, RedisLink } from "./link.ts";

export interface NodeOptions extends LinkOptions {
  readonly cacheEntriesMax: number;
  readonly cacheTtlMs: number;
  /** null: answers end with the link. */
  readonly graceMs: number | null;
}

export interface RedisSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: LinkObserver;
  /** What a store that cannot be asked rejects with. */
  unavailable(cause: Error): ProxyError;
}

/** Keys in one step of a listing. */
const LISTED_AT_ONCE = "256";

/** A look-up that is under way. */
interface Asked {
  promise: Promise<SessionRecord | null>;
  /** The key has not changed since. */
  isFresh: boolean;
}

const ASKING = ["ASKING"];
const NOBODY: Promise<null> = Promise.resolve(null);

export class RedisNode implements SessionStore {
  readonly #options: NodeOptions;
  readonly #around: RedisSurroundings;
  readonly #link: RedisLink;
  readonly #cache: AnswerCache;
  readonly #asked = new Map<string, Asked>();
  /** A server that says nothing for so long is as good as lost. */
  readonly #silenceMsMax: number;
  /** While the link is away: on the monotonic clock, until when records that are kept are good. */
  #graceUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: NodeOptions, around: RedisSurroundings) {
    this.#options = options;
    this.#around = around;
    this.#cache = new AnswerCache(options.cacheEntriesMax, STORE_CACHE_BYTES_MAX);
    this.#silenceMsMax = PING_MS + options.commandTimeoutMs;
    const handler = {
      onInvalid: (key: string | null): void => (key === null ? this.#forgetAll() : this.#forget(key)),
      // Only a grace has left anything. What waits for this connection has not been sent yet.
      onReady: (): void => this.#cache.clear(),
      onLost: (): void => this.#lost(),
    };
    this.#link = new RedisLink(options, around, handler, around.observer);
  }

  get isReady(): boolean {
    return this.#link.isReady;
  }

  start(): void {
    this.#link.start();
  }

  peek(key: string): SessionRecord | null | undefined {
    const answer = this.#cache.get(key);
    if (answer === undefined) return undefined;
    const nowMs = this.#around.clock.now();
    const { record } = answer;
    if (record !== null && nowMs >= record.expiresMs) {
      this.#cache.delete(key);
      return undefined;
    }
    if (this.#link.isReady) {
      if (nowMs >= answer.freshUntilMs || nowMs >= this.#link.heardMs + this.#silenceMsMax) return undefined;
    } else if (record === null || nowMs >= this.#graceUntilMs) {
      return undefined;
    }
    answer.isUsed = true;
    return record;
  }

  /** `isAsking`: of a node that is about to get the key from another one, which said so; the answer is not kept. */
  get(key: string, isAsking = false): Promise<SessionRecord | null> {
    const known = this.peek(key);
    if (known !== undefined) return Promise.resolve(known);
    if (!isPossibleKey(key)) return Promise.resolve(null);
    const before = this.#asked.get(key);
    if (before !== undefined) return before.promise;
    const asked: Asked = { promise: NOBODY, isFresh: true };
    this.#asked.set(key, asked);
    asked.promise = this.#ask(key, asked, isAsking);
    return asked.promise;
  }

  async #ask(key: string, asked: Asked, isAsking: boolean): Promise<SessionRecord | null> {
    const { clock } = this.#around;
    try {
      if (!this.#link.isReady) await this.#link.ready();
      const sentMs = clock.now();
      const commands = [
        ["GET", key],
        ["PTTL", key],
      ];
      const answers = await this.#link.send(
        ...(isAsking ? commands.flatMap((command) => [ASKING, command]) : commands),
      );
      const [value, ttl] = isAsking ? [answers[1], answers[3]] : answers;
      // From when it was sent: Redis counts from later, so this is never after the key itself.
      const expiresMs = typeof ttl === "number" && ttl >= 0 ? sentMs + ttl : Number.POSITIVE_INFINITY;
      const record: SessionRecord | null = typeof value === "string" ? { value, expiresMs } : null;
      // -2: the key went between the two commands.
      const isWhole = record === null || ttl !== -2;
      if (asked.isFresh && !isAsking && isWhole) {
        this.#cache.set(
          key,
          record,
          this.#link.isTracked ? Number.POSITIVE_INFINITY : sentMs + this.#options.cacheTtlMs,
        );
      }
      return record;
    } catch (error) {
      throw this.#unavailable(error);
    } finally {
      if (this.#asked.get(key) === asked) this.#asked.delete(key);
    }
  }

  async put(key: string, value: string, ttlMs: number | null, isAsking = false): Promise<void> {
    checkRecord(key, value, ttlMs);
    const expiry = ttlMs === null ? [] : ["PX", String(Math.ceil(ttlMs))];
    await this.#change(key, ["SET", key, value, ...expiry], isAsking);
  }

  async delete(key: string, isAsking = false): Promise<boolean> {
    if (!isPossibleKey(key)) return false;
    return (await this.#change(key, ["DEL", key], isAsking)) === 1;
  }

  async *list(prefix: string): AsyncIterable<{ readonly key: string; readonly ttlMs: number | null }> {
    const pattern = `${prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
    // A key may come more than once.
    const seen = new Set<string>();
    let cursor = "0";
    do {
      const scan = ["SCAN", cursor, "MATCH", pattern, "COUNT", LISTED_AT_ONCE, "TYPE", "string"];
      const [next, keys] = (await this.send(scan))[0] as [string, string[]];
      const added = keys.filter((key) => !seen.has(key) && seen.add(key));
      const ttls = added.length === 0 ? [] : await this.send(...added.map((key) => ["PTTL", key]));
      for (const [index, key] of added.entries()) {
        const ttl = ttls[index] as number;
        if (ttl !== -2) yield { key, ttlMs: ttl < 0 ? null : ttl };
      }
      cursor = String(next);
    } while (cursor !== "0");
  }

  async close(): Promise<void> {
    this.#link.close();
    this.#forgetAll();
    this.#graceUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** What we change ourselves is forgotten by us: before, so that nobody sees it longer, and after, since it may have been asked for. */
  async #change(key: string, command: string[], isAsking: boolean): Promise<unknown> {
    this.#forget(key);
    try {
      return (await this.send(...(isAsking ? [ASKING] : []), command)).at(-1);
    } finally {
      this.#forget(key);
    }
  }

  /** Commands as they are. Rejects as `get` does. */
  async send(...commands: readonly string[][]): Promise<unknown[]> {
    try {
      await this.#link.ready();
      return await this.#link.send(...commands);
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  #unavailable(error: unknown): Error {
    return this.#around.unavailable(failureOf(error));
  }

  #forget(key: string): void {
    this.#cache.delete(key);
    const asked = this.#asked.get(key);
    if (asked === undefined) return;
    asked.isFresh = false;
    this.#asked.delete(key);
  }

  #forgetAll(): void {
    this.#cache.clear();
    this.#forgetAsked();
  }

  #forgetAsked(): void {
    for (const asked of this.#asked.values()) asked.isFresh = false;
    this.#asked.clear();
  }

  #lost(): void {
    const { graceMs } = this.#options;
    if (graceMs === null) {
      this.#forgetAll();
      return;
    }
    this.#forgetAsked();
    this.#graceUntilMs = this.#link.heardMs + graceMs;
  }
}
