/**
 * Why a PROXY protocol header is refused: a closed set of reasons, as negative numbers, so that the decoder can return one
 * where it otherwise returns a count of bytes. A client never reads them: there is no answer to a header.
 */
import { ProxyError } from "../../core/errors.ts";

export const ERR_NO_HEADER = -1;
export const ERR_LINE_TOO_LONG = -2;
export const ERR_LINE_END = -3;
export const ERR_LINE = -4;
export const ERR_ADDRESS = -5;
export const ERR_PORT = -6;
export const ERR_VERSION_OR_COMMAND = -7;
export const ERR_FAMILY = -8;
export const ERR_LENGTH = -9;
export const ERR_TOO_LARGE = -10;
export const ERR_TLV = -11;

/** The sentence of each code, for the operator's log: that of `code` stands at `-1 - code`. */
export const PROXY_PROTOCOL_ERRORS: readonly string[] = [
  "the connection does not begin with one",
  "its line is longer than 107 bytes",
  "its line does not end in CRLF",
  "its line has not the protocol, two addresses and two ports, with single spaces between",
  "it has an invalid address, or one of another family than it says",
  "it has an invalid port",
  "it is of an unknown version, or has an unknown command",
  "its address family or transport does not exist",
  "it is too short for its addresses",
  "it is larger than the limit",
  "an extension (TLV) does not end where the header ends",
];

/** The error for a connection that was refused with one of the ERR_ codes. Throws RangeError for any other number. */
export function proxyProtocolError(code: number): ProxyError {
  const reason = PROXY_PROTOCOL_ERRORS[-1 - code];
  if (reason === undefined) throw new RangeError(`not an error of the PROXY protocol: ${code}`);
  return new ProxyError("http_request_error", `PROXY protocol header refused: ${reason}`);
}
