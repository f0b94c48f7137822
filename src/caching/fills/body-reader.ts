/**
 * Gives a range of a body to one receiver, at the receiver's pace: from memory when it is at the end of what has come, otherwise
 * from the file, so that who is slow or late holds no memory. It ends an answer only when every byte of the range was given, and
 * breaks it in every other case.
 */
import { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";
import type { BodyFile } from "../ports.ts";
import type { FlowingBody } from "./flowing-body.ts";

/**
 * What is sent of a file at a time. Between two pieces somebody has to be woken, and a client that leaves costs nothing either way:
 * what its socket has not taken is dropped. The descriptor is held until a piece has left. How long one connection may keep the
 * others waiting is the transport's to bound.
 */
export const SENT_BYTES_MAX = 256 * 1024 * 1024;
/** What is read of a file at a time where it cannot be sent unseen: one read of a transport. */
export const READ_BYTES_MAX = 64 * 1024;

export class BodyReader implements ProducedBody {
  readonly #body: FlowingBody;
  readonly #sink: AnswerSink;
  #position: number;
  /** -1: all that comes. */
  readonly #end: number;
  #isPaused = false;
  /** A read, or a piece of the file that is being sent, is under way. */
  #isBusy = false;
  #isPumping = false;
  #isDone = false;
  #canSendFile = true;
  /** Held for the piece that is being sent. */
  #sending: BodyFile | null = null;

  constructor(body: FlowingBody, sink: AnswerSink, start: number, end: number) {
    this.#body = body;
    this.#sink = sink;
    this.#position = start;
    this.#end = end;
  }

  /** Everything before it was given. */
  get position(): number {
    return this.#position;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.pump();
  }

  abort(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#body.left(this);
  }

  /** Tells the receiver that no more will come. */
  break(error: ProxyError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#body.left(this);
    this.#sink.abort(error);
  }

  /** Gives what there is, as long as it is taken. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (!this.#isPaused && !this.#isBusy && !this.#isDone && this.#step());
    this.#isPumping = false;
  }

  /** Whether another step may follow at once. */
  #step(): boolean {
    const body = this.#body;
    if (this.#position === this.#end) return this.#finish();
    if (body.error !== null) {
      this.break(body.error);
      return false;
    }
    const limit = this.#end < 0 ? body.available : Math.min(this.#end, body.available);
    if (this.#position < limit) return this.#give(limit);
    if (!body.isComplete) return false;
    if (this.#end < 0 && this.#position === body.available) return this.#finish();
    this.break(new ProxyError("http_response_incomplete", "the body is shorter than the range that was asked for"));
    return false;
  }

  #finish(): boolean {
    this.#isDone = true;
    this.#body.left(this);
    this.#sink.end();
    return false;
  }

  #give(limit: number): boolean {
    const body = this.#body;
    const from = this.#position;
    if (from < body.start || !body.locate(from)) return this.#giveFile(limit);
    const { piece, pieceStart } = body;
    const length = Math.min(body.pieceEnd - pieceStart, limit - from);
    this.#position = from + length;
    this.#sink.write(piece, pieceStart, pieceStart + length);
    body.moved(from, this.#position);
    return true;
  }

  #giveFile(limit: number): boolean {
    const body = this.#body;
    const { file } = body;
    const from = this.#position;
    const length = Math.min(limit, body.fileEnd) - from;
    // Without a file behind it, what is gone from memory is gone.
    if (file === null || length <= 0 || from < body.start) {
      this.break(body.unreadable(null));
      return false;
    }
    this.#isBusy = true;
    if (!body.isVerified) {
      const start = body.verifiedFrom(from);
      file
        .read(start - body.fileStart, body.verifiedLength(start))
        .then((bytes) => this.#verify(start, bytes, limit), this.#onReadFailed);
      return false;
    }
    if (this.#canSendFile) {
      const sent = Math.min(length, SENT_BYTES_MAX);
      file.hold();
      this.#sending = file;
      // It may be told to pause, or that the client is gone, before the call returns.
      this.#position = from + sent;
      if (this.#sink.sendFile(file.descriptor, from - body.fileStart, sent, this.#onSent)) {
        body.moved(from, this.#position);
        // The end follows what was sent: there is nothing to wait for.
        if (this.#position === this.#end && !this.#isDone) return this.#finish();
        if (body.isComplete && this.#end < 0 && this.#position === body.available && !this.#isDone)
          return this.#finish();
        return false;
      }
      this.#position = from;
      this.#sending = null;
      file.letGo();
      this.#canSendFile = false;
      if (this.#isDone) return false;
    }
    file.read(from - body.fileStart, Math.min(length, READ_BYTES_MAX)).then(this.#onRead, this.#onReadFailed);
    return false;
  }

  readonly #onSent = (): void => {
    this.#sending?.letGo();
    this.#sending = null;
    this.#isBusy = false;
    this.pump();
  };

  readonly #onRead = (bytes: Buffer): void => {
    this.#isBusy = false;
    if (this.#isDone) return;
    this.#put(bytes, 0, bytes.length);
  };

  readonly #onReadFailed = (error: unknown): void => {
    this.#isBusy = false;
    if (!this.#isDone) this.break(this.#body.unreadable(error));
  };

  #verify(start: number, bytes: Buffer, limit: number): void {
    this.#isBusy = false;
    if (this.#isDone) return;
    if (!this.#body.verify(start, bytes)) return this.break(this.#body.unreadable(null));
    this.#put(bytes, this.#position - start, Math.min(bytes.length, limit - start));
  }

  /** What was read is given also when it was paused meanwhile: a few writes may come. */
  #put(bytes: Buffer, start: number, end: number): void {
    const from = this.#position;
    this.#position = from + end - start;
    this.#sink.write(bytes, start, end);
    this.#body.moved(from, this.#position);
    this.pump();
  }
}
