/**
 * How plain sockets receive: all those of a thread into one buffer, as a handler must be done with it when it returns. Nothing is
 * allocated for a read, and the bytes are still in the processor's cache when they are copied out.
 *
 * Node offers that for sockets that are made here (`onread`), and not for those that a server accepts, for each read of which it
 * allocates 64 KiB and shrinks them: a tenth of what a small request costs. So the accepted one's handle is put into a socket of our
 * own, as Node does with those that come from another process. It decides whether that can be done: neither the handle nor the
 * option that takes it is documented, and where they are not as they were, accepted sockets stay as they are.
 */
import net from "node:net";

/** What is read at once from a socket: the size that Node itself uses. */
const READ_BYTES = 64 * 1024;

/** Who is told of bytes. */
interface Receiving {
  /** Bytes from the socket: `buffer[0, length)`. */
  receive(buffer: Buffer, length: number): void;
}

/** A socket's option `onread`. */
export class Receiver implements net.OnReadOpts {
  readonly buffer: Buffer;
  /** Set when the socket has become a connection: bytes go there. */
  connection: Receiving | null = null;
  readonly callback = (length: number): boolean => {
    this.connection?.receive(this.buffer, length);
    return true;
  };

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }
}

export function makeReadBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(READ_BYTES);
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
