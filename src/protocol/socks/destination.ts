/**
 * The destination of a SOCKS request (RFC 1928, section 5): a name or an address, and a port. Names are those that an
 * authority of HTTP may have, so that a tunnel means the same whichever protocol asked for it; whether a name is an
 * address in disguise is for who resolves it.
 */
import { bytesOfAddress } from "../../core/address-bytes.ts";
import { isAuthority } from "../http1/authority.ts";
import { ATYP_IPV4, ATYP_IPV6, ATYP_NAME } from "./replies.ts";

/** A name in the DNS has 253 characters at most (RFC 1035, section 2.3.4), and may end in a dot. */
export const NAME_BYTES_MAX = 254;

const COLON = 0x3a;

/** A host name or an IPv4 address as text, without a port: what a client may write where SOCKS has a name. */
export function isDestinationName(bytes: Buffer, start: number, end: number): boolean {
  if (end - start > NAME_BYTES_MAX) return false;
  for (let i = start; i < end; i++) if (bytes[i] === COLON) return false;
  return isAuthority(bytes, start, end, false);
}

/**
 * CONNECT to a host: a name, or an address without brackets. null: SOCKS5 cannot name it, since it is too long or no
 * name.
 */
export function encodeConnect(host: string, port: number): Buffer | null {
  const address = bytesOfAddress(host);
  const head = [5, 1, 0];
  const tail = [port >> 8, port & 0xff];
  if (address !== null) {
    return Buffer.from([...head, address.length === 4 ? ATYP_IPV4 : ATYP_IPV6, ...address, ...tail]);
  }
  const name = Buffer.from(host, "utf8");
  if (!isDestinationName(name, 0, name.length)) return null;
  return Buffer.from([...head, ATYP_NAME, name.length, ...name, ...tail]);
}
