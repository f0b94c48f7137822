/**
 * An upstream: its servers, and the connections to them that are kept. A request takes the connection that was used last
 * (so that the others can age out), or a new one, or waits for its turn when the servers are at their maximum. While a new one is
 * being made it takes one that comes free before: a handshake may take longer than the answers that others wait for.
 *
 * A connection on which a user was authenticated for good is kept for that user's own (pinned-streams.ts).
 *
 * A server that cannot be reached is chosen last for a while (server-choice.ts); it is never given up, since with one server
 * left an attempt is better than an error. Where no socket is left for a new connection, requests wait as well (shortage.ts).
 *
 * This file is long because who gets the next connection is one decision over three things at once: what rests, what is being
 * made, and who waits, here and in other threads.
 */
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { BACKLOG_FULL, ProxyError } from "../core/errors.ts";
import { FifoMap } from "../core/fifo-map.ts";
import { KEEP_ALIVE_MARGIN_MS } from "../core/limits.ts";
import type { ServerAddress } from "../core/option-addresses.ts";
import type { Address, AddressFilter, Clock, Connection, Dialer, DialTls, Random } from "../core/ports.ts";
import type { Lessor, Sender, Upstream, UpstreamHandler } from "../pipeline/upstream.ts";
import { createBalancer } from "./balance.ts";
import { Http1Stream, type ProxyServer } from "./http1-stream.ts";
import type { Balance, HashKey } from "./options.ts";
import { PinnedStreams } from "./pinned-streams.ts";
import { Places, type PlacesUser } from "./places.ts";
import { RetryBudget } from "./retry-budget.ts";
import { type Asker, Dial, Server } from "./server.ts";
import { ServerChoice } from "./server-choice.ts";
import { ServerStates } from "./server-states.ts";
import { Shortage } from "./shortage.ts";

export interface PoolServer extends ServerAddress {
  readonly weight: number;
  /** null: plain TCP. */
  readonly tls: DialTls | null;
  /** Asked about each address; then connections are known by their own address, not by the server's name. */
  readonly addresses?: AddressFilter;
  /** The server is a proxy, and is sent requests for elsewhere. */
  readonly proxy?: ProxyServer;
}

export interface PoolOptions {
  readonly name: string;
  readonly servers: readonly PoolServer[];
  readonly balance: Balance;
  readonly hashBy: HashKey;
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  /** Per server; null: no limit. */
  readonly connectionsMax: number | null;
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
  readonly retryBudgetShare: number;
  readonly retryBudgetMin: number;
}

/** Is told what becomes of servers: once for all threads, and not each time that one is tried. */
export interface ServerTeller {
  /** It could not be reached. `isOnly`: the upstream has no other. */
  lost(upstream: string, server: string, error: ProxyError, isOnly: boolean): void;
  /** One that was lost was reached. */
  back(upstream: string, server: string): void;
  /** No socket was left for a connection. */
  short(upstream: string, error: ProxyError): void;
}

export interface PoolSurroundings {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly random: Random;
  /** The places of an upstream with a maximum, when they are shared with other threads. */
  readonly places?: (options: PoolOptions) => Places;
  /** What is known of the servers, when other threads know it too. */
  readonly states?: (options: PoolOptions) => ServerStates;
  readonly tell?: ServerTeller;
  /** Connections that exist, by plus or minus one: for the status. */
  readonly countConnection?: (change: 1 | -1) => void;
  /** The pool has no connection any more, makes none, and nobody waits. */
  readonly onEmpty?: () => void;
}

/** Who is told that there is no connection: the request itself, unless somebody knows another way. */
export type LeaseFailed = Pick<UpstreamHandler, "onLeaseFailed">;

/** So often those who wait look whether a server that was left out is there again: it may be a while before a place becomes free. */
const LOOK_INTERVAL_MS = 500;

/** A request that waits for a place. */
interface Waiting extends Asker {
  readonly deadline: Deadline;
  /** Whose turn it is among all threads; 0: there is no maximum. */
  ticket: number;
}

export class UpstreamPool implements Upstream, Lessor, PlacesUser {
  readonly name: string;
  readonly description: string;
  /** Per server: of the options, or when it is closed those of the pool that takes its place. */
  connectionsMax: number;
  readonly #options: PoolOptions;
  readonly #around: PoolSurroundings;
  readonly #servers: Server[];
  readonly #choice: ServerChoice;
  readonly #budget: RetryBudget;
  /** null: connections have no maximum. */
  readonly #places: Places | null;
  /** Requests for which a connection is being made. */
  readonly #dialing = new Map<UpstreamHandler, Dial>();
  /** Requests that wait for a place, in the order in which they came. */
  readonly #queue = new FifoMap<UpstreamHandler, Waiting>();
  /** Their tickets, the lowest first. Not always the first request's: one that waits again is the first, and has drawn another one. */
  readonly #tickets = new FifoMap<number, true>();
  readonly #pinned = new PinnedStreams();
  readonly #shortage: Shortage;
  /** null: there is one server, which is never left out. */
  readonly #look: Deadline | null;
  #closed = false;
  #destroyed = false;
  /** The queue is being served: whatever becomes free meanwhile is seen there. */
  #serving = false;

  constructor(options: PoolOptions, around: PoolSurroundings) {
    this.name = options.name;
    this.description = options.servers.map((server) => server.url).join(", ");
    this.#options = options;
    this.#around = around;
    const { connectionsMax } = options;
    this.connectionsMax = connectionsMax ?? Number.POSITIVE_INFINITY;
    this.#places =
      connectionsMax === null ? null : (around.places?.(options) ?? Places.ofOneThread(options.servers.length));
    this.#places?.addUser(this);
    const states = around.states?.(options) ?? ServerStates.ofOneThread(options.servers.length);
    this.#shortage = new Shortage(around.deadlines, () => this.#shortageEases());
    this.#look = options.servers.length === 1 ? null : new Deadline(around.deadlines, () => this.#lookForServers());
    const shared = { places: this.#places, states, shortage: this.#shortage };
    this.#servers = options.servers.map((place, index) => new Server(this, place, index, shared));
    const balancer = createBalancer(options.balance, options.hashBy, around.random);
    this.#choice = new ServerChoice(this.#servers, balancer, around.clock);
    const coarse = { now: () => this.coarseMs };
    this.#budget = new RetryBudget(coarse, options.retryBudgetShare, options.retryBudgetMin);
  }

  get options(): PoolOptions {
    return this.#options;
  }

  /** Monotonic time, as old as a turn of the wheel at most. */
  get coarseMs(): number {
    return this.#around.deadlines.coarseMs;
  }

  /** Connections that exist: for status and for tests that count. */
  get connections(): number {
    return this.#servers.reduce((sum, server) => sum + server.streams.size, 0);
  }

  get idleConnections(): number {
    return this.#servers.reduce((sum, server) => sum + server.resting.size, this.#pinned.size);
  }

  /** Requests that wait for a connection or a place. */
  get waiting(): number {
    return this.#dialing.size + this.#queue.size;
  }

  /** Nothing is there, on its way or waited for. */
  get isEmpty(): boolean {
    return this.#queue.size === 0 && this.#servers.every(({ streams, dialing }) => streams.size + dialing === 0);
  }

  /** Somebody has a connection, or waits for one. */
  get isBusy(): boolean {
    return this.waiting > 0 || this.connections > this.idleConnections;
  }

  lease(sender: Sender, handler: UpstreamHandler, failed: LeaseFailed = handler): Lessor {
    if (this.#destroyed) {
      failed.onLeaseFailed(this.#wasClosed());
      return this;
    }
    if (sender.attempts <= 1) this.#budget.countRequest();
    this.#provide(sender, handler, failed);
    return this;
  }

  #provide(sender: Sender, handler: UpstreamHandler, failed: LeaseFailed): void {
    const reserved = this.#takePinned(sender) ?? this.#reserveInTurn(sender, handler);
    if (reserved !== null) this.#grant(reserved, sender, handler, failed);
    else if (this.#mayWait(sender)) this.#wait({ sender, handler, failed, waitsUntilMs: null });
    else failed.onLeaseFailed(new ProxyError("connection_limit_reached", `${this.name}: the queue is full`));
  }

  /** Who tries again was here before those that wait now: it may have tried a server for all of them. */
  #mayWait({ attempts }: Sender): boolean {
    const { queueMax } = this.#options;
    return this.#queue.size < queueMax || (attempts > 1 && queueMax > 0);
  }

  /** Who has waited before is the first again. */
  #wait({ sender, handler, failed, waitsUntilMs }: Asker): void {
    const places = this.#places;
    const deadline = new Deadline(this.#around.deadlines, () => {
      this.#leaveQueue(handler, waiting);
      const message = `${this.name}: no connection became free in time`;
      failed.onLeaseFailed(
        new ProxyError("connection_limit_reached", message, { cause: this.#shortage.reason ?? undefined }),
      );
      this.#places?.freed();
    });
    const { queueTimeoutMs } = this.#options;
    const untilMs = waitsUntilMs ?? this.coarseMs + queueTimeoutMs;
    const waiting: Waiting = { sender, handler, failed, waitsUntilMs: untilMs, deadline, ticket: 0 };
    deadline.arm(waitsUntilMs === null ? queueTimeoutMs : Math.max(0, untilMs - this.coarseMs));
    if (waitsUntilMs === null) this.#queue.set(handler, waiting);
    else this.#queue.putFirst(handler, waiting);
    if (this.#look?.armed === false) this.#look.arm(LOOK_INTERVAL_MS);
    if (places === null) return;
    places.addUser(this);
    waiting.ticket = places.wait();
    this.#tickets.set(waiting.ticket, true);
    places.waitsHere(this);
    this.placeFreed();
  }

  cancel(handler: UpstreamHandler): void {
    const dialing = this.#dialing.get(handler);
    if (dialing !== undefined) {
      this.#dialing.delete(handler);
      return this.#cancelDial(dialing);
    }
    const waiting = this.#queue.get(handler);
    if (waiting === undefined) return;
    this.#leaveQueue(handler, waiting);
    // Who came behind it in another pool of this thread may have had to wait for it alone.
    this.#places?.freed();
  }

  /**
   * Where there are other servers it is worth knowing whether this one can be reached, though clients have less patience than a dial: one
   * goes on, for whoever comes next.
   */
  #cancelDial(dial: Dial): void {
    const { server } = dial;
    if (this.#servers.length === 1 || server.unasked.size > 0 || this.#closed) return this.#abandon(dial);
    dial.release();
    // As with connections that rest.
    if (this.#othersComeFirst) return this.#abandon(dial);
    this.placeFreed();
  }

  /** Nobody needs this connection. */
  #abandon(dial: Dial): void {
    dial.cancel();
    this.#places?.freed();
    this.#tellIfEmpty();
  }

  #tellIfEmpty(): void {
    const { onEmpty } = this.#around;
    if (onEmpty !== undefined && this.isEmpty) onEmpty();
  }

  #leaveQueue(handler: UpstreamHandler, waiting: Waiting): void {
    waiting.deadline.dispose();
    this.#queue.delete(handler);
    this.#tickets.delete(waiting.ticket);
    if (this.#queue.size === 0) this.#look?.dispose();
    this.#places?.waitOver(waiting.ticket);
    this.#forgetPlaces();
  }

  allowRetry(handler: UpstreamHandler, nothingSent: boolean): boolean {
    // What no server has had is no more work for the one that has it next, however many of the others are down.
    return (nothingSent && this.#choice.hasOther(handler)) || this.#budget.take();
  }

  /**
   * Takes no more requests into the pool's memory: idle connections close now, the others behind their answers. `next`: the options of the
   * pool that takes its place. Its maximum holds for those that wait here too, who would else keep the others from what is free.
   */
  close(next: PoolOptions | null = null): void {
    this.#closed = true;
    this.#abandonUnasked();
    for (const server of this.#servers) server.resting.closeAll();
    this.#pinned.closeAll();
    if (next !== null) this.connectionsMax = next.connectionsMax ?? Number.POSITIVE_INFINITY;
    this.placeFreed();
    this.#forgetPlaces();
  }

  /** Closes every connection at once; whoever has one, or waits for one, is told. */
  destroy(): void {
    this.#closed = this.#destroyed = true;
    this.#forgetPlaces();
    const askers: Asker[] = [
      ...[...this.#queue].map(([, waiting]) => waiting),
      ...[...this.#dialing.values()].map(({ asker }) => asker!),
    ];
    for (const { handler, failed } of askers) {
      // One that was told may have called off another.
      if (!this.#queue.has(handler) && !this.#dialing.has(handler)) continue;
      this.cancel(handler);
      failed.onLeaseFailed(this.#wasClosed());
    }
    this.#abandonUnasked();
    this.#shortage.end();
    for (const { streams } of this.#servers) for (const stream of [...streams]) stream.close();
  }

  #abandonUnasked(): void {
    for (const { unasked } of this.#servers) {
      for (let dial = unasked.oldest; dial !== undefined; dial = unasked.oldest) this.#abandon(dial);
    }
  }

  #wasClosed(): ProxyError {
    return new ProxyError("destination_unavailable", `${this.name} was closed`, { retryable: false });
  }

  /** Nobody waits here any more, and nothing will come to rest. */
  #forgetPlaces(): void {
    if (this.#closed && this.#queue.size === 0) this.#places?.removeUser(this);
  }

  /** A connection that rests, or a server to which one is being made for nobody, or with a place taken for a new one; null: none of it. */
  #reserve(sender: Sender, handler: UpstreamHandler): Http1Stream | Server | null {
    for (;;) {
      const server = this.#choice.choose(sender, handler);
      if (server === null) return null;
      const stream = server.resting.take(sender, this.coarseMs);
      if (stream !== null) return stream;
      if (server.unasked.size > 0 || server.takePlace()) return server;
      // What rests is not for this one, and makes room for it: not one that will soon have rested for long enough. If nothing rests,
      // another thread was quicker, and the server is no choice any more.
      server.resting.mostRecent?.close();
    }
  }

  /** A request that waits elsewhere is to have the next connection that rests, or its place. */
  get #othersComeFirst(): boolean {
    const { oldest = 0, size } = this.#tickets;
    return this.#places?.othersComeFirst(oldest, size) === true;
  }

  /** Unless a request elsewhere comes first. What rests for somebody who may not come again makes room for one that is here. */
  #reserveInTurn(sender: Sender, handler: UpstreamHandler): Http1Stream | Server | null {
    if (this.#places === null) return this.#reserve(sender, handler);
    if (this.#othersComeFirst) return null;
    const reserved = this.#reserve(sender, handler);
    if (reserved !== null || this.#pinned.size === 0) return reserved;
    this.#pinned.closeOldest();
    return this.#reserve(sender, handler);
  }

  #takePinned(sender: Sender): Http1Stream | null {
    const stream = this.#pinned.take(sender);
    if (stream === null || (stream.usable && stream.expiresMs > this.coarseMs)) return stream;
    stream.close();
    return null;
  }

  #grant(
    reserved: Http1Stream | Server,
    sender: Sender,
    handler: UpstreamHandler,
    failed: LeaseFailed,
    waitsUntilMs: number | null = null,
  ): void {
    if (reserved instanceof Server) return this.#dial(reserved, { sender, handler, failed, waitsUntilMs });
    reserved.lend(handler);
    handler.onStream(reserved);
  }

  #dial(server: Server, asker: Asker): void {
    const { handler } = asker;
    const begun = server.unasked.oldest;
    if (begun !== undefined) {
      begun.askedBy(asker);
      this.#dialing.set(handler, begun);
      return;
    }
    this.#shortage.dialBegins();
    server.beginsDial(this.#around.clock.now());
    const dial = new Dial(this, server, asker);
    this.#dialing.set(handler, dial);
    dial.pending = this.#around.dialer.dial(
      {
        host: server.place.host,
        port: server.place.port,
        tls: server.place.tls,
        timeoutMs: this.#options.connectTimeoutMs,
        ...(server.place.addresses !== undefined && { addresses: server.place.addresses }),
      },
      dial,
    );
  }

  /** A new connection is there: for the request that waits for it, if that has no other one meanwhile. */
  connected({ server, asker }: Dial, connection: Connection): void {
    const { clock, deadlines } = this.#around;
    if (server.wasReached()) this.isBack(server);
    const stream = new Http1Stream(connection, server, deadlines, {
      address: server.place.addresses === undefined ? server.address : textOf(connection.remote),
      authority: server.place.authority,
      proxy: server.place.proxy ?? null,
      expiresMs: clock.now() + this.#options.lifetimeMs,
    });
    server.add(stream);
    this.#around.countConnection?.(1);
    if (asker === null) this.reusable(server, stream, null);
    else {
      this.#dialing.delete(asker.handler);
      stream.lend(asker.handler);
      asker.handler.onStream(stream);
    }
    this.#shortageEases();
  }

  #shortageEases(): void {
    if (this.#shortage.reason === null) return;
    this.#shortage.eases(this.#queue.size === 0);
    this.placeFreed();
  }

  /** One connection less. */
  gone(stream: Http1Stream): void {
    if (stream.isBound) this.#pinned.forget(stream);
    this.#around.countConnection?.(-1);
    this.#places?.freed();
    this.#shortageEases();
    this.#tellIfEmpty();
  }

  dialFailed({ server, asker, isAdopted }: Dial, error: ProxyError): void {
    const { clock, tell } = this.#around;
    // A server that is there, and soon takes one more: it is waited for, unless there is another one.
    const isFull = error.reason === BACKLOG_FULL && this.#servers.length === 1;
    if (isFull || error.type === "connection_limit_reached") return this.#noSocketFor(asker, error);
    const isTold = server.wasNotReached(error, clock.now(), clock.wallMs());
    if (isTold) tell?.lost(this.name, server.url, error, this.#servers.length === 1);
    if (asker !== null) {
      const { handler, failed } = asker;
      this.#dialing.delete(handler);
      // It began before the request was there, and says nothing of one that begins now.
      if (isAdopted) this.#askAgain(asker);
      else {
        this.failedFor(handler, server);
        // A certificate that is wrong stays so, and says nothing of the other servers.
        const mayHelp = error.retryable || (error.side === "upstream" && this.#choice.hasOther(handler));
        failed.onLeaseFailed(error.withRetryable(mayHelp));
      }
    }
    this.#places?.freed();
    this.#tellIfEmpty();
  }

  /** Which is no fault of the server, and may be over soon. */
  #noSocketFor(asker: Asker | null, error: ProxyError): void {
    const { clock, tell } = this.#around;
    if (this.#shortage.felt(error, clock.now())) tell?.short(this.name, error);
    if (asker !== null) {
      this.#dialing.delete(asker.handler);
      this.#askAgain(asker);
    }
    this.#places?.freed();
    this.#tellIfEmpty();
  }

  /** As if it had not been given a connection that is being made. */
  #askAgain(asker: Asker): void {
    const { sender, handler, failed, waitsUntilMs } = asker;
    if (waitsUntilMs === null) return this.#provide(sender, handler, failed);
    this.#wait(asker);
    this.placeFreed();
  }

  failedFor(handler: UpstreamHandler, server: Server): void {
    this.#choice.failedFor(handler, server);
  }

  isBack({ url }: Server): void {
    this.#around.tell?.back(this.name, url);
  }

  /** It closed a new connection without an answer to this handler's request. */
  unanswered(server: Server, handler: UpstreamHandler, error: ProxyError): void {
    const { clock, tell } = this.#around;
    this.failedFor(handler, server);
    const isTold = server.didNotAnswer(error, clock.now(), clock.wallMs());
    if (isTold) tell?.lost(this.name, server.url, error, this.#servers.length === 1);
  }

  reusable(server: Server, stream: Http1Stream, keepAliveMs: number | null): void {
    const { idleMs } = this.#options;
    const restMs = keepAliveMs === null ? idleMs : Math.min(idleMs, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
    const expired = stream.expiresMs <= this.coarseMs;
    if (this.#closed || restMs <= 0 || expired || server.resting.isFull) return stream.close();
    if (stream.isBound) return this.#pin(stream, restMs);
    stream.rest(restMs);
    server.resting.add(stream);
    // Only now: a thread that begins to wait at this moment sees the connection at rest, or we see the thread.
    if (this.#othersComeFirst) return stream.close();
    this.placeFreed();
    this.#serveDialling(server);
  }

  /** What rests is for those who have waited longest for a new connection to this server: that one will rest in its place. */
  #serveDialling(server: Server): void {
    const { asked, resting } = server;
    if (asked.size === 0) return;
    for (const [dial] of asked) {
      if (resting.size === 0) return;
      // Who was served before may have called it off.
      if (!asked.has(dial)) continue;
      const stream = resting.take(dial.asker!.sender, this.coarseMs);
      if (stream === null) continue;
      const { sender, handler, failed } = dial.release();
      this.#dialing.delete(handler);
      // As with connections that rest.
      if (this.#othersComeFirst) this.#abandon(dial);
      this.#grant(stream, sender, handler, failed);
    }
  }

  #pin(stream: Http1Stream, restMs: number): void {
    if (this.#queue.size > 0) return stream.close();
    this.#pinned.keep(stream, restMs);
    // As with connections that rest.
    if (this.#othersComeFirst) stream.close();
  }

  /** A connection came back, or a place for one became free: the first in the queue has it. */
  placeFreed(): void {
    if (this.#serving) return;
    this.#serving = true;
    try {
      this.#serveQueue();
    } finally {
      this.#serving = false;
    }
  }

  #lookForServers(): void {
    this.placeFreed();
    if (this.#queue.size === 0) return;
    this.#look!.arm(LOOK_INTERVAL_MS);
    // One that is there again may be at its maximum with what rests elsewhere.
    this.#places?.waitsStill(this);
  }

  #serveQueue(): void {
    for (let handler = this.#queue.oldest; handler !== undefined; handler = this.#queue.oldest) {
      if (this.#othersComeFirst) return;
      const waiting = this.#queue.get(handler)!;
      const reserved = this.#reserve(waiting.sender, handler);
      if (reserved === null) return;
      this.#leaveQueue(handler, waiting);
      this.#grant(reserved, waiting.sender, handler, waiting.failed, waiting.waitsUntilMs);
    }
  }

  /** Elsewhere. A request that waits there longer than ours comes before what only rests, or is made for nobody: that is given up. */
  placesChanged(): void {
    if (this.#othersComeFirst) this.#giveUpOne();
    this.placeFreed();
  }

  #giveUpOne(): void {
    // Of a server that is worse than others, a place is of no use to who waits.
    const servers = this.#choice.best;
    const resting = servers.find(({ resting }) => resting.size > 0)?.resting.leastRecent;
    if (resting !== undefined) return resting.close();
    const dial = servers.find(({ unasked }) => unasked.size > 0)?.unasked.oldest;
    if (dial !== undefined) return this.#abandon(dial);
    // The last: whose it is would have to authenticate once more.
    this.#pinned.closeOldest();
  }
}

function textOf({ family, address, port }: Address): string {
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
