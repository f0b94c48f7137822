/**
 * A connection of the addon that gives its socket away: what was written leaves first, nothing more is read, and then its
 * descriptor becomes a socket of Node's. It decides when the addon is asked for it: when nothing that was noted before can still
 * speak of the slot.
 */
import { closeSync } from "node:fs";
import net from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import type { PendingDial } from "../../core/ports.ts";
import { systemErrorOf } from "../failures.ts";
import type { SocketReceiver } from "../socket-giver.ts";
import type { EventLoop } from "./event-loop.ts";
import { DESTROY, PAUSE } from "./wire.ts";

const { EAGAIN, EBADF, EBUSY } = constants.errno;

/** The connection, as its parting sees it. */
export interface Leaving {
  readonly slot: number;
  /** What arrived and was told to nobody. */
  takeHeld(): Buffer | null;
  /** The slot is not its own any more. */
  parted(): void;
}

export class NativeParting implements PendingDial {
  readonly #loop: EventLoop;
  readonly #connection: Leaving;
  readonly #receiver: SocketReceiver;
  #isPending = true;

  constructor(loop: EventLoop, connection: Leaving, receiver: SocketReceiver) {
    this.#loop = loop;
    this.#connection = connection;
    this.#receiver = receiver;
  }

  start(): void {
    this.#loop.command(PAUSE, this.#connection.slot, 0, 0);
    this.#loop.releaseLater(this);
  }

  cancel(): void {
    if (this.#isPending) this.#destroy();
  }

  /** All that was asked of the addon before has been handed over. */
  release(): void {
    if (!this.#isPending) return;
    const { slot } = this.#connection;
    const result = this.#loop.addon.release(slot);
    if (result >= 0) this.#received(result);
    else if (result === -EAGAIN) this.#loop.releaseLater(this);
    else if (result === -EBUSY) this.#loop.watch(slot);
    else if (result !== -EBADF) this.#failed(result);
    // Otherwise it was closed, and that is about to be told.
  }

  /** What was queued has left. */
  drained(): void {
    this.#loop.releaseLater(this);
  }

  /** The addon has closed the slot. */
  lost(errno: number): void {
    if (!this.#isPending) return;
    this.#isPending = false;
    this.#connection.parted();
    this.#receiver.onNoSocket(systemErrorOf(errno === 0 ? "ENOTCONN" : getSystemErrorName(-errno)));
  }

  #received(descriptor: number): void {
    this.#isPending = false;
    this.#connection.parted();
    const held = this.#connection.takeHeld();
    let socket: net.Socket;
    try {
      socket = new net.Socket({ fd: descriptor, readable: true, writable: true, allowHalfOpen: true });
    } catch {
      // Node knows no such kind of descriptor, or has no room for it.
      closeSync(descriptor);
      this.#receiver.onNoSocket(systemErrorOf("ENOTSOCK"));
      return;
    }
    socket.pause();
    if (held !== null) socket.unshift(held);
    this.#receiver.onSocket(socket);
  }

  #failed(errno: number): void {
    this.#destroy();
    this.#receiver.onNoSocket(systemErrorOf(getSystemErrorName(errno)));
  }

  #destroy(): void {
    this.#isPending = false;
    const { slot } = this.#connection;
    this.#loop.dropCommands(slot);
    this.#loop.command(DESTROY, slot, 0, 0);
    this.#connection.parted();
  }
}
