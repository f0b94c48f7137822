/**
 * One answer on its way from the origin into the cache: by a fork, which nobody's leaving ends. It decides what the origin's answer
 * is for the cache: something to keep, a confirmation of what is there, the rest of a part, or nothing for others. Who began it is
 * told first and gets its answer from here; everybody else reads what the fill gives.
 *
 *     asked --304--> confirmed            --5xx, no answer--> the stale one is good enough, or failed
 *           --200, 206--> kept: joining (what is there of it already) --> body --> ended
 *                                          ^                                |
 *                                          '---- resuming <-- broke off ----'--> failed
 *           --anything else--> refused: relayed to who began it
 *
 * Never are bytes of two representations joined: what is gone on with has the same strong validator, the same length and begins
 * exactly where the bytes end that are there; otherwise all who read it see that it broke. It is long because it is one state
 * machine: every event can come in every state.
 */
import type { AnswerHead, CachedAnswer, Fill } from "../../caching/cache.ts";
import { Deadline } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import type { EncodedLines, FieldBlock } from "../../core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../../core/message.ts";
import type { Fork, ForkHandler, ForkPoint } from "../../pipeline/fork.ts";
import { ageOf } from "../../semantics/caching/answer-head.ts";
import type { RequestDirectives } from "../../semantics/caching/cache-control.ts";
import {
  isConfirmedBy,
  isSameStrong,
  makeResuming,
  makeValidating,
  removeConditions,
  validatorsOf,
} from "../../semantics/caching/conditionals.ts";
import { mayJoin, partOf } from "../../semantics/caching/parts.ts";
import { isErrorForStale, mayGiveOnError } from "../../semantics/caching/reuse.ts";
import { type AnsweredRequest, mayStore, type StoringRules } from "../../semantics/caching/storing.ts";
import { confirmedOnce, updated } from "../../semantics/caching/updating.ts";
import type { CacheContext } from "./context.ts";
import { StoredBeginning } from "./join.ts";
import {
  ERROR_PASS_MS,
  FAILED_PASS_MS,
  RESUME_DELAY_MAX_MS,
  RESUME_DELAY_MS,
  RESUME_PROGRESS_BYTES,
  RESUMES_MAX,
  UNCACHEABLE_PASS_MS,
} from "./limits.ts";
import type { Reason } from "./reasons.ts";
import { Relay } from "./relay.ts";

/** Who began it: exactly one of these is called, `onInformational` before it, unless it was forgotten. */
export interface DownloadStarter {
  onInformational(response: ResponseMessage): void;
  /** It is kept, and comes. `onlyForAsker`: lines that are for the client alone. */
  onBegun(answer: CachedAnswer, status: number, onlyForAsker: EncodedLines | null): void;
  /** What was there is good still. `onlyForAsker`: lines of the confirmation that are for the client alone. */
  onConfirmed(answer: CachedAnswer, onlyForAsker: EncodedLines | null): void;
  /** The origin failed, with this status or without any (0); what is there may be given in its place. */
  onStale(answer: CachedAnswer, status: number): void;
  /** It is nobody else's: the body comes by the relay. */
  onRefused(response: ResponseMessage, relay: Relay, reason: Reason): void;
  onFailed(error: ProxyError): void;
}

/** What the origin is asked for. */
export type Aim =
  /** All of it. */
  | "whole"
  /** Whether what is there is good still; otherwise all of it. */
  | "validation"
  /** What is missing behind the part that is there. */
  | "rest"
  /** The range that the client asks for. */
  | "range";

export interface DownloadJob {
  readonly key: string;
  readonly url: string;
  /** As rules know it. */
  readonly path: string;
  readonly aim: Aim;
  /** What is there, and not good enough. */
  readonly seen: CachedAnswer | null;
  readonly directives: RequestDirectives;
  readonly isIdentified: boolean;
  /** The client's request; it belongs to the download, which releases it. */
  readonly template: RequestMessage;
  readonly point: ForkPoint;
}

type State = "asked" | "joining" | "body" | "resuming" | "relayed" | "over";

export class Download implements ForkHandler {
  readonly #context: CacheContext;
  /** null: it is for the one client alone, and only what is there is confirmed. */
  readonly #fill: Fill | null;
  readonly #job: DownloadJob;
  #seen: CachedAnswer | null;
  #aim: Aim;
  #starter: DownloadStarter | null;
  #state: State = "asked";
  #fork!: Fork;
  #requestedMs = 0;
  #receivedMs = 0;
  /** Of what is kept: what a resumed answer must be like. */
  #head: AnswerHead | null = null;
  /** Offsets in the representation: where what is written begins, and where what comes ends; -1: nobody knows. */
  #start = 0;
  #end = -1;
  /** Bytes that come once more, from an origin that knows no ranges. */
  #skip = 0;
  #relay: Relay | null = null;
  #beginning: StoredBeginning | null = null;
  /** What came while the beginning was put in front. */
  #held: Buffer[] = [];
  #isEndHeld = false;
  #resumes = 0;
  /** Where the last attempt began. */
  #resumedAt = 0;
  #delay: Deadline | null = null;

  constructor(context: CacheContext, fill: Fill | null, job: DownloadJob, starter: DownloadStarter | null) {
    this.#context = context;
    this.#fill = fill;
    this.#job = job;
    this.#aim = job.aim;
    this.#seen = job.seen;
    this.#starter = starter;
  }

  begin(): void {
    const fill = this.#fill;
    this.#fork = this.#job.point.fork(this.#request(), this);
    if (fill !== null) fill.onUnwanted = () => this.#giveUp("nobody wants the rest");
  }

  /** Who began it has left. */
  forget(): void {
    this.#starter = null;
    // Nobody but its client takes what is relayed, or confirmed for it alone. Whoever waits for the rest begins anew.
    if (this.#state === "relayed" || this.#fill === null) this.#abandon();
    else if (this.#state === "asked" && !this.#context.options.finishOnAbort) {
      this.#fill.release("failed", 0);
      this.#abandon();
    }
  }

  #request(): RequestMessage {
    const { template } = this.#job;
    const request = template.copyWithoutBody();
    const { fields } = request;
    const range = this.#aim === "range" ? fields.get("range") : null;
    if (this.#aim !== "validation" || this.#seen === null) removeConditions(fields);
    else makeValidating(fields, this.#seen.head);
    if (range !== null) fields.append("Range", range);
    if (this.#aim === "rest") makeResuming(fields, this.#seen!.head, this.#seen!.body.end, -1);
    this.#requestedMs = this.#context.clock.wallMs();
    return request;
  }

  // --------------------------------------------------------------------------------------------------- the head

  onInformational(response: ResponseMessage): void {
    this.#starter?.onInformational(response);
  }

  onHead(response: ResponseMessage): void {
    this.#receivedMs = this.#context.clock.wallMs();
    if (this.#state === "resuming") return this.#onResumedHead(response);
    const { status } = response;
    const seen = this.#seen;
    if (seen !== null && isErrorForStale(status) && this.#mayGiveStale(seen)) {
      this.#fork.abort();
      return this.#giveStale(seen, status);
    }
    if (status === 304 && seen !== null && this.#aim === "validation") return this.#onNotModified(seen, response);
    if (this.#aim === "rest" && status !== 200 && status !== 206) {
      // The part may be of something that is not there any more: all of it is asked for.
      return this.#askAgain("whole");
    }
    this.#keepOrRefuse(response);
  }

  #keepOrRefuse(response: ResponseMessage): void {
    const { fields, status, bodyBytes } = response;
    const rules = this.#context.rules.for(this.#job.path, status, fields.get("content-type"));
    if (this.#fill === null) return this.#refuse(response, "stale");
    if (rules === null) return this.#refuse(response, "rule");
    if (bodyBytes > this.#context.objectBytesMax) return this.#refuse(response, "too-large");
    const received = { status, fields, bodyBytes, receivedMs: this.#receivedMs };
    const verdict = mayStore(this.#answered(), received, rules);
    if (!verdict.isStored) return this.#refuse(response, verdict.reason);
    if (response.endIsUnsure) return this.#refuse(response, "unframed");
    const { head, part, onlyForAsker } = verdict;
    if (part === null) return this.#keep(head, 0, -1, status, onlyForAsker);
    if (part.completeBytes < 0) return this.#refuse(response, "partial");
    const joined = this.#joinable(response, head, rules);
    if (joined !== null) return this.#join(joined, part.start, part.end, status, onlyForAsker);
    if (this.#aim === "rest") return this.#askAgain("whole");
    this.#keep(head, part.start, part.end, status, onlyForAsker);
  }

  #answered(): AnsweredRequest {
    const { template, url } = this.#job;
    const { fields } = template;
    const isIdentified = this.#job.isIdentified || this.#fork.isIdentified;
    return { method: "GET", fields, url, isIdentified, noStore: false, requestedMs: this.#requestedMs };
  }

  /** From here on everybody gets it. */
  #keep(head: AnswerHead, start: number, end: number, status: number, onlyForAsker: EncodedLines | null): void {
    const fill = this.#fill!;
    this.#state = "body";
    this.#head = head;
    this.#start = start;
    this.#end = end < 0 ? head.bodyBytes : end;
    fill.onDrain = () => this.#fork.resume();
    const { objectBytesMax: bytesMax, options } = this.#context;
    const kept = { bytesMax, endsUnread: !options.finishOnAbort };
    const answer = fill.begin(head, start === 0 && end < 0 ? kept : { ...kept, start, end });
    this.#starter?.onBegun(answer, status, onlyForAsker);
    this.#starter = null;
  }

  /** What is there may be put in front of this part: the head that the two have together. */
  #joinable(response: ResponseMessage, head: AnswerHead, rules: StoringRules): AnswerHead | null {
    const seen = this.#seen;
    const part = partOf(response.fields, response.bodyBytes);
    if (seen === null || part === null || seen.body.end < 0 || !seen.body.open()) return null;
    const { start, end } = seen.body;
    if (part.start < start || part.start > end || part.end <= end) return null;
    const stored = { start, end, completeBytes: seen.head.bodyBytes };
    const { fields } = response;
    const validators = validatorsOf(seen.head.fields, seen.head.receivedMs);
    if (!mayJoin(stored, validators, part, validatorsOf(fields, this.#receivedMs))) return null;
    if (fields.get("content-encoding") !== seen.head.fields.get("content-encoding")) return null;
    const newer = { fields, receivedMs: this.#receivedMs };
    const verdict = updated({ ...seen.head, bodyBytes: head.bodyBytes }, this.#answered(), newer, rules);
    return verdict.isStored ? verdict.head : null;
  }

  #join(head: AnswerHead, from: number, end: number, status: number, onlyForAsker: EncodedLines | null): void {
    const { body } = this.#seen!;
    this.#fork.pause();
    const start = body.start;
    this.#keep(head, start, start === 0 && end === head.bodyBytes ? -1 : end, status, onlyForAsker);
    this.#state = "joining";
    const beginning = new StoredBeginning(this.#fill!, this);
    this.#beginning = beginning;
    beginning.begin(body, start, from);
  }

  onJoined(): void {
    this.#beginning = null;
    this.#state = "body";
    this.#fill!.onDrain = () => this.#fork.resume();
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) this.onBody(bytes, 0, bytes.length);
    if (this.#isEndHeld) this.onEnd();
    else if (!this.#fill!.isFull) this.#fork.resume();
  }

  onBroken(error: ProxyError): void {
    this.#giveUp(error.message);
  }

  #onNotModified(seen: CachedAnswer, response: ResponseMessage): void {
    const { fields } = response;
    if (!isConfirmedBy(seen.head, fields)) {
      this.#seen = null;
      return this.#askAgain("whole");
    }
    const { cache, rules } = this.#context;
    const { key, path, template } = this.#job;
    const found = rules.for(path, seen.head.status, fields.get("content-type") ?? seen.head.fields.get("content-type"));
    const newer = { fields, receivedMs: this.#receivedMs };
    const asked = this.#answered();
    const verdict = found === null ? null : updated(seen.head, asked, newer, found);
    // It is given as it is now also where it may not be kept: that may be what the confirmation says.
    const head = verdict?.head ?? confirmedOnce(seen.head, asked, newer);
    const answer = { version: seen.version, head, body: seen.body };
    if (verdict?.isStored === true) {
      if (this.#fill === null) cache.refresh(key, template.fields, seen, verdict.head);
      else this.#fill.refresh(seen, verdict.head);
    } else {
      // It may be given to who has asked, and to nobody else any more; unless it is this one request that says nothing of others.
      this.#fill?.release("uncacheable", 0);
      if (verdict === null || verdict.reason !== "authorization") this.#context.invalidate(key);
    }
    const starter = this.#starter;
    // It has no body: the fork ends by itself, and its connection is good for the next one.
    this.#over();
    starter?.onConfirmed(answer, verdict?.isStored === true ? verdict.onlyForAsker : null);
  }

  #askAgain(aim: Aim): void {
    this.#fork.abort();
    this.#aim = aim;
    if (aim === "whole") this.#seen = null;
    this.#fork = this.#fork.again(this.#request(), this);
  }

  #refuse(response: ResponseMessage, reason: Reason): void {
    const { status } = response;
    // What one request alone is the reason of says nothing about others.
    const isOfRequest = reason === "authorization" || reason === "partial" || this.#aim === "range";
    const passMs = isOfRequest ? 0 : status >= 400 ? ERROR_PASS_MS : UNCACHEABLE_PASS_MS;
    this.#fill?.release("uncacheable", passMs);
    const starter = this.#starter;
    this.#starter = null;
    if (starter === null) return this.#abandon();
    this.#state = "relayed";
    this.#relay = new Relay(this.#fork);
    starter.onRefused(response, this.#relay, reason);
  }

  #mayGiveStale(seen: CachedAnswer): boolean {
    const { clock, reuseRules } = this.#context;
    return mayGiveOnError(seen.head, ageOf(seen.head, clock.wallMs()), this.#job.directives, reuseRules);
  }

  #giveStale(seen: CachedAnswer, status: number): void {
    this.#fill?.release("failed", FAILED_PASS_MS);
    const starter = this.#starter;
    this.#over();
    starter?.onStale(seen, status);
  }

  // --------------------------------------------------------------------------------------------------- the body

  onBody(bytes: Buffer, start: number, end: number): void {
    switch (this.#state) {
      case "relayed":
        return this.#relay!.onBody(bytes, start, end);
      case "joining":
        this.#held.push(Buffer.from(bytes.subarray(start, end)));
        return;
      case "body": {
        const skipped = Math.min(this.#skip, end - start);
        this.#skip -= skipped;
        if (start + skipped === end) return;
        const fill = this.#fill!;
        fill.write(bytes, start + skipped, end);
        if (fill.isFull) this.#fork.pause();
      }
    }
  }

  onEnd(): void {
    switch (this.#state) {
      case "relayed":
        this.#relay!.onEnd();
        break;
      case "joining":
        this.#isEndHeld = true;
        return;
      case "body":
        if (this.#skip > 0) return this.#giveUp("the origin's answer is shorter than what was there of it");
        this.#fill!.end();
        break;
      case "resuming":
        return this.#tryAgain(new ProxyError("http_response_incomplete", "a resumed answer had no body"));
    }
    this.#over();
  }

  onFailed(error: ProxyError): void {
    switch (this.#state) {
      case "asked": {
        const seen = this.#seen;
        if (seen !== null && this.#mayGiveStale(seen)) return this.#giveStale(seen, 0);
        this.#fill?.release("failed", FAILED_PASS_MS);
        const starter = this.#starter;
        this.#over();
        starter?.onFailed(error);
        return;
      }
      case "relayed":
        this.#relay!.onFailed(error);
        return this.#over();
      case "joining":
        // What is there is not all that was to come.
        return this.#giveUp(error.message, error);
      case "body":
      case "resuming":
        return this.#tryAgain(error);
    }
  }

  // ------------------------------------------------------------------------------------ going on where it broke off

  get #position(): number {
    return this.#start + this.#fill!.writtenBytes;
  }

  #tryAgain(error: ProxyError): void {
    if (this.#position - this.#resumedAt >= RESUME_PROGRESS_BYTES) this.#resumes = 0;
    const isClosing = error.type === "connection_terminated" && error.side === "proxy";
    if (isClosing || this.#resumes >= RESUMES_MAX || !this.#canResume()) return this.#giveUp(error.message, error);
    this.#state = "resuming";
    this.#resumedAt = this.#position;
    this.#skip = 0;
    const delayMs = Math.min(RESUME_DELAY_MS * 2 ** this.#resumes++, RESUME_DELAY_MAX_MS);
    this.#delay ??= new Deadline(this.#context.deadlines, () => this.#resume());
    this.#delay.arm(delayMs);
  }

  /** Only a strong validator promises that what comes later belongs to what is there (RFC 9110, section 13.1.5). */
  #canResume(): boolean {
    const head = this.#head!;
    if (head.status !== 200 || this.#position === this.#end) return false;
    const validators = validatorsOf(head.fields, head.receivedMs);
    return isSameStrong(validators, validators);
  }

  #resume(): void {
    const request = this.#job.template.copyWithoutBody();
    removeConditions(request.fields);
    const end = this.#end === this.#head!.bodyBytes ? -1 : this.#end;
    makeResuming(request.fields, this.#head!, this.#position, end);
    this.#fork = this.#fork.again(request, this);
  }

  #onResumedHead(response: ResponseMessage): void {
    const { status, fields, bodyBytes } = response;
    if (isErrorForStale(status) || status === 429 || status === 408) {
      this.#fork.abort();
      return this.#tryAgain(new ProxyError("http_response_incomplete", `the origin answered ${status} to the rest`));
    }
    if (!this.#isSameRepresentation(fields)) return this.#giveUp("the origin has something else now");
    // Where the whole is of a known length, it shows whether the rest has come.
    if (response.endIsUnsure && this.#end < 0) return this.#giveUp("nobody can tell where the rest ends");
    const position = this.#position;
    const length = this.#head!.bodyBytes;
    if (status === 206) {
      const part = partOf(fields, bodyBytes);
      const isRest = part !== null && part.start === position && (this.#end < 0 || part.end <= this.#end);
      const isOfLength = part !== null && (length < 0 || part.completeBytes < 0 || part.completeBytes === length);
      if (!isRest || !isOfLength) return this.#giveUp("the origin sent another part than the rest");
      // An origin may send less than it was asked for; where nobody knew how long the whole is, that would end as if it were all.
      if (this.#end < 0 && part.end !== part.completeBytes)
        return this.#giveUp("the origin sent a part whose end need not be that of the whole");
    } else if (status === 200 && (length < 0 || bodyBytes < 0 || bodyBytes === length) && this.#end === length) {
      // All of it once more: what is there already is passed over.
      this.#skip = position;
    } else return this.#giveUp(`the origin answered ${status} to a request for the rest`);
    this.#state = "body";
    if (this.#fill!.isFull) this.#fork.pause();
  }

  #isSameRepresentation(fields: FieldBlock): boolean {
    const head = this.#head!;
    const one = validatorsOf(head.fields, head.receivedMs);
    return (
      isSameStrong(one, validatorsOf(fields, this.#receivedMs)) &&
      fields.get("content-encoding") === head.fields.get("content-encoding")
    );
  }

  // ---------------------------------------------------------------------------------------------------- the end

  /** All who read it see that it broke. */
  #giveUp(message: string, cause?: ProxyError): void {
    if (this.#state === "over") return;
    const error = cause ?? new ProxyError("http_response_incomplete", message);
    this.#fork.abort();
    this.#beginning?.giveUp(error);
    this.#fill?.fail(error);
    this.#over();
  }

  #abandon(): void {
    this.#fork.abort();
    this.#over();
  }

  #over(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#starter = null;
    this.#held = [];
    this.#beginning = null;
    this.#delay?.dispose();
    if (this.#fill !== null) this.#fill.onDrain = this.#fill.onUnwanted = null;
    this.#job.template.fields.release();
  }
}
