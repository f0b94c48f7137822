/**
 * A TLS handshake that has begun, of either side, until it is a connection. It decides what its failure is called; how long it
 * may take is decided by whoever began it.
 */
import type tls from "node:tls";
import type { ErrorSide } from "../../core/errors.ts";
import type { Address, PendingDial } from "../../core/ports.ts";
import type { CompletionHandler, Ends } from "../dialing/connecting.ts";
import { failureOf, type SystemError, systemErrorOf } from "../failures.ts";
import { type ConnectionOwner, NetConnection } from "./connection.ts";
import { Receiver, receiveBy } from "./receiver.ts";
import { tlsInfoOf } from "./tls-info.ts";

/** What is known of it. */
export interface HandshakeFacts {
  readonly ends: Ends;
  readonly originalDestination?: Address | null;
  /** The peer's. */
  readonly side: Exclude<ErrorSide, "proxy">;
  /** The beginning of messages: "TLS handshake with 192.0.2.1:443 (example.org)". */
  readonly what: string;
  readonly onFailed?: () => void;
}

export class Handshake implements PendingDial {
  readonly #owner: ConnectionOwner;
  readonly #secured: tls.TLSSocket;
  readonly #handler: CompletionHandler;
  readonly #facts: HandshakeFacts;
  #isPending = true;
  readonly #onError = (error: SystemError): void => this.#failed(error);
  readonly #onClose = (): void => this.#failed(systemErrorOf("ENOTCONN"));

  constructor(owner: ConnectionOwner, secured: tls.TLSSocket, handler: CompletionHandler, facts: HandshakeFacts) {
    this.#owner = owner;
    this.#secured = secured;
    this.#handler = handler;
    this.#facts = facts;
    secured.on("error", this.#onError);
    secured.once("close", this.#onClose);
    // The peer is verified when "secureConnect" is emitted; a client's certificate is not asked for.
    secured.once(facts.side === "client" ? "secure" : "secureConnect", () => this.#succeeded());
  }

  cancel(): void {
    this.#isPending = false;
    this.#secured.destroy();
  }

  #failed(error: SystemError): void {
    if (!this.#isPending) return;
    const { what, side, onFailed } = this.#facts;
    onFailed?.();
    this.cancel();
    this.#handler.onIncomplete(failureOf(error, what, side));
  }

  #succeeded(): void {
    const secured = this.#secured;
    if (!this.#isPending || secured.destroyed) return;
    this.#isPending = false;
    secured.off("error", this.#onError).off("close", this.#onClose);
    const { ends, originalDestination = null, side } = this.#facts;
    const facts = { ...ends, originalDestination, side, tls: tlsInfoOf(secured) };
    const connection = new NetConnection(this.#owner, secured, facts);
    const receiver = new Receiver(this.#owner.arrivals);
    if (receiveBy(secured, receiver)) receiver.connection = connection;
    else connection.readFromEvents();
    this.#handler.onComplete(connection);
  }
}
