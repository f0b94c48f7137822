/**
 * The life of a request, from its head to the log: `#walk` reads from top to bottom. Every step is either done at once or
 * waits, and then the walk is taken up again where it stood: nothing on the path of a request that need not wait makes a
 * promise, a closure or a timer.
 *
 * Life decides the order of things and what happens when one fails. It never touches a socket (drivers and upstreams do)
 * and knows no version of HTTP. How the bodies flow is not its matter: the request's is a RequestBody, the answer's the class that
 * this one extends (answer-flow.ts); nor what its own answers look like (own-answer.ts, failure.ts).
 *
 * It is long because what is left is one state machine: every event can come in every step, and what it means there is best seen in
 * one place. The beginnings of tunnels and the rule for another attempt stand here too: they are little more than which step
 * follows, and what has to be let go of before.
 */
import { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import { BODY_PROGRESS_TIMEOUT_MS, WEBSOCKET_END_MS } from "../core/limits.ts";
import { type RequestMessage, ResponseMessage } from "../core/message.ts";
import type { Connection, Splice, SpliceHandler } from "../core/ports.ts";
import { removeForwarded } from "../semantics/forwarded.ts";
import { isIdempotent } from "../semantics/idempotent.ts";
import { admit, isLastRecipient } from "./admission.ts";
import { AnswerFlow } from "./answer-flow.ts";
import type { BodyProducer } from "./body.ts";
import { type Chain, EMPTY_CHAIN, type Hook } from "./chain.ts";
import type { Downstream, TakenOver } from "./downstream.ts";
import type { Answer, Exchange } from "./exchange.ts";
import { ASKED_AS_SERVER, failureAnswer } from "./failure.ts";
import type { Fork, ForkHandler, ForkPoint } from "./fork.ts";
import { type ForkClient, type ForkedLife, type ForkOrigin, ForksBehind, forwardingOfForks } from "./forked.ts";
import type { ConnectionTaker, TakenConnection } from "./forwarding.ts";
import { heed } from "./guard.ts";
import { bodyTooLarge } from "./held-body.ts";
import { bodyOf, messageOf } from "./own-answer.ts";
import type { Feature, Waiting } from "./phases.ts";
import {
  assertBodyBytes,
  completeResponse,
  prepareHost,
  prepareRequest,
  prepareResponse,
  removeFraming,
} from "./prepare.ts";
import { RequestBody } from "./request-body.ts";
import type { Route, Site } from "./site.ts";
import { AnswerSplice, type BodySplice } from "./splice.ts";
import { Tunnel } from "./tunnel.ts";
import type { Lessor, UpstreamHandler, UpstreamStream } from "./upstream.ts";

// The steps of the walk, in order. WAIT steps are left by an event of the upstream or of the client.
const ADMIT = 0;
const ROUTE = 1;
const REQUEST = 2;
const HANDLE = 3;
const SELECT_UPSTREAM = 4;
const LEASE = 5;
const LEASE_WAIT = 6;
const CONNECTED = 7;
const UPSTREAM_REQUEST = 8;
const SEND = 9;
const ANSWER_WAIT = 10;
const UPSTREAM_RESPONSE = 11;
const RESPONSE = 12;
const HEAD = 13;
const BODY = 14;
const TUNNEL = 15;

type WaitingPhase = "request" | "selectUpstream" | "upstreamRequest" | "upstreamResponse" | "response";
type WaitingHook = (exchange: Exchange, response: ResponseMessage | null) => Waiting;

export class Life extends AnswerFlow implements UpstreamHandler, ForkedLife {
  readonly #site: Site;
  #route: Route | null = null;
  #chain: Chain = EMPTY_CHAIN;
  #step = ADMIT;
  /** The hook of the current phase that runs next. */
  #hook = 0;
  /** The walk is on the stack: events only note what happened, it goes on by itself. */
  #walking = false;
  /** A hook's promise is pending. */
  #pending = false;

  /** Time has passed since the request came: a hook or a connection was waited for. */
  #waited = false;

  #stream: UpstreamStream | null = null;
  /** Whom a stream was asked of last. */
  #lessor: Lessor | null = null;
  #prepared = false;
  #upgrade: string | null = null;
  /** The client sends a body. */
  readonly #hasBody: boolean;
  #requestBody: RequestBody | null = null;

  /** The answer came from an upstream. */
  #forwarded = false;
  /** Only features before this place in `use` see the answer. */
  #answeredBy = Number.POSITIVE_INFINITY;
  /** The answer is that of an error. */
  #failing = false;
  /** The body of an answer of our own. */
  #ownBody: Buffer | BodyProducer | null = null;

  #switched: { readonly connection: Connection; readonly early: Buffer } | null = null;
  #tunnel: TakenConnection | null = null;
  /** The answer says that the client has its tunnel, and somebody is to take the connection over. */
  #isGiven = false;
  /** A feature has sent this request by itself: there is no client, and nobody to tell of it but that feature. */
  readonly #fork: ForkClient | null;

  constructor(
    site: Site,
    downstream: Downstream,
    request: RequestMessage,
    startedMs: number,
    receivedRows?: number,
    fork: ForkClient | null = null,
  ) {
    super(downstream, request, startedMs, receivedRows);
    this.#site = site;
    this.#hasBody = request.bodyBytes !== 0;
    this.#fork = fork;
  }

  /** A request that is let in already: it begins behind the feature that sends it. */
  static #beginFork(from: ForkOrigin, client: ForkClient, request: RequestMessage): Life {
    const { site, receivedRows, forward } = from;
    const rows = Math.min(receivedRows, request.fields.rowCount);
    const life = new Life(site, client, request, site.clock.now(), rows, client);
    life.clientAddress = from.clientAddress;
    life.identity = from.identity;
    life.forward = forward === null ? null : forwardingOfForks(forward);
    life.upstream = from.upstream;
    life.#route = from.route;
    life.#chain = from.chain;
    life.#step = REQUEST;
    return life;
  }

  get routeName(): string | null {
    return this.#route === null ? null : this.#route.name;
  }

  /** How long the client may let its body, or its answer, stand still. */
  get bodyTimeoutMs(): number {
    return this.#route === null ? BODY_PROGRESS_TIMEOUT_MS : this.#route.limits.bodyTimeoutMs;
  }

  /** The driver has a complete head. */
  begin(): void {
    this.#advance();
  }

  /** Takes the walk up where it stands, unless it is under way or waits for a hook. */
  #advance(): void {
    if (this.#walking || this.#pending) return;
    this.#walking = true;
    try {
      this.#walk();
    } catch (thrown) {
      this.#walking = false;
      this.fail(ProxyError.from(thrown));
    }
    this.#walking = false;
  }

  #walk(): void {
    while (!this.ended) {
      switch (this.#step) {
        case ADMIT: {
          const refused = admit(this, this.#site);
          if (refused !== null) this.fail(refused);
          else this.#step = ROUTE;
          break;
        }
        case ROUTE: {
          const route = this.forward === null ? this.#site.router.find(this) : this.#site.forward;
          if (route === null) {
            this.fail(unmatched(this.#site));
            break;
          }
          this.#route = route;
          this.#chain = route.chain;
          this.upstream = route.upstream;
          this.#step = REQUEST;
          break;
        }
        case REQUEST:
          if (!this.#runHooks(this.#chain.request, "request")) return;
          if (this.response !== null) this.#step = RESPONSE;
          else if (!this.#exceedsBodyLimit(this.request.bodyBytes)) {
            this.#step = this.#route!.handler === null ? SELECT_UPSTREAM : HANDLE;
          }
          break;
        case HANDLE: {
          this.#step = RESPONSE;
          const waiting = this.#route!.handler!(this);
          if (waiting !== undefined) return this.#waitFor(waiting);
          break;
        }
        case SELECT_UPSTREAM:
          if (!this.#runHooks(this.#chain.selectUpstream, "selectUpstream")) return;
          if (this.response === null && isLastRecipient(this.request)) this.respond({ status: 200 });
          this.#step = this.response === null ? LEASE : RESPONSE;
          break;
        case LEASE:
          if (this.forward !== null && this.forward.taker !== null) {
            this.#isGiven = true;
            this.response = new ResponseMessage();
            this.#step = RESPONSE;
            break;
          }
          if (this.upstream === null) throw new ProxyError("proxy_configuration_error", "no upstream was chosen");
          this.#step = LEASE_WAIT;
          this.attempts++;
          this.#lessor = this.upstream.lease(this, this);
          break;
        case CONNECTED:
          this.#step = UPSTREAM_REQUEST;
          this.#prepareUpstreamRequest();
          break;
        case UPSTREAM_REQUEST:
          if (!this.#runHooks(this.#chain.upstreamRequest, "upstreamRequest")) return;
          this.#step = this.response === null ? SEND : RESPONSE;
          break;
        case SEND:
          this.#step = ANSWER_WAIT;
          this.#sendRequest();
          break;
        case UPSTREAM_RESPONSE:
          if (!this.#runHooks(this.#chain.upstreamResponse, "upstreamResponse")) return;
          this.#step = RESPONSE;
          break;
        case RESPONSE:
          if (this.response === null)
            throw new ProxyError("proxy_internal_error", "the route's handler did not answer");
          if (this.#fork?.waitsForStart()) return;
          if (!this.#runHooks(this.#chain.response, "response")) return;
          this.#step = HEAD;
          break;
        case HEAD:
          this.#sendHead();
          break;
        default:
          return;
      }
    }
  }

  /** From here on the walk is at that step, and before the first of its hooks. */
  #goTo(step: number): void {
    this.#step = step;
    this.#hook = 0;
  }

  // ------------------------------------------------------------------------------------------------------- hooks

  /** Runs the hooks of a phase from where it stands. False when one must be waited for, or the exchange has ended. */
  #runHooks(hooks: readonly Hook[] | null, phase: WaitingPhase): boolean {
    if (hooks === null) return true;
    const step = this.#step;
    const answering = step >= UPSTREAM_RESPONSE;
    while (this.#hook < hooks.length && (answering || this.response === null)) {
      const { feature, index } = hooks[this.#hook++]!;
      if (answering && index >= this.#answeredBy) continue;
      const waiting = (feature[phase] as WaitingHook)(this, this.response);
      if (this.ended) return false;
      if (waiting !== undefined) {
        this.#waitFor(waiting);
        return false;
      }
      // The hook failed the exchange: the walk goes on with the error's answer.
      if (this.#step !== step) return true;
    }
    this.#hook = 0;
    return true;
  }

  /** The place in `use` of the feature whose request hook runs, or is waited for; null: none. */
  get #caller(): number | null {
    return this.#step === REQUEST && this.#hook > 0 ? this.#chain.request![this.#hook - 1]!.index : null;
  }

  /** Runs hooks that cannot wait, outside of the walk; one that throws fails the exchange. */
  #notify(hooks: readonly Hook[] | null, call: (feature: Feature) => unknown): void {
    if (hooks === null) return;
    try {
      for (const { feature } of hooks) this.#heed(call(feature));
    } catch (thrown) {
      this.fail(ProxyError.from(thrown));
    }
  }

  /** What a hook has returned that nothing waits for: if it was `async`, it may fail the exchange later. */
  #heed(returned: unknown): void {
    if (returned !== undefined) heed(returned, (error) => (this.ended ? this.#tellLate(error) : this.fail(error)));
  }

  #tellLate(error: ProxyError): void {
    this.#site.observer?.onLateFault?.(this, error);
  }

  #waitFor(waiting: Promise<void>): void {
    this.#pending = this.#waited = true;
    // The upstream's body must not run ahead of a hook that still looks at its head.
    if (this.#step >= UPSTREAM_RESPONSE) this.#stream?.pause();
    // A plugin in JavaScript may return anything: a promise of another making, or no promise at all.
    const wasFailing = this.#failing;
    Promise.resolve(waiting).then(
      () => {
        this.#pending = false;
        this.#advance();
      },
      (thrown: unknown) => {
        this.#pending = false;
        // What has failed meanwhile has its answer already, and the hook its error from there.
        if (this.#failing && !wasFailing) this.#advance();
        else this.fail(ProxyError.from(thrown));
      },
    );
  }

  // --------------------------------------------------------------------------------------- answers of our own

  respond(answer: Answer): boolean {
    if (this.ended || this.response !== null) return false;
    const body = bodyOf(answer);
    const response = messageOf(answer, body);
    this.#ownBody = body;
    this.response = response;
    this.#answeredBy = this.#caller ?? this.#answeredBy;
    this.#dropUpstream();
    // Of an answer by a request hook the walk takes notice when that hook is done.
    const isNoticed = this.#step <= REQUEST && (this.#walking || this.#pending);
    if (!isNoticed) this.#goTo(RESPONSE);
    this.#advance();
    return true;
  }

  fail(error: ProxyError): void {
    if (this.ended) {
      // By a transform that was told of the end, or by what was waited for nowhere: the bug would stay unknown.
      if (error.type === "proxy_internal_error") this.#tellLate(error);
      return;
    }
    this.error ??= error;
    // The client must see that the answer is broken.
    if (this.#tunnel !== null) return this.#tunnel.destroy(error);
    if (this.#step >= BODY) return this.#finish(error);
    this.#dropUpstream();
    this.#requestBody?.abandonHeld(error);
    this.response?.fields.release();
    this.response = null;
    this.#ownBody = null;
    this.#forwarded = this.#isGiven = false;
    this.#answeredBy = this.#caller ?? this.#answeredBy;
    // A hook on the error's own answer failed: that answer goes out without hooks.
    const again = this.#failing;
    if (again) this.#answeredBy = -1;
    this.#failing = true;
    this.#goTo(RESPONSE);
    const nested = this.#walking;
    this.#walking = true;
    if (!again) this.#askForErrorPage(error);
    if (this.response === null) {
      if (this.#fork !== null) this.#finish(error);
      else this.respond(failureAnswer(this, error));
    }
    this.#walking = nested;
    this.#advance();
  }

  #askForErrorPage(error: ProxyError): void {
    for (const { feature } of this.#chain.proxyError ?? []) {
      if (this.response !== null) return;
      try {
        const returned: unknown = feature.proxyError!(this, error);
        // What an `async` one rejects with comes too late for another answer.
        if (returned !== undefined) {
          heed(returned, (late) => {
            if (this.ended) this.#tellLate(late);
            else this.error = late;
          });
        }
      } catch (thrown) {
        this.error = ProxyError.from(thrown);
      }
    }
  }

  // --------------------------------------------------------------------------------------- requests of features

  fork(request: RequestMessage, handler: ForkHandler): Fork {
    return this.forkPoint().fork(request, handler);
  }

  forkPoint(): ForkPoint {
    const place = this.#caller;
    if (place === null) throw new Error("only a request hook can fork");
    const from: ForkOrigin = {
      site: this.#site,
      route: this.#route!,
      chain: this.#chain.behind(place),
      connection: this.connection,
      clientAddress: this.clientAddress,
      identity: this.identity,
      forward: this.forward,
      upstream: this.upstream,
      receivedRows: this.receivedRows,
    };
    return new ForksBehind(from, this, Life.#beginFork);
  }

  get isForwarded(): boolean {
    return this.#forwarded;
  }

  goOn(): void {
    this.#advance();
  }

  /** Gives up whatever is under way towards the upstream. */
  #dropUpstream(): void {
    if (this.#step === LEASE_WAIT) this.#lessor?.cancel(this);
    const stream = this.#stream;
    this.#streamGone();
    stream?.abort(this);
    this.#switched?.connection.destroy(undefined, true);
    this.#switched = null;
    this.dropHeld();
  }

  #streamGone(): void {
    this.#stream = null;
    this.#requestBody?.lost();
    this.endSplice();
  }

  // ----------------------------------------------------------------------------------------- to the upstream

  get retriesMax(): number {
    return this.#route!.use.retriesMax;
  }

  onStream(stream: UpstreamStream): void {
    this.#stream = stream;
    this.upstreamAddress = stream.address;
    this.#step = CONNECTED;
    if (!this.#walking) this.#waited = true;
    this.#advance();
  }

  #prepareUpstreamRequest(): void {
    if (this.#chain.upstreamConnected !== null) {
      for (const { feature } of this.#chain.upstreamConnected) {
        this.#heed(feature.upstreamConnected!(this));
        if (this.#stream === null) return;
      }
    }
    if (!this.#prepared) {
      this.#prepared = true;
      const { upgrade, bodyBytes } = this.request;
      if (upgrade !== null && bodyBytes === 0 && this.#route!.upgrade.includes(upgrade)) this.#upgrade = upgrade;
      prepareRequest(this.request, this.receivedRows, this.#site);
    }
    prepareHost(this, this.#route!.use.host, this.#stream!);
  }

  onLeaseFailed(error: ProxyError): void {
    this.#retryOrFail(error, true);
  }

  #sendRequest(): void {
    const stream = this.#stream!;
    const { request } = this;
    assertBodyBytes(request.bodyBytes);
    if (request.bodyBytes !== 0) {
      this.#prepareRequestBody();
      // Its transforms may have failed the exchange, or have gone on writing while there was no stream.
      if (this.#stream === null) return;
      if (!this.#requestBody!.repeatable) {
        return this.fail(new ProxyError("connection_terminated", "the body has become too large to be sent again"));
      }
    }
    if (this.#chain.upstreamRequest !== null) removeFraming(request.fields);
    this.upstreamSentMs = this.#waited ? this.#site.clock.now() : this.startedMs;
    stream.sendHead(this, this.#upgrade, this.#route!.use);
    if (request.bodyBytes === 0) stream.end(null);
    else this.#requestBody!.attach(stream);
  }

  #prepareRequestBody(): void {
    const body = this.#bodyOfRequest();
    if (body.isOnItsWay) return;
    const replayable = this.retriesMax > 0 && isIdempotent(this.request.method);
    body.prepare(this.#chain.requestBody, replayable);
  }

  #bodyOfRequest(): RequestBody {
    this.#requestBody ??= new RequestBody(this, this.#hasBody ? this.connection : null);
    return this.#requestBody;
  }

  wholeBody(bytesMax: number): Promise<Buffer> {
    if (!this.#hasBody || this.ended) return Promise.resolve(NO_BYTES);
    const body = this.#bodyOfRequest();
    if (body.isOnItsWay) throw new Error("the request's body is on its way already");
    const max = Math.min(bytesMax, this.#route?.limits.bodyBytesMax ?? Number.POSITIVE_INFINITY);
    if (this.request.bodyBytes > max) return Promise.reject(bodyTooLarge(max));
    // The upstream's own 100 comes too late for a client that waits for it (RFC 9110 section 10.1.1).
    if (!body.isHeld) this.connection.sendInformational(new ResponseMessage(100));
    return body.whole(bytesMax);
  }

  /** The driver has received a part of the request's body. */
  onRequestBody(bytes: Buffer, start: number, end: number): void {
    // What still comes of a body that has failed the exchange is not to fail it again.
    if (this.ended || this.#failing) return;
    this.requestBodyBytes += end - start;
    if (!this.#exceedsBodyLimit(this.requestBodyBytes)) this.#requestBody!.receive(bytes, start, end);
  }

  /** The driver has received the end of the request. */
  onRequestEnd(trailers: FieldBlock | null): void {
    if (this.ended || this.#failing) return;
    // What the client took for its body is not the upstream's time.
    if (this.#step === ANSWER_WAIT) this.upstreamSentMs = this.#site.clock.now();
    if (trailers !== null) removeForwarded(trailers);
    this.#requestBody!.receiveEnd(trailers);
  }

  /**
   * The driver: all that has arrived of the request's body was given, and `bytes` more that it need not see are to come at
   * `from`. null: it goes on giving them.
   */
  onRequestBodyAhead(from: Connection, bytes: number, giver: SpliceHandler): BodySplice | null {
    if (this.ended) return null;
    const { bodyBytesMax } = this.#route!.limits;
    if (bodyBytesMax !== null && this.requestBodyBytes + bytes >= bodyBytesMax) return null;
    return this.#requestBody!.spliceFrom(from, bytes, giver, this.#route!, this.#site.deadlines);
  }

  onUpstreamDrain(): void {
    this.#requestBody?.unblock();
  }

  /** Fails the exchange when a body of that many bytes is too large for the route. */
  #exceedsBodyLimit(bodyBytes: number): boolean {
    const limit = this.#route === null ? null : this.#route.limits.bodyBytesMax;
    if (limit === null || bodyBytes <= limit) return false;
    this.fail(bodyTooLarge(limit));
    return true;
  }

  onUpstreamError(error: ProxyError, unanswered: boolean): void {
    this.#streamGone();
    if (this.ended) return;
    if (this.response !== null || !unanswered) return this.fail(error);
    this.#retryOrFail(error, this.#step <= UPSTREAM_REQUEST);
  }

  /** Before a byte of an answer arrived: another attempt where the rules allow it (RFC 9110 section 9.2.2). */
  #retryOrFail(error: ProxyError, nothingSent: boolean): void {
    this.#notify(this.#chain.connectError, (feature) => feature.connectError!(this, error));
    if (this.ended || this.response !== null) return;
    const repeatable =
      (nothingSent || isIdempotent(this.request.method)) &&
      (this.#requestBody === null || this.#requestBody.repeatable);
    const helps = error.retryable && this.attempts <= this.retriesMax;
    // A hook may have taken the upstream away. The budget is asked last: what it grants is taken.
    if (!repeatable || !helps || this.upstream === null || !this.#lessor!.allowRetry(this, nothingSent)) {
      return this.fail(error);
    }
    this.#waited = true;
    this.#goTo(LEASE);
    this.#advance();
  }

  // --------------------------------------------------------------------------------------- from the upstream

  onUpstreamInformational(response: ResponseMessage): void {
    prepareResponse(response);
    this.#passInformational(response, Number.POSITIVE_INFINITY);
  }

  informational(response: ResponseMessage): void {
    const place = this.#caller;
    if (!this.ended && place !== null) this.#passInformational(response, place);
  }

  /** Past the features before this place in `use`, to the client. */
  #passInformational(response: ResponseMessage, from: number): void {
    let wanted = true;
    try {
      for (const { feature, index } of this.#chain.upstreamInformational ?? []) {
        if (index >= from || !wanted) continue;
        const verdict: unknown = feature.upstreamInformational!(this, response);
        if (typeof verdict !== "boolean") this.#heed(verdict);
        wanted = Boolean(verdict);
      }
    } catch (thrown) {
      this.fail(ProxyError.from(thrown));
    }
    if (wanted && this.response === null && !this.ended) this.connection.sendInformational(response);
  }

  onUpstreamHead(response: ResponseMessage): void {
    this.upstreamFirstByteMs = this.#site.clock.now();
    prepareResponse(response);
    this.response = response;
    this.#forwarded = true;
    this.#goTo(UPSTREAM_RESPONSE);
    this.#advance();
  }

  onUpstreamEnd(trailers: FieldBlock | null): void {
    this.#streamGone();
    this.takeEnd(trailers);
  }

  onUpstreamSwitch(response: ResponseMessage, connection: Connection, early: Buffer): void {
    this.#switched = { connection, early };
    this.onUpstreamHead(response);
  }

  // ------------------------------------------------------------------------------------------- to the client

  #sendHead(): void {
    const response = this.response!;
    assertBodyBytes(response.bodyBytes);
    if (this.#switched !== null && !this.#switches(response)) {
      // A feature answers something else: what the upstream sends from here on is nobody's.
      this.#dropUpstream();
      this.#forwarded = false;
    }
    const chain = this.#chain;
    const forwarded = this.#forwarded;
    // What features have added: fields of the upstream's answer that belong to its hop are gone already.
    if (!forwarded || chain.response !== null || chain.upstreamResponse !== null) removeFraming(response.fields);
    completeResponse(response, this.#site, forwarded);
    if (this.#switched !== null) return this.#startTunnel(response);
    if (this.forward !== null && this.request.method === "CONNECT" && this.#switches(response)) {
      // Whoever reads a 2xx begins to speak through a tunnel: no feature can promise one that is not there.
      if (!this.#isGiven)
        throw new ProxyError("proxy_internal_error", `CONNECT was answered with ${response.status} and no tunnel`);
      return this.#giveConnection(response, this.forward.taker!);
    }
    this.settleBody(chain, this.#answeredBy, forwarded);
    // A feature that was asked for a transform has failed the exchange: that error's answer follows.
    if (this.ended || this.#step !== HEAD) return;
    this.#step = BODY;
    this.sendAnswer(this.#ownBody, forwarded);
  }

  protected pauseStream(): void {
    this.#stream?.pause();
  }

  protected resumeStream(): void {
    this.#stream?.resume();
  }

  protected watchSplice(splice: Splice): BodySplice {
    return new AnswerSplice(this, this.#route!, this.#site.deadlines, splice, this.connection);
  }

  protected onTrailers(trailers: FieldBlock): void {
    this.#notify(this.#chain.trailers, (feature) => feature.trailers!(this, trailers));
  }

  protected onAnswerSent(): void {
    this.#finish();
  }

  // ------------------------------------------------------------------------------------------------- tunnels

  #startTunnel(response: ResponseMessage): void {
    // While both connections still have their owners: a hook that fails the exchange leaves none of them behind.
    for (const { feature } of this.#chain.upgrade ?? []) {
      this.#heed(feature.upgrade!(this));
      if (this.#switched === null) return;
    }
    const { connection, early } = this.#switched!;
    this.#switched = null;
    if (this.#upgrade !== null) {
      response.fields.appendTrusted("Connection", "Upgrade");
      response.fields.appendTrusted("Upgrade", this.#upgrade);
    }
    this.#tunnelBetween(this.#takeClient(response), connection, early);
  }

  /** Tells the client that it has its tunnel, and takes its connection from the driver. */
  #takeClient(response: ResponseMessage): TakenOver {
    this.#step = TUNNEL;
    this.connection.sendHead(response);
    // Thousands of tunnels may stand for hours, and their fields are looked at once more, for the log.
    this.#lessor = null;
    this.request.fields.compact();
    response.fields.compact();
    return this.connection.takeOver();
  }

  #tunnelBetween(client: TakenOver, connection: Connection, early: Buffer): void {
    const { tunnelIdleMs: idleMs, tunnelLifetimeMs: lifetimeMs } = this.#route!.limits;
    this.forward?.tunnel?.leadsFrom(connection.local, connection.remote);
    const started = new Tunnel(
      client.connection,
      connection,
      this.#site.deadlines,
      { idleMs, lifetimeMs, halfClosedMs: this.#upgrade === "websocket" ? WEBSOCKET_END_MS : null },
      (tunnel, error) => {
        this.requestBodyBytes = tunnel.clientBytes;
        this.responseBodyBytes = tunnel.upstreamBytes;
        this.tunnelEnd = tunnel.endedBy;
        this.error ??= error;
        this.#finish();
      },
    );
    this.#tunnel = started;
    started.start(client, early);
  }

  /** Whether this answer ends HTTP on the client's connection (RFC 9110 sections 9.3.6 and 15.2.2). */
  #switches({ status }: ResponseMessage): boolean {
    return this.request.method === "CONNECT" ? status >= 200 && status < 300 : status === 101;
  }

  /** Somebody else speaks with the client from here on. */
  #giveConnection(response: ResponseMessage, taker: ConnectionTaker): void {
    this.#tunnel = taker.take(this, this.#takeClient(response), {
      onReleased: (error) => {
        this.tunnelEnd = error === null ? "intercepted" : "error";
        this.error ??= error;
        this.#finish();
      },
      onTunnel: (ready, upstream) => {
        this.#stream = upstream;
        this.upstreamAddress = upstream.address;
        const { connection, early } = upstream.take();
        this.#tunnelBetween(ready, connection, early);
      },
    });
  }

  // ------------------------------------------------------------------------------------------------- the end

  /** The driver: the client is gone, whatever the reason. */
  onClientGone(error: ProxyError): void {
    if (this.ended || this.#tunnel !== null) return;
    this.error ??= error;
    this.#finish();
  }

  /** `cutBy`: the answer had begun, and must not look complete. */
  #finish(cutBy: ProxyError | null = null): void {
    if (this.ended) return;
    this.ended = true;
    this.endedMs = this.#site.clock.now();
    this.discountLost();
    if (cutBy !== null) this.connection.abort(cutBy);
    this.#dropUpstream();
    this.#requestBody?.abandon(this.error);
    this.abandonAnswer();
    if (this.#chain.log !== null) this.#log(this.#chain.log);
    if (this.#fork === null) this.#site.observer?.onExchangeEnd(this);
    this.request.fields.release();
    this.response?.fields.release();
    this.connection.onExchangeEnd();
  }

  #log(hooks: readonly Hook[]): void {
    for (const { feature } of hooks) {
      try {
        this.#heed(feature.log!(this));
      } catch (thrown) {
        const error = ProxyError.from(thrown);
        if (this.error === null) this.error = error;
        else this.#tellLate(error);
      }
    }
  }
}

const NO_BYTES = Buffer.alloc(0);

/** Who opens the address of a forward proxy in a browser wants to be told what it is. */
function unmatched({ forward }: Site): ProxyError {
  const reason = forward === null ? {} : { reason: ASKED_AS_SERVER };
  return new ProxyError("destination_not_found", "no route matches", { status: 404, side: "client", ...reason });
}
