/**
 * Why a message is refused: a closed set of reasons, as negative numbers, so that a parser can return one where it
 * otherwise returns a count of bytes. Each has the sentence that the operator reads and its verdict: the status for a
 * client that sent such a request, the error type (RFC 9209) when an upstream sent such a response.
 */
import { type ErrorType, ProxyError } from "../../core/errors.ts";

export const ERR_TLS_ON_PLAIN_PORT = -1;
export const ERR_METHOD = -2;
export const ERR_TARGET = -3;
export const ERR_TARGET_FORM = -4;
export const ERR_TARGET_AUTHORITY = -5;
export const ERR_VERSION = -6;
export const ERR_VERSION_UNSUPPORTED = -7;
export const ERR_REQUEST_LINE_TOO_LONG = -8;
export const ERR_STATUS_LINE = -9;
export const ERR_EMPTY_LINES = -10;
export const ERR_HEAD_TOO_LARGE = -11;
export const ERR_TOO_MANY_FIELDS = -12;
export const ERR_BARE_LF = -13;
export const ERR_BARE_CR = -14;
export const ERR_OBS_FOLD = -15;
export const ERR_SPACE_IN_NAME = -16;
export const ERR_FIELD_NAME = -17;
export const ERR_FIELD_VALUE = -18;
export const ERR_HOST_MISSING = -19;
export const ERR_HOST_REPEATED = -20;
export const ERR_HOST_INVALID = -21;
export const ERR_LENGTH_AND_CODING = -22;
export const ERR_LENGTH_REPEATED = -23;
export const ERR_LENGTH_INVALID = -24;
export const ERR_CODING_UNKNOWN = -25;
export const ERR_CODING_REPEATED = -26;
export const ERR_CODING_IN_HTTP10 = -27;
export const ERR_CONNECT_WITH_BODY = -28;
export const ERR_EXPECTATION = -29;
export const ERR_CHUNK_SIZE = -30;
export const ERR_CHUNK_EXTENSION = -31;
export const ERR_CHUNK_LINE_TOO_LONG = -32;
export const ERR_CHUNK_OVERHEAD = -33;
export const ERR_CHUNK_END = -34;
export const ERR_TRAILERS_TOO_LARGE = -35;
export const ERR_SOCKS_ON_HTTP_PORT = -36;
export const ERR_PROXY_HEADER = -37;

export interface CodecErrorFacts {
  readonly code: number;
  /** For the operator's log, after "request refused: " or "response refused: ". */
  readonly reason: string;
  /** Status for the client when a request is refused for this; 400 when absent. */
  readonly status?: number;
  /** Error type when a response is refused for this; http_protocol_error when absent. */
  readonly type?: ErrorType;
}

/** Every code once, in the order of the constants: the entry of `code` stands at `-1 - code`. */
export const CODEC_ERRORS: readonly CodecErrorFacts[] = [
  { code: ERR_TLS_ON_PLAIN_PORT, reason: "a TLS handshake came to a port for plain HTTP" },
  { code: ERR_METHOD, reason: "the method is empty, too long, or not made of upper case letters and token characters" },
  { code: ERR_TARGET, reason: "the request target is empty or has a character that may not stand in one" },
  {
    code: ERR_TARGET_FORM,
    reason: "the request target is in a form that does not exist or does not go with the method",
  },
  { code: ERR_TARGET_AUTHORITY, reason: "the request target names no valid host and port" },
  { code: ERR_VERSION, reason: "the HTTP version is missing or misspelt" },
  { code: ERR_VERSION_UNSUPPORTED, reason: "the HTTP version is not 1.0 or 1.1", status: 505 },
  { code: ERR_REQUEST_LINE_TOO_LONG, reason: "the request line is longer than the limit", status: 414 },
  { code: ERR_STATUS_LINE, reason: "the status line is malformed" },
  { code: ERR_EMPTY_LINES, reason: "there are too many empty lines before the request line" },
  {
    code: ERR_HEAD_TOO_LARGE,
    reason: "the head is larger than the limit",
    status: 431,
    type: "http_response_header_section_size",
  },
  {
    code: ERR_TOO_MANY_FIELDS,
    reason: "there are more fields than the limit",
    status: 431,
    type: "http_response_header_section_size",
  },
  { code: ERR_BARE_LF, reason: "a line ends in LF without CR" },
  { code: ERR_BARE_CR, reason: "a CR is not followed by LF" },
  { code: ERR_OBS_FOLD, reason: "a field line begins with whitespace (obsolete line folding)" },
  { code: ERR_SPACE_IN_NAME, reason: "there is whitespace in a field name or before its colon" },
  { code: ERR_FIELD_NAME, reason: "a field name is empty or has an invalid character, or a field line has no colon" },
  { code: ERR_FIELD_VALUE, reason: "a field value has a control character" },
  { code: ERR_HOST_MISSING, reason: "the request has no Host" },
  { code: ERR_HOST_REPEATED, reason: "the request has more than one Host" },
  { code: ERR_HOST_INVALID, reason: "Host is not a host with an optional port" },
  { code: ERR_LENGTH_AND_CODING, reason: "the message has both Content-Length and Transfer-Encoding" },
  { code: ERR_LENGTH_REPEATED, reason: "the message has more than one Content-Length" },
  { code: ERR_LENGTH_INVALID, reason: "Content-Length is not a number, or too large" },
  {
    code: ERR_CODING_UNKNOWN,
    reason: 'Transfer-Encoding is not "chunked"',
    type: "http_response_transfer_coding",
  },
  {
    code: ERR_CODING_REPEATED,
    reason: "the message has more than one Transfer-Encoding",
    type: "http_response_transfer_coding",
  },
  {
    code: ERR_CODING_IN_HTTP10,
    reason: "an HTTP/1.0 message has Transfer-Encoding",
    type: "http_response_transfer_coding",
  },
  { code: ERR_CONNECT_WITH_BODY, reason: "a CONNECT request announces a body" },
  { code: ERR_EXPECTATION, reason: "Expect asks for something other than 100-continue", status: 417 },
  { code: ERR_CHUNK_SIZE, reason: "a chunk size is not a hexadecimal number of at most 13 digits" },
  { code: ERR_CHUNK_EXTENSION, reason: "a chunk extension is malformed" },
  { code: ERR_CHUNK_LINE_TOO_LONG, reason: "a chunk's size and extensions are longer than the limit" },
  { code: ERR_CHUNK_OVERHEAD, reason: "the chunk extensions outweigh the body by more than the limit" },
  { code: ERR_CHUNK_END, reason: "the data of a chunk is not followed by CRLF" },
  {
    code: ERR_TRAILERS_TOO_LARGE,
    reason: "the trailer section is larger than the limit",
    status: 431,
    type: "http_response_trailer_section_size",
  },
  { code: ERR_SOCKS_ON_HTTP_PORT, reason: "a SOCKS greeting came to an address without `protocol: socks`" },
  { code: ERR_PROXY_HEADER, reason: "a PROXY protocol header came to an address without `proxyProtocol`" },
];

function factsOf(code: number): CodecErrorFacts {
  const facts = CODEC_ERRORS[-1 - code];
  if (facts === undefined) throw new RangeError(`not a codec error: ${code}`);
  return facts;
}

/** The error for a request that was refused with one of the ERR_ codes. Throws RangeError for any other number. */
export function requestError(code: number): ProxyError {
  const { reason, status = 400 } = factsOf(code);
  return new ProxyError("http_request_error", `request refused: ${reason}`, { status });
}

/** The error for a response that was refused with one of the ERR_ codes. Throws RangeError for any other number. */
export function responseError(code: number): ProxyError {
  const { reason, type = "http_protocol_error" } = factsOf(code);
  return new ProxyError(type, `response refused: ${reason}`);
}
