/** The request that `explain` asks about, from what a person writes: a method, a URL or a path, header fields. */
import { RequestMessage } from "../core/message.ts";
import { splitAbsoluteForm } from "../semantics/uri.ts";

export interface AskedRequest {
  readonly method: string;
  /** `http://host/path`, `https://`, `ws://`, `wss://`, or a path alone. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A URL of WebSocket asks for the upgrade as a browser would. Throws a TypeError that says what is wrong. */
export function requestOf({ method, url, headers }: AskedRequest): RequestMessage {
  const isWebSocket = /^wss?:/i.test(url);
  const parts = url.startsWith("/") ? splitPath(url) : splitAbsoluteForm(url.replace(/^ws/i, "http"));
  if (parts === null) throw new TypeError(`${JSON.stringify(url)} is neither an http or ws URL nor a path`);
  const request = new RequestMessage();
  request.method = method;
  request.scheme = parts.scheme;
  if (parts.authority !== "") request.fields.append("Host", parts.authority);
  if (isWebSocket) {
    request.fields.append("Connection", "Upgrade");
    request.fields.append("Upgrade", "websocket");
  }
  for (const [name, value] of headers) {
    if (name.toLowerCase() === "host") request.fields.delete("host");
    request.fields.append(name, value);
  }
  request.setTarget(parts.path, parts.query);
  const options = (request.fields.get("connection") ?? "").toLowerCase().split(/[ \t]*,[ \t]*/);
  if (options.includes("upgrade")) request.upgrade = request.fields.get("upgrade")?.toLowerCase() ?? null;
  return request;
}

function splitPath(url: string) {
  const query = url.indexOf("?");
  return {
    scheme: "http" as const,
    authority: "",
    path: query < 0 ? url : url.slice(0, query),
    query: query < 0 ? null : url.slice(query + 1),
  };
}
