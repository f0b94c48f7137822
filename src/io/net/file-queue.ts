/**
 * What a connection still has to send once a file is among it: files, and the bytes that were written behind them, in
 * order. One piece of one file is in memory at a time, and the next is read when the kernel has taken it, so a slow reader
 * holds no more. It decides when a file is read; what becomes of the connection is decided there.
 */
import { read } from "node:fs";

/** As much as a connection may queue before its writers are held back; every piece costs a trip to the thread pool. */
const PIECE_BYTES = 128 * 1024;

/** The connection, as the queue sees it. */
export interface FileOutlet {
  /** Hands bytes to Node, which may read them until `onTaken` is called; it is not called when the connection breaks. */
  putPiece(bytes: Buffer, onTaken: () => void): void;
  /** Nothing is left; bytes may again be sent past the queue. */
  queueEmptied(): void;
  /** `error` null: the file has ended before its time. */
  fileFailed(error: Error | null): void;
  /** Calls back whoever lent the descriptor. */
  fileDone(onSent: () => void): void;
}

interface FileRest {
  readonly descriptor: number;
  offset: number;
  length: number;
  readonly onSent: () => void;
}

export class FileQueue {
  readonly #outlet: FileOutlet;
  readonly #items: (Buffer | FileRest)[] = [];
  readonly #piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  /** Bytes that have not been handed to Node. */
  bytes = 0;
  /** The descriptor of the first file is in use. */
  #isReading = false;
  #isStopped = false;
  #isOver = false;
  #hasBegun = false;
  readonly #onTaken = (): void => this.#advance();
  readonly #onRead = (error: Error | null, bytesRead: number): void => this.#pieceRead(error, bytesRead);

  constructor(outlet: FileOutlet) {
    this.#outlet = outlet;
  }

  /** Memory that nobody writes into again. */
  addBytes(bytes: Buffer): void {
    this.bytes += bytes.length;
    this.#items.push(bytes);
  }

  addFile(descriptor: number, offset: number, length: number, onSent: () => void): void {
    this.bytes += length;
    this.#items.push({ descriptor, offset, length, onSent });
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    process.nextTick(this.#onTaken);
  }

  /** The connection closes: nothing more is sent. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.bytes = 0;
  }

  /** The connection is closed, and whoever had it knows: every descriptor is given back, one that is in use when it is not any more. */
  giveBack(): void {
    this.#isOver = true;
    if (!this.#isReading) this.#giveBack();
  }

  #giveBack(): void {
    for (const item of this.#items.splice(0)) if (!Buffer.isBuffer(item)) this.#outlet.fileDone(item.onSent);
  }

  /** Goes on after the last piece has been taken. */
  #advance(): void {
    while (!this.#isStopped) {
      const [item] = this.#items;
      if (item === undefined) {
        this.#outlet.queueEmptied();
        return;
      }
      if (Buffer.isBuffer(item)) {
        this.#items.shift();
        this.bytes -= item.length;
        this.#outlet.putPiece(item, NOTHING);
      } else if (item.length === 0) {
        this.#items.shift();
        this.#outlet.fileDone(item.onSent);
      } else {
        this.#isReading = true;
        read(item.descriptor, this.#piece, 0, Math.min(item.length, PIECE_BYTES), item.offset, this.#onRead);
        return;
      }
    }
  }

  #pieceRead(error: Error | null, bytesRead: number): void {
    this.#isReading = false;
    if (this.#isStopped) {
      if (this.#isOver) this.#giveBack();
      return;
    }
    if (error !== null || bytesRead === 0) {
      this.#outlet.fileFailed(error);
      return;
    }
    const file = this.#items[0] as FileRest;
    file.offset += bytesRead;
    file.length -= bytesRead;
    this.bytes -= bytesRead;
    this.#outlet.putPiece(this.#piece.subarray(0, bytesRead), this.#onTaken);
  }
}

const NOTHING = (): void => {};
