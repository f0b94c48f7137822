/**
 * The beginning of a body that is stored in part, put in front of the rest that comes from the origin: it is read as any reader reads
 * it, as fast as the fill takes it. What the origin sends meanwhile is held, which is little, as its fork is paused.
 */
import type { AnswerBody, Fill } from "../../caching/cache.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";

export interface JoinHandler {
  /** All of it is written: what follows may come. */
  onJoined(): void;
  /** It could not be read. */
  onBroken(error: ProxyError): void;
}

export class StoredBeginning implements AnswerSink {
  readonly #fill: Fill;
  readonly #handler: JoinHandler;
  #produced: ProducedBody | null = null;
  #isOver = false;

  constructor(fill: Fill, handler: JoinHandler) {
    this.#fill = fill;
    this.#handler = handler;
  }

  /** Writes [start, end) of the representation to the fill. */
  begin(body: AnswerBody, start: number, end: number): void {
    this.#fill.onDrain = () => this.#produced?.resume();
    const produced = body.produce(this, start, end);
    if (this.#isOver) return;
    this.#produced = produced;
    if (this.#fill.isFull) produced.pause();
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.#fill.write(bytes, start, end);
    if (this.#fill.isFull) this.#produced?.pause();
  }

  /** The bytes have to be seen: they are written again. */
  sendFile(): boolean {
    return false;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#fill.onDrain = null;
    this.#handler.onJoined();
  }

  abort(error: ProxyError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onBroken(error);
  }

  giveUp(error: ProxyError): void {
    this.#isOver = true;
    this.#produced?.abort?.(error);
  }
}
