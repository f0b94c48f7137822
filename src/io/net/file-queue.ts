/**
 * What a connection still has to send once a file is among it: files, and the bytes that were written behind them, in
 * order. One piece of one file is in memory at a time, and the next is read when the kernel has taken it, so a slow reader
 * holds no more. It decides when a file is read; what becomes of the connection is decided there.
 *
 * Memory for a piece is taken when its read begins and lent to the next one when the kernel has the bytes, and a few reads of a thread
 * are under way at a time: hundreds of connections that are sent the same few KiB as they arrive share some pieces.
 */
import { read } from "node:fs";

/** As much as a connection may queue before its writers are held back; every piece costs a trip to the thread pool. */
const PIECE_BYTES = 128 * 1024;
/** Node reads files in four threads of the process: twice as many keep those busy, and more would only wait with memory in hand. */
const READS_AT_ONCE = 8;
/** As many as are read into at a time, and as many again that are being taken: 2 MiB in a thread. */
const PIECES_KEPT_MAX = 2 * READS_AT_ONCE;

const freePieces: Buffer[] = [];
let readsUnderWay = 0;
/** In the order in which they came. */
const waiting: FileQueue[] = [];

function takePiece(): Buffer {
  return freePieces.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
}

function putBack(piece: Buffer): void {
  if (freePieces.length < PIECES_KEPT_MAX) freePieces.push(piece);
}

function readNext(): void {
  while (readsUnderWay < READS_AT_ONCE) {
    const queue = waiting.shift();
    if (queue === undefined) return;
    if (queue.beginRead()) readsUnderWay++;
  }
}

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
  /** Being read into, or taken by the kernel. */
  #piece: Buffer | null = null;
  /** Bytes that have not been handed to Node. */
  bytes = 0;
  /** The descriptor of the first file is in use. */
  #isReading = false;
  #isStopped = false;
  #isOver = false;
  #hasBegun = false;
  readonly #onTaken = (): void => this.#pieceTaken();
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

  /** It is its turn. false: it does not want it any more. */
  beginRead(): boolean {
    const [file] = this.#items;
    if (this.#isStopped || file === undefined || Buffer.isBuffer(file)) return false;
    this.#isReading = true;
    this.#piece = takePiece();
    read(file.descriptor, this.#piece, 0, Math.min(file.length, PIECE_BYTES), file.offset, this.#onRead);
    return true;
  }

  #pieceTaken(): void {
    if (this.#piece !== null) putBack(this.#piece);
    this.#piece = null;
    this.#advance();
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
        waiting.push(this);
        readNext();
        return;
      }
    }
  }

  #pieceRead(error: Error | null, bytesRead: number): void {
    this.#isReading = false;
    readsUnderWay--;
    this.#pass(error, bytesRead);
    readNext();
  }

  #pass(error: Error | null, bytesRead: number): void {
    const piece = this.#piece!;
    if (this.#isStopped || error !== null || bytesRead === 0) {
      putBack(piece);
      this.#piece = null;
      if (!this.#isStopped) this.#outlet.fileFailed(error);
      else if (this.#isOver) this.#giveBack();
      return;
    }
    const file = this.#items[0] as FileRest;
    file.offset += bytesRead;
    file.length -= bytesRead;
    this.bytes -= bytesRead;
    this.#outlet.putPiece(piece.subarray(0, bytesRead), this.#onTaken);
  }
}

const NOTHING = (): void => {};
