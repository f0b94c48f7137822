/**
 * A connection on a slot of the addon. It decides how events become the calls of a handler (one onClose, no call after it, no
 * onBytes while paused) and how calls become commands. A handler that throws loses its connection, never the process.
 *
 * The addon closes a slot as soon as the connection is lost; bytes that were read before, and are held for a handler that is
 * paused, are still told first, unless they are of a client that has broken.
 *
 * The file is longer than most: whatever is called or happens here turns on the same few private fields.
 */
import { getSystemErrorName } from "node:util";
import { type ErrorSide, ProxyError } from "../../core/errors.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../../core/limits.ts";
import type {
  Address,
  Connection,
  ConnectionHandler,
  PendingDial,
  Splice,
  SpliceHandler,
  WriteRoom,
} from "../../core/ports.ts";
import { describeAddress } from "../addresses.ts";
import { failureOf, systemErrorOf } from "../failures.ts";
import type { ProxiedConnection } from "../proxy-headers.ts";
import { NOTHING_PENDING, type SocketGiver, type SocketReceiver } from "../socket-giver.ts";
import type { EventLoop } from "./event-loop.ts";
import { type Leaving, NativeParting } from "./parting.ts";
import { NativeSplice } from "./splice.ts";
import { DESTROY, FINISH, PAUSE, RESUME } from "./wire.ts";

/** What the connections of one transport share. */
export interface ConnectionOwner {
  readonly loop: EventLoop;
  /** A handler threw: a bug, ours or a plugin's. */
  reportFault(thrown: unknown): void;
  /** Connections that exist, by plus or minus one. */
  countConnection(change: 1 | -1): void;
}

/** Stands in until an owner has set its own. */
const NOBODY: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

/** What few connections need. */
class Extras {
  /** Arrived while paused. */
  bytes: Buffer | null = null;
  ended = false;
  /** The connection was lost behind these bytes. */
  lostBy: ProxyError | null | undefined = undefined;
  /** Whoever waits for his file to be sent, by number. */
  readonly files = new Map<number, () => void>();
  fileCount = 0;
  /** What was queued when it was closed. */
  unsentBytes = 0;
}

export class NativeConnection implements SocketGiver, ProxiedConnection, Leaving {
  handler: ConnectionHandler = NOBODY;
  readonly slot: number;
  /** The socket's own, or what a load balancer has said that they are. */
  remote: Address;
  local: Address;
  readonly originalDestination: Address | null;
  readonly #owner: ConnectionOwner;
  readonly #loop: EventLoop;
  readonly #side: ErrorSide;
  /** Written since the commands were handed over last, if that was in this epoch. */
  #pendingBytes = 0;
  #pendingEpoch = 0;
  /** onDrain is owed. */
  #aboveHighWater = false;
  #ended = false;
  #paused = false;
  #closed = false;
  /** onClose was called. */
  #told = false;
  /** The slot is another's, or nobody's. */
  #detached = false;
  #error: ProxyError | null = null;
  /** Where what arrives here goes, and what comes here from elsewhere. */
  #outgoing: NativeSplice | null = null;
  #incoming: NativeSplice | null = null;
  #extras: Extras | null = null;
  /** Its socket is being given away. */
  #parting: NativeParting | null = null;

  constructor(
    owner: ConnectionOwner,
    slot: number,
    remote: Address,
    local: Address,
    side: ErrorSide,
    originalDestination: Address | null = null,
  ) {
    this.#owner = owner;
    this.#loop = owner.loop;
    this.slot = slot;
    this.remote = remote;
    this.local = local;
    this.#side = side;
    this.originalDestination = originalDestination;
    owner.loop.connections[slot] = this;
    owner.countConnection(1);
  }

  get tls(): null {
    return null;
  }

  speaksFor(remote: Address, local: Address): void {
    this.remote = remote;
    this.local = local;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get queuedBytes(): number {
    if (this.#detached) return 0;
    const loop = this.#loop;
    const queued = loop.queued[this.slot]!;
    return this.#pendingEpoch === loop.epoch ? queued + this.#pendingBytes : queued;
  }

  get unsentBytes(): number {
    return this.#detached && this.#extras !== null ? this.#extras.unsentBytes : this.queuedBytes;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (end <= start || this.#ended || this.#closed) return;
    this.#loop.write(this.slot, bytes, start, end);
    this.#wrote(end - start);
  }

  writeLatin1(text: string): void {
    if (text.length === 0 || this.#ended || this.#closed) return;
    this.#loop.writeLatin1(this.slot, text);
    this.#wrote(text.length);
  }

  reserve(bytesMax: number): WriteRoom {
    return this.#loop.reserve(bytesMax);
  }

  commit(end: number): void {
    if (this.#ended || this.#closed) return;
    this.#wrote(this.#loop.commit(this.slot, end));
  }

  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    if (!this.#detached) this.#loop.command(PAUSE, this.slot, 0, 0);
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    if (!this.#detached) this.#loop.command(RESUME, this.slot, 0, 0);
    if (this.#extras !== null) this.#loop.owe(this);
  }

  end(peerIsDone = false): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#loop.command(FINISH, this.slot, peerIsDone ? 1 : 0, 0);
  }

  destroy(error?: ProxyError, reset = false): void {
    if (this.#closed) return;
    this.#closed = true;
    if (error !== undefined) this.#error = error;
    if (!this.#detached) {
      this.#loop.dropCommands(this.slot);
      this.#loop.command(DESTROY, this.slot, reset ? 1 : 0, 0);
      this.#detach();
    }
    this.#loop.owe(this);
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): void {
    this.#extras ??= new Extras();
    const { files } = this.#extras;
    const id = this.#extras.fileCount++ & 0x3fffffff;
    files.set(id, onSent);
    if (this.#ended || this.#closed || length <= 0) {
      process.nextTick(() => this.fileSent(id));
      return;
    }
    this.#loop.sendFile(this.slot, descriptor, id, offset, length);
    this.#noteHighWater();
  }

  spliceTo(to: Connection, bytes: number, handler: SpliceHandler): Splice | null {
    if (!(to instanceof NativeConnection) || to === this || to.#loop !== this.#loop) return null;
    const isOver = this.#detached || to.#detached || to.#ended || this.#extras?.ended === true;
    if (isOver || this.#outgoing !== null || to.#incoming !== null || !(bytes >= 1)) return null;
    const splice = new NativeSplice(this.#loop, this, to, bytes, handler);
    this.#outgoing = splice;
    to.#incoming = splice;
    this.#loop.startLater(splice);
    return splice;
  }

  giveSocket(receiver: SocketReceiver): PendingDial {
    const parting = new NativeParting(this.#loop, this, receiver);
    this.handler = NOBODY;
    const isInUse = this.#outgoing !== null || this.#incoming !== null || (this.#extras?.files.size ?? 0) > 0;
    if (this.#closed || this.#detached || this.#ended || isInUse) {
      receiver.onNoSocket(systemErrorOf(!this.#closed && isInUse ? "EBUSY" : "ENOTCONN"));
      this.destroy();
      return NOTHING_PENDING;
    }
    // Whoever had it can do nothing with it any more, and what arrives is held.
    this.#closed = this.#told = this.#ended = this.#paused = true;
    this.#owner.countConnection(-1);
    this.#parting = parting;
    parting.start();
    return parting;
  }

  takeHeld(): Buffer | null {
    const held = this.#extras?.bytes ?? null;
    if (held !== null) this.#extras!.bytes = null;
    return held;
  }

  parted(): void {
    this.#detach();
  }

  // ------------------------------------------------------------------------------------------------------- the event loop

  receive(buffer: Buffer, start: number, end: number): void {
    if (this.#paused || this.holdsBytes) this.#hold(buffer, start, end);
    else if (this.#outgoing !== null) this.#passOn(buffer, start, end);
    else this.#tellBytes(buffer, start, end);
  }

  peerEnded(): void {
    if (this.#paused || this.holdsBytes) {
      this.#extras ??= new Extras();
      this.#extras.ended = true;
    } else this.#tellEnd();
  }

  /** The addon has closed the slot. */
  lost(errno: number, isFileToBlame: boolean): void {
    if (this.#parting !== null) {
      this.#parting.lost(errno);
      return;
    }
    const error = errno === 0 ? null : this.#failureOf(errno, isFileToBlame);
    this.#detach();
    this.#ended = true;
    const extras = this.#extras;
    // What is held is told when it is resumed, if it has not been already. Who waits for his bytes to be taken is told now.
    const isHeld = extras !== null && (extras.bytes !== null || extras.ended);
    // A client that is broken cannot be answered: what it said last helps nobody.
    const isGone = error !== null && this.#side === "client";
    if (isHeld && !isGone && !this.#aboveHighWater) extras.lostBy = error;
    else this.#close(error);
  }

  drained(): void {
    this.#parting?.drained();
    if (!this.#aboveHighWater) return;
    if (this.queuedBytes > 0) {
      // Something was written in between.
      this.#loop.watch(this.slot);
      return;
    }
    this.#aboveHighWater = false;
    try {
      this.handler.onDrain();
    } catch (thrown) {
      this.#fault(thrown);
    }
  }

  /** Everything that was asked for has passed. */
  spliced(): void {
    const splice = this.#outgoing;
    if (splice === null) return;
    this.#forget(splice);
    try {
      splice.onSpliced();
    } catch (thrown) {
      this.#fault(thrown);
    }
  }

  fileSent(id: number): void {
    const files = this.#extras!.files;
    const onSent = files.get(id);
    if (!files.delete(id)) return;
    this.#loop.enter();
    try {
      onSent!();
    } catch (thrown) {
      this.#fault(thrown);
    }
    this.#loop.leave();
  }

  /** What is owed to the handler, now that all commands have been carried out. */
  settle(): void {
    if (this.#told) return;
    if (this.#closed) {
      this.#close(this.#error);
      return;
    }
    const extras = this.#extras;
    if (extras === null || this.#paused) return;
    const { bytes } = extras;
    extras.bytes = null;
    if (bytes !== null) this.receive(bytes, 0, bytes.length);
    if (this.#isSilent) return;
    if (extras.ended) {
      extras.ended = false;
      this.#tellEnd();
    }
    if (this.#isSilent) return;
    if (extras.lostBy !== undefined) this.#close(extras.lostBy);
    else if (this.#outgoing !== null) this.#loop.startLater(this.#outgoing);
  }

  /** Bytes arrived that nobody was told of. */
  get holdsBytes(): boolean {
    return this.#extras !== null && this.#extras.bytes !== null;
  }

  // ------------------------------------------------------------------------------------------------------------- inside

  get #isSilent(): boolean {
    return this.#paused || this.#closed;
  }

  #wrote(length: number): void {
    const { epoch } = this.#loop;
    if (this.#pendingEpoch === epoch) this.#pendingBytes += length;
    else {
      this.#pendingEpoch = epoch;
      this.#pendingBytes = length;
    }
    this.#noteHighWater();
  }

  #noteHighWater(): void {
    if (this.#aboveHighWater || this.queuedBytes <= QUEUE_HIGH_WATER_BYTES) return;
    this.#aboveHighWater = true;
    this.#loop.watch(this.slot);
  }

  #hold(buffer: Buffer, start: number, end: number): void {
    this.#extras ??= new Extras();
    const { bytes } = this.#extras;
    const more = buffer.subarray(start, end);
    this.#extras.bytes = bytes === null ? Buffer.from(more) : Buffer.concat([bytes, more]);
  }

  /** Read before the splice began. */
  #passOn(buffer: Buffer, start: number, end: number): void {
    const splice = this.#outgoing!;
    const rest = splice.take(buffer, start, end);
    if (!splice.isComplete) return;
    this.spliced();
    if (rest < end && !this.#closed) this.receive(buffer, rest, end);
  }

  #tellBytes(buffer: Buffer, start: number, end: number): void {
    try {
      this.handler.onBytes(buffer, start, end);
    } catch (thrown) {
      this.#fault(thrown);
    }
  }

  #tellEnd(): void {
    if (this.#outgoing !== null) this.#forget(this.#outgoing);
    try {
      this.handler.onEnd();
    } catch (thrown) {
      this.#fault(thrown);
    }
  }

  /** The last call. */
  #close(error: ProxyError | null): void {
    this.#closed = true;
    this.#told = true;
    this.#owner.countConnection(-1);
    const { handler } = this;
    this.handler = NOBODY;
    try {
      handler.onClose(error);
    } catch (thrown) {
      this.#owner.reportFault(thrown);
    }
    if (this.#extras !== null) for (const id of [...this.#extras.files.keys()]) this.fileSent(id);
  }

  /** The slot is not ours any more. */
  #detach(): void {
    if (this.#extras !== null) this.#extras.unsentBytes = this.queuedBytes;
    this.#detached = true;
    this.#loop.connections[this.slot] = undefined;
    if (this.#outgoing !== null) this.#forget(this.#outgoing);
    const incoming = this.#incoming;
    if (incoming !== null) {
      this.#forget(incoming);
      // What still comes there was meant for this connection.
      incoming.source.pause();
    }
  }

  #forget(splice: NativeSplice): void {
    splice.freeze();
    splice.source.#outgoing = null;
    splice.target.#incoming = null;
  }

  #failureOf(errno: number, isFileToBlame: boolean): ProxyError {
    const who = this.#side === "client" ? "client" : "upstream";
    const what = `connection of ${who} ${describeAddress(this.remote)}`;
    const cause = systemErrorOf(getSystemErrorName(-errno));
    if (!isFileToBlame) return failureOf(cause, what, this.#side);
    const words = cause.code === "ENODATA" ? "a file that is sent is shorter than it was" : "a file cannot be read";
    return new ProxyError("proxy_internal_error", `${what}: ${words} (${cause.code})`, { cause });
  }

  #fault(thrown: unknown): void {
    this.#owner.reportFault(thrown);
    this.destroy(ProxyError.from(thrown), true);
  }
}
