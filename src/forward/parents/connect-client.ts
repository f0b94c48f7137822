/**
 * The client's side of CONNECT (RFC 9110 section 9.3.6), for a tunnel through an HTTP proxy of somebody else. It makes the bytes
 * to send and reads the answer; it knows nothing of the connection that they travel on.
 *
 * Whatever its fields say, an answer of 2xx has no body: the bytes behind its head are the tunnel's. Of any other answer only the
 * status is looked at, and the connection is of no more use.
 */
import { ProxyError } from "../../core/errors.ts";
import { acquireStorage, releaseStorage } from "../../core/fields.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, INFORMATIONAL_MAX, REQUEST_LINE_BYTES_MAX } from "../../core/limits.ts";
import { responseError } from "../../protocol/http1/errors.ts";
import { headMayBeComplete } from "../../protocol/http1/request-head.ts";
import { parseResponseHead, ResponseHead } from "../../protocol/http1/response-head.ts";

/** The proxy has answered, and does not connect us. Below every code of the parser. */
export const ERR_CONNECT_REFUSED = -1_000;
/** It goes on and on with interim answers. */
export const ERR_CONNECT_INFORMATIONAL = -1_001;

const HEAD_LIMITS = {
  headBytesMax: HEAD_BYTES_MAX,
  requestLineBytesMax: REQUEST_LINE_BYTES_MAX,
  fieldsMax: FIELDS_MAX,
};
const head = new ResponseHead();

export class ConnectClient {
  /** What is to be sent at the beginning; null behind that. */
  toSend: Buffer | null;
  /** Of an incomplete head, what was looked at already. */
  #searched = 0;
  #status = 0;
  #informational = 0;
  #isConnected = false;

  /** `authority`: host and port; `lines`: more lines of the head, each with its line break. */
  constructor(authority: string, lines: string) {
    this.toSend = Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n`, "latin1");
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /**
   * Reads one head at `buffer[start, end)`, which is all that has come and was not used. Returns how many bytes it has, 0 when more are needed, or a negative code, for which
   * `failure` has the error. Always 0 once connected.
   */
  receive(buffer: Buffer, start: number, end: number): number {
    this.toSend = null;
    if (start === end || this.#isConnected) return 0;
    const from = start + this.#searched;
    if (this.#searched > 0 && end - start <= HEAD_BYTES_MAX && !headMayBeComplete(buffer, from, end)) {
      this.#searched = end - start;
      return 0;
    }
    const storage = acquireStorage();
    const length = parseResponseHead(buffer, start, end, storage, HEAD_LIMITS, head);
    releaseStorage(storage);
    this.#searched = length === 0 ? end - start : 0;
    if (length <= 0) return length;
    this.#status = head.status;
    if (head.status < 200 && head.status !== 101) {
      return ++this.#informational > INFORMATIONAL_MAX ? ERR_CONNECT_INFORMATIONAL : length;
    }
    if (head.status < 200 || head.status > 299) return ERR_CONNECT_REFUSED;
    this.#isConnected = true;
    return length;
  }

  /** Whether the proxy has said no, and not something that is no answer. */
  isRefusal(code: number): boolean {
    return code === ERR_CONNECT_REFUSED;
  }

  failure(code: number): ProxyError {
    if (code === ERR_CONNECT_REFUSED) return refusalOf(this.#status);
    if (code === ERR_CONNECT_INFORMATIONAL) {
      return new ProxyError("http_protocol_error", `more than ${INFORMATIONAL_MAX} interim responses to CONNECT`);
    }
    return responseError(code);
  }
}

/** The error for a status with which a proxy refused a tunnel: about the destination, but for 407. */
function refusalOf(status: number): ProxyError {
  const message = `it answered CONNECT with ${status}`;
  switch (status) {
    case 407:
      return credentialsRefused();
    case 403:
    case 451:
      return new ProxyError("http_request_denied", message, { side: "upstream", status: 403 });
    case 408:
    case 504:
      return new ProxyError("connection_timeout", message);
    case 429:
    case 503:
      return new ProxyError("destination_unavailable", message);
    default:
      return new ProxyError("destination_unavailable", message, { status: 502 });
  }
}

/** 407 is between the parent and us: the client could only take it for a question of ours. */
export function credentialsRefused(): ProxyError {
  const message = "it refuses our credentials (407)";
  return new ProxyError("proxy_configuration_error", message, { side: "upstream", status: 502 });
}
