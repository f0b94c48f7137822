/**
 * An addon without a kernel: the same records in memory, and peers that answer at once. Loaded in place of the real one
 * (HEADGATE_ADDON), it leaves of a request what JavaScript does, and nothing else.
 *
 * Clients are slots that ask again as soon as they have been answered, or, when their connection was closed behind that, on a new one;
 * dialled slots answer whatever they are sent.
 */
import type { Addon, SharedMemory } from "../../src/io/native/addon.ts";
import * as wire from "../../src/io/native/wire.ts";

const SLOTS = 4096;
const LISTENER = 0;

const memory: SharedMemory = {
  receive: new ArrayBuffer(wire.RECEIVE_BYTES),
  send: new ArrayBuffer(wire.SEND_BYTES),
  events: new ArrayBuffer(wire.EVENTS_MAX * wire.EVENT_INTS * 4),
  commands: new ArrayBuffer(wire.COMMANDS_MAX * wire.COMMAND_INTS * 4),
  queued: new ArrayBuffer(SLOTS * 8),
  received: new ArrayBuffer(SLOTS * 8),
  sent: new ArrayBuffer(SLOTS * 8),
};
const receive = Buffer.from(memory.receive);
const events = new Int32Array(memory.events);
const commands = new Int32Array(memory.commands);

let deliver: (count: number) => void = () => {};
let slots = LISTENER + 1;
/** By slot. */
const isDialled = new Uint8Array(SLOTS);
const wrote = new Uint8Array(SLOTS);
let connecting: number[] = [];
/** Slots that were written to since the last turn, once each. */
let written: number[] = [];
/** Clients that were closed behind their answers. */
let finished: number[] = [];
/** Slots that were closed before the last turn: they may be used again. */
const free: number[] = [];
/** [slot, number] of files that are sent by the next turn. */
let files: [number, number][] = [];

export const wireVersion = wire.WIRE_VERSION;

export function open(onEvents: (count: number) => void): SharedMemory {
  deliver = onEvents;
  return memory;
}

export function submit(count: number): number {
  for (let at = 0; at < count * wire.COMMAND_INTS; at += wire.COMMAND_INTS) {
    const opcode = commands[at]! & 0xff;
    const slot = commands[at + 1]!;
    // A dialled one may have been idle for too long, where the cache answers.
    if (opcode === wire.DESTROY && isDialled[slot] === 1) continue;
    if (opcode === wire.DESTROY) throw new Error(`slot ${slot} was closed: something is wrong with the heads`);
    if (opcode === wire.FINISH) finished.push(slot);
    if ((opcode !== wire.WRITE && opcode !== wire.FORWARD) || wrote[slot] === 1) continue;
    wrote[slot] = 1;
    written.push(slot);
  }
  return 0;
}

export function connect(): number {
  isDialled[slots] = 1;
  connecting.push(slots);
  return slots++;
}

export const sendFile: Addon["sendFile"] = (slot, _descriptor, id) => {
  files.push([slot, id]);
  return 0;
};

export const bind: Addon["bind"] = () => LISTENER;
export const listen: Addon["listen"] = () => LISTENER;
export const nameOf: Addon["nameOf"] = () => "127.0.0.1 8080";
export const closeListener: Addon["closeListener"] = () => 0;
export const closeDescriptor: Addon["closeDescriptor"] = () => 0;

/** What peers say. */
export interface Script {
  readonly requests: readonly Buffer[];
  readonly answer: Buffer;
}

export class Peers {
  readonly #script: Script;
  #count = 0;
  #used = 0;
  #asked = 0;

  constructor(script: Script) {
    this.#script = script;
  }

  /** So many clients connect, and ask. */
  connect(clients: number): void {
    for (let client = 0; client < clients; client++) this.#accept(slots++);
    this.#deliver();
  }

  #accept(slot: number): void {
    const length = receive.write(`127.0.0.1 ${20_000 + slot}`, this.#used, "latin1");
    this.#emit(wire.ACCEPTED, slot, this.#used, length | (LISTENER << 8));
    this.#used += length;
    this.#say(slot, this.#nextRequest());
  }

  /** Every peer that was written to since the last turn says what it has to say; the number of requests that were answered. */
  turn(): number {
    for (const slot of connecting) {
      const length = receive.write("127.0.0.1 50000", this.#used, "latin1");
      this.#emit(wire.CONNECTED, slot, this.#used, length);
      this.#used += length;
    }
    connecting = [];
    for (const [slot, id] of files) this.#emit(wire.FILE_SENT, slot, id, 0);
    files = [];
    const closed = new Set(finished);
    finished = [];
    for (const slot of closed) {
      this.#emit(wire.CLOSED, slot, 0, 0);
      this.#accept(free.pop() ?? slots++);
    }
    free.push(...closed);
    const now = written;
    written = [];
    let answered = 0;
    for (const slot of now) {
      wrote[slot] = 0;
      if (isDialled[slot] === 0) answered++;
      if (closed.has(slot)) continue;
      this.#say(slot, isDialled[slot] === 1 ? this.#script.answer : this.#nextRequest());
    }
    this.#deliver();
    return answered;
  }

  #nextRequest(): Buffer {
    const { requests } = this.#script;
    this.#asked = (this.#asked + 7) % requests.length;
    return requests[this.#asked]!;
  }

  #say(slot: number, bytes: Buffer): void {
    receive.set(bytes, this.#used);
    this.#emit(wire.READ, slot, this.#used, bytes.length);
    this.#used += bytes.length;
  }

  #emit(kind: number, slot: number, a: number, b: number): void {
    events.set([kind, slot, a, b], this.#count++ * wire.EVENT_INTS);
  }

  #deliver(): void {
    const count = this.#count;
    this.#count = this.#used = 0;
    deliver(count);
  }
}
