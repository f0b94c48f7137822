/**
 * How many tunnels each client address has at a time, over all threads of the process. Each thread counts its own exactly, in a map,
 * and shows the counts to the others in a column of memory that all of them share: a table of fixed size, of which a column has
 * one writer, so nothing needs a lock. A thread that dies takes its column with it (`clearColumn`).
 *
 * An address whose places in the column are all taken by others is not shown: it is then limited by each thread alone, so that
 * nobody is ever refused for what another address has, and a flood of addresses buys each of them a multiple by the number
 * of threads at most. Places are chosen by a secret, so that nobody can choose addresses that push another one out.
 *
 * Whoever opens a tunnel is counted first and looked at then: two threads that do so at the same time may refuse both the last
 * one, and never grant one too many.
 */
import { createHash, randomBytes } from "node:crypto";
import { clientNetwork } from "../identity/client-network.ts";

/** Sets of places; an address can only stand in one of them. With 8 ways, 4,000 clients of a thread hardly ever fill one. */
const SETS = 1_024;
const WAYS = 8;
/** Ints of a place: two of the address's digest, and the tunnels. */
const PLACE = 3;
const COUNT = 2;
const COLUMN_INTS = SETS * WAYS * PLACE;
const KEY_INTS = 4;
/** Of a client that is not shown to other threads. */
const NOWHERE = -1;

/** A tunnel that is counted, until it is given back. */
export interface CountedTunnel {
  /** Once. */
  giveBack(): void;
}

export class TunnelCounts {
  readonly #ints: Int32Array;
  readonly #key: Buffer;
  readonly #columns: number;
  readonly #column: number;
  readonly #clients = new Map<string, ClientTunnels>();

  /** `memory` is what all threads share; a thread counts in its own column. */
  constructor(memory: SharedArrayBuffer, columns: number, column: number) {
    this.#ints = new Int32Array(memory);
    this.#key = Buffer.from(new Uint8Array(memory, 0, KEY_INTS * 4));
    this.#columns = columns;
    this.#column = column;
  }

  /** For a proxy without other threads. */
  static ofOneThread(): TunnelCounts {
    return new TunnelCounts(tunnelMemory(1), 1, 0);
  }

  /** Counts one more of an address at a server, which may have `max`; null: it has them. */
  take(server: string, address: string, max: number): CountedTunnel | null {
    const name = `${server} ${clientNetwork(address)}`;
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = new ClientTunnels(this, name);
      this.#clients.set(name, client);
    }
    this.#change(client, 1);
    if (client.count + this.#others(client) <= max) return client;
    client.giveBack();
    return null;
  }

  /** Addresses that have tunnels in this thread. */
  get clients(): number {
    return this.#clients.size;
  }

  giveBack(client: ClientTunnels): void {
    this.#change(client, -1);
    if (client.count === 0) this.#clients.delete(client.name);
  }

  #change(client: ClientTunnels, change: 1 | -1): void {
    client.count += change;
    if (this.#columns === 1) return;
    if (client.place === NOWHERE) this.#show(client);
    if (client.place !== NOWHERE) Atomics.store(this.#ints, client.place + COUNT, client.count);
  }

  /** Finds a place in the own column, if one is free. */
  #show(client: ClientTunnels): void {
    client.digest ??= this.#digest(client.name);
    const { high, low, set } = client.digest;
    const start = KEY_INTS + this.#column * COLUMN_INTS + set;
    const ints = this.#ints;
    for (let place = start; place < start + WAYS * PLACE; place += PLACE) {
      if (ints[place + COUNT] !== 0) continue;
      Atomics.store(ints, place, high);
      Atomics.store(ints, place + 1, low);
      client.place = place;
      return;
    }
  }

  /** What other threads show of the same client. */
  #others({ digest }: ClientTunnels): number {
    if (digest === null) return 0;
    const ints = this.#ints;
    let sum = 0;
    for (let column = 0; column < this.#columns; column++) {
      if (column === this.#column) continue;
      const start = KEY_INTS + column * COLUMN_INTS + digest.set;
      for (let place = start; place < start + WAYS * PLACE; place += PLACE) {
        if (Atomics.load(ints, place) !== digest.high || Atomics.load(ints, place + 1) !== digest.low) continue;
        const count = Atomics.load(ints, place + COUNT);
        // The place may have become another client's while it was read.
        if (Atomics.load(ints, place) === digest.high && Atomics.load(ints, place + 1) === digest.low) sum += count;
      }
    }
    return sum;
  }

  #digest(name: string): Digest {
    const digest = createHash("sha256").update(this.#key).update(name).digest();
    const set = (digest.readUInt32LE(8) % SETS) * WAYS * PLACE;
    return { high: digest.readInt32LE(0), low: digest.readInt32LE(4), set };
  }
}

interface Digest {
  readonly high: number;
  readonly low: number;
  /** Where its set begins in a column. */
  readonly set: number;
}

/** The tunnels of one address in this thread. Each of its tunnels holds it, and gives it back once. */
class ClientTunnels implements CountedTunnel {
  readonly name: string;
  readonly #counts: TunnelCounts;
  count = 0;
  digest: Digest | null = null;
  /** Where it is shown. */
  place = NOWHERE;

  constructor(counts: TunnelCounts, name: string) {
    this.#counts = counts;
    this.name = name;
  }

  giveBack(): void {
    this.#counts.giveBack(this);
  }
}

export function tunnelMemory(columns: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer((KEY_INTS + columns * COLUMN_INTS) * Int32Array.BYTES_PER_ELEMENT);
  new Uint8Array(memory, 0, KEY_INTS * 4).set(randomBytes(KEY_INTS * 4));
  return memory;
}

/** Forgets the tunnels of a thread that is gone. */
export function clearTunnelColumn(memory: SharedArrayBuffer, column: number): void {
  const start = KEY_INTS + column * COLUMN_INTS;
  new Int32Array(memory).fill(0, start, start + COLUMN_INTS);
}
