/**
 * What a socket of Node's says of the client: both addresses and what TLS agreed on. Where nobody is connected (a unix
 * socket, a request that a test makes up) the family is 0.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Address, TlsInfo } from "../../../core/ports.ts";

const IPV4_MAPPED = "::ffff:";

export function remoteAddress(socket: Socket): Address {
  return addressOf(socket.remoteAddress, socket.remotePort);
}

export function localAddress(socket: Socket): Address {
  return addressOf(socket.localAddress, socket.localPort);
}

function addressOf(text: string | undefined, port: number | undefined): Address {
  if (text === undefined || text === "") return { family: 0, address: "", port: 0 };
  const address = text.startsWith(IPV4_MAPPED) && text.includes(".") ? text.slice(IPV4_MAPPED.length) : text;
  return { family: address.includes(":") ? 6 : 4, address, port: port ?? 0 };
}

/** null on a plain connection. Which certificates of clients are good is known to the program whose server this is, not here. */
export function tlsInfo(socket: Socket): TlsInfo | null {
  const secure = socket as TLSSocket & { readonly servername?: string | false };
  if (secure.encrypted !== true) return null;
  return {
    protocol: secure.getProtocol() ?? "",
    cipher: secure.getCipher()?.name ?? "",
    serverName: typeof secure.servername === "string" ? secure.servername.toLowerCase() : null,
    alpn: typeof secure.alpnProtocol === "string" ? secure.alpnProtocol : null,
    resumed: secure.isSessionReused(),
    peerCertificate: null,
  };
}
