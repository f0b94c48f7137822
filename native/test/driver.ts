// The addon without the transport that stands on it: a test gives commands, slot by slot, and sees every event as it comes.
// One for each thread, because the addon opens once; a test file is a process of its own, so it has one.

import { type Addon, isMissing, loadAddon, type SharedMemory } from "../../src/io/native/addon.ts";
import {
  ACCEPTED,
  COMMAND_INTS,
  CONNECTED,
  DESTROY,
  EVENT_INTS,
  READ,
  SEND_BYTES,
  SLOTS_MAX,
  WRITE,
} from "../../src/io/native/wire.ts";

const found = loadAddon();

/** As in a worker thread, where the addon waits and not libuv: scripts/test.ts runs these tests in both ways. */
export const ownsThread = process.env.HEADGATE_TEST_OWNS_THREAD === "1";

/** For the `skip` option of node:test. */
export const withoutAddon = isMissing(found) && `skipped: needs the native transport (${found.reason})`;

export interface Event {
  readonly kind: number;
  readonly slot: number;
  readonly a: number;
  readonly b: number;
  /** Of READ, ACCEPTED and CONNECTED: what the event refers to, copied. */
  readonly bytes: Buffer;
}

export class Driver {
  readonly addon: Addon;
  readonly memory: SharedMemory;
  readonly queued: Float64Array;
  /** Everything that was told, in order. */
  readonly events: Event[] = [];
  /** Called with each batch while the addon waits for it to return; what it commands is submitted then. */
  onBatch: ((batch: readonly Event[]) => void) | null = null;
  /** false: what a batch commands is submitted by the test, and events of it may be left waiting. */
  submits = true;
  readonly #commands: Int32Array;
  readonly #sendSlab: Buffer;
  #count = 0;
  #position = 0;
  #changed = Promise.withResolvers<void>();

  constructor() {
    if (isMissing(found)) throw new Error(found.reason);
    this.addon = found;
    this.memory = found.open((count) => this.#take(count), 0, 0, ownsThread);
    this.queued = new Float64Array(this.memory.queued);
    this.#commands = new Int32Array(this.memory.commands);
    this.#sendSlab = Buffer.from(this.memory.send);
  }

  #take(count: number): void {
    const batch = this.#read(count);
    this.onBatch?.(batch);
    if (this.submits) this.submit();
  }

  #read(count: number): Event[] {
    const record = new Int32Array(this.memory.events);
    const slab = Buffer.from(this.memory.receive);
    const batch: Event[] = [];
    for (let at = 0; at < count * EVENT_INTS; at += EVENT_INTS) {
      const [kind = 0, slot = 0, a = 0, b = 0] = record.subarray(at, at + EVENT_INTS);
      const length = kind === READ || kind === CONNECTED ? b : kind === ACCEPTED ? b & 0xff : 0;
      batch.push({ kind, slot, a, b, bytes: Buffer.from(slab.subarray(a, a + length)) });
    }
    this.events.push(...batch);
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
    return batch;
  }

  command(opcode: number, slot: number, a = 0, b = 0): void {
    this.#commands.set([opcode, slot, a, b], this.#count++ * COMMAND_INTS);
  }

  /** Room for the bytes must be left since the last submit. */
  write(slot: number, bytes: Uint8Array, flags = 0): void {
    if (bytes.length > SEND_BYTES - this.#position) throw new RangeError("the send slab is full");
    this.#sendSlab.set(bytes, this.#position);
    this.command(WRITE | (flags << 8), slot, this.#position, bytes.length);
    this.#position += bytes.length;
  }

  /** Hands over the commands; how many events wait now. */
  handOver(): number {
    const count = this.#count;
    this.#count = this.#position = 0;
    return this.addon.submit(count, false);
  }

  /** Hands over the commands and takes up what comes of them. */
  submit(): void {
    let count = this.#count;
    this.#count = this.#position = 0;
    for (;;) {
      const collected = this.addon.submit(count, true);
      if (collected === 0) return;
      this.#read(collected);
      count = 0;
    }
  }

  /** The first event from the `from`-th on that is of this kind, and of this slot where one is given. */
  async next(kind: number, slot?: number, from = 0): Promise<Event> {
    for (;;) {
      const event = this.events.slice(from).find((e) => e.kind === kind && (slot === undefined || e.slot === slot));
      if (event !== undefined) return event;
      await this.#changed.promise;
    }
  }

  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await this.#changed.promise;
  }

  /** What came on a slot since the `from`-th event. */
  received(slot: number, from = 0): Buffer {
    const reads = this.events.slice(from).filter((event) => event.kind === READ && event.slot === slot);
    return Buffer.concat(reads.map((event) => event.bytes));
  }

  /** A listening slot on a free port of the loopback address, or on the path of a unix socket. */
  listen(path?: string): { slot: number; port: number; descriptor: number } {
    const [address, wanted] = path === undefined ? ["127.0.0.1", 0] : [path, -1];
    const descriptor = checked(this.addon.bind(address, wanted, false, false, 128));
    const port = Number(this.addon.nameOf(descriptor)?.split(" ")[1]);
    return { slot: checked(this.addon.listen(descriptor, true, 0)), port, descriptor };
  }

  /** A connection to a port or a path whose listener is ours: the two slots of it. */
  async pair(where: number | string): Promise<{ dialed: number; accepted: number }> {
    const from = this.events.length;
    const [address, port] = typeof where === "string" ? [where, 0] : ["127.0.0.1", where];
    const dialed = checked(this.addon.connect(address, port, 0));
    const [, { slot: accepted }] = await Promise.all([
      this.next(CONNECTED, dialed, from),
      this.next(ACCEPTED, undefined, from),
    ]);
    return { dialed, accepted };
  }

  /** Whatever is open, listeners as well. */
  destroyAll(): void {
    for (let slot = 0; this.addon.inspect().sockets > 0 && slot < SLOTS_MAX; slot++) {
      this.addon.closeListener(slot);
      this.destroy(slot);
    }
  }

  destroy(...slots: readonly number[]): void {
    for (const slot of slots) this.command(DESTROY, slot);
    this.submit();
  }
}

/** A negative result is an errno. */
export function checked(result: number): number {
  if (result < 0) throw new Error(`the addon gave errno ${-result}`);
  return result;
}
