/**
 * The feature `forwardAuth`: asks an HTTP service about each request, as Traefik's ForwardAuth and nginx's auth_request
 * do. 2xx lets the request go on, any other answer is the client's, and without an answer it is 503: a request never
 * passes because the service is away.
 *
 * Checks that are equal and run at the same time are one, where decisions are kept at all. A client that leaves gives
 * up its part of a check and nobody else's; the last one cancels it. With a decision at hand nothing waits and no call
 * is made.
 */
import type { DeadlineWheel } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import type { FieldBlock } from "../../core/fields.ts";
import type { HttpAnswer, HttpAnswerHandler, HttpClient, PendingCall } from "../../core/ports.ts";
import { refusal } from "../../identity/refusal.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Feature, Waiting } from "../../pipeline/phases.ts";
import { splitList } from "../../semantics/field-list.ts";
import { AnswerReader, asItCame, type Decision, reuseMs } from "./answer.ts";
import { Decisions } from "./decisions.ts";
import type { ForwardAuthOptions } from "./options.ts";
import { Question } from "./question.ts";

export interface ForwardAuthPorts {
  /** Over the pool of the service. */
  readonly http: HttpClient;
  readonly deadlines: DeadlineWheel;
}

/** @throws SyntaxError when a regular expression does not compile. */
export function createForwardAuthFeature(options: ForwardAuthOptions, ports: ForwardAuthPorts): Feature {
  const auth = new ForwardAuth(options, ports);
  return {
    name: "forwardAuth",
    request: (exchange) => auth.request(exchange),
    log: (exchange) => auth.left(exchange),
    ...(options.responseCookies.length > 0 && {
      response: (exchange, response) => auth.addCookies(exchange, response.fields),
    }),
  };
}

class ForwardAuth {
  readonly options: ForwardAuthOptions;
  readonly reader: AnswerReader;
  readonly decisions: Decisions | null;
  readonly #http: HttpClient;
  readonly #question: Question;
  /** Exchanges whose check runs. */
  readonly waiting = new Map<Exchange, Waiter>();
  /** Checks that others may join, by the key of their decision. */
  readonly running = new Map<string, Check>();

  constructor(options: ForwardAuthOptions, { http, deadlines }: ForwardAuthPorts) {
    this.options = options;
    this.reader = new AnswerReader(options);
    this.decisions = options.decisions === undefined ? null : new Decisions(options.decisions, deadlines);
    this.#http = http;
    this.#question = new Question(options);
  }

  request(exchange: Exchange): Waiting {
    const { decisions } = this;
    if (this.options.body.forward && exchange.request.bodyBytes !== 0) return this.#askWithBody(exchange);
    if (decisions === null) return this.#ask(exchange, null, null, null);
    const question = decisions.byQuestion ? this.#question.fieldsFor(exchange, false) : null;
    const key = decisions.keyOf(exchange, question);
    if (key !== null) {
      const decision = decisions.find(key);
      const running = decision === null ? this.running.get(key) : undefined;
      if (decision !== null || running !== undefined) question?.release();
      if (decision !== null) return this.reader.apply(exchange, decision);
      if (running !== undefined) return running.add(new Waiter(exchange));
    }
    return this.#ask(exchange, key, question, null);
  }

  async #askWithBody(exchange: Exchange): Promise<void> {
    const body = await exchange.wholeBody(this.options.body.max);
    if (!exchange.ended) await this.#ask(exchange, null, null, body);
  }

  #ask(exchange: Exchange, key: string | null, question: FieldBlock | null, body: Buffer | null): Promise<void> {
    const waiter = new Waiter(exchange);
    const check = new Check(this, waiter, key);
    this.send(check, exchange, question, body);
    return waiter.promise;
  }

  /** `question`: the fields, where they are there already. */
  send(check: Check, exchange: Exchange, question: FieldBlock | null, body: Buffer | null): void {
    const call = {
      method: this.#question.methodFor(exchange),
      target: this.options.address.target,
      fields: question ?? this.#question.fieldsFor(exchange, body !== null),
      body,
      answerBytesMax: this.options.maxResponseBody,
      timeoutMs: this.options.timeout,
    };
    check.begin(this.#http.send(call, check));
  }

  /** The exchange is over: nobody waits for its check any more. */
  left(exchange: Exchange): void {
    if (this.waiting.size === 0) return;
    const waiter = this.waiting.get(exchange);
    if (waiter !== undefined) waiter.check!.leave(waiter);
  }

  goOn(exchange: Exchange, decision: Decision): void {
    if (decision.cookies.length > 0) exchange.locals.set(this, decision.cookies);
    this.reader.apply(exchange, decision);
  }

  refuse(exchange: Exchange, answer: HttpAnswer): void {
    const { signIn } = this.options;
    const wantsPage = signIn !== undefined && answer.status === 401 && asksForPage(exchange);
    // For the log: the answer itself is the service's.
    exchange.error ??= refusal("forwardAuth", "auth_service_refused");
    exchange.respond(wantsPage ? signInAnswer(signIn, exchange, answer) : asItCame(answer));
  }

  unavailable(exchange: Exchange, cause: ProxyError): void {
    exchange.fail(refusal("forwardAuth", "auth_service_unavailable", { cause }));
  }

  addCookies(exchange: Exchange, fields: FieldBlock): void {
    const cookies = exchange.locals.get(this) as readonly string[] | undefined;
    if (cookies === undefined) return;
    // Of two cookies of one name the client takes the last: the service's word stands.
    for (let row = fields.rowOf("set-cookie"); row >= 0; row = fields.rowOf("set-cookie", row + 1)) {
      if (this.reader.isOurCookie(fields.valueAt(row))) fields.removeRow(row);
    }
    for (const cookie of cookies) fields.append("Set-Cookie", cookie);
  }
}

/** An exchange that waits for a check. */
class Waiter {
  readonly exchange: Exchange;
  readonly promise: Promise<void>;
  check: Check | null = null;
  #resolve!: () => void;
  #reject!: (thrown: unknown) => void;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** What `act` throws fails this exchange, and none that waits beside it. */
  settle(act: () => void): void {
    try {
      act();
      this.#resolve();
    } catch (thrown) {
      this.#reject(thrown);
    }
  }
}

/** One call to the service, and who waits for it. */
class Check implements HttpAnswerHandler {
  readonly #auth: ForwardAuth;
  /** null: nobody may join. */
  readonly #key: string | null;
  /** Whose request the service was sent; null: has left. */
  #asker: Waiter | null;
  readonly #others: Waiter[] = [];
  #call: PendingCall | null = null;
  #isOver = false;

  constructor(auth: ForwardAuth, asker: Waiter, key: string | null) {
    this.#auth = auth;
    this.#key = key;
    this.#asker = asker;
    asker.check = this;
    auth.waiting.set(asker.exchange, asker);
    if (key !== null) auth.running.set(key, this);
  }

  begin(call: PendingCall): void {
    if (!this.#isOver) this.#call = call;
  }

  add(waiter: Waiter): Promise<void> {
    waiter.check = this;
    this.#auth.waiting.set(waiter.exchange, waiter);
    this.#others.push(waiter);
    return waiter.promise;
  }

  leave(waiter: Waiter): void {
    this.#auth.waiting.delete(waiter.exchange);
    waiter.settle(() => {});
    if (waiter === this.#asker) this.#asker = null;
    else this.#others.splice(this.#others.indexOf(waiter), 1);
    if (this.#asker !== null || this.#others.length > 0) return;
    this.#end();
    this.#call?.cancel();
  }

  onAnswer(answer: HttpAnswer): void {
    this.#end();
    const { status, fields } = answer;
    const auth = this.#auth;
    try {
      const isFinal = status >= 200 && status <= 599;
      const decision = status >= 200 && status <= 299 ? auth.reader.decision(answer) : null;
      const reusableMs = decision !== null && decision.cookies.length > 0 ? 0 : reuseMs(fields);
      const act = (exchange: Exchange): void => {
        if (!isFinal) auth.unavailable(exchange, new ProxyError("http_protocol_error", `status ${status}`));
        else if (decision !== null) auth.goOn(exchange, decision);
        else auth.refuse(exchange, answer);
      };
      if (decision !== null && this.#key !== null) auth.decisions!.keep(this.#key, decision, reusableMs);
      if (this.#asker !== null) this.#settle(this.#asker, act);
      // A cookie that begins a login belongs to the one who was sent there.
      const isForAll = reusableMs > 0 && (decision !== null || !fields.has("set-cookie"));
      for (const other of this.#others) {
        if (isForAll) this.#settle(other, act);
        else this.#askAlone(other);
      }
    } finally {
      fields.release();
    }
  }

  onFailed(error: ProxyError): void {
    this.#end();
    const act = (exchange: Exchange): void => this.#auth.unavailable(exchange, error);
    if (this.#asker !== null) this.#settle(this.#asker, act);
    for (const other of this.#others) this.#settle(other, act);
  }

  #settle(waiter: Waiter, act: (exchange: Exchange) => void): void {
    this.#auth.waiting.delete(waiter.exchange);
    waiter.settle(() => {
      if (!waiter.exchange.ended) act(waiter.exchange);
    });
  }

  #askAlone(waiter: Waiter): void {
    const check = new Check(this.#auth, waiter, null);
    this.#auth.send(check, waiter.exchange, null, null);
  }

  /** Nobody can join any more. */
  #end(): void {
    this.#isOver = true;
    if (this.#key !== null && this.#auth.running.get(this.#key) === this) this.#auth.running.delete(this.#key);
  }
}

/** A browser that shows a page; anything else gets the 401, of which its program knows what it means. */
function asksForPage({ request }: Exchange): boolean {
  if ((request.method !== "GET" && request.method !== "HEAD") || request.upgrade !== null) return false;
  return /(?:^|[,\s])text\/html\s*(?:[,;]|$)/i.test(request.fields.get("accept") ?? "");
}

/** The URL as the browser knows it: where trusted proxies in front have said scheme and host, the first of them did so. */
function askedUrl({ fields, scheme, authority, path, query, receivedTarget }: Exchange["request"]): string {
  const proto = firstOf(fields.get("x-forwarded-proto")) ?? scheme;
  const host = firstOf(fields.get("x-forwarded-host")) ?? authority;
  // Features in front may have made another path of it; out of the query they may have taken a secret, which stays away.
  const asked = receivedTarget.startsWith("/") ? receivedTarget.replace(/\?.*/s, "") : path;
  return `${proto}://${host}${asked}${query === null ? "" : `?${query}`}`;
}

function firstOf(list: string | null): string | null {
  return list === null ? null : (splitList(list)[0] ?? null);
}

function signInAnswer(signIn: string, { request }: Exchange, { fields }: HttpAnswer) {
  const url = encodeURIComponent(askedUrl(request));
  const lines: [string, string][] = [
    ["Location", signIn.replaceAll("{url}", url)],
    ["Cache-Control", "no-store"],
  ];
  for (const cookie of fields.getAll("set-cookie")) lines.push(["Set-Cookie", cookie]);
  return { status: 302, fields: lines };
}
