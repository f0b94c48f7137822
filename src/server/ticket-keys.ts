/**
 * The keys of TLS session tickets. Threads that serve one address have the same ones, since the next connection of a client may be
 * another thread's, which would else have to sign once more.
 */
import { createHmac, randomBytes } from "node:crypto";
import type { ListenTls } from "../io/net/listen-tls.ts";

/** Name, HMAC and AES keys, as OpenSSL takes them. */
const TICKET_KEYS_BYTES = 48;

/** What keys are derived from: new with each process, and never told to anybody but its threads. */
export function makeTicketSecret(): Uint8Array {
  return randomBytes(32);
}

/** Of an address and all that it says and asks: what was begun under another certificate, or other authorities, is not resumed. */
export function ticketKeysOf(secret: Uint8Array, listener: string, tls: ListenTls): Buffer {
  return createHmac("sha512", secret)
    .update(JSON.stringify([listener, tls]))
    .digest()
    .subarray(0, TICKET_KEYS_BYTES);
}
