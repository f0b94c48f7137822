// An exchange that goes nowhere, for tests of what looks at exchanges: features and routes. It is the real class with
// the machinery left out; what was answered or failed is kept for the test to look at.

import type { ProxyError } from "../../src/core/errors.ts";
import { RequestMessage, ResponseMessage } from "../../src/core/message.ts";
import type { TlsInfo } from "../../src/core/ports.ts";
import { type Answer, type ClientConnection, Exchange } from "../../src/pipeline/exchange.ts";
import type { Fork, ForkHandler, ForkPoint } from "../../src/pipeline/fork.ts";
import type { Route } from "../../src/pipeline/site.ts";

export type Line = readonly [name: string, value: string];

export interface StandInRequest {
  readonly method?: string;
  /** Path and query. */
  readonly target?: string;
  readonly authority?: string;
  readonly scheme?: "http" | "https";
  readonly upgrade?: string;
  readonly fields?: readonly Line[];
  readonly clientAddress?: string;
  /** What TLS agreed on; by default the connection is a plain one. */
  readonly tls?: TlsInfo;
}

const CONNECTION: ClientConnection = {
  local: { family: 4, address: "127.0.0.1", port: 8080 },
  remote: { family: 4, address: "192.0.2.1", port: 50_000 },
  tls: null,
};

/** A request that a feature has sent by itself: the test answers it. */
export class StandInFork implements Fork {
  readonly request: RequestMessage;
  readonly handler: ForkHandler;
  readonly upstreamAddress = null;
  readonly isIdentified = false;
  isPaused = false;
  isAborted = false;
  readonly #point: ForkPoint;

  constructor(point: ForkPoint, request: RequestMessage, handler: ForkHandler) {
    this.#point = point;
    this.request = request;
    this.handler = handler;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  abort(): void {
    this.isAborted = true;
  }

  again(request: RequestMessage, handler: ForkHandler): Fork {
    return this.#point.fork(request, handler);
  }
}

export class StandInExchange extends Exchange {
  readonly answers: Answer[] = [];
  readonly errors: ProxyError[] = [];
  readonly forks: StandInFork[] = [];
  readonly interim: ResponseMessage[] = [];

  constructor(given: StandInRequest = {}) {
    const request = new RequestMessage();
    request.method = given.method ?? "GET";
    request.scheme = given.scheme ?? "http";
    request.upgrade = given.upgrade ?? null;
    for (const [name, value] of given.fields ?? []) request.fields.append(name, value);
    const [, path = "/", query = null] = /^([^?]*)(?:\?(.*))?$/s.exec(given.target ?? "/") ?? [];
    request.setTarget(path, query);
    request.authority = given.authority ?? "example.org";
    super({ ...CONNECTION, tls: given.tls ?? null }, request, 0);
    this.clientAddress = given.clientAddress ?? CONNECTION.remote.address;
  }

  get routeName(): string | null {
    return null;
  }

  respond(answer: Answer): boolean {
    this.answers.push(answer);
    return true;
  }

  wholeBody(_bytesMax: number): Promise<Buffer> {
    return Promise.resolve(Buffer.alloc(0));
  }

  informational(response: ResponseMessage): void {
    this.interim.push(response);
  }

  fork(request: RequestMessage, handler: ForkHandler): Fork {
    const fork = new StandInFork(this, request, handler);
    this.forks.push(fork);
    return fork;
  }

  forkPoint(): ForkPoint {
    return this;
  }

  fail(error: ProxyError): void {
    this.errors.push(error);
  }

  /** The lines of the request, in order. */
  get requestLines(): Line[] {
    return [...this.request.fields.entries()];
  }
}

/** An answer as the upstream gave it. */
export function standInResponse(status: number, bodyBytes: number, fields: readonly Line[]): ResponseMessage {
  const response = new ResponseMessage(status);
  response.bodyBytes = bodyBytes;
  for (const [name, value] of fields) response.fields.append(name, value);
  return response;
}

/** A route of which only the name is looked at. */
export function standInRoute(name: string): Route {
  return { name } as Route;
}
