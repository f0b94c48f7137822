/**
 * Proxy-Status (RFC 9209): what went wrong here, as one word of a registered list. Never an address, never a message.
 */
import type { ProxyError } from "../core/errors.ts";

/** A list of one item, ours; its parameter is a token of structured fields (RFC 8941, section 3.3.4). */
export function proxyStatus(error: ProxyError): string {
  return `headgate; error=${error.type}`;
}
