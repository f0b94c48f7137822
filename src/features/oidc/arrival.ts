/**
 * What a request says of the browser that sent it: where it believes to be, what it wants, and which cookies of ours it
 * has. Hosts and schemes are those that a trusted proxy in front tells of, where there is one: by then nobody else's
 * word is left in these fields.
 */
import { FIELD_X_FORWARDED_HOST, FIELD_X_FORWARDED_PROTO } from "../../core/field-names.ts";
import type { RequestMessage } from "../../core/message.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { preferredErrorFormat } from "../../semantics/accept.ts";
import { parseAuthority } from "../../semantics/uri.ts";
import type { CookieJar } from "./cookie-jar.ts";
import type { TakenCookies } from "./cookies.ts";

/** A request, and what was taken out of it. */
export interface Arrival {
  readonly exchange: Exchange;
  readonly jar: CookieJar;
  readonly cookies: TakenCookies;
}

/** The browser speaks HTTPS, with us or with a proxy that we trust. */
export function isHttps(request: RequestMessage): boolean {
  if (request.scheme === "https") return true;
  const row = request.fields.rowOfId(FIELD_X_FORWARDED_PROTO);
  return row >= 0 && firstOf(request.fields.valueAt(row)).toLowerCase() === "https";
}

/** "https://app.example.org:8443", without the port that the scheme has anyway; null: the request names no host. */
export function originOf(request: RequestMessage): string | null {
  const row = request.fields.rowOfId(FIELD_X_FORWARDED_HOST);
  const authority = row < 0 ? request.authority : firstOf(request.fields.valueAt(row));
  if (parseAuthority(authority) === null) return null;
  return URL.parse(`${isHttps(request) ? "https" : "http"}://${authority}/`)?.origin ?? null;
}

function firstOf(list: string): string {
  const comma = list.indexOf(",");
  return (comma < 0 ? list : list.slice(0, comma)).trim();
}

/**
 * Whether a person waits in front of a browser that would follow a redirect to the login and show it. Not a script's
 * request, which could do nothing with the page; not one with a body, which would be lost; not one made ahead, which
 * nobody may ever look at.
 */
export function isNavigation(request: RequestMessage): boolean {
  if (request.method !== "GET" || request.upgrade !== null) return false;
  const { fields } = request;
  const mode = fields.get("sec-fetch-mode");
  if (mode !== null && mode !== "navigate") return false;
  if (isAhead(request)) return false;
  if (fields.get("x-requested-with") !== null) return false;
  return preferredErrorFormat(fields.get("accept")) === "html";
}

/** Whether a browser asks before anybody wants it, so as to be quick. */
export function isAhead({ fields }: RequestMessage): boolean {
  return (fields.get("sec-purpose") ?? fields.get("purpose") ?? "").includes("prefetch");
}

/**
 * Whether another site made the browser send this. Browsers that do not say so send no cookie of ours then (SameSite).
 */
export function isCrossSite(request: RequestMessage): boolean {
  return request.fields.get("sec-fetch-site") === "cross-site";
}
