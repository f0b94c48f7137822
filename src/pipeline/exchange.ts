/**
 * One request and its answer, as features and plugins see it: neutral to the protocol that brought it and to the transport
 * under it. The machinery that moves it through its phases extends this class in life.ts; drivers make the instances.
 */
import type { ProxyError } from "../core/errors.ts";
import type { EncodedLines } from "../core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../core/message.ts";
import type { Address, TlsInfo } from "../core/ports.ts";
import type { BodyProducer } from "./body.ts";
import type { Fork, ForkHandler, ForkPoint } from "./fork.ts";
import type { ForwardedLines } from "./forwarded-lines.ts";
import type { ConnectionOrigin, Forwarding } from "./forwarding.ts";
import type { Upstream } from "./upstream.ts";

/** The client's connection, shared by all exchanges on it. */
export interface ClientConnection {
  readonly local: Address;
  readonly remote: Address;
  readonly tls: TlsInfo | null;
  /** Where all its requests go; null or absent: they say it, or routes do. */
  readonly origin?: ConnectionOrigin | null;
  /** Who has proved who it is before its first request; null or absent: nobody has. */
  readonly user?: Identity | null;
  /** What its requests came in, for logs: "SOCKS5"; absent: the version of HTTP that they say. */
  readonly protocol?: string;
  /** Kept by drivers whose connections carry many requests. */
  readonly forwardedLines?: ForwardedLines;
}

/** An answer that a feature or a handler makes. */
export interface Answer {
  readonly status: number;
  /** Names and values; framing fields (Content-Length, Transfer-Encoding, Connection) are set by the proxy. */
  readonly fields?: Iterable<readonly [name: string, value: string]> | EncodedLines;
  /** A string is sent as UTF-8. */
  readonly body?: string | Uint8Array | BodyProducer | null;
  /** Length of the body of a BodyProducer where it is known. */
  readonly bodyBytes?: number;
}

/** Who sends a request, as a feature has proved it. */
export interface Identity {
  /** A user, a key's name, the subject of a certificate: for logs and for rules. */
  readonly subject: string;
  /** The feature that proved it. */
  readonly by: string;
  /** What tells it from others with this subject: the issuer of a token, the further names in a certificate. */
  readonly qualifier?: string;
  /** Many have this subject, as the tokens do that name nobody: it is no name to tell them apart by. */
  readonly isShared?: boolean;
  /** What a feature in front has proved of the same request. */
  readonly besides?: Identity;
}

/**
 * What ended a tunnel: a side that closed, or ended its half, first; too long without a byte; its lifetime; the proxy, which
 * stopped or was told to; that requests were read out of it; or that it failed before it was one.
 */
export type TunnelEnd = "client" | "upstream" | "idle" | "lifetime" | "stopped" | "intercepted" | "error";

/** What a shared cache did for a request, for logs and counts. */
export interface CacheNote {
  readonly outcome: "hit" | "stale" | "revalidated" | "shared" | "miss" | "pass";
  /** Why it was not answered from the cache, or not kept in it: one of a closed set of words; null: it was. */
  readonly reason: string | null;
}

export abstract class Exchange {
  readonly connection: ClientConnection;
  readonly request: RequestMessage;
  /** The answer, once there is one: from the upstream or from `respond`. */
  response: ResponseMessage | null = null;

  /**
   * The client's IP address: the peer's own, or what a trusted proxy in front says in X-Forwarded-For or Forwarded.
   * Believe nothing else.
   */
  clientAddress: string;

  /** Who asks; null: nobody has proved anything. A shared cache takes it for Authorization (RFC 9111 section 3.5). */
  identity: Identity | null = null;

  /** Set when the request goes where its client says: this is a forward proxy to it. */
  forward: Forwarding | null = null;

  /** Where the request goes; set by the route, changed by `selectUpstream`. null: no upstream, the route answers itself. */
  upstream: Upstream | null = null;
  /** "address:port" of the connection in use; null before there is one. */
  upstreamAddress: string | null = null;
  /** Attempts made to reach an upstream. */
  attempts = 0;

  /** The first thing that went wrong; null when nothing did. */
  error: ProxyError | null = null;

  /** null: the request met no cache. */
  cache: CacheNote | null = null;

  /** Set when a tunnel is over; null: there was none. */
  tunnelEnd: TunnelEnd | null = null;

  /** Milliseconds of the monotonic clock; 0 when it did not come to that. */
  startedMs: number;
  upstreamSentMs = 0;
  upstreamFirstByteMs = 0;
  endedMs = 0;

  /** Bytes of the bodies that passed, as received from the client and as sent to the client, without framing. */
  requestBodyBytes = 0;
  responseBodyBytes = 0;

  /** Over: answered whole, failed or abandoned. */
  ended = false;

  /** Rows of the request's fields that came from the client; those behind them are the proxy's and its features'. */
  readonly receivedRows: number;

  /**
   * The client's trailers reach the upstream; they never do once `identity` is set. A feature that sets fields on which
   * the upstream relies clears it: an upstream may take trailers for fields of the head. It is looked at when they are to
   * be sent, whenever they came.
   */
  passesTrailers = true;

  #locals: Map<unknown, unknown> | null = null;

  constructor(
    connection: ClientConnection,
    request: RequestMessage,
    startedMs: number,
    receivedRows = request.fields.rowCount,
  ) {
    this.connection = connection;
    this.request = request;
    this.clientAddress = connection.remote.address;
    this.receivedRows = receivedRows;
    this.startedMs = startedMs;
  }

  /** What features keep for later phases of this exchange; use an object of your own (the feature, a symbol) as the key. */
  get locals(): Map<unknown, unknown> {
    this.#locals ??= new Map();
    return this.#locals;
  }

  /** The name of the route that matched, for logs: the configuration's position ("web.routes[2]"); null before. */
  abstract get routeName(): string | null;

  /**
   * Answers the request without the upstream. Only before an answer began; otherwise, or when the exchange has ended, it
   * does nothing and returns false. Throws TypeError on invalid fields.
   */
  abstract respond(answer: Answer): boolean;

  /**
   * The whole body of the request, for a feature that must see it before the request goes on; it is sent to the
   * upstream all the same. Only in `request` and `selectUpstream`. Empty when there is none. Rejects with a ProxyError:
   * of status 413 when it is longer, or when the exchange is over before the body is. A hook that lets it pass fails the
   * exchange with it.
   */
  abstract wholeBody(bytesMax: number): Promise<Buffer>;

  /**
   * Sends a request of a feature's own to where this exchange would go, through the features behind the calling one. Only in
   * `request`. The request belongs to the fork from here on; `request.copyWithoutBody` makes one. Never calls the handler before it
   * returns.
   */
  abstract fork(request: RequestMessage, handler: ForkHandler): Fork;

  /** The same for later, also when this exchange is over. Only in `request`. */
  abstract forkPoint(): ForkPoint;

  /**
   * Passes an interim response (103) of a fork on to the client, through the features in front of the calling one. Only in `request`;
   * later, or when there is an answer, it does nothing.
   */
  abstract informational(response: ResponseMessage): void;

  /** Ends the exchange with an error: an answer of the error's status, or a cut when an answer had begun. */
  abstract fail(error: ProxyError): void;
}
