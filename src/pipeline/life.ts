/**
 * The life of a request, from its head to the log: `#walk` reads from top to bottom. Every step is either done at once or
 * waits, and then the walk is taken up again where it stood: nothing on the path of a request that need not wait makes a
 * promise, a closure or a timer.
 *
 * Life decides the order of things and what happens when one fails. It never touches a socket (drivers and upstreams do)
 * and knows no version of HTTP. It is long because it is one state machine: every event can come in every step, and what it
 * means there is best seen in one place.
 */
import { ProxyError } from "../core/errors.ts";
import { EncodedLines, type FieldBlock } from "../core/fields.ts";
import { BODY_PROGRESS_TIMEOUT_MS, QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import { BODY_UNTIL_END, type RequestMessage, ResponseMessage } from "../core/message.ts";
import type { Connection, SpliceHandler } from "../core/ports.ts";
import { removeForwarded } from "../semantics/forwarded.ts";
import { admit, isLastRecipient } from "./admission.ts";
import type { AnswerSink, BodyProducer, BodySink } from "./body.ts";
import { type Chain, EMPTY_CHAIN, type Hook } from "./chain.ts";
import type { Downstream, TakenOver } from "./downstream.ts";
import { type Answer, Exchange } from "./exchange.ts";
import { ASKED_AS_SERVER, failureAnswer } from "./failure.ts";
import type { Fork, ForkHandler, ForkPoint } from "./fork.ts";
import { type ForkClient, type ForkedLife, type ForkOrigin, ForksBehind, forwardingOfForks } from "./forked.ts";
import type { ConnectionTaker, TakenConnection } from "./forwarding.ts";
import { faultOfPart } from "./guard.ts";
import { copyOf, HeldAnswer } from "./held-answer.ts";
import { bodyTooLarge, HeldBody } from "./held-body.ts";
import { isIdempotent } from "./idempotent.ts";
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
import { ResponseBody } from "./response-body.ts";
import { SentFiles } from "./sent-files.ts";
import type { Route, Site } from "./site.ts";
import { AnswerSplice, type BodySplice, RequestSplice } from "./splice.ts";
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

export class Life extends Exchange implements UpstreamHandler, ForkedLife {
  readonly #site: Site;
  readonly #downstream: Downstream;
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
  /** A feature has asked for the whole of the body before it is sent. */
  #heldBody: HeldBody | null = null;

  /** The answer came from an upstream. */
  #forwarded = false;
  /** Only features before this place in `use` see the answer. */
  #answeredBy = Number.POSITIVE_INFINITY;
  /** The answer is that of an error. */
  #failing = false;
  #headSent = false;
  /** The client asked by HEAD, whatever the method that features have made of it. */
  readonly #isHead: boolean;
  /** No body follows the head, whatever there would be of one (RFC 9110 section 6.4.1). */
  #bodyless = false;
  #localBody: Buffer | BodyProducer | null = null;
  #held: HeldAnswer | null = null;
  /** null: the answer's body goes straight from the stream to the client. */
  #responseBody: ResponseBody | null = null;
  /** null: none of the answer's body is sent from files. */
  #files: SentFiles | null = null;
  /** All of the answer was handed to the client's side. */
  #isComplete = false;
  /** The client is slow. */
  #clientFull = false;
  /** Who takes the answer's body of the stream wants no more for now. */
  #streamHeld = false;
  #trailers: FieldBlock | null = null;
  /** Of the bodies, what passes unseen. */
  #requestSplice: BodySplice | null = null;
  #answerSplice: BodySplice | null = null;

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
    this.#downstream = downstream;
    this.#hasBody = request.bodyBytes !== 0;
    this.#isHead = request.method === "HEAD";
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
          if (this.#fork?.mustWait) return;
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

  /** Runs hooks that cannot wait, outside of the walk; one that throws fails the exchange. */
  #notify(hooks: readonly Hook[] | null, call: (feature: Feature) => void): void {
    if (hooks === null) return;
    try {
      for (const { feature } of hooks) call(feature);
    } catch (thrown) {
      this.fail(ProxyError.from(thrown));
    }
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
    const response = new ResponseMessage();
    response.status = answer.status;
    const lines = answer.fields ?? [];
    if (lines instanceof EncodedLines) response.fields.appendEncoded(lines);
    else for (const [name, value] of lines) response.fields.append(name, value);
    const { body = null } = answer;
    if (typeof body === "function") {
      response.bodyBytes = answer.bodyBytes ?? BODY_UNTIL_END;
      this.#localBody = body;
    } else {
      const bytes = body === null ? EMPTY : typeof body === "string" ? Buffer.from(body) : asBuffer(body);
      response.bodyBytes = bytes.length;
      this.#localBody = bytes;
      // An answer to HEAD may have said the length that GET would give.
      const { fields } = response;
      if (bytes.length === 0 && answer.status !== 204 && answer.status !== 304 && !fields.has("content-length"))
        fields.append("Content-Length", "0");
    }
    this.response = response;
    if (this.#step === REQUEST && this.#hook > 0) this.#answeredBy = this.#chain.request![this.#hook - 1]!.index;
    this.#dropUpstream();
    // Outside of the walk nobody takes notice of the answer: do it here.
    if (!this.#walking && !this.#pending) {
      this.#step = RESPONSE;
      this.#hook = 0;
      this.#advance();
    } else if (this.#step > REQUEST) {
      this.#step = RESPONSE;
      this.#hook = 0;
    }
    return true;
  }

  fail(error: ProxyError): void {
    if (this.ended) return;
    this.error ??= error;
    // The client must see that the answer is broken.
    if (this.#tunnel !== null) return this.#tunnel.destroy(error);
    if (this.#headSent) return this.#finish(error);
    this.#dropUpstream();
    this.#heldBody?.abandon(error);
    this.response?.fields.release();
    this.response = null;
    this.#localBody = null;
    this.#forwarded = this.#isGiven = false;
    if (this.#step === REQUEST && this.#hook > 0) this.#answeredBy = this.#chain.request![this.#hook - 1]!.index;
    // A hook on the error's own answer failed: that answer goes out without hooks.
    const again = this.#failing;
    if (again) this.#answeredBy = -1;
    this.#failing = true;
    this.#step = RESPONSE;
    this.#hook = 0;
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
        feature.proxyError!(this, error);
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
    if (this.#step !== REQUEST || this.#hook === 0) throw new Error("only a request hook can fork");
    const from: ForkOrigin = {
      site: this.#site,
      route: this.#route!,
      chain: this.#chain.behind(this.#chain.request![this.#hook - 1]!.index),
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
    stream?.abort();
    this.#switched?.connection.destroy(undefined, true);
    this.#switched = null;
    this.#held?.release();
    this.#held = null;
  }

  #streamGone(): void {
    this.#stream = null;
    this.#requestBody?.lost();
    this.#requestSplice?.end();
    this.#answerSplice?.end();
  }

  // ----------------------------------------------------------------------------------------- to the upstream

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
        feature.upstreamConnected!(this);
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
      if (this.#requestBody === null) this.#makeRequestBody();
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

  #makeRequestBody(): void {
    const replayable = this.#route!.use.retriesMax > 0 && isIdempotent(this.request.method);
    const held = this.#heldBody;
    const source = this.#hasBody ? (held ?? this.#downstream) : null;
    this.#requestBody = new RequestBody(this, source, replayable, (error) => this.fail(error));
    held?.giveTo(this.#requestBody);
    this.#requestBody.transform(this.#chain);
  }

  wholeBody(bytesMax: number): Promise<Buffer> {
    if (!this.#hasBody || this.ended) return Promise.resolve(EMPTY);
    if (this.#requestBody !== null) throw new Error("the request's body is on its way already");
    const max = Math.min(bytesMax, this.#route?.limits.bodyBytesMax ?? Number.POSITIVE_INFINITY);
    if (this.request.bodyBytes > max) return Promise.reject(bodyTooLarge(max));
    if (this.#heldBody !== null) return this.#heldBody.wholeWithin(bytesMax);
    this.#heldBody = new HeldBody(this.#downstream, bytesMax);
    // The upstream's own 100 comes too late for a client that waits for it (RFC 9110 section 10.1.1).
    this.#downstream.sendInformational(new ResponseMessage(100));
    this.#heldBody.begin();
    return this.#heldBody.whole;
  }

  /** The driver has received a part of the request's body. */
  onRequestBody(bytes: Buffer, start: number, end: number): void {
    // What still comes of a body that has failed the exchange is not to fail it again.
    if (this.ended || this.#failing) return;
    this.requestBodyBytes += end - start;
    if (!this.#exceedsBodyLimit(this.requestBodyBytes)) (this.#heldBody ?? this.#requestBody!).write(bytes, start, end);
  }

  /** The driver has received the end of the request. */
  onRequestEnd(trailers: FieldBlock | null): void {
    if (this.ended || this.#failing) return;
    if (trailers !== null) removeForwarded(trailers);
    (this.#heldBody ?? this.#requestBody!).end(trailers);
  }

  /**
   * The driver: all that has arrived of the request's body was given, and `bytes` more that it need not see are to come at
   * `from`. null: it goes on giving them.
   */
  onRequestBodyAhead(from: Connection, bytes: number, giver: SpliceHandler): BodySplice | null {
    const stream = this.#stream;
    if (this.ended || stream === null || this.#heldBody !== null || !this.#requestBody!.passesUnseen) return null;
    const { bodyBytesMax } = this.#route!.limits;
    if (bodyBytesMax !== null && this.requestBodyBytes + bytes >= bodyBytesMax) return null;
    const splice = stream.spliceFrom(from, bytes, giver);
    if (splice === null) return null;
    this.#requestSplice = new RequestSplice(this, this.#route!, this.#site.deadlines, splice, stream);
    return this.#requestSplice;
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
    const helps = error.retryable && this.attempts <= this.#route!.use.retriesMax;
    // A hook may have taken the upstream away. The budget is asked last: what it grants is taken.
    if (!repeatable || !helps || this.upstream === null || !this.#lessor!.allowRetry()) return this.fail(error);
    this.#step = LEASE;
    this.#hook = 0;
    this.#advance();
  }

  // --------------------------------------------------------------------------------------- from the upstream

  onUpstreamInformational(response: ResponseMessage): void {
    prepareResponse(response);
    this.#passInformational(response, Number.POSITIVE_INFINITY);
  }

  informational(response: ResponseMessage): void {
    if (this.ended || this.#step !== REQUEST || this.#hook === 0) return;
    this.#passInformational(response, this.#chain.request![this.#hook - 1]!.index);
  }

  /** Past the features before this place in `use`, to the client. */
  #passInformational(response: ResponseMessage, from: number): void {
    let wanted = true;
    try {
      for (const { feature, index } of this.#chain.upstreamInformational ?? []) {
        if (index < from) wanted &&= feature.upstreamInformational!(this, response);
      }
    } catch (thrown) {
      this.fail(ProxyError.from(thrown));
    }
    if (wanted && this.response === null && !this.ended) this.#downstream.sendInformational(response);
  }

  onUpstreamHead(response: ResponseMessage): void {
    this.upstreamFirstByteMs = this.#site.clock.now();
    prepareResponse(response);
    this.response = response;
    this.#forwarded = true;
    this.#step = UPSTREAM_RESPONSE;
    this.#hook = 0;
    this.#advance();
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    if (this.#step !== BODY) this.#hold().write(bytes, start, end);
    else this.#give(bytes, start, end);
  }

  onUpstreamBodyAhead(from: Connection, bytes: number, giver: SpliceHandler): BodySplice | null {
    if (this.ended || this.#step !== BODY || this.#bodyless || this.#responseBody !== null) return null;
    const splice = this.#downstream.spliceFrom(from, bytes, giver);
    if (splice === null) return null;
    this.#answerSplice = new AnswerSplice(this, this.#route!, this.#site.deadlines, splice, this.#downstream);
    return this.#answerSplice;
  }

  /** The driver: its client takes the answer without it, and is watched meanwhile. */
  get answerIsSpliced(): boolean {
    return this.#answerSplice !== null && !this.#answerSplice.over;
  }

  get clientTakesAnswer(): boolean {
    return this.#headSent && (this.answerIsSpliced || this.#downstream.queuedBytes > 0);
  }

  onUpstreamEnd(trailers: FieldBlock | null): void {
    this.#streamGone();
    if (this.#step !== BODY) this.#hold().end(trailers);
    else this.#giveEnd(trailers);
  }

  #hold(): HeldAnswer {
    this.#held ??= new HeldAnswer();
    return this.#held;
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
    this.#bodyless = this.#isHead || response.status === 204 || response.status === 304;
    if (this.#bodyless) {
      if (this.#isHead && !forwarded && response.bodyBytes > 0) {
        response.fields.set("Content-Length", String(response.bodyBytes));
      }
    } else if (response.bodyBytes !== 0 && (chain.responseBody !== null || chain.upstreamResponseBody !== null)) {
      this.#transformResponse();
    }
    this.#step = BODY;
    this.#headSent = true;
    this.#downstream.sendHead(response);
    if (forwarded) this.#releaseHeld();
    else if (!this.ended) this.#sendLocalBody();
  }

  #transformResponse(): void {
    const body = this.#makeResponseBody();
    body.transform(this, this.#chain.responseBody, "responseBody", this.#answeredBy);
    if (this.#forwarded) {
      body.transform(this, this.#chain.upstreamResponseBody, "upstreamResponseBody", this.#answeredBy);
      body.takeFrom({ pause: () => this.#holdStream(), resume: () => this.#letStreamGo() });
    }
    if (body.isTransformed) this.#responseBody = body;
  }

  #makeResponseBody(): ResponseBody {
    const client: BodySink = {
      write: (bytes, start, end) => this.#toClient(bytes, start, end),
      end: () => this.#endAnswer(this.#trailers),
      abort: (error) => this.fail(error),
    };
    return new ResponseBody(client, (error) => this.fail(error));
  }

  #holdStream(): void {
    this.#streamHeld = true;
    this.#stream?.pause();
  }

  #letStreamGo(): void {
    this.#streamHeld = false;
    this.#stream?.resume();
  }

  /** What arrived while hooks waited, then the rest as it comes. */
  #releaseHeld(): void {
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      for (const bytes of held.body) if (!this.ended) this.#give(bytes, 0, bytes.length);
      if (held.ended && !this.ended) this.#giveEnd(held.trailers);
      held.release();
    }
    if (!this.#streamHeld) this.#stream?.resume();
  }

  #sendLocalBody(): void {
    const body = this.#localBody;
    if (this.#bodyless || body === null) return this.#endAnswer(null);
    if (typeof body === "function") {
      this.#responseBody ??= this.#makeResponseBody();
      if (this.#clientFull) this.#responseBody.source.pause();
      const sink: AnswerSink = {
        write: (bytes, start, end) => this.#give(bytes, start, end),
        end: (trailers = null) => this.#giveEnd(trailers),
        abort: (error) => this.#responseBody?.sink.abort(error),
        sendFile: (descriptor, offset, length, onSent) => this.#fileToClient(descriptor, offset, length, onSent),
      };
      this.#responseBody.produce(body, sink);
      return;
    }
    this.#give(body, 0, body.length);
    if (!this.ended) this.#giveEnd(null);
  }

  /** A part of the answer's body, on its way to the client. */
  #give(bytes: Buffer, start: number, end: number): void {
    if (this.#responseBody === null) this.#toClient(bytes, start, end);
    else this.#responseBody.sink.write(bytes, start, end);
  }

  #giveEnd(trailers: FieldBlock | null): void {
    if (this.#responseBody === null) return this.#endAnswer(trailers);
    this.#trailers = copyOf(trailers);
    this.#responseBody.sink.end();
  }

  #toClient(bytes: Buffer, start: number, end: number): void {
    // An empty chunk would be the last one.
    if (this.ended || this.#isComplete || this.#bodyless || end <= start) return;
    const fault = faultOfPart(bytes, start, end);
    if (fault !== null) return this.fail(fault);
    const downstream = this.#downstream;
    downstream.write(bytes, start, end);
    this.responseBodyBytes += end - start;
    if (downstream.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.onClientFull();
  }

  #fileToClient(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    // Whoever transforms it sees every byte.
    if (this.ended || this.#isComplete || this.#responseBody!.isTransformed || !(length > 0)) return false;
    this.#files ??= new SentFiles(
      this.#downstream,
      () => {
        if (this.#isComplete) this.#finish();
      },
      (thrown) => this.fail(ProxyError.from(thrown)),
    );
    if (!this.#files.send(descriptor, offset, length, onSent)) return false;
    this.responseBodyBytes += length;
    if (this.#downstream.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.onClientFull();
    return true;
  }

  /** The driver: a part of the answer is being sent from a file. */
  get sendsFile(): boolean {
    return this.#files !== null && !this.#files.isEmpty;
  }

  /** The client takes no more for now; `onClientDrain` will follow. */
  onClientFull(): void {
    if (this.#clientFull) return;
    this.#clientFull = true;
    if (this.#responseBody === null) this.#holdStream();
    else this.#responseBody.source.pause();
  }

  /** The driver: the client has taken what was queued. */
  onClientDrain(): void {
    if (!this.#clientFull) return;
    this.#clientFull = false;
    if (this.#responseBody === null) this.#letStreamGo();
    else this.#responseBody.source.resume();
  }

  #endAnswer(trailers: FieldBlock | null): void {
    if (this.ended || this.#isComplete) return;
    this.#responseBody = null;
    if (trailers !== null) {
      this.#notify(this.#chain.trailers, (feature) => feature.trailers!(this, trailers));
      if (this.ended) return;
    }
    this.#isComplete = true;
    this.#downstream.end(trailers);
    if (!this.sendsFile) this.#finish();
  }

  #startTunnel(response: ResponseMessage): void {
    // While both connections still have their owners: a hook that fails the exchange leaves none of them behind.
    for (const { feature } of this.#chain.upgrade ?? []) {
      feature.upgrade!(this);
      if (this.#switched === null) return;
    }
    const { connection, early } = this.#switched!;
    this.#switched = null;
    this.#step = TUNNEL;
    this.#headSent = true;
    if (this.#upgrade !== null) {
      response.fields.appendTrusted("Connection", "Upgrade");
      response.fields.appendTrusted("Upgrade", this.#upgrade);
    }
    this.#downstream.sendHead(response);
    this.#keepLittle(response);
    this.#tunnelBetween(this.#downstream.takeOver(), connection, early);
  }

  /** Thousands of tunnels may stand for hours, and their fields are looked at once more, for the log. */
  #keepLittle(response: ResponseMessage): void {
    this.#lessor = null;
    this.request.fields.compact();
    response.fields.compact();
  }

  #tunnelBetween(client: TakenOver, connection: Connection, early: Buffer): void {
    const { tunnelIdleMs: idleMs, tunnelLifetimeMs: lifetimeMs } = this.#route!.limits;
    this.forward?.tunnel?.leadsFrom(connection.local);
    const started = new Tunnel(
      client.connection,
      connection,
      this.#site.deadlines,
      { idleMs, lifetimeMs },
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

  /** The client is told that it has its tunnel, and somebody else speaks with it from here on. */
  #giveConnection(response: ResponseMessage, taker: ConnectionTaker): void {
    this.#step = TUNNEL;
    this.#headSent = true;
    this.#downstream.sendHead(response);
    this.#keepLittle(response);
    const client = this.#downstream.takeOver();
    this.#tunnel = taker.take(this, client, {
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
    if (this.#files !== null) this.responseBodyBytes -= this.#files.lostBytes;
    if (cutBy !== null) this.#downstream.abort(cutBy);
    this.#dropUpstream();
    this.#requestBody?.abandon(this.error);
    this.#heldBody?.abandon(
      this.error ?? new ProxyError("http_request_error", "the exchange was over before its body"),
    );
    this.#responseBody?.abandon(this.error!);
    if (this.#chain.log !== null) this.#log(this.#chain.log);
    if (this.#fork === null) this.#site.observer?.onExchangeEnd(this);
    this.request.fields.release();
    this.response?.fields.release();
    this.#trailers?.release();
    this.#downstream.onExchangeEnd();
  }

  #log(hooks: readonly Hook[]): void {
    for (const { feature } of hooks) {
      try {
        feature.log!(this);
      } catch (thrown) {
        this.error ??= ProxyError.from(thrown);
      }
    }
  }
}

const EMPTY = Buffer.alloc(0);

/** A Buffer stays what it is: what is sent again and again, such as an answer that a cache has, is known further on by that. */
function asBuffer(bytes: Uint8Array): Buffer {
  if (bytes instanceof Buffer) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Who opens the address of a forward proxy in a browser wants to be told what it is. */
function unmatched({ forward }: Site): ProxyError {
  const reason = forward === null ? {} : { reason: ASKED_AS_SERVER };
  return new ProxyError("destination_not_found", "no route matches", { status: 404, side: "client", ...reason });
}
