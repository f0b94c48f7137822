/**
 * Which requests the admin interface does not obey, although they reached it. Its address is the only lock it has, and a
 * browser on this machine carries requests of strangers' pages through that lock: they are told by what a page cannot
 * forge. What an operation refuses for reasons of its own is said with the same error.
 */
import type { IncomingHttpHeaders } from "node:http";

/** A request that is not answered as it wished: the status, a sentence for a person, and what else the JSON shall have. */
export class Refusal extends Error {
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(status: number, sentence: string, details: Readonly<Record<string, unknown>> = {}) {
    super(sentence);
    this.name = "Refusal";
    this.status = status;
    this.details = details;
  }
}

/** Names that lead to this machine whatever a resolver says (RFC 6761, section 6.3), with or without a port. */
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;

/**
 * Why a request that may be a stranger's must not be answered; null when it may.
 * @param isPort it came to a TCP port, where a page can lead a browser by making its own name resolve to 127.0.0.1 (DNS
 *   rebinding): Host is that name then.
 */
export function strangerRefusal(headers: IncomingHttpHeaders, isPort: boolean): Refusal | null {
  const { host = "", origin, "sec-fetch-site": site } = headers;
  if (isPort && !LOOPBACK_HOST.test(host)) {
    return new Refusal(403, "the Host field must name this machine: localhost, 127.0.0.1 or [::1]");
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return new Refusal(403, "requests of other sites' pages are refused (Origin)");
  }
  // A page of the same machine on another port is "same-site", and still a stranger.
  if (site !== undefined && site !== "same-origin" && site !== "none") {
    return new Refusal(403, "requests of other sites' pages are refused (Sec-Fetch-Site)");
  }
  return null;
}

/** What a page cannot send to another origin without asking it first by an OPTIONS request, which gets 405 here. */
const JSON_TYPE = /^application\/json[ \t]*(;|$)/i;

/** Why a request that changes something must not be obeyed; null when it may. */
export function changeRefusal(headers: IncomingHttpHeaders): Refusal | null {
  if (JSON_TYPE.test(headers["content-type"] ?? "")) return null;
  return new Refusal(415, "a request that changes something needs the field Content-Type: application/json");
}
