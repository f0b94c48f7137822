/**
 * What a thread and the keeper tell each other about fills: plain data, which may be copied between threads. Each side sends in order
 * and is answered in order. A flight is a fill as the keeper counts them; an ask is a request of a thread that wants an answer.
 */
import type { PassReason } from "../cache.ts";
import type { BodyId, EntryId, Link } from "../ports.ts";

export type ToKeeper =
  /**
   * `id`: under which it is fetched, made of the key and, as far as is known by what answers vary, of the request. `storedId`: under
   * which it would be found. `seen`: the version of what is not good enough; 0: nothing was found. `isPart`: a part is wanted.
   */
  | {
      readonly kind: "acquire";
      readonly ask: number;
      readonly id: EntryId;
      readonly storedId: EntryId;
      readonly key: string;
      readonly seen: number;
      readonly isPart: boolean;
    }
  | { readonly kind: "cancel"; readonly ask: number }
  /**
   * There is a head: a record without its body (encodeRecord). `names`: by which fields answers of its key vary, in order, and
   * `values`: what its request has in them, normalised. `id`: under which it is fetched, now that this is known. What comes is
   * [start, end) of the representation; `end` is -1 while nobody knows.
   */
  | {
      readonly kind: "begin";
      readonly flight: number;
      readonly id: EntryId;
      readonly record: Uint8Array;
      readonly names: readonly string[];
      readonly values: readonly string[];
      readonly start: number;
      readonly end: number;
    }
  /** The file is there that others may read, and its first bytes. */
  | { readonly kind: "file"; readonly flight: number }
  /** Nothing will be stored, and nobody else can read what comes from now on. `trouble`: as the system says it, if it does. */
  | { readonly kind: "unkept"; readonly flight: number; readonly why: Unkept; readonly trouble: string }
  /** The body is whole: in `inline`, or in the file, with a checksum for each block. */
  | {
      readonly kind: "end";
      readonly flight: number;
      readonly start: number;
      readonly end: number;
      /** Of the whole representation; -1: nobody knows. */
      readonly bodyBytes: number;
      readonly inline: Uint8Array | null;
      readonly checksums: Uint32Array;
    }
  /** `names` and `values` as in "begin". */
  | {
      readonly kind: "refresh";
      readonly flight: number;
      readonly refreshed: Refreshed;
      readonly names: readonly string[];
      readonly values: readonly string[];
    }
  /** `passMs`: for so long others need not wait; null: nobody has wanted it any more, somebody else may fetch it. */
  | {
      readonly kind: "release";
      readonly flight: number;
      readonly reason: "uncacheable" | "failed";
      readonly passMs: number | null;
    }
  | { readonly kind: "fail"; readonly flight: number }
  /** So many of those who were told to follow it need nothing of it any more. */
  | { readonly kind: "left"; readonly flight: number; readonly follows: number }
  | { readonly kind: "refreshStored"; readonly refreshed: Refreshed }
  /** What stands under the id does not verify. `version` 0: not even its record does. */
  | { readonly kind: "damaged"; readonly id: EntryId; readonly version: number }
  | { readonly kind: "invalidate"; readonly call: number; readonly key: string }
  | { readonly kind: "invalidateTag"; readonly call: number; readonly tag: string };

/** Why a body that comes is not stored. */
export type Unkept =
  /** It is longer than what may be. */
  | "too-large"
  /** The process, or the system, has as many open files as it may: nothing is wrong with the disk. */
  | "short-of-files"
  | "disk";

/** A new head for what is stored; `record` is one without its body. */
export interface Refreshed {
  readonly id: EntryId;
  readonly version: number;
  readonly record: Uint8Array;
}

/** What a thread needs to follow a fill of another one. */
export interface FollowedFill {
  readonly id: EntryId;
  readonly record: Uint8Array;
  /** By which fields answers of its key vary. */
  readonly names: readonly string[];
  /** Which part of the representation comes; `end` is -1 while nobody knows. */
  readonly start: number;
  readonly end: number;
  /** In the table of progress. */
  readonly row: number;
  readonly generation: number;
  readonly body: BodyId;
  /** false: it was over before there was one, and comes whole. */
  readonly hasFile: boolean;
}

export type ToThread =
  /** Yours to fetch. */
  | {
      readonly kind: "granted";
      readonly ask: number;
      readonly flight: number;
      readonly row: number;
      readonly generation: number;
      readonly body: BodyId;
    }
  /** It is being fetched, by this thread when `fill` is null. */
  | {
      readonly kind: "follow";
      readonly asks: readonly number[];
      readonly flight: number;
      readonly fill: FollowedFill | null;
    }
  | { readonly kind: "stored"; readonly asks: readonly number[] }
  /** Answers of the key vary by these fields: to be asked for again with what the request has in them. */
  | { readonly kind: "names"; readonly asks: readonly number[]; readonly names: readonly string[] }
  /** `passMs`: this thread need not ask again for so long. */
  | { readonly kind: "pass"; readonly asks: readonly number[]; readonly reason: PassReason; readonly passMs: number }
  /** For who fills: another thread reads as well, so there has to be a file, and what comes is to be in it at once. */
  | { readonly kind: "share"; readonly flight: number }
  /** For who fills: it is slow, or its place is needed, and nobody reads it: it is to end, unless somebody reads it by now. */
  | { readonly kind: "giveUp"; readonly flight: number }
  /** For who follows: it was over before there was a file. */
  | { readonly kind: "whole"; readonly flight: number; readonly bytes: Uint8Array }
  | { readonly kind: "broken"; readonly flight: number }
  /** For who has filled: nothing more is asked of it. `isDiscarded`: its file is nobody's, and has to be removed. */
  | { readonly kind: "settled"; readonly flight: number; readonly isDiscarded: boolean }
  /** `trouble`: why it may be found still; null: it is not. */
  | { readonly kind: "invalidated"; readonly call: number; readonly trouble: string | null };

/** The two ends: what a thread has, and what the keeper has of each thread. */
export type LinkToKeeper = Link<ToKeeper, ToThread>;
export type LinkToThread = Link<ToThread, ToKeeper>;
