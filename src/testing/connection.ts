/**
 * One end of a simulated connection. What it promises is what core/ports.ts says and no more: it makes use of every freedom
 * that a real transport has, so that code which relies on more than the contract fails here first.
 *
 * - Bytes are delivered in a buffer that is larger than they are, with junk around them, and are gone after the call.
 * - Buffers of the kernel are bounded: who stops reading makes the other side's `queuedBytes` grow.
 * - An end that is closed before it has read everything answers with RST, as TCP does.
 *
 * Nothing happens inside a call: every effect is an action that the network runs later, in an order that it chooses.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import { type ErrorSide, ProxyError } from "../core/errors.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type {
  Address,
  Connection,
  ConnectionHandler,
  Splice,
  SpliceHandler,
  TlsInfo,
  WriteRoom,
} from "../core/ports.ts";
import { freshRoom } from "../core/write-room.ts";
import { READ_BYTES_MAX } from "./delivery-slab.ts";
import { SimulatedSplice } from "./splice.ts";
import type { Actor, Fragmentation, TransitLane, Wire } from "./wire.ts";

/** How a reset that has arrived shows itself; see `#resetShows`. */
interface ArrivedReset {
  /** Bytes that arrived before it and were not read yet are lost. */
  readonly dropsUnread: boolean;
  /** It is noticed even by an end that is paused. */
  readonly wakesPaused: boolean;
}

const NO_HANDLER: ConnectionHandler = {
  onBytes: failNoHandler,
  onDrain: failNoHandler,
  onEnd: failNoHandler,
  onClose: failNoHandler,
};

function failNoHandler(): never {
  throw new Error("the handler of a connection must be set before the call that hands it over returns");
}

export class SimulatedConnection implements Connection, Actor {
  readonly local: Address;
  readonly remote: Address;
  readonly tls: TlsInfo | null;
  handler: ConnectionHandler = NO_HANDLER;
  scheduled = false;
  #handedOver = false;
  /** For this end alone; null: as the network says. */
  fragmentation: Fragmentation | null = null;
  /** Bytes that this end delivered to its handler, and that left it. */
  receivedBytes = 0;
  sentBytes = 0;

  readonly #wire: Wire;
  #peer: SimulatedConnection = this;
  readonly #lane: TransitLane = { lastArrivalMs: 0 };
  /** Whose fault a failure of this end is: the peer of one that was accepted is a client. */
  #peerSide: ErrorSide = "upstream";

  // What leaves.
  readonly #queue = new ByteQueue();
  /** What was reserved and is not queued yet. */
  #reserved: WriteRoom | null = null;
  #wasAboveHighWater = false;
  /** All that was ever queued, and which part of it ends a file. */
  #written = 0;
  readonly #files: { readonly end: number; readonly onSent: () => void }[] = [];
  #lostBytes = 0;
  #ending = false;
  #closesBehindFin = false;
  #finSent = false;
  #breakAfterBytes = Number.POSITIVE_INFINITY;

  // What comes: bytes in the kernel, of which the first `readableBytes` have arrived.
  readonly #kernel = new ByteQueue();
  #readableBytes = 0;
  #finArrived = false;
  #finGiven = false;
  #reset: ArrivedReset | null = null;
  #paused = false;

  /** Where what comes goes to unseen, and what comes unseen from elsewhere to leave here. */
  #outgoing: SimulatedSplice | null = null;
  #incoming: SimulatedSplice | null = null;

  #closed = false;
  #closeIsDue = false;
  #closeError: ProxyError | null = null;

  private constructor(wire: Wire, local: Address, remote: Address, tls: TlsInfo | null) {
    this.#wire = wire;
    this.local = local;
    this.remote = remote;
    this.tls = tls;
  }

  /** Both ends of a new connection. */
  static pair(wire: Wire, client: Address, server: Address, tls: TlsInfo | null) {
    const clientEnd = new SimulatedConnection(wire, client, server, tls);
    const serverEnd = new SimulatedConnection(wire, server, client, tls);
    clientEnd.#peer = serverEnd;
    serverEnd.#peer = clientEnd;
    serverEnd.#peerSide = "client";
    return { clientEnd, serverEnd };
  }

  get closed(): boolean {
    return this.#closed;
  }

  get queuedBytes(): number {
    return this.#queue.length;
  }

  get unsentBytes(): number {
    return this.closed ? this.#lostBytes : this.queuedBytes;
  }

  write(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (this.closed || this.#ending || end <= start) return;
    this.#refuseWhileSplicedTo();
    if (this.#reserved !== null) throw new Error("what was reserved is committed before anything else is written");
    this.#queue.append(bytes, start, end);
    this.#written += end - start;
    if (this.#queue.length > QUEUE_HIGH_WATER_BYTES) this.#wasAboveHighWater = true;
    this.#wire.schedule(this);
  }

  writeLatin1(text: string): void {
    this.write(Buffer.from(text, "latin1"));
  }

  reserve(bytesMax: number): WriteRoom {
    this.#reserved = freshRoom(bytesMax);
    return this.#reserved;
  }

  commit(end: number): void {
    const room = this.#reserved;
    if (room === null) throw new Error("nothing was reserved");
    this.#reserved = null;
    this.write(room.bytes, 0, end);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#wire.schedule(this);
  }

  end(peerIsDone = false): void {
    if (this.closed || this.#ending) return;
    this.#refuseWhileSplicedTo();
    this.#ending = true;
    this.#closesBehindFin = peerIsDone;
    this.#wire.schedule(this);
  }

  destroy(error?: ProxyError, reset = false): void {
    if (this.closed) return;
    // A kernel that is told to close while bytes are unread answers with RST instead of FIN (RFC 2525, section 2.17).
    const sendsReset = reset || this.#readableBytes > 0;
    if (sendsReset) this.#sendReset();
    else if (!this.#finSent) this.#sendFin();
    this.#close(error ?? null);
  }

  /** Throws on a network without files. */
  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): void {
    const { files } = this.#wire;
    if (files === null) throw new Error("there are no files on this network: nothing can be sent from one");
    const bytes = this.closed || this.#ending || length <= 0 ? null : files.read(descriptor, offset, length);
    if (bytes !== null) {
      this.write(bytes);
      this.#files.push({ end: this.#written, onSent });
      return;
    }
    this.#files.push({ end: this.#written, onSent });
    this.#wire.schedule(this);
    if (this.closed || this.#ending || length <= 0) return;
    this.destroy(new ProxyError("proxy_internal_error", "a file cannot be read, or is shorter than it was"), true);
  }

  /** What has left, or is lost, is given back. */
  #giveFilesBack(): void {
    const left = this.closed ? Number.POSITIVE_INFINITY : this.#written - this.#queue.length;
    for (let file = this.#files[0]; file !== undefined && file.end <= left; file = this.#files[0]) {
      this.#files.shift();
      file.onSent();
    }
  }

  spliceTo(to: Connection, bytes: number, handler: SpliceHandler): Splice | null {
    if (!(to instanceof SimulatedConnection) || this.closed || to.closed || to.#ending) return null;
    if (this.tls !== null || to.tls !== null || !this.#wire.grantsSplice()) return null;
    if (this.#outgoing !== null || to.#incoming !== null) throw new Error("one of the two is being spliced already");
    const splice = new SimulatedSplice(this, to, bytes, handler);
    this.#outgoing = to.#incoming = splice;
    this.#wire.schedule(this);
    return splice;
  }

  #refuseWhileSplicedTo(): void {
    if (this.#incoming !== null) throw new Error("nobody else writes to a connection while it is spliced to");
  }

  /** Cuts the connection, for both ends, once this many more bytes have left this end. */
  breakAfter(bytes: number): void {
    this.#breakAfterBytes = bytes;
    if (bytes <= 0) this.#break();
  }

  /** Gives this end to its owner, who sets the handler; nothing happens at it before. */
  handOver(give: (connection: SimulatedConnection) => void): void {
    give(this);
    if (this.handler === NO_HANDLER) failNoHandler();
    this.#handedOver = true;
    this.#wire.schedule(this);
  }

  act(): void {
    if (!this.#handedOver) return;
    if (this.closed) {
      if (this.#closeIsDue) {
        this.#closeIsDue = false;
        this.handler.onClose(this.#closeError);
      }
      this.#giveFilesBack();
      return;
    }
    if (this.#files.length > 0) this.#giveFilesBack();
    const actions = this.#possibleActions();
    if (actions.length === 0) return;
    const { random } = this.#wire;
    const action = random === null ? actions[0]! : random.pick(actions);
    action.call(this);
    this.#wire.schedule(this);
  }

  /** In the order in which they are taken where no chance decides. */
  #possibleActions(): (() => void)[] {
    const actions: (() => void)[] = [];
    const queued = this.#leaving.length > 0;
    if (queued && this.#reset === null && (this.#peer.closed || this.#room > 0)) actions.push(this.#flush);
    if (this.#ending && !queued && !this.#finSent) actions.push(this.#sendFin);
    if (!this.#paused && this.#readableBytes > 0) {
      if (this.#outgoing === null) actions.push(this.#deliver);
      else if (this.#outgoing.room > 0) actions.push(this.#handOn);
    }
    if (this.#outgoing?.isComplete) actions.push(this.#endSplice);
    if (this.#finIsReadable && !this.#finGiven) actions.push(this.#deliverFin);
    if (this.#resetShows) actions.push(this.#noticeReset);
    return actions;
  }

  get #room(): number {
    return this.#wire.kernelBufferBytes - this.#peer.#kernel.length;
  }

  /** What leaves next: what was written goes before what is spliced. */
  get #leaving(): ByteQueue {
    return this.#queue.length > 0 || this.#incoming === null ? this.#queue : this.#incoming.pipe;
  }

  get #finIsReadable(): boolean {
    const splice = this.#outgoing;
    if (splice !== null && (splice.pipe.length > 0 || splice.isComplete)) return false;
    return this.#finArrived && !this.#paused && this.#kernel.length === 0;
  }

  get #resetShows(): boolean {
    if (this.#reset === null) return false;
    // A write finds out what a paused reader has not: the connection is gone.
    if (this.#leaving.length > 0) return true;
    if (this.#paused) return this.#reset.wakesPaused;
    return this.#reset.dropsUnread || this.#kernel.length === 0;
  }

  #flush(): void {
    const leaving = this.#leaving;
    if (this.#peer.closed) {
      leaving.clear();
      this.#wire.transit(this.#peer.#lane, () => this.#resetArrives());
    } else {
      let length = Math.min(leaving.length, this.#room, this.#breakAfterBytes);
      if (this.#wire.random !== null) length = this.#wire.random.between(1, length);
      this.#peer.#kernel.append(leaving.bytes, leaving.start, leaving.start + length);
      leaving.consume(length);
      this.sentBytes += length;
      if (leaving !== this.#queue) {
        this.#incoming!.sentBytes += length;
        this.#wire.countSpliced(length);
        this.#wire.schedule(this.#incoming!.from);
      }
      this.#wire.transit(this.#lane, () => this.#peer.#bytesArrive(length));
      this.#breakAfterBytes -= length;
      if (this.#breakAfterBytes <= 0) this.#break();
    }
    if (this.#queue.length === 0 && this.#wasAboveHighWater) {
      this.#wasAboveHighWater = false;
      this.handler.onDrain();
    }
  }

  #sendFin(): void {
    this.#finSent = true;
    this.#wire.transit(this.#lane, () => {
      this.#peer.#finArrived = true;
      this.#wire.schedule(this.#peer);
    });
    if (this.#closesBehindFin && this.#readableBytes === 0 && this.#reset === null) this.#close(null);
    else this.#closeWhenBothEnded();
  }

  #sendReset(): void {
    this.#wire.transit(this.#lane, () => this.#peer.#resetArrives());
  }

  #break(): void {
    this.#breakAfterBytes = Number.POSITIVE_INFINITY;
    this.#sendReset();
    this.#wire.transit(this.#peer.#lane, () => this.#resetArrives());
  }

  #bytesArrive(length: number): void {
    if (this.closed) {
      this.#sendReset();
      return;
    }
    this.#readableBytes += length;
    this.#wire.schedule(this);
  }

  #resetArrives(): void {
    if (this.closed || this.#reset !== null) return;
    const { random } = this.#wire;
    this.#reset =
      random === null
        ? { dropsUnread: false, wakesPaused: true }
        : { dropsUnread: random.chance(0.5), wakesPaused: random.chance(0.5) };
    this.#wire.schedule(this);
  }

  #deliver(): void {
    const length = this.#pieceOf(Math.min(this.#readableBytes, READ_BYTES_MAX));
    this.#readableBytes -= length;
    this.receivedBytes += length;
    // There is room again for the other end.
    this.#wire.schedule(this.#peer);
    this.#wire.slab.deliver(this.#kernel, length, this.handler);
  }

  /** Takes bytes on their way to another connection, which are not shown. */
  #handOn(): void {
    const splice = this.#outgoing!;
    const length = this.#pieceOf(Math.min(this.#readableBytes, splice.room));
    this.#readableBytes -= length;
    this.receivedBytes += length;
    splice.take(this.#kernel, length);
    this.#wire.schedule(this.#peer);
    this.#wire.schedule(splice.to);
  }

  #endSplice(): void {
    const splice = this.#outgoing!;
    SimulatedConnection.#unsplice(splice);
    splice.handler.onSpliced();
  }

  /** What is still in between is lost; what comes from now on is shown again, or held back where it was meant for who is gone. */
  static #unsplice(splice: SimulatedSplice | null): void {
    if (splice === null) return;
    const { from, to } = splice;
    if (to.closed && from.#wire.random?.chance(0.5)) from.#paused = true;
    splice.pipe.clear();
    from.#outgoing = null;
    to.#incoming = null;
    from.#wire.schedule(from);
    to.#wire.schedule(to);
  }

  #pieceOf(available: number): number {
    const fragmentation = this.fragmentation ?? this.#wire.fragmentation;
    if (fragmentation === "whole") return available;
    if (fragmentation === "bytes") return 1;
    const random = this.#wire.random!;
    // Small pieces find more than large ones; but not only small ones, or a long body takes for ever.
    return random.chance(0.5) ? random.between(1, Math.min(available, 8)) : random.between(1, available);
  }

  #deliverFin(): void {
    this.#finGiven = true;
    SimulatedConnection.#unsplice(this.#outgoing);
    this.handler.onEnd();
    this.#closeWhenBothEnded();
  }

  #noticeReset(): void {
    this.#close(new ProxyError("connection_terminated", "the peer reset the connection", { side: this.#peerSide }));
  }

  #closeWhenBothEnded(): void {
    if (this.#finSent && this.#finGiven && !this.closed) this.#close(null);
  }

  #close(error: ProxyError | null): void {
    this.#closed = true;
    this.#closeError = error;
    this.#closeIsDue = true;
    SimulatedConnection.#unsplice(this.#outgoing);
    SimulatedConnection.#unsplice(this.#incoming);
    this.#lostBytes = this.#queue.length;
    this.#queue.clear();
    this.#kernel.clear();
    this.#readableBytes = 0;
    this.#wire.closed(this);
    this.#wire.schedule(this);
    // Whoever still writes to this end has to find out.
    this.#wire.schedule(this.#peer);
  }
}
