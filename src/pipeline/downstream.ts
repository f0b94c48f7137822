/**
 * The client's side of one exchange, as the life of the request needs it. Drivers implement it: HTTP/1.1 on a connection, a connection
 * that asks for a tunnel without HTTP (SOCKS, TLS that was redirected here), node:http's objects; and so does a feature that sends a request
 * of its own (forked.ts). The driver in turn calls the body and end methods of the Life.
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { ResponseMessage } from "../core/message.ts";
import type { Connection } from "../core/ports.ts";
import type { ClientConnection } from "./exchange.ts";
import type { ConnectionOrigin } from "./forwarding.ts";
import type { SpliceTaker } from "./splice.ts";

/** `queuedBytes` are those that the client has not taken yet; `spliceFrom` takes a part of the answer's body. */
export interface Downstream extends ClientConnection, SpliceTaker {
  /** From now on the request's body is given to the exchange as it arrives. Called once at most. */
  startRequestBody(): void;
  /** Stops and restarts the flow of the request's body. */
  pauseRequestBody(): void;
  resumeRequestBody(): void;
  /** Sends a 1xx response; does nothing where the client's version knows none. */
  sendInformational(response: ResponseMessage): void;
  /** Sends the head of the final response: `exchange.response`, whose `bodyBytes` is settled. */
  sendHead(response: ResponseMessage): void;
  /** Sends a part of the body. More than `bodyBytes` is an error of whoever announced it: the answer is cut. */
  write(bytes: Uint8Array, start: number, end: number): void;
  /** Sends a part of the body from a file, as `AnswerSink.sendFile` says. */
  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean;
  /** `queuedBytes`, and what was lost of it when the client is gone. */
  readonly unsentBytes: number;
  /** The body is complete; trailers are passed on where the protocol and the client take them. */
  end(trailers: FieldBlock | null): void;
  /** Cuts an answer that had begun, so that the client cannot take it for complete. */
  abort(error: ProxyError): void;
  /** The 101, or the 2xx for CONNECT, was sent: gives up the connection, and what the client sent ahead. */
  takeOver(): TakenOver;
  /** The exchange is over, its fields are about to be released. */
  onExchangeEnd(): void;
}

export interface TakenOver {
  readonly connection: Connection;
  /** Bytes that arrived behind the request; empty when none did. */
  readonly early: Buffer;
  /** The client has ended its half already: no more bytes come from it. */
  readonly ended: boolean;
  /** Serves the requests on a connection that came out of this one, as this one's were. */
  serve(connection: Connection, origin: ConnectionOrigin): void;
}
