/**
 * How a connection gives its socket away: to TLS, which Node puts on a socket of its own. What is done with the socket is
 * decided by whoever gets it.
 */
import type net from "node:net";
import type { Connection, PendingDial } from "../core/ports.ts";
import type { SystemError } from "./failures.ts";

/** Told once, perhaps before `giveSocket` has returned, unless that was cancelled. */
export interface SocketReceiver {
  /**
   * Nobody listens to it any more, and it does not flow: what arrived, and was told to nobody, is in its buffer. What was
   * written before leaves before anything that is written now.
   */
  onSocket(socket: net.Socket): void;
  /** There is none that could be given away, and the connection is closed, or was before. */
  onNoSocket(error: SystemError): void;
}

export interface SocketGiver extends Connection {
  /** From the call on the connection is closed for whoever had it, and its handler is not called any more. */
  giveSocket(receiver: SocketReceiver): PendingDial;
}

/** What is left to be cancelled of a socket that was given away at once, or of one that never was there. */
export const NOTHING_PENDING: PendingDial = { cancel() {} };

export function givesSocket(connection: Connection): connection is SocketGiver {
  return "giveSocket" in connection;
}
