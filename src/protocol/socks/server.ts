/**
 * The server's side of SOCKS: SOCKS5 (RFC 1928) with user and password (RFC 1929), SOCKS4 and 4a, told apart by their
 * first byte. It reads what the client says, one message at a call, and makes the bytes to answer with; who the client
 * is, and whether the connection is made, is decided elsewhere.
 *
 *     SOCKS5  greeting -> method; [credentials -> verdict;] request -> reply; then the tunnel
 *     SOCKS4  request -> reply; then the tunnel
 *
 * Bytes are judged in their order, each by those before it alone, and a message that is not complete is read again from
 * its beginning: so in pieces it gets the verdict that it would get whole. No message is longer than 520 bytes.
 */
import { addressAt } from "../../core/address-bytes.ts";
import type { ProxyError } from "../../core/errors.ts";
import { latin1At } from "../../core/latin1.ts";
import type { Address } from "../../core/ports.ts";
import { isDestinationName, NAME_BYTES_MAX } from "./destination.ts";
import {
  ERR_ADDRESS_TYPE,
  ERR_COMMAND,
  ERR_CREDENTIALS,
  ERR_CREDENTIALS_WRONG,
  ERR_DESTINATION_NAME,
  ERR_DESTINATION_PORT,
  ERR_NO_METHOD,
  ERR_REQUEST_VERSION,
  ERR_RESERVED,
  ERR_SOCKS4_PASSWORD,
  ERR_USER_ID_TOO_LONG,
  ERR_VERSION,
} from "./errors.ts";
import {
  ADDRESS_TYPE_NOT_SUPPORTED,
  ATYP_IPV4,
  ATYP_IPV6,
  ATYP_NAME,
  COMMAND_NOT_SUPPORTED,
  encodeSocks4Reply,
  encodeSocks5Reply,
  GENERAL_FAILURE,
  replyCodeOf,
  SOCKS4_FAILED,
  SOCKS4_GRANTED,
  SUCCEEDED,
} from "./replies.ts";

/**
 * The user id of SOCKS4, which identd was to vouch for: nothing believes it, so it is read over. As long as a user's name
 * in SOCKS5 may be.
 */
export const USER_ID_BYTES_MAX = 255;

const METHOD_NONE = 0x00;
const METHOD_PASSWORD = 0x02;
const METHOD_UNACCEPTABLE = 0xff;

const COMMAND_CONNECT = 0x01;

/** Bytes of a SOCKS4 request before the user id. */
const SOCKS4_HEAD_BYTES = 8;

/** "optional": a client that can send a password is asked for it, another one is let in without. */
export type SocksAuthentication = "none" | "optional" | "required";

/**
 * What comes next: a message of the client ("greeting", "credentials", "request"), the verdict on its credentials
 * ("verdict"), or the answer to its request ("answer"), behind which the bytes are the tunnel's.
 */
export type SocksServerState = "greeting" | "credentials" | "verdict" | "request" | "answer";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class SocksServer {
  readonly #authentication: SocksAuthentication;
  #state: SocksServerState = "greeting";
  /** 0: not known yet. */
  #version: 0 | 4 | 5 = 0;
  /** What `receive` left to be sent at once; null: nothing. */
  toSend: Buffer | null = null;
  /** From state "verdict" on. Without control characters, as of a Basic user-id. */
  user: string | null = null;
  /** UTF-8, possibly empty: in state "verdict" only. */
  password: Buffer | null = null;
  /** The destination, in state "answer": a name as the client wrote it, or an address without brackets. */
  host = "";
  port = 0;

  constructor(authentication: SocksAuthentication) {
    this.#authentication = authentication;
  }

  get state(): SocksServerState {
    return this.#state;
  }

  /** 4 also for 4a; 0 before the first byte. */
  get version(): 0 | 4 | 5 {
    return this.#version;
  }

  /** The destination as the target of a CONNECT in HTTP: always a valid one, with its port (RFC 9112, section 3.2.3). */
  get authority(): string {
    return `${this.host.includes(":") ? `[${this.host}]` : this.host}:${this.port}`;
  }

  /**
   * Reads one message at `buffer[start, end)`. Returns how many bytes it has, 0 when more are needed, or an ERR_ code;
   * always 0 in the states in which no message is expected. After a message, `toSend` is to be sent and `state` says
   * what comes next.
   */
  receive(buffer: Buffer, start: number, end: number): number {
    this.toSend = null;
    if (start === end) return 0;
    switch (this.#state) {
      case "greeting":
        return this.#first(buffer, start, end);
      case "credentials":
        return this.#credentials(buffer, start, end);
      case "request":
        return this.#request(buffer, start, end);
      default:
        return 0;
    }
  }

  /** The verdict on the credentials (RFC 1929, section 2), to be sent; after a refusal the connection is to be closed. */
  verdict(accepted: boolean): Buffer {
    if (this.#state !== "verdict") throw new Error(`no verdict is asked for in state ${this.#state}`);
    this.password = null;
    if (!accepted) return refusal(5, ERR_CREDENTIALS_WRONG)!;
    this.#state = "request";
    return Buffer.from([1, 0]);
  }

  /** The reply that the connection is made. `bound`: our end of it, or null to keep that to ourselves. */
  granted(bound: Address | null): Buffer {
    return this.#version === 4 ? encodeSocks4Reply(SOCKS4_GRANTED, bound) : encodeSocks5Reply(SUCCEEDED, bound);
  }

  /** The reply that the connection is not made; then it is to be closed. */
  failed(error: ProxyError): Buffer {
    return this.failedWith(replyCodeOf(error));
  }

  /** The same with a reply code of SOCKS5 (replies.ts). */
  failedWith(code: number): Buffer {
    return this.#version === 4 ? encodeSocks4Reply(SOCKS4_FAILED, null) : encodeSocks5Reply(code, null);
  }

  /** What to send to a client that was refused with an ERR_ code, before the connection is closed; null: nothing. */
  refusal(code: number): Buffer | null {
    return refusal(this.#version, code);
  }

  #first(buffer: Buffer, start: number, end: number): number {
    const version = buffer[start]!;
    if (version !== 4 && version !== 5) return ERR_VERSION;
    this.#version = version;
    return version === 4 ? this.#socks4(buffer, start, end) : this.#greeting(buffer, start, end);
  }

  /** VER NMETHODS METHODS (RFC 1928, section 3) */
  #greeting(buffer: Buffer, start: number, end: number): number {
    if (end - start < 2) return 0;
    const messageEnd = start + 2 + buffer[start + 1]!;
    if (end < messageEnd) return 0;
    const offered = buffer.subarray(start + 2, messageEnd);
    let chosen: number;
    if (this.#authentication !== "none" && offered.includes(METHOD_PASSWORD)) chosen = METHOD_PASSWORD;
    else if (this.#authentication !== "required" && offered.includes(METHOD_NONE)) chosen = METHOD_NONE;
    else return ERR_NO_METHOD;
    this.toSend = Buffer.from([5, chosen]);
    this.#state = chosen === METHOD_PASSWORD ? "credentials" : "request";
    return messageEnd - start;
  }

  /** VER ULEN UNAME PLEN PASSWD (RFC 1929, section 2). An empty password is a wrong one, but not malformed. */
  #credentials(buffer: Buffer, start: number, end: number): number {
    if (buffer[start] !== 1) return ERR_CREDENTIALS;
    if (end - start < 2) return 0;
    const userStart = start + 2;
    const userEnd = userStart + buffer[start + 1]!;
    if (userEnd === userStart) return ERR_CREDENTIALS;
    if (end <= userEnd) return 0;
    const passwordStart = userEnd + 1;
    const passwordEnd = passwordStart + buffer[userEnd]!;
    if (end < passwordEnd) return 0;
    const user = textAt(buffer, userStart, userEnd);
    if (user === null || textAt(buffer, passwordStart, passwordEnd) === null) return ERR_CREDENTIALS;
    this.user = user;
    this.password = Buffer.from(buffer.subarray(passwordStart, passwordEnd));
    this.#state = "verdict";
    return passwordEnd - start;
  }

  /** VER CMD RSV ATYP DST.ADDR DST.PORT (RFC 1928, section 4). BIND and UDP ASSOCIATE exist, and are not for us. */
  #request(buffer: Buffer, start: number, end: number): number {
    const have = end - start;
    if (buffer[start] !== 5) return ERR_REQUEST_VERSION;
    if (have < 2) return 0;
    if (buffer[start + 1] !== COMMAND_CONNECT) return ERR_COMMAND;
    if (have < 3) return 0;
    if (buffer[start + 2] !== 0) return ERR_RESERVED;
    if (have < 4) return 0;
    const type = buffer[start + 3]!;
    if (type !== ATYP_IPV4 && type !== ATYP_NAME && type !== ATYP_IPV6) return ERR_ADDRESS_TYPE;
    if (have < 5) return 0;
    const hostStart = start + (type === ATYP_NAME ? 5 : 4);
    const hostEnd = hostStart + (type === ATYP_NAME ? buffer[start + 4]! : type === ATYP_IPV4 ? 4 : 16);
    if (end < hostEnd) return 0;
    if (type === ATYP_NAME && !isDestinationName(buffer, hostStart, hostEnd)) return ERR_DESTINATION_NAME;
    if (end < hostEnd + 2) return 0;
    const port = buffer.readUInt16BE(hostEnd);
    if (port === 0) return ERR_DESTINATION_PORT;
    if (type === ATYP_NAME) this.#asks(latin1At(buffer, hostStart, hostEnd), port);
    else this.#asks(addressAt(buffer, hostStart, type === ATYP_IPV4 ? 4 : 16, port).address, port);
    return hostEnd + 2 - start;
  }

  /**
   * VN CD DSTPORT DSTIP USERID NUL (SOCKS4); with an address of 0.0.0.x, x not 0, a name and NUL behind it (SOCKS4a).
   */
  #socks4(buffer: Buffer, start: number, end: number): number {
    if (this.#authentication === "required") return ERR_SOCKS4_PASSWORD;
    const have = end - start;
    if (have < 2) return 0;
    if (buffer[start + 1] !== COMMAND_CONNECT) return ERR_COMMAND;
    if (have < 4) return 0;
    const port = buffer.readUInt16BE(start + 2);
    if (port === 0) return ERR_DESTINATION_PORT;
    if (have <= SOCKS4_HEAD_BYTES) return 0;
    const userIdStart = start + SOCKS4_HEAD_BYTES;
    const userIdEnd = endOfText(buffer, userIdStart, end, USER_ID_BYTES_MAX);
    if (userIdEnd < 0) return ERR_USER_ID_TOO_LONG;
    if (userIdEnd === end) return 0;
    const address = buffer.readUInt32BE(start + 4);
    if (address === 0 || address > 0xff) {
      this.#asks(addressAt(buffer, start + 4, 4, port).address, port);
      return userIdEnd + 1 - start;
    }
    const nameEnd = endOfText(buffer, userIdEnd + 1, end, NAME_BYTES_MAX);
    if (nameEnd < 0) return ERR_DESTINATION_NAME;
    if (nameEnd === end) return 0;
    if (!isDestinationName(buffer, userIdEnd + 1, nameEnd)) return ERR_DESTINATION_NAME;
    this.#asks(latin1At(buffer, userIdEnd + 1, nameEnd), port);
    return nameEnd + 1 - start;
  }

  #asks(host: string, port: number): void {
    this.host = host;
    this.port = port;
    this.#state = "answer";
  }
}

/** The offset of the NUL behind a text of at most `bytesMax` bytes; `end` when it has not come, -1 for a longer one. */
function endOfText(buffer: Uint8Array, start: number, end: number, bytesMax: number): number {
  const stop = Math.min(end, start + bytesMax + 1);
  for (let i = start; i < stop; i++) if (buffer[i] === 0) return i;
  return stop - start > bytesMax ? -1 : end;
}

/** UTF-8 without control characters, as the credentials of Basic are; null when it is anything else. */
function textAt(buffer: Buffer, start: number, end: number): string | null {
  for (let i = start; i < end; i++) if (buffer[i]! < 0x20 || buffer[i] === 0x7f) return null;
  try {
    return decoder.decode(buffer.subarray(start, end));
  } catch {
    return null;
  }
}

function refusal(version: 0 | 4 | 5, code: number): Buffer | null {
  if (code === ERR_VERSION || version === 0) return null;
  if (version === 4) return encodeSocks4Reply(SOCKS4_FAILED, null);
  switch (code) {
    case ERR_NO_METHOD:
      return Buffer.from([5, METHOD_UNACCEPTABLE]);
    case ERR_CREDENTIALS:
    case ERR_CREDENTIALS_WRONG:
      return Buffer.from([1, 1]);
    case ERR_COMMAND:
      return encodeSocks5Reply(COMMAND_NOT_SUPPORTED, null);
    case ERR_ADDRESS_TYPE:
      return encodeSocks5Reply(ADDRESS_TYPE_NOT_SUPPORTED, null);
    default:
      return encodeSocks5Reply(GENERAL_FAILURE, null);
  }
}
