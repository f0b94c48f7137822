// Dialing without sockets: attempts that connect, fail or hang as the test says, on a virtual clock. What was asked for and
// what was given up is recorded, so that a test sees the race and what is left of it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { ProxyError } from "../../src/core/errors.ts";
import type { Address, Connection, DialTarget, PendingDial } from "../../src/core/ports.ts";
import type { AttemptHandler, CompletionHandler, Connecting, DialOwner } from "../../src/io/dialing/connecting.ts";
import { RacingDialer } from "../../src/io/dialing/dial.ts";
import { type Lookup, NameCache, type ResolvedAddress } from "../../src/io/dialing/name-cache.ts";
import { systemErrorOf } from "../../src/io/failures.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

export const v4 = (address: string): ResolvedAddress => ({ address, family: 4 });
export const v6 = (address: string): ResolvedAddress => ({ address, family: 6 });

/** Stands for a socket: the address that it is connected to. */
type Socket = string;

const LOCAL: Address = { family: 4, address: "10.9.9.9", port: 40_000 };

export class ScriptedConnecting implements Connecting<Socket>, DialOwner {
  readonly clock = new VirtualClock();
  readonly dialer: RacingDialer<Socket>;
  /** Addresses in the order in which they were tried, and what became of those that were given up. */
  readonly tried: string[] = [];
  readonly cancelled: string[] = [];
  readonly discarded: string[] = [];
  readonly faults: unknown[] = [];
  /** What dialing counts as open. */
  attempts = 0;
  /** Whether what is connected waits for a handshake, which the test finishes by `finish`. */
  waitsToComplete = false;
  objection: ProxyError | null = null;
  outcome: Connection | ProxyError | null = null;
  /** The connection that a winner becomes; only its identity and its end matter. */
  readonly connection = { closedWith: undefined as ProxyError | undefined };
  /** Handlers are called within the batch, and nothing is left open after them. */
  #depth = 0;
  readonly batch = {
    enter: () => {
      this.#depth++;
    },
    leave: () => {
      this.#depth--;
    },
  };
  readonly #attempts = new Map<string, AttemptHandler<Socket>>();
  #completion: CompletionHandler | null = null;

  constructor(lookup: Lookup | readonly ResolvedAddress[] = []) {
    const answer: Lookup = (_name, callback) => callback(null, lookup as readonly ResolvedAddress[]);
    this.dialer = new RacingDialer(
      this,
      new NameCache(this.clock, typeof lookup === "function" ? lookup : answer),
      this,
    );
  }

  /** Dials, and notes how it ends; `react` is called with it. */
  dial(target: Partial<DialTarget> = {}, react: () => void = () => {}): PendingDial {
    const end = (outcome: Connection | ProxyError): void => {
      if (this.outcome !== null) throw new Error("a dial ended twice");
      if (this.#depth !== 1) throw new Error("a handler was called outside of the batch");
      this.outcome = outcome;
      react();
    };
    return this.dialer.dial(
      { host: "many.example", port: 80, tls: null, timeoutMs: 3_000, ...target },
      { onConnected: end, onFailed: end },
    );
  }

  objectionTo(): ProxyError | null {
    return this.objection;
  }

  attempt(remote: Address, _target: DialTarget, handler: AttemptHandler<Socket>): PendingDial {
    const { address } = remote;
    this.tried.push(address);
    this.#attempts.set(address, handler);
    return { cancel: () => this.cancelled.push(address) };
  }

  complete(socket: Socket, _ends: unknown, _target: DialTarget, handler: CompletionHandler): PendingDial {
    this.#completion = handler;
    if (!this.waitsToComplete) this.finish();
    return { cancel: () => this.cancelled.push(`handshake with ${socket}`) };
  }

  discard(socket: Socket): void {
    this.discarded.push(socket);
  }

  countAttempt(change: 1 | -1): void {
    this.attempts += change;
  }

  reportFault(thrown: unknown): void {
    this.faults.push(thrown);
  }

  connect(address: string, local: Address = LOCAL): void {
    this.#attempts.get(address)!.onConnected(address, local);
  }

  fail(address: string, code: string): void {
    this.#attempts.get(address)!.onRefused(systemErrorOf(code));
  }

  /** Ends the handshake. */
  finish(error?: ProxyError): void {
    const { connection } = this;
    const stand = { destroy: (reason?: ProxyError) => Object.assign(connection, { closedWith: reason }) };
    if (error === undefined) this.#completion!.onComplete(stand as unknown as Connection);
    else this.#completion!.onIncomplete(error);
  }

  /** Waits for failures that are told in a later turn. */
  async failure(): Promise<ProxyError> {
    while (this.outcome === null) await nextTurn();
    if (!(this.outcome instanceof ProxyError)) throw new Error("it connected");
    return this.outcome;
  }
}
