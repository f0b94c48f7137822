/**
 * Listening sockets of the addon: plain TCP and unix sockets. It decides when to accept again after the system refused; what
 * a connection says is never looked at here.
 */
import { lstatSync, unlinkSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { ProxyError } from "../../core/errors.ts";
import type { Address, Clock, Connection, TimerHandle } from "../../core/ports.ts";
import { describeAddress } from "../addresses.ts";
import { BACKLOG, describePlace } from "../binding.ts";
import { failureOf, ListenError, systemErrorOf } from "../failures.ts";
import { ProxyHeaderGate, withRest } from "../proxy-headers.ts";
import type { ListenOptions, TransportListener } from "../transport.ts";
import { addressFrom } from "./addresses.ts";
import { type ConnectionOwner, NativeConnection } from "./connection.ts";
import type { SlotListener } from "./event-loop.ts";
import { type BoundSocket, bindSocket } from "./sockets.ts";

/** nginx waits 500 ms (accept_mutex_delay) when descriptors have run out; here it is a fifth, since clients wait meanwhile. */
const ACCEPT_AGAIN_MS = 100;

export interface ListenerOwner extends ConnectionOwner {
  readonly clock: Clock;
  /** 0: no probes. */
  readonly keepAliveSeconds: number;
}

/** Rejects with a ListenError. */
export async function openListener(
  owner: ListenerOwner,
  options: ListenOptions,
  onConnection: (connection: Connection) => void,
): Promise<TransportListener> {
  const bound = await takeSocket(owner, options);
  const { addon } = owner.loop;
  const isOwned = options.descriptor === undefined;
  const slot = addon.listen(bound.descriptor, isOwned, owner.keepAliveSeconds);
  if (slot < 0 && isOwned) addon.closeDescriptor(bound.descriptor);
  if (slot < 0) throw ListenError.from(systemErrorOf(getSystemErrorName(slot)), describePlace(options));
  const { proxyHeaders = null } = options;
  const gate =
    proxyHeaders === null
      ? null
      : new ProxyHeaderGate<NativeConnection>(proxyHeaders, owner.clock, withRest(onConnection));
  return new NativeListener(owner, slot, bound.address, options, gate, onConnection);
}

async function takeSocket(owner: ListenerOwner, options: ListenOptions): Promise<BoundSocket> {
  const { descriptor, path } = options;
  const { addon } = owner.loop;
  if (descriptor === undefined) return bindSocket(addon, options);
  if (path !== null) return { descriptor, address: { family: 0, address: path, port: 0 } };
  return { descriptor, address: addressFrom(addon.nameOf(descriptor) ?? "") };
}

class NativeListener implements TransportListener, SlotListener {
  readonly address: Address;
  readonly #owner: ListenerOwner;
  readonly #slot: number;
  /** null: connections are taken as they come. */
  readonly #gate: ProxyHeaderGate<NativeConnection> | null;
  readonly #onConnection: (connection: Connection) => void;
  readonly #isTransparent: boolean;
  /** The inode of the unix socket's file that is to be removed in the end; null: there is none. */
  readonly #inode: number | null;
  #acceptAgain: TimerHandle | null = null;
  #closed = false;

  constructor(
    owner: ListenerOwner,
    slot: number,
    address: Address,
    { path, descriptor, transparent = false }: ListenOptions,
    gate: ProxyHeaderGate<NativeConnection> | null,
    onConnection: (connection: Connection) => void,
  ) {
    this.#owner = owner;
    this.#slot = slot;
    this.address = address;
    this.#gate = gate;
    this.#onConnection = onConnection;
    this.#isTransparent = transparent;
    this.#inode = path === null || descriptor !== undefined ? null : inodeOf(path);
    owner.loop.listeners.set(slot, this);
  }

  accepted(slot: number, text: string): void {
    const end = text.indexOf(" ", text.indexOf(" ") + 1);
    const own = end < 0 ? this.address : addressFrom(text.slice(end + 1));
    const from = addressFrom(end < 0 ? text : text.slice(0, end));
    const meant = this.#isTransparent ? this.#owner.loop.addon.originalOf(slot) : null;
    const original = meant === null ? null : addressFrom(meant);
    const connection = new NativeConnection(this.#owner, slot, from, own, "client", original);
    try {
      if (this.#gate === null) this.#onConnection(connection);
      else this.#gate.take(connection);
    } catch (thrown) {
      this.#owner.reportFault(thrown);
      connection.destroy(ProxyError.from(thrown), true);
    }
  }

  suspended(errno: number): void {
    const failure = systemErrorOf(getSystemErrorName(-errno));
    this.#owner.reportFault(
      failureOf(failure, `cannot accept a connection on ${describeAddress(this.address)}`, "proxy"),
    );
    this.#acceptAgain = this.#owner.clock.after(ACCEPT_AGAIN_MS, () => {
      if (!this.#closed) this.#owner.loop.addon.resumeListener(this.#slot);
    });
  }

  updateTls(): void {
    throw new Error(`${describeAddress(this.address)} does not speak TLS`);
  }

  async takeWaiting(): Promise<void> {
    const { addon } = this.#owner.loop;
    // A turn accepts many of them. Under a flood there is always another one.
    const isWaitedAt = (): boolean => !this.#closed && addon.hasWaiting(this.#slot) === 1;
    for (let turns = 0; turns < BACKLOG && isWaitedAt(); turns++) await nextTurn();
  }

  whenHandshakesEnd(): Promise<void> {
    return this.#gate?.whenEmpty() ?? Promise.resolve();
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#acceptAgain?.cancel();
      this.#gate?.close();
      this.#owner.loop.listeners.delete(this.#slot);
      this.#owner.loop.addon.closeListener(this.#slot);
      if (this.#inode !== null) removeFile(this.address.address, this.#inode);
    }
    return Promise.resolve();
  }
}

function inodeOf(path: string): number | null {
  try {
    return lstatSync(path).ino;
  } catch {
    return null;
  }
}

/** Removes a unix socket's file, unless somebody has put another in its place. */
function removeFile(path: string, inode: number): void {
  try {
    if (lstatSync(path).ino === inode) unlinkSync(path);
  } catch {
    // It is gone already, or not ours to remove: the next who listens there deals with it.
  }
}
