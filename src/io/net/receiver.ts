/**
 * Sockets that receive into a buffer of ours. Node offers that for sockets that are made here (`onread`), and not for those that a
 * server accepts, for each read of which it allocates 64 KiB and shrinks them: a tenth of what a small request costs. So the accepted
 * one's handle is put into a socket of our own, as Node does with those that come from another process; and a socket of TLS is told
 * what it would have been told when it was made. It decides whether that can be done: neither the handle nor where the
 * option is kept is documented, and where they are not as they were, sockets stay as they are.
 */
import net from "node:net";
import type tls from "node:tls";
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
  _handle?: { useUserBuffer?(buffer: Buffer): void } | null;
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

/** Where a socket keeps what it was given as `onread`. Every one has these, and they are told to nobody. */
interface OnreadPlaces {
  readonly buffer: symbol;
  readonly callback: symbol;
}

/** null: this version of Node has other ones. Asked for once: it takes as long as a request. */
let onreadPlaces: OnreadPlaces | null | undefined;

function findOnreadPlaces(): OnreadPlaces | null {
  const symbols = Object.getOwnPropertySymbols(new net.Socket());
  const [buffer, callback] = ["kBuffer", "kBufferCb"].map((name) =>
    symbols.find(({ description }) => description === name),
  );
  return buffer === undefined || callback === undefined ? null : { buffer, callback };
}

/**
 * Makes a socket of TLS, of either side, receive by `receiver` what it decrypts from now on; false: that cannot be done, and nothing
 * has changed. Node takes `onread` for what TLS lies on at most, and copies what it has decrypted into new memory each time. With the
 * gathering of short reads that is a sixth of what a small request costs.
 */
export function receiveBy(secured: tls.TLSSocket, receiver: Receiver): boolean {
  if (onreadPlaces === undefined) onreadPlaces = findOnreadPlaces();
  const { _handle: handle } = secured as HandleHolder;
  if (onreadPlaces === null || typeof handle?.useUserBuffer !== "function") return false;
  const { buffer, callback } = onreadPlaces;
  // What was received already comes by events.
  const places = secured as unknown as Record<symbol, unknown>;
  if (places[buffer] !== null || secured.readableLength > 0) return false;
  places[buffer] = receiver.buffer;
  places[callback] = receiver.callback;
  handle.useUserBuffer(receiver.buffer);
  return true;
}

/** null: Node wants other options. */
function socketOf(options: net.SocketConstructorOpts): net.Socket | null {
  try {
    return new net.Socket(options);
  } catch {
    return null;
  }
}
