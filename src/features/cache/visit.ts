/**
 * One request that has to wait: for what somebody fetches, or for what it fetches itself. It asks the cache for the right to fetch,
 * and is given that, or what comes by another one's download, or is told to look again, or to go on for itself. In the end it has its
 * answer, or its exchange goes on as if there were no cache.
 *
 * While it waits its exchange is in the hook `request`; it must not touch an exchange that has ended, which `leave` tells it of.
 */
import type { AcquireHandler, CachedAnswer, Fill, PassReason, PendingAcquire } from "../../caching/cache.ts";
import { ProxyError } from "../../core/errors.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import { EncodedLines, type FieldBlock } from "../../core/fields.ts";
import type { ResponseMessage } from "../../core/message.ts";
import type { CacheNote, Exchange } from "../../pipeline/exchange.ts";
import type { Waiting } from "../../pipeline/phases.ts";
import { ageOf, ageValue, hasFlag } from "../../semantics/caching/answer-head.ts";
import type { RequestDirectives } from "../../semantics/caching/cache-control.ts";
import type { CacheStatus, ForwardReason } from "../../semantics/caching/cache-status.ts";
import { hasConditions, validatorsOf } from "../../semantics/caching/conditionals.ts";
import { type AskedRange, parseRange } from "../../semantics/caching/ranges.ts";
import { mayGiveOnError, mayReuse } from "../../semantics/caching/reuse.ts";
import { mayBeShared } from "../../semantics/caching/storing.ts";
import type { CacheContext } from "./context.ts";
import { type Aim, Download, type DownloadStarter } from "./download.ts";
import { EarlyReader } from "./early-reader.ts";
import { isWhole } from "./give.ts";
import { urlOf } from "./keys.ts";
import { LOOKS_MAX, RANGE_WAIT_BYTES_MAX } from "./limits.ts";
import { PassNote } from "./passing.ts";
import type { Reason } from "./reasons.ts";
import type { Relay } from "./relay.ts";
import { relayedAnswer } from "./relayed-answer.ts";
import { statusOf, ttlOf } from "./status.ts";
import { templateOf } from "./template.ts";

const FIELD_RANGE = fieldIdOf("range");
/** What is above is no status (RFC 9110, section 15). */
const STATUS_MAX = 599;
const RELEASED = new ProxyError("http_request_error", "it is not held any more");
/** Why the exchange goes on when it cannot be given. */
const NOT_GIVEN = { "ask-origin": "condition", "not-covered": "range", unreadable: "unreadable" } as const;

/** What was found out before it had to wait. */
export interface VisitFacts {
  readonly key: string;
  readonly path: string;
  readonly directives: RequestDirectives;
  readonly isIdentified: boolean;
  /** What is there, and not good enough. */
  readonly seen: CachedAnswer | null;
  /** Why that is so, as Cache-Status says it. */
  readonly forward: ForwardReason;
}

export class Visit implements AcquireHandler, DownloadStarter {
  readonly #context: CacheContext;
  readonly #exchange: Exchange;
  readonly #facts: VisitFacts;
  readonly #startedMs: number;
  /** The cache has no more to do with it: the exchange goes on. */
  #isDone = false;
  #resolve: (() => void) | null = null;
  #seen: CachedAnswer | null;
  #looks = 0;
  #pending: PendingAcquire | null = null;
  #download: Download | null = null;
  #relay: Relay | null = null;
  /** Its place at a body that is on its way, until its answer is sent. */
  #reader: EarlyReader | null = null;
  /** What is there stays readable until the exchange is over, should it be confirmed, or have to do. */
  #held: EarlyReader | null;

  constructor(context: CacheContext, exchange: Exchange, facts: VisitFacts) {
    this.#context = context;
    this.#exchange = exchange;
    this.#facts = facts;
    this.#seen = facts.seen;
    const body = facts.seen?.body;
    this.#held = body === undefined || body.memory !== null ? null : new EarlyReader(body, body.start, body.end);
    this.#startedMs = context.clock.wallMs();
  }

  /** Nothing when it need not wait. */
  begin(): Waiting {
    this.#acquire();
    if (this.#isDone) return;
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** The exchange is over. */
  leave(): void {
    this.#pending?.cancel();
    this.#pending = null;
    this.#download?.forget();
    this.#download = null;
    this.#relay?.abort();
    this.#relay = null;
    this.#reader?.leave(new ProxyError("http_request_error", "the client has left", { status: 499 }));
    this.#reader = null;
    this.#letGo();
    this.#finish();
  }

  /** What was there is not what it gets. */
  #letGo(): void {
    this.#held?.leave(RELEASED);
    this.#held = null;
  }

  get isOver(): boolean {
    return this.#isDone && this.#relay === null && this.#reader === null && this.#held === null;
  }

  #acquire(): void {
    const { cache } = this.#context;
    const aim = this.#aim();
    const isPart = aim === "range" || aim === null;
    const pending = cache.acquire(this.#facts.key, this.#exchange.request.fields, this.#seen, this, isPart);
    // It may have been answered before the call returned.
    if (!this.#isDone && this.#download === null) this.#pending ??= pending;
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#pending = null;
    this.#resolve?.();
  }

  // -------------------------------------------------------------------------------------------- what the cache says

  onFill(fill: Fill): void {
    this.#pending = null;
    // Somebody else has answered it, or failed it, while it waited.
    if (this.#exchange.response !== null || this.#exchange.ended) {
      fill.release("failed", 0);
      return this.#finish();
    }
    const aim = this.#aim();
    if (aim === null) {
      // Others may have been waiting for this one already: they are let go.
      fill.release("failed", 0);
      return this.#goOn("range");
    }
    this.#fetch(fill, aim);
  }

  #fetch(fill: Fill | null, aim: Aim): void {
    const { key, path, directives, isIdentified } = this.#facts;
    const download = new Download(
      this.#context,
      fill,
      {
        key,
        url: urlOf(key),
        path,
        aim,
        seen: this.#seen,
        directives,
        isIdentified,
        template: templateOf(this.#exchange, key),
        point: this.#exchange.forkPoint(),
      },
      this,
    );
    this.#download = download;
    download.begin();
  }

  /** What to ask the origin for; null: what only this client can use. */
  #aim(): Aim | null {
    const { fields, method } = this.#exchange.request;
    const seen = this.#seen;
    const hasRange = method === "GET" && fields.rowOfId(FIELD_RANGE) >= 0;
    if (seen !== null && isWhole(seen.body))
      return isValidatable(seen) ? "validation" : hasRange ? rangeAim(fields) : "whole";
    if (hasRange) return rangeAim(fields);
    // A part is completed as long as it is fresh: whether it is good still is then no question.
    const isFresh = seen !== null && ttlOf(seen.head, this.#startedMs) > 0;
    return isFresh && seen.body.start === 0 && seen.body.end > 0 && isValidatable(seen) ? "rest" : "whole";
  }

  onAnswer(answer: CachedAnswer): void {
    this.#pending = null;
    if (!this.#mayShare(answer)) return this.#goOn("stale");
    if (!this.#isNear(answer)) return this.#goOn("range");
    this.#give(answer, { outcome: "shared", reason: null }, { forward: this.#facts.forward, collapsed: true });
  }

  onStored(): void {
    this.#pending = null;
    const { cache } = this.#context;
    const found = cache.find(this.#facts.key, this.#exchange.request.fields);
    this.#seen = found;
    if (found !== null && this.#mayShare(found)) {
      const said = { forward: this.#facts.forward, collapsed: true };
      return this.#give(found, { outcome: "shared", reason: null }, said);
    }
    if (++this.#looks < LOOKS_MAX) this.#acquire();
    else this.#goOn("stale");
  }

  onPass(reason: PassReason): void {
    this.#pending = null;
    const { clock, reuseRules } = this.#context;
    const seen = this.#seen;
    // Who fetched it has given up: the first of those who wait fetches it now, unless the origin has just failed.
    if (reason === "failed" && ++this.#looks < LOOKS_MAX) return this.#acquire();
    if (reason === "failed" && seen !== null) {
      if (mayGiveOnError(seen.head, ageOf(seen.head, clock.wallMs()), this.#facts.directives, reuseRules)) {
        return this.onStale(seen, 0);
      }
    }
    this.#goOn(reason);
  }

  /** What somebody fetches, or has just fetched, is good for this request too. */
  #mayShare({ head, version }: CachedAnswer): boolean {
    const { clock, reuseRules } = this.#context;
    // Fetched, or validated, by a request that was sent when this one was here already.
    const isNewer = head.requestedMs >= this.#startedMs;
    const reuse = mayReuse(head, ageOf(head, clock.wallMs()), this.#facts.directives, reuseRules, isNewer);
    if (!reuse.startsWith("validate")) return reuse !== "unavailable";
    return (
      reuse === "validate-stale" && !hasFlag(head, "purgedSoftly") && (version === 0 || isNewer) && mayBeShared(head)
    );
  }

  /** A range far ahead of what has come would be waited for too long: the origin gives it at once. */
  #isNear({ version, body }: CachedAnswer): boolean {
    if (version !== 0) return true;
    const { fields, method } = this.#exchange.request;
    if (method !== "GET" || fields.rowOfId(FIELD_RANGE) < 0) return true;
    const ranges = parseRange(fields.get("range") ?? "") ?? [];
    const bytesMax = body.start + RANGE_WAIT_BYTES_MAX;
    return (body.bytes >= 0 && body.bytes <= bytesMax) || ranges.every(({ start }) => start >= 0 && start <= bytesMax);
  }

  /** Past the cache; what is there is asked about for this one alone, when that can save its body. */
  #goOn(reason: Reason): void {
    const seen = this.#seen;
    if (seen !== null && isWhole(seen.body) && isValidatable(seen)) return this.#fetch(null, "validation");
    this.#letGo();
    this.#exchange.cache = new PassNote(reason, this.#facts.forward);
    this.#finish();
  }

  // -------------------------------------------------------------------------------------- what its own download says

  onInformational(response: ResponseMessage): void {
    this.#exchange.informational(response);
  }

  onBegun(answer: CachedAnswer, status: number, onlyForAsker: EncodedLines | null): void {
    this.#download = null;
    const said = { forward: this.#facts.forward, forwardStatus: status, stored: true };
    this.#give(answer, { outcome: "miss", reason: null }, said, onlyForAsker);
  }

  onConfirmed(answer: CachedAnswer, onlyForAsker: EncodedLines | null): void {
    this.#download = null;
    const said = { forward: this.#facts.forward, forwardStatus: 304 };
    this.#give(answer, { outcome: "revalidated", reason: null }, said, onlyForAsker);
  }

  onStale(answer: CachedAnswer, status: number): void {
    this.#download = null;
    const said = { forward: this.#facts.forward, forwardStatus: status, detail: "stale-on-error" };
    this.#give(answer, { outcome: "stale", reason: "failed" }, said);
  }

  onRefused(response: ResponseMessage, relay: Relay, reason: Reason): void {
    this.#download = null;
    this.#letGo();
    if (response.status > STATUS_MAX) {
      // Nothing of ours has such a status; the exchange passes on what the origin says to it.
      relay.abort();
      this.#exchange.cache = new PassNote(reason, this.#facts.forward);
      return this.#finish();
    }
    this.#relay = relay;
    const exchange = this.#exchange;
    exchange.cache = { outcome: "pass", reason };
    const said = { forward: this.#facts.forward, forwardStatus: response.status, detail: reason };
    const { clock, options } = this.#context;
    exchange.respond(relayedAnswer(exchange.request, response, relay, clock.wallMs()));
    if (options.statusHeader) exchange.response?.fields.append("Cache-Status", statusOf(said));
    this.#finish();
  }

  onFailed(error: ProxyError): void {
    this.#download = null;
    const { options } = this.#context;
    this.#exchange.cache = { outcome: "pass", reason: "failed" };
    const status = statusOf({ forward: this.#facts.forward, detail: "failed" });
    const fields = [...error.fields, ["Cache-Status", status] as const];
    this.#exchange.fail(options.statusHeader ? error.with({ fields }) : error);
    this.#finish();
  }

  // ------------------------------------------------------------------------------------------------- the answer

  /** Where it cannot be given after all, the exchange goes on. */
  #give(
    answer: CachedAnswer,
    note: CacheNote,
    said: Partial<CacheStatus>,
    onlyForAsker: EncodedLines | null = null,
  ): void {
    const { clock, giver, options } = this.#context;
    const exchange = this.#exchange;
    const nowMs = clock.wallMs();
    const ageMs = ageOf(answer.head, nowMs);
    const lines: [string, string][] = note.outcome === "miss" && ageMs < 1000 ? [] : [["Age", ageValue(ageMs)]];
    if (options.statusHeader) lines.push(["Cache-Status", statusOf({ ...said, ttlMs: ttlOf(answer.head, nowMs) })]);
    const given = giver.give(exchange, answer, new EncodedLines(lines), (reader) => {
      this.#reader = reader;
    });
    if (given === "given") {
      exchange.cache = note;
      if (onlyForAsker !== null) exchange.response?.fields.appendEncoded(onlyForAsker);
    } else if (given === "not-covered" && answer === this.#seen && ++this.#looks < LOOKS_MAX) {
      // A part was stored meanwhile: what is missing is fetched as it is for who finds the part at once.
      return this.#acquire();
    } else exchange.cache = new PassNote(NOT_GIVEN[given], this.#facts.forward);
    this.#finish();
  }
}

/**
 * A small range of something large is no reason to fetch all of it: that would let a client make us fetch a thousand times what it
 * asks for. What begins at the beginning and has no end is all of it. null: what only this client can use.
 */
export function rangeAim(fields: FieldBlock): Aim | null {
  const ranges = parseRange(fields.get("range") ?? "");
  if (ranges === null) return "whole";
  const [range] = ranges as readonly [AskedRange];
  if (ranges.length > 1 || fields.has("if-range") || hasConditions(fields)) return null;
  return range.start === 0 && range.end < 0 && !Object.is(range.start, -0) ? "whole" : "range";
}

/** Whether it can be asked if what is there is good still; what cannot be read is not. */
function isValidatable({ head, body }: CachedAnswer): boolean {
  if (!body.open()) return false;
  const { etag, lastModifiedMs } = validatorsOf(head.fields, head.receivedMs);
  return etag !== null || lastModifiedMs !== null;
}
