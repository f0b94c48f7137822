/**
 * Why no ClientHello was read: a closed set of reasons, as negative numbers, so that the parser can return one where it
 * otherwise returns a count of bytes.
 */
import { ProxyError } from "../../core/errors.ts";

/** It is something else: plain text, SSLv2. Whoever can serve that may do so; all the others are for refusing. */
export const ERR_NOT_TLS = -1;
export const ERR_RECORD = -2;
export const ERR_NOT_CLIENT_HELLO = -3;
export const ERR_TOO_LARGE = -4;
export const ERR_LENGTHS = -5;
export const ERR_EXTENSION_REPEATED = -6;
export const ERR_SERVER_NAME = -7;
export const ERR_ALPN = -8;

/** The sentence of each code, for the operator's log: that of `code` stands at `-1 - code`. */
export const CLIENT_HELLO_ERRORS: readonly string[] = [
  "the connection does not begin with TLS",
  "a TLS record is empty, too long, or of another type than handshake",
  "the handshake does not begin with a ClientHello, or the ClientHello does not end where its record ends",
  "the ClientHello is larger than the limit",
  "the lengths within the ClientHello do not add up",
  "the ClientHello has an extension twice",
  "the ClientHello does not name exactly one server, by a name of the DNS",
  "the protocols that the ClientHello offers (ALPN) are malformed",
];

/** The error for a client that was refused with one of the ERR_ codes. Throws RangeError for any other number. */
export function clientHelloError(code: number): ProxyError {
  const reason = CLIENT_HELLO_ERRORS[-1 - code];
  if (reason === undefined) throw new RangeError(`not an error of a ClientHello: ${code}`);
  return new ProxyError("tls_protocol_error", `TLS handshake refused: ${reason}`, { side: "client", status: 400 });
}
