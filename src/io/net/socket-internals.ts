/** What Node knows of a socket, and does not tell by its documented interface. */
import type net from "node:net";

/** Its handle's descriptor: of a TLS socket, that of the socket below. -1: it has none now. */
export function descriptorOf(socket: net.Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}

/** What TLS lies on, or the socket itself. */
export function socketBelow(socket: net.Socket): net.Socket {
  const { _parent: parent } = socket as { readonly _parent?: net.Socket | null };
  return parent === undefined || parent === null ? socket : socketBelow(parent);
}
