/**
 * Why a SOCKS peer is refused: a closed set of reasons, as negative numbers, so that a parser can return one where it
 * otherwise returns a count of bytes. Each has the sentence that the operator reads; what the client reads is a reply
 * code of its version (replies.ts).
 */
import { type ErrorType, ProxyError } from "../../core/errors.ts";

// Of clients.
export const ERR_VERSION = -1;
export const ERR_NO_METHOD = -2;
export const ERR_SOCKS4_PASSWORD = -3;
export const ERR_CREDENTIALS = -4;
export const ERR_CREDENTIALS_WRONG = -5;
export const ERR_REQUEST_VERSION = -6;
export const ERR_COMMAND = -7;
export const ERR_RESERVED = -8;
export const ERR_ADDRESS_TYPE = -9;
export const ERR_DESTINATION_NAME = -10;
export const ERR_DESTINATION_PORT = -11;
export const ERR_USER_ID_TOO_LONG = -12;
// Of servers that we are the client of.
export const ERR_SERVER_VERSION = -13;
export const ERR_SERVER_METHOD = -14;
export const ERR_SERVER_NO_METHOD = -15;
export const ERR_SERVER_CREDENTIALS = -16;
export const ERR_SERVER_REPLY = -17;
export const ERR_SERVER_REFUSED = -18;

export interface SocksErrorFacts {
  readonly code: number;
  /** For the operator's log. */
  readonly reason: string;
  /** http_request_error for a client's, http_protocol_error for a server's when absent. */
  readonly type?: ErrorType;
  /** The type's own when absent. */
  readonly status?: number;
}

/** Every code once, in the order of the constants: the entry of `code` stands at `-1 - code`. */
export const SOCKS_ERRORS: readonly SocksErrorFacts[] = [
  { code: ERR_VERSION, reason: "the first byte is neither that of SOCKS4 nor that of SOCKS5" },
  { code: ERR_NO_METHOD, reason: "the client offers no authentication that is accepted here", status: 407 },
  { code: ERR_SOCKS4_PASSWORD, reason: "a password is asked for here, which SOCKS4 cannot carry", status: 407 },
  { code: ERR_CREDENTIALS, reason: "the message with user and password is malformed", status: 407 },
  { code: ERR_CREDENTIALS_WRONG, reason: "the user and password are not accepted", status: 407 },
  { code: ERR_REQUEST_VERSION, reason: "the request is not of the version of the greeting" },
  { code: ERR_COMMAND, reason: "the command is not CONNECT" },
  { code: ERR_RESERVED, reason: "the reserved byte of the request is not zero" },
  { code: ERR_ADDRESS_TYPE, reason: "the type of the destination's address does not exist" },
  { code: ERR_DESTINATION_NAME, reason: "the name of the destination is empty, too long, or no name of a host" },
  { code: ERR_DESTINATION_PORT, reason: "the port of the destination is zero" },
  { code: ERR_USER_ID_TOO_LONG, reason: "the user id of SOCKS4 is longer than the limit" },
  { code: ERR_SERVER_VERSION, reason: "it does not speak SOCKS5" },
  { code: ERR_SERVER_METHOD, reason: "it chose an authentication that was not offered" },
  {
    code: ERR_SERVER_NO_METHOD,
    reason: "it accepts none of the offered authentications",
    type: "proxy_configuration_error",
    status: 502,
  },
  {
    code: ERR_SERVER_CREDENTIALS,
    reason: "it does not accept the configured user and password",
    type: "proxy_configuration_error",
    status: 502,
  },
  { code: ERR_SERVER_REPLY, reason: "its reply is malformed" },
  { code: ERR_SERVER_REFUSED, reason: "it refused the connection", type: "destination_unavailable" },
];

function factsOf(code: number): SocksErrorFacts {
  const facts = SOCKS_ERRORS[-1 - code];
  if (facts === undefined) throw new RangeError(`not an error of SOCKS: ${code}`);
  return facts;
}

/** The error for a client that was refused with one of the first codes, up to ERR_USER_ID_TOO_LONG. */
export function socksRequestError(code: number): ProxyError {
  const { reason, status = 400 } = factsOf(code);
  if (code <= ERR_SERVER_VERSION) throw new RangeError(`not an error of a client: ${code}`);
  return new ProxyError("http_request_error", `SOCKS request refused: ${reason}`, { status });
}

/** The error for a server that failed with one of the ERR_SERVER codes; replies.ts knows why it refused. */
export function socksServerError(code: number): ProxyError {
  const { reason, type = "http_protocol_error", status } = factsOf(code);
  if (code > ERR_SERVER_VERSION) throw new RangeError(`not an error of a server: ${code}`);
  const message = `SOCKS server failed: ${reason}`;
  return new ProxyError(type, message, status === undefined ? {} : { status, side: "upstream" });
}
