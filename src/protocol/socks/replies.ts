/**
 * Replies of SOCKS: what a server says of a connection that it was asked for. It decides which code an error of ours
 * becomes, and which error of ours a code of another server becomes; what is lost in between (there are eight codes)
 * stays in the log.
 */
import { bytesOfAddress } from "../../core/address-bytes.ts";
import { type ErrorType, ProxyError, type ProxyErrorOptions } from "../../core/errors.ts";
import type { Address } from "../../core/ports.ts";

/** RFC 1928, section 6. */
export const SUCCEEDED = 0x00;
export const GENERAL_FAILURE = 0x01;
export const NOT_ALLOWED = 0x02;
export const NETWORK_UNREACHABLE = 0x03;
export const HOST_UNREACHABLE = 0x04;
export const CONNECTION_REFUSED = 0x05;
export const TTL_EXPIRED = 0x06;
export const COMMAND_NOT_SUPPORTED = 0x07;
export const ADDRESS_TYPE_NOT_SUPPORTED = 0x08;

/** The two replies of SOCKS4 that do not speak of identd: there is one for all failures. */
export const SOCKS4_GRANTED = 0x5a;
export const SOCKS4_FAILED = 0x5b;

/** ATYP (RFC 1928, section 5) */
export const ATYP_IPV4 = 0x01;
export const ATYP_NAME = 0x03;
export const ATYP_IPV6 = 0x04;

/**
 * What has a code of its own. A connection that was not made in time is "TTL expired", as with Tor and Dante: "host
 * unreachable" would say that it cannot be reached.
 */
const CODE_OF_TYPE: { readonly [type in ErrorType]?: number } = {
  http_request_denied: NOT_ALLOWED,
  destination_ip_prohibited: NOT_ALLOWED,
  proxy_loop_detected: NOT_ALLOWED,
  destination_ip_unroutable: NETWORK_UNREACHABLE,
  dns_error: HOST_UNREACHABLE,
  dns_timeout: HOST_UNREACHABLE,
  destination_not_found: HOST_UNREACHABLE,
  destination_unavailable: HOST_UNREACHABLE,
  connection_refused: CONNECTION_REFUSED,
  connection_timeout: TTL_EXPIRED,
};

/** The code of SOCKS5 for a connection that was not made because of this. */
export function replyCodeOf(error: ProxyError): number {
  return CODE_OF_TYPE[error.type] ?? replyCodeOfStatus(error.status);
}

/** The code of SOCKS5 for what a feature answered with a status of HTTP, instead of letting the connection be made. */
export function replyCodeOfStatus(status: number): number {
  switch (status) {
    case 401:
    case 403:
    case 407:
    case 451:
      return NOT_ALLOWED;
    case 504:
      return TTL_EXPIRED;
    default:
      return GENERAL_FAILURE;
  }
}

interface RefusalFacts {
  readonly type: ErrorType;
  readonly says: string;
  readonly options?: ProxyErrorOptions;
}

const UNKNOWN_REFUSAL: RefusalFacts = { type: "destination_unavailable", says: "with a code that does not exist" };

/** What each code of another server is for us, by code; it says something of the destination, not of that server. */
const REFUSALS: readonly (RefusalFacts | undefined)[] = [
  undefined,
  { type: "destination_unavailable", says: "general failure" },
  // Not the client's fault, as far as we know, but nothing that another attempt would change.
  { type: "http_request_denied", says: "not allowed by its rules", options: { side: "upstream" } },
  { type: "destination_ip_unroutable", says: "network unreachable" },
  { type: "destination_unavailable", says: "host unreachable" },
  { type: "connection_refused", says: "connection refused" },
  { type: "connection_timeout", says: "TTL expired" },
  {
    type: "proxy_configuration_error",
    says: "CONNECT not supported",
    options: { side: "upstream", status: 502 },
  },
  { type: "destination_unavailable", says: "address type not supported" },
];

/** What servers say of a name that they cannot resolve: SOCKS has no code for it. */
const UNREACHABLE_NAME: RefusalFacts = { type: "dns_error", says: "host unreachable, or its name not known" };

/** The error for a connection that a SOCKS5 server refused with this code (1 to 255). `isName`: it was asked for a name. */
export function errorOfReplyCode(code: number, isName = false): ProxyError {
  const facts = isName && code === HOST_UNREACHABLE ? UNREACHABLE_NAME : REFUSALS[code];
  const { type, says, options } = facts ?? UNKNOWN_REFUSAL;
  return new ProxyError(type, `SOCKS server refused the connection: ${says} (${code})`, options);
}

/**
 * A reply of SOCKS5 (RFC 1928, section 6). `bound`: our end of the connection; null, and a unix socket, is told as
 * 0.0.0.0 port 0, which every client takes for "not told".
 */
export function encodeSocks5Reply(code: number, bound: Address | null): Buffer {
  const address = bound === null || bound.family === 0 ? null : bytesOfAddress(bound.address);
  const host = address ?? [0, 0, 0, 0];
  const port = address === null ? 0 : bound!.port;
  return Buffer.from([5, code, 0, host.length === 4 ? ATYP_IPV4 : ATYP_IPV6, ...host, port >> 8, port & 0xff]);
}

/** A reply of SOCKS4: its own version is 0, and it has room for IPv4 alone. */
export function encodeSocks4Reply(code: number, bound: Address | null): Buffer {
  const host = bound?.family === 4 ? bytesOfAddress(bound.address) : null;
  const port = host === null ? 0 : bound!.port;
  return Buffer.from([0, code, port >> 8, port & 0xff, ...(host ?? [0, 0, 0, 0])]);
}
