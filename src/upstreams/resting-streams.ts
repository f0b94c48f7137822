/**
 * The connections to one server that rest. Who comes next takes the one that was used last, so that the others can age out.
 *
 * Some servers close each connection right behind its answer and do not say so (tinyproxy). The end of one that rests is then under way,
 * and meets the next request: what may be sent again costs an attempt, a POST is lost (RFC 9112, section 9.3.1). So it is remembered
 * that a server did that behind the first answer on a connection, until it has answered on one that had rested. Meanwhile one that has
 * just come to rest is lent on trial only, to what may be sent again; the others get a new connection, or one that has rested for
 * longer than such servers wait. The first such end of a server cannot be foreseen.
 */
import { REPLAY_BODY_BYTES_MAX } from "../core/limits.ts";
import { BODY_UNTIL_END } from "../core/message.ts";
import type { Sender } from "../pipeline/upstream.ts";
import { isIdempotent } from "../semantics/idempotent.ts";
import type { Http1Stream } from "./http1-stream.ts";
import type { Places } from "./places.ts";

/**
 * A server that closes a connection so soon after an answer keeps none. Those that do keep them for some seconds at least (Node and
 * Apache for 5, nginx for 75).
 */
const EARLY_CLOSE_MS = 1_000;
/** From a trial, unless it succeeds, to the next: each that fails takes a retry from the budget. */
const TRIAL_INTERVAL_MS = 10_000;
/**
 * So many connections to a server that closes early rest at most. Requests that get new ones would leave as many behind as come in
 * a second; a few are enough to see whether the server keeps them after all.
 */
const UNTRUSTED_MAX = 32;

export class RestingStreams {
  /** Least recently used first. */
  readonly #streams: Http1Stream[] = [];
  /** null: connections have no maximum. */
  readonly #places: Places | null;
  /** Of the server, among those of the upstream. */
  readonly #server: number;
  /** The last that was seen of the server: it closed a connection right behind the first answer on it. */
  #closesEarly = false;
  #trialFromMs = Number.NEGATIVE_INFINITY;

  constructor(places: Places | null, server: number) {
    this.#places = places;
    this.#server = server;
  }

  get size(): number {
    return this.#streams.length;
  }

  /** undefined: none rests. */
  get leastRecent(): Http1Stream | undefined {
    return this.#streams[0];
  }

  /** undefined: none rests. */
  get mostRecent(): Http1Stream | undefined {
    return this.#streams.at(-1);
  }

  /** More would wait for nobody: see UNTRUSTED_MAX. */
  get isFull(): boolean {
    return this.#closesEarly && this.#streams.length >= UNTRUSTED_MAX;
  }

  add(stream: Http1Stream): void {
    stream.isResting = true;
    this.#streams.push(stream);
    this.#places?.countResting(this.#server, 1);
  }

  /** One for a request of this sender; null: none, though there may be some that are for others. */
  take(sender: Sender, nowMs: number): Http1Stream | null {
    const streams = this.#streams;
    while (streams.length > 0) {
      const index = this.#closesEarly ? this.#choose(sender, nowMs) : streams.length - 1;
      if (index < 0) return null;
      const stream = streams[index]!;
      this.#removeAt(index);
      if (!stream.usable || stream.expiresMs <= nowMs) stream.close();
      else {
        if (this.#closesEarly && !hasRested(stream, nowMs)) this.#trialFromMs = nowMs + TRIAL_INTERVAL_MS;
        return stream;
      }
    }
    return null;
  }

  /** Of a server that closes early. -1: none is for this sender. */
  #choose(sender: Sender, nowMs: number): number {
    const rested = this.#streams.findLastIndex((stream) => hasRested(stream, nowMs));
    return rested >= 0 || nowMs < this.#trialFromMs || !maySendAgain(sender) ? rested : this.#streams.length - 1;
  }

  #removeAt(index: number): void {
    const streams = this.#streams;
    const stream = streams[index]!;
    if (index === streams.length - 1) streams.pop();
    else streams.splice(index, 1);
    stream.isResting = false;
    this.#places?.countResting(this.#server, -1);
  }

  /** It is gone. */
  forget(stream: Http1Stream): void {
    if (stream.isResting) this.#removeAt(this.#streams.indexOf(stream));
  }

  closeAll(): void {
    while (this.#streams.length > 0) {
      const last = this.#streams.length - 1;
      const stream = this.#streams[last]!;
      this.#removeAt(last);
      stream.close();
    }
  }

  /** The server closed it, at rest or where an answer to the next request should have come. */
  closedByServer(stream: Http1Stream, nowMs: number): void {
    // One that answered more often was kept before: the server has been started anew, or the like.
    if (stream.answers === 1 && !hasRested(stream, nowMs)) this.#closesEarly = true;
  }

  /** The server answered on a connection that had rested. */
  answeredAgain(): void {
    this.#closesEarly = false;
    this.#trialFromMs = Number.NEGATIVE_INFINITY;
  }
}

/** For longer than servers wait that close early; also one that has not answered anybody: it is kept for as long as there is time. */
function hasRested({ answeredAtMs }: Http1Stream, nowMs: number): boolean {
  return nowMs - answeredAtMs >= EARLY_CLOSE_MS;
}

/** If need be; a body whose length is not known may turn out to be too long to be kept. */
function maySendAgain({ attempts, retriesMax = 0, request: { method, bodyBytes } }: Sender): boolean {
  if (attempts > 1 || retriesMax === 0 || !isIdempotent(method)) return false;
  return bodyBytes !== BODY_UNTIL_END && bodyBytes <= REPLAY_BODY_BYTES_MAX;
}
