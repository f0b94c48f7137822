/** What a pool keeps of one of its servers: the connections to it, and those that are being made. */
import type { ProxyError } from "../core/errors.ts";
import { FifoMap } from "../core/fifo-map.ts";
import type { Connection, DialHandler, PendingDial } from "../core/ports.ts";
import type { Sender, UpstreamHandler } from "../pipeline/upstream.ts";
import type { Balanced } from "./balance.ts";
import type { Http1Stream, StreamOwner } from "./http1-stream.ts";
import type { Places } from "./places.ts";
import type { LeaseFailed, PoolServer, UpstreamPool } from "./pool.ts";
import { RestingStreams } from "./resting-streams.ts";
import type { ServerStates } from "./server-states.ts";
import type { Shortage } from "./shortage.ts";

/** What the servers of an upstream share, with other threads where there are some. */
export interface SharedParts {
  /** null: connections have no maximum. */
  readonly places: Places | null;
  readonly states: ServerStates;
  readonly shortage: Shortage;
}

/** One server and its connections. */
export class Server implements Balanced, StreamOwner {
  readonly place: PoolServer;
  readonly address: string;
  readonly #pool: UpstreamPool;
  /** Among the servers of the upstream. */
  readonly #index: number;
  readonly #places: Places | null;
  readonly #states: ServerStates;
  readonly #shortage: Shortage;
  readonly resting: RestingStreams;
  readonly streams = new Set<Http1Stream>();
  /** Connections that are being made and that a request waits for, the longest first. */
  readonly asked = new FifoMap<Dial, true>();
  /** The others: who asked has got another one meanwhile, or has left. The next request without a connection waits for one of them. */
  readonly unasked = new FifoMap<Dial, true>();
  turn = 0;
  /** Connections that rest for one client each. */
  #pinned = 0;

  constructor(pool: UpstreamPool, place: PoolServer, index: number, shared: SharedParts) {
    const { places, states, shortage } = shared;
    this.#pool = pool;
    this.place = place;
    this.#index = index;
    this.#places = places;
    this.#states = states;
    this.#shortage = shortage;
    this.resting = new RestingStreams(places, index);
    const host = place.host.includes(":") ? `[${place.host}]` : place.host;
    this.address = place.port === 0 ? place.host : `${host}:${place.port}`;
  }

  get url(): string {
    return this.place.url;
  }

  get weight(): number {
    return this.place.weight;
  }

  /** Requests that have a connection, or wait for one that is being made. */
  get active(): number {
    return this.streams.size - this.resting.size - this.#pinned + this.asked.size;
  }

  /** Connections that are being made. */
  get dialing(): number {
    return this.asked.size + this.unasked.size;
  }

  /** A connection rests, or is being made for nobody, or there may be one more. */
  hasPlace(): boolean {
    const places = this.#places;
    const { mayDial } = this.#shortage;
    if ((places === null && mayDial) || this.resting.size > 0 || this.unasked.size > 0) return true;
    return mayDial && (places === null || places.isFree(this.#index, this.#pool.connectionsMax));
  }

  isAvoided(nowMs: number): boolean {
    return this.#states.isAvoided(this.#index, nowMs);
  }

  isLost(nowMs: number): boolean {
    return this.#states.isLost(this.#index, nowMs);
  }

  beginsDial(nowMs: number): void {
    this.#states.beginsDial(this.#index, nowMs);
  }

  /** True: it is to be told that it is there again. */
  wasReached(): boolean {
    return this.#states.wasReached(this.#index);
  }

  /** True: it is to be told that it is away. */
  wasNotReached({ type }: ProxyError, nowMs: number, wallMs: number): boolean {
    return this.#states.wasNotReached(this.#index, type, nowMs, wallMs);
  }

  /** For a new connection; false: there is none left. */
  takePlace(): boolean {
    return (
      this.#shortage.mayDial && (this.#places === null || this.#places.take(this.#index, this.#pool.connectionsMax))
    );
  }

  /** True: as of `wasNotReached`. */
  didNotAnswer({ type }: ProxyError, nowMs: number, wallMs: number): boolean {
    return this.#states.didNotAnswer(this.#index, type, nowMs, wallMs);
  }

  /** Connections that are being made for nobody, by plus or minus one: other threads may have their places. */
  countUnasked(change: 1 | -1): void {
    this.#places?.countResting(this.#index, change);
  }

  /** The place of a connection that was not made. */
  givePlaceBack(): void {
    this.#places?.giveBack(this.#index);
  }

  add(stream: Http1Stream): void {
    this.streams.add(stream);
    this.#states.countConnection(this.#index, 1);
  }

  onLent(): void {
    this.#states.countRequest(this.#index);
  }

  onReusable(stream: Http1Stream, keepAliveMs: number | null): void {
    if (stream.answers > 0) this.resting.answeredAgain();
    this.#pool.reusable(this, stream, keepAliveMs);
  }

  onAnswer(): void {
    if (this.#states.answered(this.#index)) this.#pool.isBack(this);
  }

  onUnanswered(stream: Http1Stream, handler: UpstreamHandler, error: ProxyError): void {
    if (!stream.reused) return this.#pool.unanswered(this, handler, error);
    this.onClosedAtRest(stream);
    // It had died while it rested, as when a server was started anew. The others have rested longer, and would cost another
    // attempt each.
    this.resting.closeAll();
  }

  onBadAnswer(): void {
    this.#states.countBadAnswer(this.#index);
  }

  onClosedAtRest(stream: Http1Stream): void {
    this.resting.closedByServer(stream, this.#pool.coarseMs);
  }

  /** What rests for one client holds a place that a request of another thread may need. */
  onPinned(isPinned: boolean): void {
    const change = isPinned ? 1 : -1;
    this.#pinned += change;
    this.#places?.countResting(this.#index, change);
  }

  onGone(stream: Http1Stream): void {
    if (!this.streams.delete(stream)) return;
    this.resting.forget(stream);
    this.#states.countConnection(this.#index, -1);
    this.#places?.giveBack(this.#index);
    this.#pool.gone(stream);
  }
}

/** A request that waits for a connection. */
export interface Asker {
  readonly sender: Sender;
  readonly handler: UpstreamHandler;
  readonly failed: LeaseFailed;
  /** By the clock of the pool: it has waited in the queue, and does so until then at most; null: it has not. */
  readonly waitsUntilMs: number | null;
}

/** A connection that is being made, because a request asked for it. */
export class Dial implements DialHandler {
  readonly server: Server;
  /** null: the request has got another one, or its client has left. */
  asker: Asker | null;
  /** The one that it was begun for needs it no more, and who waits for it came later. */
  isAdopted = false;
  pending: PendingDial | null = null;
  readonly #pool: UpstreamPool;

  constructor(pool: UpstreamPool, server: Server, asker: Asker) {
    this.#pool = pool;
    this.server = server;
    this.asker = asker;
    server.asked.set(this, true);
  }

  /** The request needs it no more: it will be whoever's comes next. */
  release(): Asker {
    const { asker, server } = this;
    this.asker = null;
    server.asked.delete(this);
    server.unasked.set(this, true);
    server.countUnasked(1);
    return asker!;
  }

  /** That is this request, before the connection is there. */
  askedBy(asker: Asker): void {
    const { server } = this;
    this.asker = asker;
    this.isAdopted = true;
    server.unasked.delete(this);
    server.countUnasked(-1);
    server.asked.set(this, true);
  }

  /** Nobody wants it any more. */
  cancel(): void {
    this.pending?.cancel();
    this.#over();
    this.server.givePlaceBack();
  }

  onConnected(connection: Connection): void {
    this.#over();
    this.#pool.connected(this, connection);
  }

  onFailed(error: ProxyError): void {
    this.#over();
    this.server.givePlaceBack();
    this.#pool.dialFailed(this, error);
  }

  #over(): void {
    const { asked, unasked } = this.server;
    asked.delete(this);
    if (unasked.delete(this)) this.server.countUnasked(-1);
  }
}
