/**
 * Why something was not answered from the cache, or not kept in it: the closed set of reasons, as the log and Cache-Status say them.
 * Each has the sentence that the documentation shows. What is decided is decided elsewhere.
 */
import type { PassReason } from "../../caching/cache.ts";
import type { NotStoredReason } from "../../semantics/caching/storing.ts";

/** Known from the request alone. */
export type RequestReason =
  | "method"
  | "upgrade"
  | "request-body"
  | "host-unverified"
  | "no-host"
  | "key-too-long"
  | "bypass"
  | "override"
  | "head"
  | "range"
  | "condition"
  | "authorization"
  | "request-no-store"
  | "uses"
  | "only-if-cached";

/** Known when the answer is there, beside what HTTP says. */
export type AnswerReason = "rule" | "unframed" | "stale" | "stale-on-error" | "unreadable";

export type Reason = RequestReason | AnswerReason | PassReason | NotStoredReason;

export const REASONS: Readonly<Record<Reason, string>> = {
  method: "Only answers to GET are kept, and given to GET and HEAD.",
  upgrade: "The request asks for another protocol, such as WebSocket.",
  "request-body": "The request has a body, which may say what is asked for.",
  "host-unverified": "What the client calls the host was not found to be true: its answer is nobody else's.",
  "no-host": "The request names no host.",
  "key-too-long": "What tells the answer apart is longer than keys may be.",
  bypass: "An item of `bypass` matches the request.",
  "request-no-store": "The client asks for nothing to be kept (`Cache-Control: no-store`).",
  override:
    "A field of the request asks for another URL or method than its request line does, or keeps other fields from the upstream (`Connection`).",
  head: "Nothing is known that could answer HEAD.",
  range: "A range is asked for that the cache cannot answer, nor fetch for others.",
  condition: "The request has a condition that only the upstream can judge.",
  uses: "It was not asked for often enough (`minUses`).",
  "only-if-cached": "The client wants nothing but what is stored, and that is not good enough, or not there.",
  rule: "A rule says `never`.",
  unframed:
    "The answer ends with its connection under TLS: nobody can tell whether all of it has come (no length, and no chunks).",
  "too-large": "The body is longer than `maxObject`.",
  stale: "Somebody else fetched it, and it may not be given without asking again.",
  "stale-on-error":
    "The upstream gave no answer, or one that says it fails: what is stored was given, though it is stale (`staleOnError`).",
  unreadable: "What is stored cannot be read for now, or is lost.",
  uncacheable: "It could not be kept a moment ago, and somebody else fetches it: nobody waits for that.",
  failed: "Who fetched it got no answer.",
  stalled: "Who fetches it makes no progress.",
  variants: "Other variants of it are being fetched, again and again.",
  full: "Too much is being fetched.",
  off: "The store does not work for now, or the cache is cut off from the machines that share it.",
  "no-store": "The answer forbids it (`no-store`).",
  private: "The answer is for one user alone (`private`).",
  authorization: "The request says who asks, and the answer does not say that it is for everybody.",
  vary: "The answer depends on what no key can say (`Vary: *`), or on too much.",
  "set-cookie": "The answer sets a cookie.",
  status: "The status is about this one request, or says nothing that may be kept.",
  partial: "The answer is a part that cannot be kept.",
  tags: "The answer has more tags than are kept.",
  "not-reusable": "The answer is neither fresh, nor can it be validated.",
};
