import type net from "node:net";

/** Node does not tell a socket's descriptor, but its handle does: of a TLS socket, that of the socket below. -1: it has none now. */
export function descriptorOf(socket: net.Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}
