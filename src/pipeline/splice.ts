/**
 * The rest of a long body that nobody looks at passes from the one connection to the other without being seen. Whoever gives it
 * (the driver a request's, a stream an answer's) offers all but the last byte: that one is seen, and with it what comes behind,
 * so that a body ends in one way only. Whoever takes it says whether its framing adds nothing.
 *
 * While bytes pass unseen no event tells of them: now and then it is looked whether they still move, and if they do not, whose
 * turn it is. Nothing here touches the bytes.
 */
import type { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { Connection, Splice, SpliceHandler } from "../core/ports.ts";
import type { Exchange } from "./exchange.ts";
import { clientDoesNotRead, requestBodyLate } from "./faults.ts";
import type { Route } from "./site.ts";
import { StallWatch } from "./stall.ts";

/** Who takes a body: a driver that of an answer, a stream that of a request. */
export interface SpliceTaker {
  /** Bytes that were written before and not taken yet. */
  readonly queuedBytes: number;
  /**
   * Takes the next `bytes` of the body straight from `from` (Infinity: until its end). null: its framing adds something to
   * them, or announced less, or the transport cannot. `giver` is told when all of them were handed on.
   */
  spliceFrom(from: Connection, bytes: number, giver: SpliceHandler): Splice | null;
  /** The splice is over; so many bytes of the body have passed. */
  onBodySpliced(bytes: number): void;
}

/** What a request's splice asks of the exchange that it belongs to. */
export interface SplicedExchange extends Exchange {
  /** An answer is under way, and the client has not taken all of it. */
  readonly clientTakesAnswer: boolean;
}

/** A body, or most of one, on its way. */
export abstract class BodySplice {
  protected readonly exchange: Exchange;
  readonly #splice: Splice;
  readonly #taker: SpliceTaker;
  readonly #stall: StallWatch;
  readonly #giverMs: number;
  readonly #takerMs: number;
  #counted = 0;
  #over = false;

  /** `giverMs`, `takerMs`: how long the one may let nothing come, and the other take nothing. */
  constructor(
    exchange: Exchange,
    deadlines: DeadlineWheel,
    splice: Splice,
    taker: SpliceTaker,
    giverMs: number,
    takerMs: number,
  ) {
    this.exchange = exchange;
    this.#splice = splice;
    this.#taker = taker;
    this.#giverMs = giverMs;
    this.#takerMs = takerMs;
    this.#stall = new StallWatch(deadlines, () => this.#look());
    this.#stall.begin(Math.min(giverMs, takerMs));
  }

  get over(): boolean {
    return this.#over;
  }

  /** It is over, for whatever reason. Returns how many bytes were taken of the giver. May be called again. */
  end(): number {
    if (!this.#over) {
      this.#count();
      this.#over = true;
      this.#stall.dispose();
      this.#taker.onBodySpliced(this.#splice.receivedBytes);
    }
    return this.#splice.receivedBytes;
  }

  /** What the exchange counts of it. */
  protected abstract passed(splice: Splice): number;
  protected abstract add(bytes: number): void;
  /** A number that changes whenever something else moves that is progress too. */
  protected get progressBeside(): number {
    return 0;
  }
  /** null: the other direction decides, or nothing more need come, or be taken. */
  protected abstract giverLate(): ProxyError | null;
  protected abstract takerLate(): ProxyError | null;

  #count(): void {
    const passed = this.passed(this.#splice);
    this.add(passed - this.#counted);
    this.#counted = passed;
  }

  #look(): void {
    this.#count();
    const { receivedBytes, sentBytes } = this.#splice;
    const { queuedBytes } = this.#taker;
    const stalledMs = this.#stall.stalledMs(receivedBytes + sentBytes - queuedBytes + this.progressBeside);
    // While nothing has moved, it was the same side's turn all the time.
    const isTakersTurn = receivedBytes > sentBytes || queuedBytes > 0;
    if (stalledMs < (isTakersTurn ? this.#takerMs : this.#giverMs)) return;
    const error = isTakersTurn ? this.takerLate() : this.giverLate();
    if (error !== null) this.exchange.fail(error);
  }
}

/** A request's body, from the client to a stream. */
export class RequestSplice extends BodySplice {
  readonly #exchange: SplicedExchange;

  constructor(exchange: SplicedExchange, route: Route, deadlines: DeadlineWheel, splice: Splice, taker: SpliceTaker) {
    super(exchange, deadlines, splice, taker, route.limits.bodyTimeoutMs, route.use.bodyTimeoutMs);
    this.#exchange = exchange;
  }

  protected override passed(splice: Splice): number {
    return splice.receivedBytes;
  }

  protected override add(bytes: number): void {
    this.exchange.requestBodyBytes += bytes;
  }

  /** Who takes an answer need not go on with its request. */
  protected override get progressBeside(): number {
    return this.exchange.responseBodyBytes;
  }

  /** How it takes it is watched where it is sent. */
  protected override giverLate(): ProxyError | null {
    if (this.#exchange.clientTakesAnswer) return null;
    return requestBodyLate();
  }

  /** Once the upstream answers, the progress of its answer counts. */
  protected override takerLate(): ProxyError | null {
    const { response, upstreamAddress } = this.exchange;
    if (response !== null) return null;
    return new ProxyError("connection_write_timeout", `${upstreamAddress} does not read the request`);
  }
}

/** An answer's body, from a stream to the client. */
export class AnswerSplice extends BodySplice {
  constructor(exchange: Exchange, route: Route, deadlines: DeadlineWheel, splice: Splice, taker: SpliceTaker) {
    super(exchange, deadlines, splice, taker, route.use.bodyTimeoutMs, route.limits.bodyTimeoutMs);
  }

  protected override passed(splice: Splice): number {
    return splice.sentBytes;
  }

  protected override add(bytes: number): void {
    this.exchange.responseBodyBytes += bytes;
  }

  protected override giverLate(): ProxyError {
    const { upstreamAddress } = this.exchange;
    return new ProxyError("connection_read_timeout", `${upstreamAddress}: its answer did not go on in time`);
  }

  protected override takerLate(): ProxyError {
    return clientDoesNotRead();
  }
}
