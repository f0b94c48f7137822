/**
 * What stands in for the client of a request that a feature sends by itself (fork.ts says what such a request is): it takes the
 * answer from the life of that request and tells the handler. It decides how the handler and the pipeline push back, and what is
 * kept of the exchange that the request came from; that exchange itself is let go as soon as the request has its answer.
 */
import { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import { BODY_UNTIL_END, type RequestMessage, type ResponseMessage } from "../core/message.ts";
import type { Address, TlsInfo } from "../core/ports.ts";
import type { Chain } from "./chain.ts";
import type { Downstream } from "./downstream.ts";
import type { ClientConnection, Exchange, Identity } from "./exchange.ts";
import { proxyClosed, wrongLength } from "./faults.ts";
import type { Fork, ForkHandler, ForkPoint } from "./fork.ts";
import { type ConnectionOrigin, Forwarding } from "./forwarding.ts";
import type { Route, Site } from "./site.ts";
import type { Upstream } from "./upstream.ts";

/** Of an exchange, what its forks need, also when it is over. Never changed. */
export interface ForkOrigin {
  readonly site: Site;
  readonly route: Route;
  /** The features that forks pass. */
  readonly chain: Chain;
  readonly connection: ClientConnection;
  readonly clientAddress: string;
  readonly identity: Identity | null;
  readonly forward: Forwarding | null;
  readonly upstream: Upstream | null;
  readonly receivedRows: number;
}

/** The life of a forked request. */
export interface ForkedLife extends Exchange {
  /** The answer came from an upstream. */
  readonly isForwarded: boolean;
  begin(): void;
  /** Goes on with an answer that was there before anybody could be told of it. */
  goOn(): void;
  onClientFull(): void;
  onClientDrain(): void;
  onClientGone(error: ProxyError): void;
}

export type BeginFork = (from: ForkOrigin, client: ForkClient, request: RequestMessage) => ForkedLife;

/** The forked requests of a proxy that are under way: no client's connection tells of them, and yet the proxy is not at rest. */
export class Forks {
  readonly #clients = new Set<ForkClient>();
  #onEmpty: (() => void) | null = null;
  #closed = false;

  get size(): number {
    return this.#clients.size;
  }

  add(client: ForkClient): void {
    this.#clients.add(client);
    if (this.#closed) client.close();
  }

  forget(client: ForkClient): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#onEmpty?.();
  }

  /** Resolves when there are none. Called once at most. */
  untilEmpty(): Promise<void> {
    if (this.#clients.size === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    return promise;
  }

  /** Ends all of them at once, and every one that is begun from now on; handlers are told. */
  destroy(): void {
    this.#closed = true;
    for (const client of this.#clients) client.close();
  }
}

/** The place behind a feature in the life of one exchange. */
export class ForksBehind implements ForkPoint {
  readonly #from: ForkOrigin;
  readonly #begin: BeginFork;
  /** Whose log tells what its forks cost; null: it is over, or has an answer already. */
  #exchange: Exchange | null;
  readonly #report = (fork: Exchange): void => this.#tellLog(fork);

  constructor(from: ForkOrigin, exchange: Exchange, begin: BeginFork) {
    this.#from = from;
    this.#exchange = exchange;
    this.#begin = begin;
  }

  fork(request: RequestMessage, handler: ForkHandler): Fork {
    if (request.bodyBytes !== 0) throw new Error("a forked request has no body");
    if (request.method === "CONNECT") throw new Error("a tunnel cannot be forked");
    request.upgrade = null;
    const client = new ForkClient(this.#from, handler, this.#report);
    client.begin(this.#begin(this.#from, client, request));
    return new ForkedRequest(this, client);
  }

  /** A fork has its answer, or will have none: if the exchange waits for it, this is what its log is to tell of. */
  #tellLog(fork: Exchange): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (exchange.ended || exchange.response !== null) {
      this.#exchange = null;
      return;
    }
    exchange.attempts = fork.attempts;
    exchange.upstream = fork.upstream;
    exchange.upstreamAddress = fork.upstreamAddress;
    exchange.upstreamSentMs = fork.upstreamSentMs;
    exchange.upstreamFirstByteMs = fork.upstreamFirstByteMs;
    if (exchange.forward !== null && fork.forward !== null) exchange.forward.via = fork.forward.via;
  }
}

/** The same request to the same place, and no client that waits for a tunnel or could be told of it. */
export function forwardingOfForks(forward: Forwarding): Forwarding {
  const copy = new Forwarding(forward.destination, forward.user, forward.claimed);
  copy.isHostVerified = forward.isHostVerified;
  copy.access = forward.access;
  return copy;
}

/** What stands where a client would. */
export class ForkClient implements Downstream {
  readonly local: Address;
  readonly remote: Address;
  readonly tls: TlsInfo | null;
  readonly origin: ConnectionOrigin | null;
  readonly user: Identity | null;
  readonly protocol?: string;
  readonly #identity: Identity | null;
  readonly #report: (fork: Exchange) => void;
  readonly #forks: Forks;
  /** null: nothing more is told. */
  #handler: ForkHandler | null;
  #life: ForkedLife | null = null;
  #upstreamAddress: string | null = null;
  /** `fork` has not returned: the handler is told nothing. */
  #isStarting = true;
  #isPaused = false;
  #headSent = false;
  /** Of the body that was announced, what has not come; BODY_UNTIL_END: only its end will tell. */
  #left = 0;

  constructor({ site, connection, identity }: ForkOrigin, handler: ForkHandler, report: (fork: Exchange) => void) {
    this.#forks = site.forks;
    this.#identity = identity;
    this.#handler = handler;
    this.#report = report;
    // What is true of the client's connection, and not that itself: it closes while this goes on.
    this.local = connection.local;
    this.remote = connection.remote;
    this.tls = connection.tls;
    this.origin = connection.origin ?? null;
    this.user = connection.user ?? null;
    if (connection.protocol !== undefined) this.protocol = connection.protocol;
  }

  begin(life: ForkedLife): void {
    this.#life = life;
    this.#forks.add(this);
    if (!life.ended) life.begin();
    this.#isStarting = false;
  }

  /** Asked before the answer begins: it has to wait for `goOn`, which follows then. */
  waitsForStart(): boolean {
    if (this.#isStarting) queueMicrotask(() => this.#life?.goOn());
    return this.#isStarting;
  }

  // ------------------------------------------------------------------------------------------------ the feature

  get upstreamAddress(): string | null {
    return this.#life === null ? this.#upstreamAddress : this.#life.upstreamAddress;
  }

  get isIdentified(): boolean {
    return this.#life !== null && this.#life.identity !== this.#identity;
  }

  pause(): void {
    this.#isPaused = true;
    // Before the head nothing flows; the first part of the body will meet a client that is full.
    if (this.#headSent) this.#life?.onClientFull();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#life?.onClientDrain();
  }

  giveUp(): void {
    this.#handler = null;
    this.#life?.onClientGone(new ProxyError("http_request_error", "the request was given up", { status: 499 }));
  }

  /** The proxy closes. */
  close(): void {
    const error = proxyClosed();
    this.#life?.fail(error);
  }

  // ------------------------------------------------------------------------------------- the exchange's calls

  get queuedBytes(): number {
    return this.#isPaused ? QUEUE_HIGH_WATER_BYTES + 1 : 0;
  }

  startRequestBody(): void {}

  pauseRequestBody(): void {}

  resumeRequestBody(): void {}

  sendInformational(response: ResponseMessage): void {
    // There is no body that anybody could wait to send.
    if (response.status !== 100) this.#handler?.onInformational(response);
  }

  sendHead(response: ResponseMessage): void {
    const life = this.#life!;
    const { status, bodyBytes } = response;
    this.#headSent = true;
    const hasBody = life.request.method !== "HEAD" && status !== 204 && status !== 304;
    this.#left = hasBody ? bodyBytes : 0;
    this.#report(life);
    this.#handler?.onHead(response, life.isForwarded);
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#left !== BODY_UNTIL_END) {
      if (end - start > this.#left) return this.#life!.fail(wrongLength("longer"));
      this.#left -= end - start;
    }
    this.#handler?.onBody(bytes, start, end);
  }

  spliceFrom(): null {
    return null;
  }

  sendFile(): boolean {
    return false;
  }

  get unsentBytes(): number {
    return 0;
  }

  onBodySpliced(): void {}

  end(trailers: FieldBlock | null): void {
    if (this.#left > 0) return this.#life!.fail(wrongLength("shorter"));
    const handler = this.#handler;
    this.#handler = null;
    handler?.onEnd(trailers);
  }

  abort(error: ProxyError): void {
    this.#report(this.#life!);
    if (this.#isStarting) queueMicrotask(() => this.#fail(error));
    else this.#fail(error);
  }

  #fail(error: ProxyError): void {
    const handler = this.#handler;
    this.#handler = null;
    handler?.onFailed(error);
  }

  takeOver(): never {
    throw new Error("a forked request has no connection to give");
  }

  onExchangeEnd(): void {
    this.#upstreamAddress = this.#life!.upstreamAddress;
    this.#life = null;
    this.#forks.forget(this);
  }
}

/** What the feature has of a request that it has sent. */
class ForkedRequest implements Fork {
  readonly #point: ForkPoint;
  readonly #client: ForkClient;

  constructor(point: ForkPoint, client: ForkClient) {
    this.#point = point;
    this.#client = client;
  }

  get upstreamAddress(): string | null {
    return this.#client.upstreamAddress;
  }

  get isIdentified(): boolean {
    return this.#client.isIdentified;
  }

  pause(): void {
    this.#client.pause();
  }

  resume(): void {
    this.#client.resume();
  }

  abort(): void {
    this.#client.giveUp();
  }

  again(request: RequestMessage, handler: ForkHandler): Fork {
    return this.#point.fork(request, handler);
  }
}
