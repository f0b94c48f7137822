/**
 * Sockets that receive into a buffer of ours. Node offers that for sockets that are made here (`onread`), and not for those that a
 * server accepts, for each read of which it allocates 64 KiB and shrinks them: a tenth of what a small request costs. So the accepted
 * one's handle is put into a socket of our own, as Node does with those that come from another process. It decides whether that can
 * be done: neither the handle nor the option that takes it is documented, and where they are not as they were, accepted sockets stay
 * as they are.
 */
import net from "node:net";
import type { Arrivals, Receiving } from "./arrivals.ts";

/** A socket's option `onread`. */
export class Receiver implements net.OnReadOpts {
  readonly buffer: Buffer;
  readonly callback: (length: number) => boolean;
  /** Set when the socket has become a connection: bytes go there. */
  connection: Receiving | null = null;

  constructor(arrivals: Arrivals) {
    this.buffer = arrivals.buffer;
    this.callback = (length) => {
      if (this.connection !== null) arrivals.add(this.connection, length);
      return true;
    };
  }
}

/** A socket of Node's, with what is not documented of it. */
interface HandleHolder {
  _handle?: { readonly useUserBuffer?: unknown } | null;
}

/**
 * A socket in place of `accepted`, which its server has just told of, that receives by `receiver`; null: that cannot be done, and
 * nothing has changed. What was set on the socket stays set. The server goes on counting it, so its "close" event never comes.
 */
export function takeOver(accepted: net.Socket, receiver: Receiver): net.Socket | null {
  const holder = accepted as HandleHolder;
  const handle = holder._handle;
  if (typeof handle?.useUserBuffer !== "function") return null;
  const options: object = { handle, allowHalfOpen: true, onread: receiver };
  const socket = socketOf(options);
  if ((socket as HandleHolder | null)?._handle !== handle) return null;
  holder._handle = null;
  return socket;
}

/** null: Node wants other options. */
function socketOf(options: net.SocketConstructorOpts): net.Socket | null {
  try {
    return new net.Socket(options);
  } catch {
    return null;
  }
}
