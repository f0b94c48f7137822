/**
 * What a transport does for the dialing that all transports share: one attempt at one address, and what becomes of the
 * socket that won the race. It knows nothing of names, races and deadlines; dial.ts knows nothing of sockets.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { Address, Clock, Connection, DialTarget, PendingDial } from "../../core/ports.ts";
import type { SystemError } from "../failures.ts";

/** Told once, in a later turn, unless the attempt was cancelled. */
export interface AttemptHandler<Socket> {
  /** The socket belongs to the dial now, which gives it to `complete` or to `discard`. `local` is our end. */
  onConnected(socket: Socket, local: Address): void;
  /** The socket is closed already. */
  onRefused(error: SystemError): void;
}

/** Told once, perhaps before `complete` has returned, unless that was cancelled. */
export interface CompletionHandler {
  onComplete(connection: Connection): void;
  /** The socket is closed already, or closes on `cancel`. */
  onIncomplete(error: ProxyError): void;
}

/** The two ends of a connected socket. For a unix socket `remote` is the path that was dialled, and `local` has no name. */
export interface Ends {
  readonly remote: Address;
  readonly local: Address;
}

export interface Connecting<Socket> {
  /** Why the target cannot be dialled whatever happens, such as a certificate that cannot be used; null: it can be tried. */
  objectionTo(target: DialTarget): ProxyError | null;
  /** Begins to connect to one address (of family 0: to the unix socket of that path). Cancelling closes the socket. */
  attempt(remote: Address, target: DialTarget, handler: AttemptHandler<Socket>): PendingDial;
  /** Makes the winner a connection, at once or after a TLS handshake. Cancelling closes the socket. */
  complete(socket: Socket, ends: Ends, target: DialTarget, handler: CompletionHandler): PendingDial;
  /** Closes a connected socket that is not wanted. */
  discard(socket: Socket): void;
}

/** What dialing needs of its transport. */
export interface DialOwner {
  readonly clock: Clock;
  /** Around every call of a handler: what is written meanwhile leaves together. */
  readonly batch: { enter(): void; leave(): void };
  /** Sockets that are connecting or shaking hands, by plus or minus one. */
  countAttempt(change: 1 | -1): void;
  /** A handler threw. Never throws itself. */
  reportFault(thrown: unknown): void;
}
