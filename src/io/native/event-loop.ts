/**
 * The JavaScript side of the addon: takes events out of shared memory, puts commands into it, and hands both over once a
 * batch. It decides when what was written leaves: at the end of a batch, or in the next tick when something is written
 * outside of one. What events mean is the business of connections, listeners and attempts.
 *
 * The file is longer than most: one table of commands and one slab are all its state, and everything here works on both.
 */
import { copyBytes, LOOP_BYTES_MAX, viewOf } from "../../core/copy-bytes.ts";
import { putLatin1 } from "../../core/latin1.ts";
import type { WriteRoom } from "../../core/ports.ts";
import { freshRoom } from "../../core/write-room.ts";
import { holdTime, releaseTime } from "../clock.ts";
import { DESCRIPTORS_BESIDE_CLIENTS, DESCRIPTORS_KEPT } from "../descriptor-limit.ts";
import type { Addon } from "./addon.ts";
import type { NativeConnection } from "./connection.ts";
import type { NativeParting } from "./parting.ts";
import type { NativeSplice } from "./splice.ts";
import {
  ACCEPT_FAILED,
  ACCEPTED,
  CLOSED,
  COMMAND_INTS,
  COMMANDS_MAX,
  CONNECTED,
  DESTROY,
  DRAIN,
  END,
  EVENT_INTS,
  EVENTS_MAX,
  FILE_SENT,
  FLAG_MORE,
  FLAG_WATCH,
  FORWARD,
  NOTHING,
  READ,
  SEND_BYTES,
  SPLICED,
  WATCH,
  WRITE,
} from "./wire.ts";

/** A connection that is being made. */
export interface SlotAttempt {
  connected(text: string): void;
  refused(errno: number): void;
}

/** A listening socket. */
export interface SlotListener {
  /** `text` is "IP PORT" or "IP PORT IP PORT". */
  accepted(slot: number, text: string): void;
  suspended(errno: number): void;
}

/**
 * Received bytes are handed on where they lie from this length on: a copy then costs more than another command. Shorter ones are
 * copied, which keeps neighbouring writes in one piece.
 */
const FORWARD_BYTES_MIN = 2048;
/** Events that come of our own commands are taken up at once, but not for ever: sockets that are ready want their turn. */
const ROUNDS_MAX = 2;
/** The clock is read once for so many events: what they take together is as much as a reading may be late. */
const EVENTS_A_READING = 16;
const HOLD_MASK = EVENTS_A_READING * EVENT_INTS - 1;

export class EventLoop {
  readonly addon: Addon;
  /** What arrived; valid while events are handed out. */
  readonly receiveSlab: Buffer;
  /** By slot. */
  readonly queued: Float64Array;
  readonly received: Float64Array;
  readonly sent: Float64Array;
  /** By slot. */
  readonly connections: (NativeConnection | undefined)[] = [];
  readonly attempts = new Map<number, SlotAttempt>();
  readonly listeners = new Map<number, SlotListener>();
  /** Grows whenever commands were handed over: what was pending before is not pending any more. */
  epoch = 0;

  readonly #events: Int32Array;
  readonly #commands: Int32Array;
  readonly #sendSlab: Buffer;
  readonly #sendView: DataView;
  readonly #receiveView: DataView;
  /** What was written from last. */
  #source: Uint8Array;
  #sourceView: DataView;
  /** The send slab, from where it is free; and what was reserved last. */
  readonly #slabRoom: { readonly bytes: Buffer; readonly view: DataView; start: number };
  #room: WriteRoom;
  /** Where the next command goes. */
  #at = 0;
  /** The first free byte of the send slab. */
  #position = 0;
  /** The slot whose WRITE is the last command, so that more can be appended to it; -1: none. */
  #tail = -1;
  #depth = 0;
  /** The receive slab holds what the events of the record say. */
  #slabValid = false;
  #flushing = false;
  /** Events came of commands that were handed over in the middle of a round: they wait in the addon. */
  #eventsWait = false;
  #scheduled = false;
  /** Connections with something to be told when the commands have been handed over. */
  #owed: NativeConnection[] = [];
  readonly #splices: NativeSplice[] = [];
  readonly #partings: NativeParting[] = [];
  readonly #onTick = (): void => {
    this.#scheduled = false;
    if (this.#depth === 0) this.#flush();
  };

  /** The addon can be opened once a thread. */
  constructor(addon: Addon, ownsThread: boolean) {
    this.addon = addon;
    const memory = addon.open(
      (count) => this.#onEvents(count),
      DESCRIPTORS_KEPT,
      DESCRIPTORS_BESIDE_CLIENTS,
      ownsThread,
    );
    this.receiveSlab = Buffer.from(memory.receive);
    this.#sendSlab = Buffer.from(memory.send);
    this.#source = this.#sendSlab;
    this.#receiveView = viewOf(this.receiveSlab);
    this.#sendView = this.#sourceView = viewOf(this.#sendSlab);
    this.#room = this.#slabRoom = { bytes: this.#sendSlab, view: this.#sendView, start: 0 };
    this.#events = new Int32Array(memory.events);
    this.#commands = new Int32Array(memory.commands);
    this.queued = new Float64Array(memory.queued);
    this.received = new Float64Array(memory.received);
    this.sent = new Float64Array(memory.sent);
  }

  // ------------------------------------------------------------------------------------------------------- what is asked

  /** Queues a copy of `bytes[start, end)`. */
  write(slot: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length >= FORWARD_BYTES_MIN && this.#slabValid && bytes === this.receiveSlab) {
      this.command(FORWARD, slot, start, length);
      return;
    }
    if (length > SEND_BYTES - this.#position) this.#makeRoom();
    if (length <= SEND_BYTES) {
      if (length > LOOP_BYTES_MAX) {
        // No view is needed, and none of all that a whole buffer has.
        const whole = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
        this.#sendSlab.set(whole, this.#append(slot, length));
        return;
      }
      const view = bytes === this.receiveSlab ? this.#receiveView : this.#viewOfSource(bytes);
      copyBytes(this.#sendSlab, this.#sendView, this.#append(slot, length), bytes, view, start, end);
      return;
    }
    for (let at = start; at < end; at += SEND_BYTES) this.write(slot, bytes, at, Math.min(end, at + SEND_BYTES));
  }

  #viewOfSource(bytes: Uint8Array): DataView {
    if (bytes !== this.#source) {
      this.#source = bytes;
      this.#sourceView = viewOf(bytes);
    }
    return this.#sourceView;
  }

  /** Queues text of characters below U+0100. */
  writeLatin1(slot: number, text: string): void {
    const { length } = text;
    if (length > SEND_BYTES) {
      this.write(slot, Buffer.from(text, "latin1"), 0, length);
      return;
    }
    if (length > SEND_BYTES - this.#position) this.#makeRoom();
    putLatin1(this.#sendSlab, this.#append(slot, length), text);
  }

  /** Room at the end of the send slab; memory of its own for more than that holds. */
  reserve(bytesMax: number): WriteRoom {
    if (bytesMax > SEND_BYTES - this.#position) this.#makeRoom();
    this.#slabRoom.start = this.#position;
    this.#room = bytesMax > SEND_BYTES ? freshRoom(bytesMax) : this.#slabRoom;
    return this.#room;
  }

  /** Queues what was put there; returns how many bytes. */
  commit(slot: number, end: number): number {
    const room = this.#room;
    const length = end - room.start;
    if (room === this.#slabRoom) this.#append(slot, length);
    else this.write(slot, room.bytes, 0, end);
    return length;
  }

  /** Asks to be told when nothing is queued for the connection, to which something was just written. */
  watch(slot: number): void {
    const last = this.#at - COMMAND_INTS;
    if (this.#isWrite(last, slot)) this.#commands[last]! |= FLAG_WATCH << 8;
    else this.command(WATCH, slot, 0, 0);
  }

  /** Whether the command that begins at `at` writes to this connection; -COMMAND_INTS: there is none. */
  #isWrite(at: number, slot: number): boolean {
    if (at < 0 || this.#commands[at + 1] !== slot) return false;
    const opcode = this.#commands[at]! & 0xff;
    return opcode === WRITE || opcode === FORWARD;
  }

  command(opcode: number, slot: number, a: number, b: number): void {
    if (this.#at === COMMANDS_MAX * COMMAND_INTS) this.#makeRoom();
    const commands = this.#commands;
    const at = this.#at;
    commands[at] = opcode;
    commands[at + 1] = slot;
    commands[at + 2] = a;
    commands[at + 3] = b;
    this.#at = at + COMMAND_INTS;
    this.#tail = opcode === WRITE ? slot : -1;
    this.#schedule();
  }

  /** `settle` of the connection is called when all commands so far have been carried out. */
  owe(connection: NativeConnection): void {
    this.#owed.push(connection);
    this.#schedule();
  }

  /** What was asked of the connection and not handed over yet is not done: no byte leaves, and no end that was none. */
  dropCommands(slot: number): void {
    const commands = this.#commands;
    for (let at = 0; at < this.#at; at += COMMAND_INTS) {
      if (commands[at + 1] === slot) commands[at] = NOTHING;
    }
    if (this.#tail === slot) this.#tail = -1;
  }

  /** Behind everything that was written so far, which is handed over now; what of it is not full packets leaves with the file. */
  sendFile(slot: number, descriptor: number, id: number, offset: number, length: number): void {
    const last = this.#at - COMMAND_INTS;
    if (this.#isWrite(last, slot)) this.#commands[last]! |= FLAG_MORE << 8;
    this.#makeRoom();
    // A negative one: it was refused, perhaps because the connection was found to be lost, of which an event tells.
    if (this.addon.sendFile(slot, descriptor, id, offset, length) !== 0) this.#eventsWait = true;
  }

  /** Starts when everything that was written before has been handed over. */
  startLater(splice: NativeSplice): void {
    this.#splices.push(splice);
    this.#schedule();
  }

  /** Asks for the descriptor when everything that was written before has been handed over. */
  releaseLater(parting: NativeParting): void {
    this.#partings.push(parting);
    this.#schedule();
  }

  // ------------------------------------------------------------------------------------------------------------- batches

  /** Around every call of a handler: what is written meanwhile leaves together. */
  enter(): void {
    this.#depth++;
  }

  leave(): void {
    if (--this.#depth === 0) this.#flush();
  }

  /** The addon: a turn is over. */
  #onEvents(count: number): void {
    this.#slabValid = true;
    this.#depth++;
    try {
      this.#dispatch(count);
    } finally {
      this.#depth--;
      this.#flush();
      this.#slabValid = false;
    }
  }

  #dispatch(count: number): void {
    try {
      this.#handOut(count * EVENT_INTS);
    } finally {
      releaseTime();
    }
  }

  #handOut(end: number): void {
    const events = this.#events;
    for (let at = 0; at < end; at += EVENT_INTS) {
      if ((at & HOLD_MASK) === 0) holdTime();
      const slot = events[at + 1]!;
      if (events[at] === READ) {
        const start = events[at + 2]!;
        this.connections[slot]?.receive(this.receiveSlab, start, start + events[at + 3]!);
      } else this.#dispatchOther(events[at]!, slot, events[at + 2]!, events[at + 3]!);
    }
  }

  #dispatchOther(kind: number, slot: number, a: number, b: number): void {
    const connection = this.connections[slot];
    switch (kind) {
      case END:
        connection?.peerEnded();
        break;
      case CLOSED:
        if (connection !== undefined) connection.lost(a, b === 1);
        else this.attempts.get(slot)?.refused(a);
        break;
      case DRAIN:
        connection?.drained();
        break;
      case SPLICED:
        connection?.spliced();
        break;
      case FILE_SENT:
        connection?.fileSent(a);
        break;
      case CONNECTED:
        this.attempts.get(slot)?.connected(this.#text(a, b));
        break;
      case ACCEPTED:
        this.#accepted(slot, b >> 8, this.#text(a, b & 0xff));
        break;
      case ACCEPT_FAILED:
        this.listeners.get(slot)?.suspended(a);
        break;
    }
  }

  #text(offset: number, length: number): string {
    return this.receiveSlab.toString("latin1", offset, offset + length);
  }

  #accepted(slot: number, listenerSlot: number, text: string): void {
    const listener = this.listeners.get(listenerSlot);
    if (listener !== undefined) listener.accepted(slot, text);
    // It was closed earlier in this batch.
    else this.destroySlot(slot);
  }

  // ---------------------------------------------------------------------------------------------------------- handing over

  /** Closes a socket that is no connection yet. */
  destroySlot(slot: number): void {
    this.command(DESTROY, slot, 0, 0);
  }

  /** Hands over commands and takes up what comes of them, until there is nothing more to do. */
  #flush(): void {
    // Handlers that are called from here write into the round that follows.
    if (this.#flushing) return;
    this.#flushing = true;
    this.#depth++;
    try {
      this.#handOverAll();
    } finally {
      this.#depth--;
      this.#flushing = false;
    }
  }

  #handOverAll(): void {
    for (let round = 0; ; round++) {
      const collects = round < ROUNDS_MAX;
      this.#eventsWait = false;
      let events = this.#submit(collects);
      if (collects) this.#dispatch(events);
      if (this.#owed.length > 0) this.#settleOwed();
      if (this.#partings.length > 0) this.#releasePartings();
      // No command outlives its batch: the next turn may come before the next batch.
      if (!collects && this.#at > 0) events = this.#submit(false);
      if (this.#splices.length > 0) this.#startSplices();
      const owesNothing = this.#owed.length === 0 && this.#splices.length === 0 && this.#partings.length === 0;
      const isDone = this.#at === 0 && owesNothing && !this.#eventsWait;
      if (isDone && (collects ? events < EVENTS_MAX : events === 0)) break;
      if (!collects) {
        this.#scheduleTurn();
        break;
      }
    }
  }

  #submit(collect: boolean): number {
    const count = this.#at / COMMAND_INTS;
    this.#at = this.#position = 0;
    this.#tail = -1;
    this.epoch++;
    return this.addon.submit(count, collect);
  }

  #settleOwed(): void {
    const owed = this.#owed;
    this.#owed = [];
    for (const connection of owed) connection.settle();
  }

  #startSplices(): void {
    for (const splice of this.#splices.splice(0)) splice.start();
  }

  /** No event of this round is left that could be of their slots; those that wait in the addon make it refuse. */
  #releasePartings(): void {
    if (this.#at > 0) this.#makeRoom();
    for (const parting of this.#partings.splice(0)) parting.release();
  }

  /** Something is full: what there is goes now. Events that come of it wait until the batch is over. */
  #makeRoom(): void {
    if (this.#submit(false) > 0) this.#eventsWait = true;
    this.#schedule();
  }

  /** The commands of this moment must not wait for the next batch, which may never come. */
  #schedule(): void {
    if (this.#depth > 0 || this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#onTick);
  }

  #scheduleTurn(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#onTick);
  }

  /** Room for `length` bytes in the send slab, which has it, for this connection; the offset of the first. */
  #append(slot: number, length: number): number {
    const offset = this.#position;
    if (this.#tail === slot) this.#commands[this.#at - 1]! += length;
    else this.command(WRITE, slot, offset, length);
    this.#position = offset + length;
    return offset;
  }
}
