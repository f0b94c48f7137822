/**
 * The ClientHello with which a client begins TLS (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2), read without taking
 * part in the handshake: which server it asks for, and which protocols it offers. It consumes nothing: whoever serves or
 * passes on the connection gets every byte. What it does not need it does not judge, beyond that all lengths add up: a
 * server that read other lengths could see another name.
 *
 *     record      = type 22, version 3.x, length, fragment; the handshake message may lie in several
 *     ClientHello = type 1, length; version, random, session id, cipher suites, compressions, extensions
 *
 * Bytes are judged in their order, each by those before it alone: so a ClientHello in pieces gets the verdict that it would
 * get whole, and what is no TLS shows at its first bytes.
 */
import { latin1At } from "../../core/latin1.ts";
import {
  ERR_ALPN,
  ERR_EXTENSION_REPEATED,
  ERR_LENGTHS,
  ERR_NOT_CLIENT_HELLO,
  ERR_NOT_TLS,
  ERR_RECORD,
  ERR_SERVER_NAME,
  ERR_TOO_LARGE,
} from "./errors.ts";

/**
 * From the first byte of the connection to the end of the ClientHello, record headers included. Browsers send about two
 * KiB (post-quantum key shares, encrypted ClientHello), and more when they resume with large tickets; nginx (preread) and
 * HAProxy (a buffer) look at 16 KiB.
 */
export const CLIENT_HELLO_BYTES_MAX = 16 * 1024;

/** RFC 8446, section 5.1 */
const RECORD_HANDSHAKE = 22;
const RECORD_HEAD_BYTES = 5;
const FRAGMENT_BYTES_MAX = 2 ** 14;
/** RFC 8446, section 4 */
const HANDSHAKE_CLIENT_HELLO = 1;
const HANDSHAKE_HEAD_BYTES = 4;

const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
/** RFC 9849, section 5 */
const EXTENSION_ENCRYPTED_CLIENT_HELLO = 0xfe0d;
/** RFC 6066, section 3 */
const NAME_TYPE_HOST = 0;

const NONE: readonly string[] = [];

/** What a ClientHello says. Filled by a successful parse. */
export class ClientHello {
  /** SNI (RFC 6066, section 3): a name of the DNS, lower case, without a dot at the end; null: none is sent. */
  serverName: string | null = null;
  /** ALPN (RFC 7301): protocols as latin1, most wanted first; empty: none is sent. */
  alpn: readonly string[] = NONE;
  /**
   * The name may be a public one, of those who hide the real one in an encrypted ClientHello. Browsers also send what only
   * looks like it (RFC 9849, section 6.2), and no one but the server can tell.
   */
  hasEncryptedClientHello = false;
}

/**
 * Reads a ClientHello at `buffer[start, end)`, from the first byte of a connection. Returns how many bytes it has, headers
 * of records included, 0 when more are needed, or an ERR_ code; ERR_NOT_TLS is the one for what is something else.
 */
export function parseClientHello(buffer: Buffer, start: number, end: number, hello: ClientHello): number {
  forget(hello);
  const found = findMessage(buffer, start, end);
  if (found <= 0) return found;
  const firstRecordBytes = RECORD_HEAD_BYTES + buffer.readUInt16BE(start + 3);
  const isWhole = firstRecordBytes === found;
  const message = isWhole
    ? buffer.subarray(start + RECORD_HEAD_BYTES, start + found)
    : join(buffer, start, start + found);
  const refused = readMessage(message, hello);
  if (refused === 0) return found;
  forget(hello);
  return refused;
}

function forget(hello: ClientHello): void {
  hello.serverName = null;
  hello.alpn = NONE;
  hello.hasEncryptedClientHello = false;
}

/**
 * The records that the ClientHello lies in: their bytes, 0 or an ERR_ code. The ClientHello must end where a record ends: a
 * client says nothing more before it is answered, but for early data, which has other keys (RFC 8446, section 5.1).
 */
function findMessage(buffer: Buffer, start: number, end: number): number {
  /** Of the handshake message: how many bytes the records so far have, and all that it has, unknown before its fourth. */
  let gathered = 0;
  let length = 0;
  let needed = Number.POSITIVE_INFINITY;
  for (let at = start; ; ) {
    const refused = judgeRecordHead(buffer, at, end, at === start);
    if (refused !== 0) return refused;
    if (end - at < RECORD_HEAD_BYTES) return 0;
    const fragment = at + RECORD_HEAD_BYTES;
    const fragmentEnd = fragment + buffer.readUInt16BE(at + 3);
    if (fragmentEnd - start > CLIENT_HELLO_BYTES_MAX) return ERR_TOO_LARGE;
    for (let i = fragment; i < Math.min(end, fragmentEnd) && gathered + i - fragment < HANDSHAKE_HEAD_BYTES; i++) {
      const position = gathered + i - fragment;
      if (position === 0) {
        if (buffer[i] !== HANDSHAKE_CLIENT_HELLO) return ERR_NOT_CLIENT_HELLO;
      } else length = length * 256 + buffer[i]!;
      if (position === HANDSHAKE_HEAD_BYTES - 1) needed = HANDSHAKE_HEAD_BYTES + length;
    }
    gathered += fragmentEnd - fragment;
    if (needed !== Number.POSITIVE_INFINITY) {
      if (needed > CLIENT_HELLO_BYTES_MAX) return ERR_TOO_LARGE;
      if (gathered > needed) return ERR_NOT_CLIENT_HELLO;
    }
    if (end < fragmentEnd) return 0;
    at = fragmentEnd;
    if (gathered === needed) return at - start;
  }
}

/** The version's second byte means nothing (RFC 8446, section 5.1), and is 1 or 3. Returns 0 or an ERR_ code. */
function judgeRecordHead(buffer: Uint8Array, at: number, end: number, isFirst: boolean): number {
  const refusal = isFirst ? ERR_NOT_TLS : ERR_RECORD;
  if (at < end && buffer[at] !== RECORD_HANDSHAKE) return refusal;
  if (at + 1 < end && buffer[at + 1] !== 3) return refusal;
  if (end - at < RECORD_HEAD_BYTES) return 0;
  const length = buffer[at + 3]! * 256 + buffer[at + 4]!;
  return length === 0 || length > FRAGMENT_BYTES_MAX ? ERR_RECORD : 0;
}

/** The fragments of all records at `buffer[start, end)`, one behind the other. */
function join(buffer: Buffer, start: number, end: number): Buffer {
  const joined = Buffer.allocUnsafe(end - start);
  let length = 0;
  for (let at = start; at < end; ) {
    const fragment = at + RECORD_HEAD_BYTES;
    at = fragment + buffer.readUInt16BE(at + 3);
    length += buffer.copy(joined, length, fragment, at);
  }
  return joined.subarray(0, length);
}

/** legacy_version and random (RFC 8446, section 4.1.2) */
const FIXED_BYTES = 34;

/** The handshake message, which is all of `buffer`. Returns 0 or an ERR_ code. */
function readMessage(buffer: Buffer, hello: ClientHello): number {
  const end = buffer.length;
  let at = HANDSHAKE_HEAD_BYTES + FIXED_BYTES;
  // opaque legacy_session_id<0..32>
  if (at >= end || buffer[at]! > 32) return ERR_LENGTHS;
  at += 1 + buffer[at]!;
  // CipherSuite cipher_suites<2..2^16-2>
  if (at + 2 > end) return ERR_LENGTHS;
  const suites = buffer.readUInt16BE(at);
  if (suites === 0 || suites % 2 !== 0) return ERR_LENGTHS;
  at += 2 + suites;
  // opaque legacy_compression_methods<1..2^8-1>
  if (at >= end || buffer[at] === 0) return ERR_LENGTHS;
  at += 1 + buffer[at]!;
  // Before TLS 1.3 there may be no extensions at all (RFC 5246, section 7.4.1.2).
  if (at === end) return 0;
  if (at + 2 > end || at + 2 + buffer.readUInt16BE(at) !== end) return ERR_LENGTHS;
  return readExtensions(buffer, at + 2, hello);
}

/** Extension extensions<..>: none twice (RFC 8446, section 4.2). Unknown ones, GREASE among them, are passed over. */
function readExtensions(buffer: Buffer, start: number, hello: ClientHello): number {
  const end = buffer.length;
  const seen = new Set<number>();
  let at = start;
  while (at < end) {
    if (at + 4 > end) return ERR_LENGTHS;
    const type = buffer.readUInt16BE(at);
    const content = at + 4;
    at = content + buffer.readUInt16BE(at + 2);
    if (at > end) return ERR_LENGTHS;
    if (seen.has(type)) return ERR_EXTENSION_REPEATED;
    seen.add(type);
    let refused = 0;
    if (type === EXTENSION_SERVER_NAME) refused = readServerName(buffer, content, at, hello);
    else if (type === EXTENSION_ALPN) refused = readAlpn(buffer, content, at, hello);
    else if (type === EXTENSION_ENCRYPTED_CLIENT_HELLO) hello.hasEncryptedClientHello = true;
    if (refused !== 0) return refused;
  }
  return 0;
}

/**
 * ServerNameList (RFC 6066, section 3): names of different types, of which host_name alone was ever defined. So there is one
 * entry, as OpenSSL has it too: in a second one, another reader could find another name.
 */
function readServerName(buffer: Buffer, start: number, end: number, hello: ClientHello): number {
  const name = start + 5;
  if (name >= end || start + 2 + buffer.readUInt16BE(start) !== end) return ERR_SERVER_NAME;
  if (buffer[start + 2] !== NAME_TYPE_HOST || name + buffer.readUInt16BE(start + 3) !== end) return ERR_SERVER_NAME;
  const text = latin1At(buffer, name, end).toLowerCase();
  if (!isDnsName(text)) return ERR_SERVER_NAME;
  hello.serverName = text;
  return 0;
}

/** RFC 1035, section 2.3.4 */
const NAME_LENGTH_MAX = 253;
const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
/** What some programs take for an IPv4 address: the last label is a number (as in the URL standard, "ends in a number"). */
const NUMBER_AT_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** Lower case, without a dot at the end; no address (RFC 6066, section 3). */
function isDnsName(text: string): boolean {
  return text.length <= NAME_LENGTH_MAX && LABELS.test(text) && !NUMBER_AT_END.test(text);
}

/** ProtocolNameList (RFC 7301, section 3.1): not empty, of names of 1 to 255 bytes. */
function readAlpn(buffer: Buffer, start: number, end: number, hello: ClientHello): number {
  if (end - start < 4 || start + 2 + buffer.readUInt16BE(start) !== end) return ERR_ALPN;
  const protocols: string[] = [];
  for (let at = start + 2; at < end; ) {
    const name = at + 1;
    at = name + buffer[at]!;
    if (at === name || at > end) return ERR_ALPN;
    protocols.push(latin1At(buffer, name, at));
  }
  hello.alpn = protocols;
  return 0;
}
