/**
 * The request that `explain` asks about, from what a person writes: a method, a URL or a path, header fields. To a server it is in
 * origin form; to a forward proxy it is what a client with `http_proxy` and `https_proxy` would send.
 */
import { FieldStorage } from "../core/fields.ts";
import { FIELDS_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX } from "../core/limits.ts";
import { RequestMessage } from "../core/message.ts";
import { requestError } from "../protocol/http1/errors.ts";
import { parseRequestHead, RequestHead } from "../protocol/http1/request-head.ts";
import { type AbsoluteForm, parseAuthority, splitAbsoluteForm } from "../semantics/uri.ts";

export interface AskedRequest {
  readonly method: string;
  /** `http://host/path`, `https://`, `ws://`, `wss://`, or a path alone; with CONNECT `host:port`, with OPTIONS `*` as well. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

const WEBSOCKET = [
  ["Connection", "Upgrade"],
  ["Upgrade", "websocket"],
] as const;

/** Whether a URL names no place but is asked of a server itself: a path, or `*`, the server as a whole (RFC 9112, section 3.2.4). */
export function asksServerItself(url: string): boolean {
  return url.startsWith("/") || url === "*";
}

/** Whether a user, and maybe a password, stand in front of the host: whoever reports on such a URL must not show it. */
export function hasUser(url: string): boolean {
  if (url.startsWith("/")) return false;
  const authority = /^(?:[a-z][a-z0-9+.-]*:\/\/)?([^/?#]*)/i.exec(url)?.[1] ?? "";
  // With a "/" in the password that is not encoded, the host seems to end there, behind what is no port.
  const endsWithin = url.includes("@") && !/^(\[[^\]]*\]|[^:]*)(:\d*)?$/.test(authority);
  return authority.includes("@") || endsWithin;
}

/** A URL of WebSocket asks for the upgrade as a browser would. Throws a TypeError that says what is wrong. */
export function requestOf({ method, url, headers }: AskedRequest): RequestMessage {
  if (url === "*" && method !== "OPTIONS") throw new TypeError("only OPTIONS asks for *");
  const parts = asksServerItself(url) ? splitPath(url) : partsOf(url);
  const request = new RequestMessage();
  if (url === "*") request.form = "asterisk";
  request.method = method;
  request.scheme = parts.scheme;
  if (parts.authority !== "") request.fields.append("Host", parts.authority);
  for (const [name, value] of [...(isWebSocket(url) ? WEBSOCKET : []), ...headers]) {
    if (name.toLowerCase() === "host") request.fields.delete("host");
    request.fields.append(name, value);
  }
  request.setTarget(parts.path, parts.query);
  settleUpgrade(request);
  return request;
}

/** The same to a forward proxy: http in absolute form, https through a tunnel. Throws a TypeError as well. */
export function forwardRequestOf({ method, url, headers }: AskedRequest): RequestMessage {
  if (method === "CONNECT") return readRequest(method, tunnelTo(url), url, headers);
  const { scheme, authority, path, query } = partsOf(url);
  if (scheme === "https") {
    const place = `${authority.replace(/:\d*$/, "")}:${parseAuthority(authority)?.port ?? 443}`;
    return readRequest("CONNECT", place, place, headers);
  }
  const target = `http://${authority}${path}${query === null ? "" : `?${query}`}`;
  return readRequest(method, target, authority, [...(isWebSocket(url) ? WEBSOCKET : []), ...headers]);
}

function tunnelTo(text: string): string {
  if (parseAuthority(text)?.port != null) return text;
  throw new TypeError(`CONNECT names a host and a port, such as example.org:443, got ${JSON.stringify(text)}`);
}

const LIMITS = {
  headBytesMax: HEAD_BYTES_MAX,
  requestLineBytesMax: REQUEST_LINE_BYTES_MAX,
  fieldsMax: FIELDS_MAX,
};

/** Read as from a connection, since only there a target may be other than a path. */
function readRequest(method: string, target: string, host: string, headers: AskedRequest["headers"]): RequestMessage {
  const named = headers.some(([name]) => name.toLowerCase() === "host") ? [] : [["Host", host] as const];
  const lines = [...named, ...headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}\r\n`, "latin1");
  const storage = new FieldStorage();
  const head = new RequestHead();
  const length = parseRequestHead(bytes, 0, bytes.length, storage, LIMITS, head);
  if (length !== bytes.length) throw new TypeError(length < 0 ? requestError(length).message : "this is no request");
  const request = new RequestMessage();
  request.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
  request.method = head.method;
  request.form = head.form;
  request.setTargetRange(head.targetStart, head.pathEnd, head.targetEnd);
  if (head.form === "absolute") request.setAuthorityRange(head.authorityStart, head.authorityEnd);
  settleUpgrade(request);
  return request;
}

function settleUpgrade(request: RequestMessage): void {
  const options = (request.fields.get("connection") ?? "").toLowerCase().split(/[ \t]*,[ \t]*/);
  if (options.includes("upgrade")) request.upgrade = request.fields.get("upgrade")?.toLowerCase() ?? null;
}

function isWebSocket(url: string): boolean {
  return /^wss?:/i.test(url);
}

function partsOf(url: string): AbsoluteForm {
  const parts = splitAbsoluteForm(url.replace(/^ws/i, "http"));
  if (parts !== null) return parts;
  const isMeant = /^[^/:]*(\.|:(?!\/))/.test(url) && splitAbsoluteForm(`http://${url}`) !== null;
  const hint = isMeant ? `; did you mean http://${url}?` : "";
  throw new TypeError(`${JSON.stringify(url)} is neither an http or ws URL nor a path${hint}`);
}

function splitPath(url: string): AbsoluteForm {
  const query = url.indexOf("?");
  return {
    scheme: "http",
    authority: "",
    path: query < 0 ? url : url.slice(0, query),
    query: query < 0 ? null : url.slice(query + 1),
  };
}
