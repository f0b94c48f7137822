/**
 * What all bodies have in common that a reader can read from: how far they are there, where the bytes are (in memory, or in a file),
 * and who reads. It decides nothing about where a body comes from, or whether it is stored.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";
import type { AnswerBody } from "../cache.ts";
import type { BodyFile } from "../ports.ts";
import { BodyReader } from "./body-reader.ts";

export abstract class FlowingBody implements AnswerBody {
  bytes: number;
  memory: Buffer | null = null;
  readonly start: number = 0;
  /** [start, available) can be read now. */
  available = 0;
  /** No more comes: `available` is all of it. */
  isComplete = false;
  /** No more comes: it broke. */
  error: ProxyError | null = null;
  protected readonly readers = new Set<BodyReader>();
  /** What `locate` found: bytes[pieceStart, pieceEnd). */
  piece: Buffer = EMPTY;
  pieceStart = 0;
  pieceEnd = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  get end(): number {
    return this.bytes;
  }

  get readersCount(): number {
    return this.readers.size;
  }

  open(): boolean {
    return true;
  }

  produce(sink: AnswerSink, start: number, end: number, isPaused = false): ProducedBody {
    const reader = new BodyReader(this, sink, start, end);
    if (isPaused) reader.pause();
    this.readers.add(reader);
    this.countReader(1);
    this.joined(reader);
    reader.pump();
    return reader;
  }

  /** Where the byte at `position` is, below `available`: true, in memory, see `piece`; false: in the file, below `fileEnd`. */
  abstract locate(position: number): boolean;
  /** Up to where it can be read from the file. */
  abstract readonly fileEnd: number;
  /** Which offset of the representation is the first byte of the file. */
  get fileStart(): number {
    return 0;
  }

  /** The file, open while anybody reads; null: it cannot be opened, or read. */
  abstract readonly file: BodyFile | null;

  /** Whether the bytes of the file are known to be those that were written: only then may they be sent unseen. */
  get isVerified(): boolean {
    return true;
  }

  /** Where a piece that is read to be verified begins that has `position` in it, and its length. For bodies that are not verified. */
  verifiedFrom(position: number): number {
    return position;
  }

  verifiedLength(_from: number): number {
    return 0;
  }

  /** Whether the bytes that were read at `from` are good. */
  verify(_from: number, _bytes: Buffer): boolean {
    return true;
  }

  /** The file could not be read. */
  abstract unreadable(error: unknown): ProxyError;

  /** A reader has moved on from a position. */
  moved(_from: number, _to: number): void {}

  /** There is one more, or one less, for whom it matters how far it has come. */
  protected countReader(_change: 1 | -1): void {}

  /** A reader has begun. */
  protected joined(_reader: BodyReader): void {}

  /** A reader is done. */
  left(reader: BodyReader): void {
    if (!this.readers.delete(reader)) return;
    this.countReader(-1);
    this.departed(reader);
  }

  protected departed(_reader: BodyReader): void {}

  /** There may be something new for whoever waits. */
  protected pumpReaders(): void {
    for (const reader of this.readers) reader.pump();
  }

  protected abortReaders(error: ProxyError): void {
    for (const reader of this.readers) reader.break(error);
  }
}

const EMPTY = Buffer.alloc(0);
