/**
 * The client's side of SOCKS5 (RFC 1928, RFC 1929), for a connection through a SOCKS proxy of somebody else: greeting,
 * user and password when the proxy asks for them, CONNECT. It makes the bytes to send and reads the answers; it knows
 * nothing of the connection that they travel on.
 *
 *     sent: greeting; [credentials;] request      received: method; [verdict;] reply; then the tunnel
 *
 * Each message waits for the answer to the one before it: not every server reads ahead. Where names are resolved is the
 * proxy's affair, so a name is sent as one.
 */
import type { ProxyError } from "../../core/errors.ts";
import { encodeConnect } from "./destination.ts";
import {
  ERR_SERVER_CREDENTIALS,
  ERR_SERVER_METHOD,
  ERR_SERVER_NO_METHOD,
  ERR_SERVER_REFUSED,
  ERR_SERVER_REPLY,
  ERR_SERVER_VERSION,
  socksServerError,
} from "./errors.ts";
import { ATYP_IPV4, ATYP_IPV6, ATYP_NAME, errorOfReplyCode, SUCCEEDED } from "./replies.ts";

/** Each of user and password has its length in one byte (RFC 1929, section 2). */
export const CREDENTIAL_BYTES_MAX = 255;

/** VER NMETHODS METHODS: no authentication, and with credentials also user and password. */
const GREETING = Buffer.from([5, 1, 0]);
const GREETING_WITH_PASSWORD = Buffer.from([5, 2, 0, 2]);

/**
 * The message with user and password, made once for all connections through a proxy. Throws RangeError, without saying
 * them, when one is empty or longer than SOCKS5 can carry.
 */
export function encodeSocksCredentials(user: string, password: string): Buffer {
  const parts = [user, password].map((text) => Buffer.from(text, "utf8"));
  for (const [index, { length }] of parts.entries()) {
    if (length > 0 && length <= CREDENTIAL_BYTES_MAX) continue;
    const name = index === 0 ? "the user" : "the password";
    throw new RangeError(`${name} for SOCKS5 must have from 1 to ${CREDENTIAL_BYTES_MAX} bytes, not ${length}`);
  }
  return Buffer.from([1, ...parts.flatMap((bytes) => [bytes.length, ...bytes])]);
}

/** Which answer comes next; "connected": the bytes that follow are the tunnel's. */
export type SocksClientState = "method" | "verdict" | "reply" | "connected";

export class SocksClient {
  readonly #request: Buffer;
  readonly #credentials: Buffer | null;
  #state: SocksClientState = "method";
  #replyCode = SUCCEEDED;
  /** What is to be sent at once: the greeting at the beginning, then what `receive` left here. null: nothing. */
  toSend: Buffer | null;

  private constructor(request: Buffer, credentials: Buffer | null) {
    this.#request = request;
    this.#credentials = credentials;
    this.toSend = credentials === null ? GREETING : GREETING_WITH_PASSWORD;
  }

  /**
   * `host`: a name, or an address without brackets; `credentials`: of `encodeSocksCredentials`. null when SOCKS5 cannot
   * name the host: it is longer than names are, or none.
   */
  static to(host: string, port: number, credentials: Buffer | null): SocksClient | null {
    const request = encodeConnect(host, port);
    return request === null ? null : new SocksClient(request, credentials);
  }

  get state(): SocksClientState {
    return this.#state;
  }

  /**
   * Reads one answer at `buffer[start, end)`. Returns how many bytes it has, 0 when more are needed, or an ERR_ code,
   * for which `failure` has the error. After an answer, `toSend` is to be sent. Always 0 once connected.
   */
  receive(buffer: Buffer, start: number, end: number): number {
    this.toSend = null;
    if (start === end) return 0;
    switch (this.#state) {
      case "method":
        return this.#method(buffer, start, end);
      case "verdict":
        return this.#verdict(buffer, start, end);
      case "reply":
        return this.#reply(buffer, start, end);
      default:
        return 0;
    }
  }

  /** The error for a code that `receive` has returned: about the destination when the proxy says that it refuses. */
  failure(code: number): ProxyError {
    if (code !== ERR_SERVER_REFUSED) return socksServerError(code);
    return errorOfReplyCode(this.#replyCode, this.#request[3] === ATYP_NAME);
  }

  /** VER METHOD (RFC 1928, section 3) */
  #method(buffer: Buffer, start: number, end: number): number {
    if (buffer[start] !== 5) return ERR_SERVER_VERSION;
    if (end - start < 2) return 0;
    switch (buffer[start + 1]) {
      case 0x00:
        this.#next("reply", this.#request);
        return 2;
      case 0x02:
        if (this.#credentials === null) return ERR_SERVER_METHOD;
        this.#next("verdict", this.#credentials);
        return 2;
      case 0xff:
        return ERR_SERVER_NO_METHOD;
      default:
        return ERR_SERVER_METHOD;
    }
  }

  /** VER STATUS (RFC 1929, section 2) */
  #verdict(buffer: Buffer, start: number, end: number): number {
    if (buffer[start] !== 1) return ERR_SERVER_REPLY;
    if (end - start < 2) return 0;
    if (buffer[start + 1] !== 0) return ERR_SERVER_CREDENTIALS;
    this.#next("reply", this.#request);
    return 2;
  }

  /**
   * VER REP RSV ATYP BND.ADDR BND.PORT (RFC 1928, section 6). A refusal is one as soon as its code is there: some servers
   * send no more. The bound address is read over: it says nothing of the destination.
   */
  #reply(buffer: Buffer, start: number, end: number): number {
    const have = end - start;
    if (buffer[start] !== 5) return ERR_SERVER_REPLY;
    if (have < 2) return 0;
    this.#replyCode = buffer[start + 1]!;
    if (this.#replyCode !== SUCCEEDED) return ERR_SERVER_REFUSED;
    if (have < 3) return 0;
    if (buffer[start + 2] !== 0) return ERR_SERVER_REPLY;
    if (have < 4) return 0;
    const type = buffer[start + 3]!;
    if (type !== ATYP_IPV4 && type !== ATYP_NAME && type !== ATYP_IPV6) return ERR_SERVER_REPLY;
    if (have < 5) return 0;
    const length = type === ATYP_IPV4 ? 10 : type === ATYP_IPV6 ? 22 : 7 + buffer[start + 4]!;
    if (have < length) return 0;
    this.#next("connected", null);
    return length;
  }

  #next(state: SocksClientState, toSend: Buffer | null): void {
    this.#state = state;
    this.toSend = toSend;
  }
}
