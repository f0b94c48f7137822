/** The addon's part of dialing: one attempt at one address. Targets that speak TLS never come here. */
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import type { Address, DialTarget, PendingDial } from "../../core/ports.ts";
import { UNNAMED } from "../addresses.ts";
import type { AttemptHandler, CompletionHandler, Connecting, Ends } from "../dialing/connecting.ts";
import { systemErrorOf } from "../failures.ts";
import { addressFrom, isAddressable } from "./addresses.ts";
import { type ConnectionOwner, NativeConnection } from "./connection.ts";
import type { EventLoop, SlotAttempt } from "./event-loop.ts";

export interface ConnectingOwner extends ConnectionOwner {
  /** 0: no probes. */
  readonly keepAliveSeconds: number;
}

export class NativeConnecting implements Connecting<NativeAttempt> {
  readonly #owner: ConnectingOwner;

  constructor(owner: ConnectingOwner) {
    this.#owner = owner;
  }

  objectionTo(): null {
    return null;
  }

  attempt(remote: Address, _target: DialTarget, handler: AttemptHandler<NativeAttempt>): PendingDial {
    const { loop, keepAliveSeconds } = this.#owner;
    const { address, port } = remote;
    const slot = isAddressable(address) ? loop.addon.connect(address, port, keepAliveSeconds) : -constants.errno.EINVAL;
    const attempt = new NativeAttempt(loop, slot, remote, handler);
    if (slot >= 0) loop.attempts.set(slot, attempt);
    else process.nextTick(() => attempt.refused(-slot));
    return attempt;
  }

  complete(attempt: NativeAttempt, ends: Ends, _target: DialTarget, handler: CompletionHandler): PendingDial {
    handler.onComplete(new NativeConnection(this.#owner, attempt.slot, ends.remote, ends.local, "upstream"));
    return attempt;
  }

  discard(attempt: NativeAttempt): void {
    attempt.discard();
  }
}

/** A socket that is on its way to one address. */
export class NativeAttempt implements PendingDial, SlotAttempt {
  readonly slot: number;
  readonly #loop: EventLoop;
  readonly #remote: Address;
  readonly #handler: AttemptHandler<NativeAttempt>;
  #isPending = true;

  constructor(loop: EventLoop, slot: number, remote: Address, handler: AttemptHandler<NativeAttempt>) {
    this.#loop = loop;
    this.slot = slot;
    this.#remote = remote;
    this.#handler = handler;
  }

  connected(text: string): void {
    this.#settled();
    this.#handler.onConnected(this, this.#remote.family === 0 ? UNNAMED : addressFrom(text));
  }

  refused(errno: number): void {
    if (!this.#isPending) return;
    this.#settled();
    this.#handler.onRefused(systemErrorOf(getSystemErrorName(-errno)));
  }

  cancel(): void {
    if (!this.#isPending) return;
    this.#settled();
    if (this.slot >= 0) this.discard();
  }

  discard(): void {
    this.#loop.destroySlot(this.slot);
  }

  #settled(): void {
    this.#isPending = false;
    this.#loop.attempts.delete(this.slot);
  }
}
