/** What Node knows of a socket, and does not tell by its documented interface. */
import { readSync } from "node:fs";
import type net from "node:net";

/** Its handle's descriptor: of a TLS socket, that of the socket below. -1: it has none now. */
export function descriptorOf(socket: net.Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}

const PIECE_BYTES = 64 * 1024;
/** No answer that is given in place of reading on is longer. */
const REST_BYTES_MAX = 1024 * 1024;

/**
 * Node closes a socket as soon as a write to it fails, whatever has arrived there and was not read. From now on `take` is given that
 * first. Of a plain socket only: what TLS has not read is of no use to anybody.
 */
export function rescueUnread(socket: net.Socket, take: (bytes: Buffer) => void): void {
  const destroy = socket._destroy;
  socket._destroy = (error, done) => {
    if ((error as NodeJS.ErrnoException | null)?.syscall === "write") take(unreadOf(descriptorOf(socket)));
    destroy.call(socket, error, done);
  };
}

function unreadOf(descriptor: number): Buffer {
  const pieces: Buffer[] = [];
  try {
    for (let bytes = 0; descriptor >= 0 && bytes < REST_BYTES_MAX; ) {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      const length = readSync(descriptor, piece);
      if (length === 0) break;
      bytes += length;
      pieces.push(piece.subarray(0, length));
    }
  } catch {
    // There is no more, but for the failure.
  }
  return Buffer.concat(pieces);
}

/** What TLS lies on, or the socket itself. */
export function socketBelow(socket: net.Socket): net.Socket {
  const { _parent: parent } = socket as { readonly _parent?: net.Socket | null };
  return parent === undefined || parent === null ? socket : socketBelow(parent);
}
