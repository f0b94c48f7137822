/**
 * What a thread has of a shared cache: what is stored, what is being fetched, and the right to fetch what is neither. The feature
 * `cache` decides by HTTP's rules what to do with it; nothing here knows them, but for Vary.
 *
 * A key is a text of the feature's making (scheme, authority, path, query and whatever else it names). Under one key there may be
 * many variants, told apart by the request's fields that Vary names; who looks up gives the request, and gets its own.
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { AnswerSink, ProducedBody } from "../pipeline/body.ts";
import type { AnswerHead } from "../semantics/caching/answer-head.ts";
import type { CacheCounts } from "./counts.ts";

export { type AnswerHead, HEAD_FLAGS } from "../semantics/caching/answer-head.ts";

/** A body that is there, or comes to be. */
export interface AnswerBody {
  /** Of the whole representation; -1: nobody knows yet. */
  readonly bytes: number;
  /** All of it, when it is small and here: at most HOT_BODY_BYTES_MAX. */
  readonly memory: Buffer | null;
  /**
   * Which part is there, or will be: [0, bytes) but for partial answers. Offsets in the representation; `end` is -1 while nobody
   * knows.
   */
  readonly start: number;
  readonly end: number;
  /**
   * Whether it can be read as far as is known, to be asked before an answer is begun with it: a file is opened by that, and stays open
   * for a moment. What cannot be opened, or did not verify, is no answer.
   */
  open(): boolean;
  /**
   * Gives [start, end) of the representation to the sink, as it arrives and as fast as it is taken; `end` is -1: all that comes. Of
   * what was cut, or does not verify, the sink is told by `abort`. The sink may get it as ranges of a file. `isPaused`: of what
   * does not stand in `memory`, nothing is given before `resume`, but from now on it has somebody who reads it, and its file stays.
   */
  produce(sink: AnswerSink, start: number, end: number, isPaused?: boolean): ProducedBody;
}

/** An answer that can be given: stored, or on its way. */
export interface CachedAnswer {
  /** Of everything that is stored in one cache, no two have the same, and a later one has a higher one. 0: on its way. */
  readonly version: number;
  readonly head: AnswerHead;
  readonly body: AnswerBody;
}

/** Why somebody who wants to fetch must do so for himself, without storing. */
export type PassReason =
  /** Fetched a moment ago, and not to be stored; somebody looks whether it is still so. */
  | "uncacheable"
  /** Fetched a moment ago: its body was longer than what is stored. */
  | "too-large"
  /** Who fetched it got nowhere, or was lost before there was a head. */
  | "failed"
  /** Who fetches it makes no progress. */
  | "stalled"
  /** There is another variant on its way than the one that is asked for, again and again. */
  | "variants"
  /** Too much is being fetched. */
  | "full"
  /** The store does not work: its disk is full or failing, or it is cut off from the machines that it shares with. */
  | "off";

/** Exactly one of the four is called, possibly before `acquire` returns, unless it was cancelled. */
export interface AcquireHandler {
  /** Yours to fetch: everybody else waits for you. */
  onFill(fill: Fill): void;
  /** Somebody fetches it, and its head is there. */
  onAnswer(answer: CachedAnswer): void;
  /** Something was stored meanwhile, or validated: look again. */
  onStored(): void;
  onPass(reason: PassReason): void;
}

export interface PendingAcquire {
  /** Gives up; no call follows. */
  cancel(): void;
}

/** What of a representation comes, and how much of it may be stored. */
export interface FillOptions {
  /** The part that comes is [start, end); `end` is -1 when nobody knows yet. Left out: all of it. */
  readonly start?: number;
  readonly end?: number;
  /** A body that turns out to be longer is not stored. Left out, or more than the cache's own: the cache's. */
  readonly bytesMax?: number;
  /** It is unwanted, too, when everybody has left who read it. By default it is fetched to its end. */
  readonly endsUnread?: boolean;
}

/**
 * The right to fetch one answer, and the duty to end it: by `end`, `refresh`, `release` or `fail`, once. A thread that dies ends
 * its fills too. Calls behind the end do nothing.
 */
export interface Fill {
  /**
   * There is something to store: whoever waits and would get the same variant gets it from here on; others are let go. Returns
   * what the caller itself can give to its own client.
   */
  begin(head: AnswerHead, options?: FillOptions): CachedAnswer;
  /** The next bytes of the body; copied. */
  write(bytes: Buffer, start: number, end: number): void;
  /** More was written than was put away: the source should pause until `onDrain`. */
  readonly isFull: boolean;
  onDrain: (() => void) | null;
  /**
   * Nobody reads, and nothing will be stored any more, or its place is worth more than what it brings (and with `endsUnread` in any
   * case): the source may be given up, by `fail`. Somebody may still come.
   */
  onUnwanted: (() => void) | null;
  /** So many bytes were written: where to go on when the origin broke off. */
  readonly writtenBytes: number;
  /**
   * The body is complete. It is stored unless a purge has met it meanwhile, or something failed: whoever reads it gets it whole
   * all the same. A body of another length than the head's is a failure.
   */
  end(): void;
  /** What is stored already was found to be good still: its head is replaced by this one. */
  refresh(stored: CachedAnswer, head: AnswerHead): void;
  /**
   * Nothing is stored. Who waits goes on for himself; so does, for `passMs`, who comes later. What is `uncacheable` may be otherwise the
   * next time: one of them after the other is given a fill for what he fetches, and the first that begins ends it.
   */
  release(reason: "uncacheable" | "failed", passMs: number): void;
  /** The body broke off: whoever reads it gets a broken answer. */
  fail(error: ProxyError): void;
}

/** What is purged. Patterns are for the part of a key that is its URL. */
export type PurgePattern =
  | { readonly kind: "url" | "prefix" | "wildcard"; readonly text: string }
  | { readonly kind: "host"; readonly text: string }
  | { readonly kind: "tag"; readonly text: string };

export interface Cache {
  /** Its name in `caches`. */
  readonly name: string;
  /** No body that is longer is stored (`maxObject` of `caches`). */
  readonly objectBytesMax: number;
  /** Where this thread counts what became of requests. */
  readonly counts: CacheCounts;
  /** What is stored for this request, at once: from memory, or from the disk. It counts as used. */
  find(key: string, request: FieldBlock): CachedAnswer | null;
  /**
   * Asks to fetch what is not there; `seen` is what `find` gave and is not good enough. `isPart`: a part alone will be fetched, for
   * which nobody waits who wants all of it.
   */
  acquire(
    key: string,
    request: FieldBlock,
    seen: CachedAnswer | null,
    handler: AcquireHandler,
    isPart?: boolean,
  ): PendingAcquire;
  /** What is stored was confirmed, or changed by an answer to HEAD, without a fill. */
  refresh(key: string, request: FieldBlock, stored: CachedAnswer, head: AnswerHead): void;
  /**
   * Nothing that is stored under the key, or was begun before this call, is found any more, by this thread when it returns, by
   * every thread when the promise resolves.
   */
  invalidate(key: string): Promise<void>;
  /** The same for all that bears the tag. */
  invalidateTag(tag: string): Promise<void>;
}
