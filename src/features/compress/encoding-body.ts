/**
 * A body on its way through an encoder. Two ways, chosen by what arrives:
 *
 * - A short body that is complete before the source goes quiet is encoded at once, in this thread: most answers of
 *   applications are such, and the detour over the thread pool costs several times the encoding itself.
 * - Everything else goes through a streaming encoder, whose work is done in the thread pool. When the source goes quiet
 *   and the body is still open, the encoder is flushed: the client sees at once what the upstream has said.
 *
 * Pressure passes both ways: a slow client stops the encoder's output, a full encoder stops the source. Memory is
 * bounded by what the encoder and its two queues hold.
 */
import { ProxyError } from "../../core/errors.ts";
import type { BodySink, BodySource, BodyTransform } from "../../pipeline/phases.ts";
import type { Coding, Encoder } from "./codings.ts";

/** Encoding so much takes well below a millisecond at the levels that allow it. */
const AT_ONCE_BYTES_MAX = 32 * 1024;
/**
 * Turns of the event loop without a byte after which the source counts as quiet: one in which it could have given more.
 */
const QUIET_TURNS = 2;

export class EncodingBody implements BodyTransform {
  readonly #coding: Coding;
  readonly #next: BodySink;
  readonly #source: BodySource;

  /** What arrived while there is no encoder: it may turn out to be all. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #encoder: Encoder | null = null;

  /** The source has given everything. */
  #ended = false;
  /** Nothing more is passed on: ended, failed or given up. */
  #done = false;
  /** The receiver asked for a pause. */
  #paused = false;
  /** We asked the source for a pause. */
  #sourcePaused = false;
  /** Bytes were written that no flush has followed yet. */
  #unflushed = false;
  #quietTurns = 0;
  #watching = false;
  readonly #onTurnEnd = (): void => this.#endTurn();

  constructor(coding: Coding, next: BodySink, source: BodySource) {
    this.#coding = coding;
    this.#next = next;
    this.#source = source;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#done || this.#ended) return;
    const copy = Buffer.from(bytes.subarray(start, end));
    this.#heldBytes += copy.length;
    this.#held.push(copy);
    const mayFitAtOnce = this.#coding.encodeNow !== null && this.#heldBytes <= AT_ONCE_BYTES_MAX;
    if (this.#encoder !== null || !mayFitAtOnce) this.#feed();
    this.#quietTurns = 0;
    this.#watch();
  }

  end(): void {
    if (this.#done || this.#ended) return;
    this.#ended = true;
    const { encodeNow } = this.#coding;
    if (this.#encoder === null && encodeNow !== null) {
      const encoded = encodeNow(Buffer.concat(this.#held));
      this.dispose();
      this.#next.write(encoded, 0, encoded.length);
      this.#next.end();
      return;
    }
    this.#feed();
    this.#encoder?.end();
  }

  abort(error: ProxyError): void {
    if (this.#done) return;
    this.dispose();
    this.#next.abort(error);
  }

  /** Frees the encoder; nothing more is passed on. Idempotent. */
  dispose(): void {
    this.#done = true;
    this.#held = [];
    this.#encoder?.destroy();
    this.#encoder = null;
  }

  pause(): void {
    this.#paused = true;
    if (this.#encoder !== null) this.#encoder.pause();
    else this.#pauseSource();
  }

  resume(): void {
    this.#paused = false;
    this.#encoder?.resume();
    if (this.#encoder === null || !this.#encoder.writableNeedDrain) this.#resumeSource();
  }

  /** Gives what is held to the encoder, which is made for the first of it. */
  #feed(): void {
    this.#encoder ??= this.#makeEncoder();
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const bytes of held) {
      this.#unflushed = true;
      if (!this.#encoder.write(bytes)) this.#pauseSource();
    }
  }

  #makeEncoder(): Encoder {
    const encoder = this.#coding.create();
    encoder.on("data", (encoded: Buffer) => {
      if (!this.#done) this.#guard(() => this.#next.write(encoded, 0, encoded.length));
    });
    encoder.on("drain", () => {
      this.#resumeSource();
      this.#quietTurns = 0;
      this.#watch();
    });
    encoder.on("end", () => {
      if (this.#done) return;
      this.dispose();
      this.#guard(() => this.#next.end());
    });
    encoder.on("error", (cause) => {
      const message = `${this.#coding.name} failed: ${cause.message}`;
      this.abort(new ProxyError("proxy_internal_error", message, { cause }));
    });
    if (this.#paused) encoder.pause();
    return encoder;
  }

  /** An event of the encoder has no caller who could catch what a receiver throws. */
  #guard(pass: () => void): void {
    try {
      pass();
    } catch (thrown) {
      this.dispose();
      this.#next.abort(ProxyError.from(thrown));
    }
  }

  #watch(): void {
    if (this.#watching || this.#done) return;
    this.#watching = true;
    setImmediate(this.#onTurnEnd);
  }

  /** Counts the turns since the last byte, as long as something waits for a flush. */
  #endTurn(): void {
    this.#watching = false;
    if (this.#done || this.#ended) return;
    const isWaiting = this.#unflushed || this.#held.length > 0;
    // A source that we hold back is not quiet: its encoder's drain takes the watch up again.
    if (!isWaiting || (this.#sourcePaused && this.#encoder !== null)) return;
    this.#quietTurns++;
    if (this.#quietTurns < QUIET_TURNS) {
      this.#watch();
      return;
    }
    this.#feed();
    this.#unflushed = false;
    this.#encoder?.flush(this.#coding.flushKind);
  }

  #pauseSource(): void {
    if (this.#sourcePaused) return;
    this.#sourcePaused = true;
    this.#source.pause();
  }

  #resumeSource(): void {
    if (!this.#sourcePaused || this.#done) return;
    this.#sourcePaused = false;
    this.#source.resume();
  }
}
