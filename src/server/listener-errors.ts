/** Why an address cannot be listened on, in one line that says what to do about it. */
import type { ListenConfig } from "../config/config.ts";

/** Ports that the system keeps for the privileged, unless it was told otherwise (Linux: ip_unprivileged_port_start). */
const PRIVILEGED_PORT_MAX = 1023;

/** `text` is that of the address. */
export function listenFailure(
  { text, address }: Pick<ListenConfig, "text" | "address">,
  error: Error & { readonly code?: string },
): string {
  const where = `cannot listen on ${text}`;
  if (error.code === "EADDRINUSE") {
    return `${where}: the ${address.kind === "unix" ? "socket" : "port"} is already in use`;
  }
  if (error.code === "EACCES" && address.kind === "tcp" && address.port <= PRIVILEGED_PORT_MAX) {
    return (
      `${where}: permission denied; take a port above ${PRIVILEGED_PORT_MAX}, run as root, ` +
      "or give the service the capability CAP_NET_BIND_SERVICE"
    );
  }
  return error.message.startsWith("cannot listen on ") ? error.message : `${where}: ${error.message}`;
}
