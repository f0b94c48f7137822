/** Where a server listens, in a form that can be pasted into a browser or a command. */
import type { ListenConfig } from "../config/config.ts";
import type { Address } from "../core/ports.ts";

/** An address on which a server is reached. */
export interface Listening {
  /** The server's name in the configuration. */
  readonly server: string;
  /** Where it really listens: with the port that the system chose when the configuration asked for port 0. */
  readonly address: Address;
  /** It was asked for without a host (`:8080`), and so is of IPv4 too where the address is `::`. */
  readonly isOfBothFamilies: boolean;
  readonly isTls: boolean;
  readonly protocol: ListenConfig["protocol"] | "redirected";
}

/** Of what is listened on as the configuration says it. */
export function listeningAt(server: string, address: Address, listen: ListenConfig): Listening {
  const isOfBothFamilies = listen.address.kind === "tcp" && listen.address.host === null;
  return { server, address, isOfBothFamilies, isTls: listen.tls !== null, protocol: protocolAt(listen) };
}

/** What clients speak there, as far as they know. */
function protocolAt({ protocol, transparent }: ListenConfig): Listening["protocol"] {
  return transparent ? "redirected" : protocol;
}

/**
 * `http://127.0.0.1:8080`, `socks5://127.0.0.1:1080`, `https://localhost:8443 (all addresses)`, `unix:/run/web.sock`; and, for nobody to
 * paste, `[::]:3129 (redirected traffic)`
 */
export function listeningUrl({
  address: { family, address, port },
  isOfBothFamilies,
  isTls,
  protocol,
}: Listening): string {
  if (family === 0) return `unix:${address}`;
  if (protocol === "redirected")
    return `${address.includes(":") ? `[${address}]` : address}:${port} (redirected traffic)`;
  const scheme = protocol === "socks" ? "socks5" : isTls ? "https" : "http";
  if (address === "::" && !isOfBothFamilies) return `${scheme}://[::1]:${port} (all IPv6 addresses)`;
  if (address === "::") return `${scheme}://localhost:${port} (all addresses)`;
  if (address === "0.0.0.0") return `${scheme}://localhost:${port} (all IPv4 addresses)`;
  return `${scheme}://${family === 6 ? `[${address}]` : address}:${port}`;
}
