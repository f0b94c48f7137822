/**
 * A connection on a socket of node:net or node:tls. It decides when bytes are handed to Node and how the events of a
 * socket become the calls of a handler: one onClose, no call after it, no onBytes while paused. A handler that throws
 * loses its connection, never the process.
 *
 * Writing costs one call of `socket.write` an event, without a callback. Node's own queue is looked at once after it: when
 * it is empty the kernel has taken everything.
 *
 * The file is longer than most: whatever is called or happens here turns on the same few private fields.
 */
import type net from "node:net";
import { copyBytes, LOOP_BYTES_MAX } from "../../core/copy-bytes.ts";
import { type ErrorSide, ProxyError } from "../../core/errors.ts";
import { putLatin1 } from "../../core/latin1.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../../core/limits.ts";
import type { Address, ConnectionHandler, PendingDial, Splice, TlsInfo, WriteRoom } from "../../core/ports.ts";
import { describeAddress } from "../addresses.ts";
import { failureOf, type SystemError, systemErrorOf } from "../failures.ts";
import type { ProxiedConnection } from "../proxy-headers.ts";
import { NOTHING_PENDING, type SocketGiver, type SocketReceiver } from "../socket-giver.ts";
import type { Arrivals, Receiving } from "./arrivals.ts";
import { type FileOutlet, FileQueue } from "./file-queue.ts";
import type { PausedClients, Probed } from "./paused-clients.ts";
import { rescueUnread, socketBelow } from "./socket-internals.ts";
import { type BatchMember, SLAB_WRITE_BYTES_MAX, type Slab, type WriteBatch } from "./write-batch.ts";

/** Whoever writes so much at once is told when it was taken. */
const TOLD_BYTES_MIN = 16 * 1024;

const NO_BYTES = Buffer.alloc(0);

/** What the connections of one transport share. */
export interface ConnectionOwner {
  readonly batch: WriteBatch;
  readonly arrivals: Arrivals;
  readonly pausedClients: PausedClients;
  /** A handler threw: a bug, ours or a plugin's. */
  reportFault(thrown: unknown): void;
  /** Connections that exist, by plus or minus one. */
  countConnection(change: 1 | -1): void;
}

/** What is known of a socket when it becomes a connection. */
export interface ConnectionFacts {
  /** Both ends are noted at once: a socket that was closed has forgotten them, and whoever writes the log still asks. */
  readonly remote: Address;
  readonly local: Address;
  readonly originalDestination?: Address | null;
  readonly tls: TlsInfo | null;
  /** Whose fault it is when the connection breaks. */
  readonly side: ErrorSide;
}

/** Stands in until an owner has set its own. */
const NOBODY: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

export class NetConnection implements SocketGiver, ProxiedConnection, BatchMember, FileOutlet, Receiving, Probed {
  handler: ConnectionHandler = NOBODY;
  /** The socket's own, or what a load balancer has said that they are. */
  remote: Address;
  local: Address;
  readonly originalDestination: Address | null;
  readonly tls: TlsInfo | null;
  readonly #socket: net.Socket;
  readonly #owner: ConnectionOwner;
  readonly #batch: WriteBatch;
  readonly #side: ErrorSide;
  readonly #isUnix: boolean;
  /** Pending bytes: `slab[start, end)`. */
  #slab: Slab;
  /** Slabs of which Node holds some of our bytes. */
  readonly #kept: Slab[] = [];
  #start = 0;
  #end = 0;
  /** In the batch's list. */
  #listed = false;
  /** Node held some of our bytes when we last looked. */
  #nodeHolds = false;
  /** onDrain is owed. */
  #aboveHighWater = false;
  #ended = false;
  /** What was queued when it was closed, if a file was among it. */
  #lostBytes = 0;
  #paused = false;
  /** The peer has ended behind bytes that arrivals hold: onEnd is owed. */
  #endWaits = false;
  /** And the socket is closed already: onClose is owed too. */
  #closeWaits = false;
  #closed = false;
  #error: ProxyError | null = null;
  /** What had arrived when a write failed. */
  #rescued: Buffer = NO_BYTES;
  /** What waits behind a file; null while none is being sent. */
  #files: FileQueue | null = null;
  readonly #onData = (chunk: Buffer): void => this.handOver(chunk, 0, chunk.length);
  readonly #onEnd = (): void => this.#peerEnded();
  readonly #onError = (error: SystemError): void => this.#failed(error);
  readonly #onClose = (): void => this.#socketClosed();
  /** One closure for all writes that need to know when they were taken. */
  readonly #onTaken = (error?: Error | null): void => {
    if (error !== undefined && error !== null) return;
    if (this.#socket.writableLength === 0) this.#letGo();
    this.#drained();
  };

  constructor(owner: ConnectionOwner, socket: net.Socket, facts: ConnectionFacts) {
    this.#owner = owner;
    this.#batch = owner.batch;
    this.#slab = owner.batch.slab;
    this.#socket = socket;
    this.remote = facts.remote;
    this.local = facts.local;
    this.originalDestination = facts.originalDestination ?? null;
    this.tls = facts.tls;
    this.#side = facts.side;
    this.#isUnix = facts.remote.family === 0;
    owner.countConnection(1);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
    // It may be an answer to a request whose rest the origin did not want.
    if (facts.side === "upstream" && facts.tls === null) {
      rescueUnread(socket, (bytes) => {
        this.#rescued = bytes;
      });
    }
  }

  speaksFor(remote: Address, local: Address): void {
    this.remote = remote;
    this.local = local;
  }

  /** For sockets that do not receive by a Receiver: every chunk is fresh memory. */
  readFromEvents(): void {
    this.#socket.on("data", this.#onData);
  }

  handOver(buffer: Buffer, start: number, end: number): void {
    if (this.#closed) return;
    const batch = this.#batch;
    batch.enter();
    try {
      this.handler.onBytes(buffer, start, end);
    } catch (thrown) {
      this.#fault(thrown);
    }
    batch.leave();
    if (this.#endWaits && !this.#paused) this.#tellWaiting();
  }

  get paused(): boolean {
    return this.#paused && !this.#closed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get queuedBytes(): number {
    if (this.#closed) return 0;
    return this.#end - this.#start + (this.#nodeHolds ? this.#socket.writableLength : 0) + (this.#files?.bytes ?? 0);
  }

  get unsentBytes(): number {
    return this.#lostBytes || this.queuedBytes;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const length = end - start;
    if (length <= 0 || this.#ended || this.#closed) return;
    if (this.#files !== null || length > SLAB_WRITE_BYTES_MAX) this.#sendLarge(Buffer.from(bytes.subarray(start, end)));
    else {
      const offset = this.#claim(length);
      const { bytes: slab, view } = this.#slab;
      // No view is made, and no buffer kept, for what is not copied by words.
      if (length > LOOP_BYTES_MAX) slab.set(bytes.subarray(start, end), offset);
      else copyBytes(slab, view, offset, bytes, this.#batch.viewOfSource(bytes), start, end);
    }
  }

  writeLatin1(text: string): void {
    const length = text.length;
    if (length === 0 || this.#ended || this.#closed) return;
    if (this.#files !== null || length > SLAB_WRITE_BYTES_MAX) this.#sendLarge(Buffer.from(text, "latin1"));
    else {
      const offset = this.#claim(length);
      putLatin1(this.#slab.bytes, offset, text);
    }
  }

  reserve(bytesMax: number): WriteRoom {
    if (this.#files !== null || bytesMax > SLAB_WRITE_BYTES_MAX) return this.#batch.reserveFresh(bytesMax);
    this.#makeAppendable(bytesMax);
    return this.#batch.reserve(bytesMax);
  }

  commit(end: number): void {
    if (this.#ended || this.#closed) return;
    const { room, slab } = this.#batch;
    // Less than was reserved: it can only begin where that began.
    if (room === slab) this.#claim(end - room.start);
    else this.#sendLarge(room.bytes.subarray(0, end));
  }

  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#socket.pause();
    // What an origin sent before it reset may be a whole answer: it is read first, and the reset seen behind it.
    if (this.#side === "client") this.#owner.pausedClients.add(this);
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#owner.pausedClients.delete(this);
    this.#owner.arrivals.resumed(this);
    this.#socket.resume();
    if (this.#endWaits) process.nextTick(() => this.#tellResumed());
  }

  /** While something is queued, the system tells by itself. */
  probe(): void {
    if (this.#ended || this.#closed || this.#closeWaits || this.queuedBytes > 0) return;
    // The system looks for errors before it looks at what there is to send. TLS would not hand on nothing, so it goes past it.
    socketBelow(this.#socket).write(NO_BYTES, (error) => {
      if (error !== undefined && error !== null) this.#failed(error);
    });
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#sendPending();
    this.#ended = true;
    if (this.#files === null) this.#socket.end();
  }

  destroy(error?: ProxyError, reset = false): void {
    if (this.#closed) return;
    this.#noteLost();
    this.#shut();
    if (error !== undefined) this.#error = error;
    this.#dropPending();
    this.#files?.stop();
    if (this.#closeWaits) {
      this.#closeWaits = false;
      process.nextTick(this.#onClose);
      return;
    }
    // TLS needs no reset: an end without close_notify is a broken message to its peer. Unix sockets have none.
    if (reset && this.tls === null && !this.#isUnix && !this.#isEnding) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** The kernel has every byte, and FIN is on its way behind them: libuv refuses a reset now, and would leave the socket open. */
  get #isEnding(): boolean {
    const { writableEnded, writableFinished, writableLength } = this.#socket;
    return writableEnded && !writableFinished && writableLength === 0;
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): void {
    if (this.#ended || this.#closed) {
      process.nextTick(() => this.fileDone(onSent));
      return;
    }
    this.#sendPending();
    this.#files ??= new FileQueue(this);
    this.#files.addFile(descriptor, offset, length, onSent);
    this.#noteHighWater();
  }

  /** Node has no way to move bytes within the kernel. */
  spliceTo(): Splice | null {
    return null;
  }

  giveSocket(receiver: SocketReceiver): PendingDial {
    const socket = this.#socket;
    this.handler = NOBODY;
    if (this.#closed || this.#ended || this.#files !== null || socket.readableEnded) {
      receiver.onNoSocket(systemErrorOf(!this.#closed && this.#files !== null ? "EBUSY" : "ENOTCONN"));
      this.destroy();
      return NOTHING_PENDING;
    }
    this.#sendPending();
    this.#shut();
    this.#owner.countConnection(-1);
    socket.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose);
    socket.pause();
    const unseen = this.#owner.arrivals.takeOf(this);
    if (unseen !== null) socket.unshift(unseen);
    if (this.#kept.length > 0) socket.once("close", () => this.#letGo());
    receiver.onSocket(socket);
    return NOTHING_PENDING;
  }

  putPiece(bytes: Buffer, onTaken: () => void): void {
    this.#socket.write(bytes, (error) => {
      this.#onTaken(error);
      if (error === undefined || error === null) onTaken();
    });
    this.#nodeHolds = this.#socket.writableLength > 0;
  }

  queueEmptied(): void {
    this.#files = null;
    if (this.#ended) this.#socket.end();
  }

  fileFailed(error: Error | null): void {
    const words =
      error === null ? "a file that is sent is shorter than it was" : `a file cannot be read: ${error.message}`;
    const message = `${this.#describe()}: ${words}`;
    this.destroy(new ProxyError("proxy_internal_error", message, { cause: error }), true);
  }

  fileDone(onSent: () => void): void {
    this.#batch.enter();
    try {
      onSent();
    } catch (thrown) {
      this.#fault(thrown);
    }
    this.#batch.leave();
  }

  flush(): void {
    this.#listed = false;
    this.#sendPending();
  }

  /** Sends what is pending unless `length` bytes can be appended to it. */
  #makeAppendable(length: number): void {
    const batch = this.#batch;
    if (this.#end !== this.#start && (batch.tail !== this || !batch.hasRoom(length))) this.#sendPending();
  }

  /** `length` bytes of the slab, behind what is pending; the offset of the first. */
  #claim(length: number): number {
    const batch = this.#batch;
    this.#makeAppendable(length);
    if (this.#end === this.#start) {
      batch.open(this, length);
      this.#slab = batch.slab;
      this.#start = batch.position;
    }
    const offset = batch.position;
    this.#end = batch.position = offset + length;
    if (!this.#listed) {
      this.#listed = true;
      batch.add(this);
    }
    this.#noteHighWater();
    return offset;
  }

  #sendPending(): void {
    const start = this.#start;
    const end = this.#end;
    if (end === start) return;
    this.#start = this.#end = 0;
    const socket = this.#socket;
    const slab = this.#slab;
    const pending = slab.part(start, end);
    // Behind bytes that wait already it may wait for long, and would keep the whole slab meanwhile: it gets memory of its own.
    const isCopied = end - start < TOLD_BYTES_MIN && this.#nodeHolds && socket.writableLength > 0;
    const chunk = isCopied ? Buffer.from(pending) : pending;
    // To be told costs a callback: worth it where much is sent, and the memory is soon wanted again.
    const isTold = this.#aboveHighWater || end - start >= TOLD_BYTES_MIN;
    if (isTold) socket.write(chunk, this.#onTaken);
    else socket.write(chunk);
    this.#nodeHolds = socket.writableLength > 0;
    if (!this.#nodeHolds) this.#letGo();
    else if (!isCopied) this.#keep(slab, isTold);
    this.#batch.release(slab, end, this.#nodeHolds && !isCopied);
  }

  /** Node holds some of our bytes in it. */
  #keep(slab: Slab, isTold: boolean): void {
    if (!isTold) slab.lost = true;
    else if (!this.#kept.includes(slab)) {
      this.#kept.push(slab);
      slab.kept++;
    }
  }

  /** Hands over memory that nobody writes into again, after what is pending. */
  #sendLarge(chunk: Buffer): void {
    if (this.#files !== null) {
      this.#files.addBytes(chunk);
      this.#noteHighWater();
      return;
    }
    this.#sendPending();
    this.#socket.write(chunk, this.#onTaken);
    this.#nodeHolds = this.#socket.writableLength > 0;
    if (!this.#nodeHolds) this.#letGo();
    this.#noteHighWater();
  }

  #noteHighWater(): void {
    if (!this.#aboveHighWater) this.#aboveHighWater = this.queuedBytes > QUEUE_HIGH_WATER_BYTES;
  }

  #shut(): void {
    this.#closed = true;
    if (this.#paused) this.#owner.pausedClients.delete(this);
  }

  /** Before anything of it is dropped. */
  #noteLost(): void {
    if (this.#files !== null && this.#lostBytes === 0) this.#lostBytes = this.queuedBytes;
  }

  #dropPending(): void {
    if (this.#end === this.#start) return;
    const end = this.#end;
    this.#start = this.#end = 0;
    this.#batch.release(this.#slab, end, false);
  }

  /** Node holds none of our bytes any more. */
  #letGo(): void {
    for (let slab = this.#kept.pop(); slab !== undefined; slab = this.#kept.pop()) {
      slab.kept--;
      this.#batch.settle(slab);
    }
  }

  /** A write that was made above the high-water mark has been taken; perhaps others wait behind it. */
  #drained(): void {
    if (!this.#aboveHighWater || this.#closed || this.queuedBytes > 0) return;
    this.#aboveHighWater = false;
    this.#batch.enter();
    try {
      this.handler.onDrain();
    } catch (thrown) {
      this.#fault(thrown);
    }
    this.#batch.leave();
  }

  #peerEnded(): void {
    const { arrivals } = this.#owner;
    arrivals.handOut();
    if (this.#closed || this.#error !== null) return;
    // TLS finds the end in the record behind the one at which its handler paused.
    this.#endWaits = this.#paused || arrivals.holds(this);
    if (!this.#endWaits) this.#tellEnd();
  }

  /** Perhaps it was paused again, or something is held that is told first. */
  #tellResumed(): void {
    if (this.#endWaits && !this.#paused && !this.#owner.arrivals.holds(this)) this.#tellWaiting();
  }

  /** All that was held has been told. */
  #tellWaiting(): void {
    this.#endWaits = false;
    if (!this.#closed) this.#tellEnd();
    if (!this.#closeWaits) return;
    this.#closeWaits = false;
    this.#socketClosed();
  }

  #tellEnd(): void {
    this.#batch.enter();
    try {
      this.handler.onEnd();
    } catch (thrown) {
      this.#fault(thrown);
    }
    this.#batch.leave();
  }

  /** onClose follows and tells the error. An error of TLS leaves the socket open unless it is destroyed here. */
  #failed(error: SystemError): void {
    if (this.#closed || this.#error !== null) return;
    this.#owner.arrivals.handOut();
    if (this.#rescued.length > 0 && !this.#paused) this.handOver(this.#rescued, 0, this.#rescued.length);
    if (this.#closed) return;
    this.#error = failureOf(error, this.#describe(), this.#side);
    this.#ended = true;
    this.#noteLost();
    this.#dropPending();
    this.#files?.stop();
    this.#socket.destroy();
  }

  #describe(): string {
    return `connection of ${this.#side === "client" ? "client" : "upstream"} ${describeAddress(this.remote)}`;
  }

  #socketClosed(): void {
    const { arrivals } = this.#owner;
    arrivals.handOut();
    this.#closeWaits = this.#endWaits && !this.#closed && this.#error === null;
    if (this.#closeWaits) return;
    arrivals.takeOf(this);
    this.#noteLost();
    this.#shut();
    this.#dropPending();
    this.#files?.stop();
    this.#letGo();
    this.#owner.countConnection(-1);
    const handler = this.handler;
    this.handler = NOBODY;
    this.#batch.enter();
    try {
      handler.onClose(this.#error);
    } catch (thrown) {
      this.#owner.reportFault(thrown);
    }
    this.#batch.leave();
    this.#files?.giveBack();
  }

  #fault(thrown: unknown): void {
    this.#owner.reportFault(thrown);
    this.destroy(ProxyError.from(thrown), true);
  }
}
