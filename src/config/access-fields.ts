/**
 * What an access log can say about an exchange: the closed list of its field names, with the sentence for each. The schema
 * checks templates against it, the reference prints it, the log writes it.
 */

export const ACCESS_FIELDS = {
  time: "When the request arrived, as ISO 8601 in UTC with milliseconds.",
  client: "The client's address, or what a trusted proxy says it is.",
  peer: "The address of the other end of the connection, port included.",
  server: "The name of the server in the configuration.",
  route: "The route that matched, such as `web.routes[2]`.",
  user: "Who asks, as a feature such as `credentials` or `basicAuth`, or a forward proxy, has proved it.",
  destination: "Where a forwarded request or tunnel wants to go: host and port.",
  rule: "The rule of `forward` that decided.",
  serverName: "The name that TLS was begun for (SNI): in a tunnel that was looked into, or on the client's connection.",
  via: "The proxy that a forwarded request or tunnel went through, as in `via` of `forward`, without credentials.",
  method: "The method.",
  scheme: "`http` or `https`, as the client used it. A tunnel has none.",
  host: "The host that was asked for, port included.",
  url: "The whole URL that was asked for; of a tunnel its host and port.",
  path: "The path as the client sent it, without the query. A tunnel has none.",
  query: "The query without its question mark.",
  uri: "The target as the client sent it: path and query; to a forward proxy the URL, or host and port.",
  protocol: "The protocol of the request, such as `HTTP/1.1`, `SOCKS5`, or `TLS` for tunnels of redirected traffic.",
  status: "The status of the answer; 499 when the client left before there was one.",
  requestBytes: "Bytes of the request's body.",
  responseBytes: "Bytes of the answer's body as sent to the client.",
  durationMs: "Milliseconds from the first byte of the request to the last one of the answer.",
  upstream: "The name of the upstream.",
  upstreamAddress: "Address and port of the server that answered, or of the proxy that was gone through to it.",
  upstreamMs: "Milliseconds from the request's last byte to the upstream's first one.",
  attempts: "Attempts to reach an upstream.",
  cache:
    "How a shared cache served it: `hit`, `stale`, `revalidated`, `shared` (by a download that another request had begun, or by another machine), `miss` (downloaded), `pass` (past the cache). `upstream` and what follows are those of the download that it waited for.",
  cacheReason: "Why it was not answered from the cache, or not kept in it: a word such as `no-store`.",
  ended:
    "What ended a tunnel: `client` or `upstream`, whichever closed or ended its half first; `idle`, `lifetime`, `stopped` (with the proxy or its server); `intercepted`: its requests have lines of their own; `error`: see there.",
  error: "What went wrong: the error's type (RFC 9209), side and whole chain of causes.",
  tls: "Version of TLS on the client's connection.",
  requestHeaders:
    "All header fields of the request, in `json` an object. Those that seem to hold secrets, or that features have added, are covered.",
  responseHeaders: "All header fields of the answer, in `json` an object. Those that seem to hold secrets are covered.",
} as const satisfies Readonly<Record<string, string>>;

export type AccessFieldName = keyof typeof ACCESS_FIELDS;

/** A field by its name, or one header field of the request (`header:NAME`) or of the answer (`responseHeader:NAME`). */
export type AccessField =
  | { readonly kind: "field"; readonly name: AccessFieldName }
  | { readonly kind: "requestHeader"; readonly name: string }
  | { readonly kind: "responseHeader"; readonly name: string };

/** What `json` writes unless `fields` says otherwise. Queries often carry secrets: `path` is there, `query` is not. */
export const ACCESS_FIELDS_DEFAULT: readonly string[] = [
  "time",
  "client",
  "user",
  "method",
  "scheme",
  "host",
  "destination",
  "rule",
  "via",
  "path",
  "protocol",
  "status",
  "requestBytes",
  "responseBytes",
  "durationMs",
  "server",
  "route",
  "upstream",
  "upstreamAddress",
  "upstreamMs",
  "attempts",
  "cache",
  "cacheReason",
  "ended",
  "error",
];

const HEADER = /^(header|responseHeader):([!#$%&'*+.^_`|~0-9A-Za-z-]+)$/;

/** The field of a name; null when there is none. Names of header fields become lower case. */
export function parseAccessField(text: string): AccessField | null {
  if (Object.hasOwn(ACCESS_FIELDS, text)) return { kind: "field", name: text as AccessFieldName };
  const match = HEADER.exec(text);
  if (match === null) return null;
  const name = (match[2] ?? "").toLowerCase();
  return { kind: match[1] === "header" ? "requestHeader" : "responseHeader", name };
}

/** A template in parts: text as it is, and fields. `{{` and `}}` are the braces themselves. */
export type AccessTemplate = readonly (string | AccessField)[];

/** Parts of "{client} {method} {path} {status}"; the error says what is wrong with the template. */
export function parseAccessTemplate(
  text: string,
): { readonly ok: true; readonly parts: AccessTemplate } | { readonly ok: false; readonly error: string } {
  const parts: (string | AccessField)[] = [];
  let literal = "";
  for (const [token] of text.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (token === "{" || token === "}") return { ok: false, error: `a lone "${token}": write it twice` };
    if (token === "{{" || token === "}}") literal += token.charAt(0);
    else if (token.startsWith("{")) {
      const field = parseAccessField(token.slice(1, -1));
      if (field === null) return { ok: false, error: `the access log has no field ${token}` };
      if (literal !== "") parts.push(literal);
      literal = "";
      parts.push(field);
    } else literal += token;
  }
  if (literal !== "") parts.push(literal);
  if (!parts.some((part) => typeof part !== "string"))
    return { ok: false, error: "a template has at least one {field}" };
  return { ok: true, parts };
}
