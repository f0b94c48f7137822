/**
 * What the pipeline needs of an upstream: a stream to send one request on. For HTTP/1.1 a stream is a connection, for
 * HTTP/2 it is one of many; the pipeline cannot tell. upstreams/ implements this.
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../core/message.ts";
import type { Connection, SpliceHandler } from "../core/ports.ts";
import type { ClientConnection } from "./exchange.ts";
import type { Forwarding } from "./forwarding.ts";
import type { BodySplice, SpliceTaker } from "./splice.ts";

/** How the Host of the upstream request is chosen: the client's, the server's own address, or a fixed name. */
export type HostPolicy = "preserve" | "upstream" | { readonly name: string };

/** How the requests of one route use an upstream. */
export interface UpstreamUse {
  readonly host: HostPolicy;
  /** From the end of the request to the head of the answer. */
  readonly responseTimeoutMs: number;
  /** No byte of the answer's body in this time. */
  readonly bodyTimeoutMs: number;
  /** Attempts after the first, by the retry rules. */
  readonly retriesMax: number;
}

/** What is looked at of who sends a request: an exchange, or a call of the proxy's own. */
export interface Sender {
  readonly request: RequestMessage;
  /** Attempts made so far, the one that begins included. */
  readonly attempts: number;
  /** Attempts after the first that it may make; absent: none. */
  readonly retriesMax?: number;
  /** For a balance by clients; "" where there is none. */
  readonly clientAddress: string;
  /** The client's connection; absent: there is none. */
  readonly connection?: ClientConnection;
  /** Where it goes, when its client says so; absent or null: where the upstream is. */
  readonly forward?: Forwarding | null;
}

export interface Upstream {
  readonly name: string;
  /**
   * Leases a stream. Exactly one of the handler's two lease calls is made, possibly before this returns, unless the lessor's
   * `cancel` comes first. Servers that failed this handler before are chosen last. What fails before this returns is no matter
   * of another attempt (`retryable`).
   */
  lease(sender: Sender, handler: UpstreamHandler): Lessor;
}

/** Of whom a stream was asked. */
export interface Lessor {
  /** Gives up waiting for a lease: no call follows. When it is granted or refused already, nothing is done. */
  cancel(handler: UpstreamHandler): void;
  /**
   * Asks for one more attempt, which is granted where no server has had anything of the request and another one has room, or is well and
   * will have, and else taken from the retry budget.
   */
  allowRetry(handler: UpstreamHandler, nothingSent: boolean): boolean;
}

/**
 * One request and its answer on a connection to an upstream. Calls after the stream's end do nothing. Above
 * QUEUE_HIGH_WATER_BYTES of `queuedBytes` the client is paused until onUpstreamDrain; `spliceFrom` takes a part of the request's
 * body.
 */
export interface UpstreamStream extends SpliceTaker {
  /** "address:port", or the path of a unix socket. */
  readonly address: string;
  /** host[:port] as the configuration spells the server: the Host under the policy "upstream". */
  readonly authority: string;
  /** The connection served others before: it may have been closed by the upstream at this very moment. */
  readonly reused: boolean;
  /**
   * Sends the head of `sender.request`. `upgrade` is the protocol to ask for, null for none; `use` has the deadlines that
   * the stream keeps.
   */
  sendHead(sender: Sender, upgrade: string | null, use: UpstreamUse): void;
  /** Sends a part of the body, framed as the head announced. */
  write(bytes: Buffer, start: number, end: number): void;
  /** The request is complete. */
  end(trailers: FieldBlock | null): void;
  /** Stops and restarts the flow of the answer. */
  pause(): void;
  resume(): void;
  /**
   * Ends the stream before its time; its connection is not used again. `by`: whose stream it was lent as, since it may be another's by
   * the time that this one hears of its end; null: it was given, and not lent.
   */
  abort(by: UpstreamHandler | null): void;
}

/** What a stream tells. Bytes are valid during the call only. */
export interface UpstreamHandler {
  /** The lease is granted. */
  onStream(stream: UpstreamStream): void;
  /** No connection could be had. */
  onLeaseFailed(error: ProxyError): void;
  /** 100, 102, 103: more will come. The message is valid during the call only. */
  onUpstreamInformational(response: ResponseMessage): void;
  /** The final head. The message belongs to the handler, which must release its fields. Hop-by-hop fields are still there. */
  onUpstreamHead(response: ResponseMessage): void;
  onUpstreamBody(bytes: Buffer, start: number, end: number): void;
  /**
   * All that has arrived of the body was given, and `bytes` more that the stream need not see are to come at `from` (Infinity:
   * until its end). null: it goes on giving them.
   */
  onUpstreamBodyAhead(from: Connection, bytes: number, giver: SpliceHandler): BodySplice | null;
  /** The answer is complete; the connection is already back in the pool, or closed. Trailers are valid during the call only. */
  onUpstreamEnd(trailers: FieldBlock | null): void;
  /**
   * The upstream switched protocols: the connection is now the handler's. `early` is what came behind the head. The stream
   * only holds the connection's place; it is to be aborted when the tunnel is over.
   */
  onUpstreamSwitch(response: ResponseMessage, connection: Connection, early: Buffer): void;
  /** What was written has been taken by the kernel. */
  onUpstreamDrain(): void;
  /** The stream is dead; nothing comes after. `unanswered`: not one byte of the answer had arrived. */
  onUpstreamError(error: ProxyError, unanswered: boolean): void;
}
