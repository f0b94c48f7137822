/**
 * What an exchange that has ended says for each field of the access log; the names and their sentences are in
 * config/access-fields.ts. null: the field does not apply. Values are as they are: escaping and redaction are the business of
 * whoever writes the line.
 */
import type { AccessFieldName } from "../config/access-fields.ts";
import type { ProxyError } from "../core/errors.ts";
import type { Address, Clock } from "../core/ports.ts";
import { Denial } from "../forward/refusal.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { AMBIGUOUS_HOST } from "../pipeline/forward-admission.ts";

/** What a field is, besides the exchange itself. */
export interface RecordSurroundings {
  readonly clock: Clock;
  readonly serverName: string;
}

export type FieldValue = string | number | null;
/** Fields that a line writes in ways of their own: they are no single value. */
export type CompoundName = "error" | "requestHeaders" | "responseHeaders";
export type FieldReader = (exchange: Exchange) => FieldValue;

/** The status when the client left before there was an answer; nginx's, which every tool for logs knows. */
export const STATUS_CLIENT_LEFT = 499;

export function statusOf(exchange: Exchange): number {
  return exchange.response?.status ?? exchange.error?.status ?? STATUS_CLIENT_LEFT;
}

/** All fields but those that are a text in one format and an object in another. */
export function fieldReader(name: Exclude<AccessFieldName, CompoundName>, around: RecordSurroundings): FieldReader {
  switch (name) {
    case "time":
      return (exchange) => isoTime(startedWallMs(exchange, around.clock));
    case "client":
      return (exchange) => exchange.clientAddress || "unix:";
    case "peer":
      return (exchange) => addressText(exchange.connection.remote);
    case "server":
      return () => around.serverName;
    case "route":
      return (exchange) => exchange.routeName;
    case "user":
      return userOf;
    case "destination":
      return destinationOf;
    case "rule":
      return ruleOf;
    case "serverName":
      return ({ forward, connection }) =>
        forward?.serverName ?? connection.origin?.serverName ?? connection.tls?.serverName ?? null;
    case "ended":
      return (exchange) => exchange.tunnelEnd;
    case "via":
      return ({ forward }) => forward?.via ?? null;
    case "method":
      return (exchange) => exchange.request.method;
    case "scheme":
      // What is spoken in a tunnel is not known.
      return ({ request }) => (request.method === "CONNECT" ? null : request.scheme);
    case "host":
      return (exchange) => exchange.request.authority || null;
    case "url":
      return urlOf;
    case "path":
      return (exchange) => pathOf(exchange.request.receivedTarget);
    case "query":
      return (exchange) => behindQuestionMark(exchange.request.receivedTarget);
    case "uri":
      return (exchange) => exchange.request.receivedTarget || null;
    case "protocol":
      return (exchange) => protocolOf(exchange);
    case "status":
      return statusOf;
    case "requestBytes":
      return (exchange) => exchange.requestBodyBytes;
    case "responseBytes":
      return (exchange) => exchange.responseBodyBytes;
    case "durationMs":
      return (exchange) => microseconds(exchange.endedMs - exchange.startedMs);
    case "upstream":
      return (exchange) => exchange.upstream?.name ?? null;
    case "upstreamAddress":
      return (exchange) => exchange.upstreamAddress;
    case "upstreamMs":
      return (exchange) =>
        exchange.upstreamFirstByteMs === 0
          ? null
          : microseconds(exchange.upstreamFirstByteMs - exchange.upstreamSentMs);
    case "attempts":
      return (exchange) => (exchange.upstream === null ? null : exchange.attempts);
    case "cache":
      return ({ cache }) => cache?.outcome ?? null;
    case "cacheReason":
      return ({ cache }) => cache?.reason ?? null;
    case "tls":
      return (exchange) => exchange.connection.tls?.protocol ?? null;
  }
}

/** Who asks, as a feature has proved it, or the proxy itself. */
export function userOf({ identity, forward }: Exchange): string | null {
  return identity?.subject ?? forward?.user?.subject ?? null;
}

function destinationOf({ forward, error, request }: Exchange): string | null {
  // It is none, but what was asked for.
  if (forward === null) return error?.reason === AMBIGUOUS_HOST ? request.authority : null;
  const { host, port } = forward.destination;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Which rule decided may depend on the address, which is known only when somebody is connected to it. */
function ruleOf(exchange: Exchange): string | null {
  const { forward, error } = exchange;
  if (error instanceof Denial) return error.rule;
  return forward?.access?.ruleOf(decidingAddress(exchange)) ?? null;
}

/** The address that the rules decided about; null: none was connected to, or a proxy behind us went there. */
export function decidingAddress({ forward, upstreamAddress }: Exchange): string | null {
  const access = forward?.access ?? null;
  if (access === null) return null;
  // Behind a parent, only an address that the client gave is known.
  const { host, isAddress } = forward!.destination;
  if (forward!.via !== null) return isAddress && access.ruleOf(host) !== null ? host : null;
  const address = upstreamAddress === null ? null : upstreamAddress.replace(/^\[?(.*?)\]?:\d+$/, "$1");
  return address === null || access.ruleOf(address) === null ? null : address;
}

/** The wall clock's time at which the exchange began. The exchange ends now. */
export function startedWallMs(exchange: Exchange, clock: Clock): number {
  return clock.wallMs() - (exchange.endedMs - exchange.startedMs);
}

export function protocolOf({ request, connection }: Exchange): string {
  if (connection.protocol !== undefined) return connection.protocol;
  if (request.httpVersion === 11) return "HTTP/1.1";
  return request.httpVersion === 10 ? "HTTP/1.0" : `HTTP/${request.httpVersion / 10}`;
}

/** Milliseconds with three decimals: a float's other digits are noise. */
function microseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Of a target in origin or absolute form; those of a tunnel, and of a request that could not be read, have none. */
function pathOf(target: string): string | null {
  const path = target.replace(SCHEME_AND_AUTHORITY, "").replace(/\?.*/s, "");
  if (path === target && !/^[/*]/.test(target)) return null;
  return path || "/";
}

const SCHEME_AND_AUTHORITY = /^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i;

function urlOf({ request }: Exchange): string | null {
  const { receivedTarget: target, scheme, authority, method } = request;
  if (!/^[/*]/.test(target)) return target || (method === "CONNECT" && authority) || null;
  return authority === "" ? null : `${scheme}://${authority}${target === "*" ? "" : target}`;
}

function behindQuestionMark(target: string): string | null {
  const query = target.indexOf("?");
  return query < 0 ? null : target.slice(query + 1);
}

function addressText({ family, address, port }: Address): string {
  if (family === 0) return `unix:${address}`;
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

let second = Number.NaN;
let secondText = "";

/** "2026-11-21T05:36:12.345Z"; all but the milliseconds are made once a second. */
export function isoTime(wallMs: number): string {
  const whole = Math.floor(wallMs);
  const seconds = Math.floor(whole / 1000);
  if (seconds !== second) {
    second = seconds;
    secondText = new Date(seconds * 1000).toISOString().slice(0, 20);
  }
  const ms = whole - seconds * 1000;
  return `${secondText}${ms < 10 ? "00" : ms < 100 ? "0" : ""}${ms}Z`;
}

/** Errors behind the first one that are told: enough for every chain that we make. */
const CAUSES_MAX = 8;

/** The messages of what caused an error, the nearest first; those that only repeat what was said before are left out. */
export function causesOf(error: ProxyError): readonly string[] {
  const causes: string[] = [];
  const said = new Set(wordsOf(error.message));
  let cause: unknown = error.cause;
  for (let behind = 0; behind < CAUSES_MAX && cause !== undefined && cause !== null; behind++) {
    const words = wordsOf(cause instanceof Error ? cause.message : causeText(cause));
    if (words.some((word) => !said.has(word))) {
      // Some libraries end a message with a line break.
      causes.push(causeText(cause).trimEnd());
      for (const word of words) said.add(word);
    }
    cause = cause instanceof Error ? cause.cause : null;
  }
  return causes;
}

/** Without the marks around them: an address keeps its own. */
function wordsOf(text: string): readonly string[] {
  return text.split(/[\s()"',;]+|:(?=\s|$)/).filter((word) => word !== "");
}

function causeText(cause: unknown): string {
  if (cause instanceof Error)
    return cause.name === "Error" || cause.name === "ProxyError" ? cause.message : `${cause.name}: ${cause.message}`;
  return typeof cause === "string" ? cause : "something other than an Error was thrown";
}
