/**
 * Text in which parts of a request stand as words in braces: `https://example.org{uri}`. Which words there are is said here, and what
 * they stand for, once for every option that takes such text.
 */
import type { RequestMessage } from "./message.ts";

/** `host` has no port, `query` no question mark; `uri` is the path, and the query with its question mark if there is one. */
export const URL_PARTS = ["scheme", "host", "path", "query", "uri"] as const;
export type UrlPart = (typeof URL_PARTS)[number];

/** Besides those of the URL, the address of the client. */
export const REQUEST_PARTS = ["client", ...URL_PARTS] as const;
export type RequestPart = (typeof REQUEST_PARTS)[number];

/** Text as it is, and parts of the request. */
export type RequestTemplate<Part extends string> = readonly (string | { readonly part: Part })[];

/** "" for what the request does not have. */
export function urlPartOf(request: RequestMessage, part: UrlPart): string {
  switch (part) {
    case "scheme":
      return request.scheme;
    case "host":
      return request.host;
    case "path":
      return request.form === "asterisk" ? "/" : request.path;
    case "query":
      return request.query ?? "";
    case "uri":
      return request.form === "asterisk" ? "/" : request.target;
  }
}

/** Words in double braces are the words in braces themselves; all other braces are text. */
const PARTS_OF_REQUEST = new RegExp(
  String.raw`\{(\{(?:${REQUEST_PARTS.join("|")})\})\}|\{(${REQUEST_PARTS.join("|")})\}`,
);

/** Of text whose other braces are text: JSON may stand in it. Without a part in it the text itself. */
export function parseRequestText(text: string): string | RequestTemplate<RequestPart> {
  const parts: (string | { readonly part: RequestPart })[] = [];
  let literal = "";
  // Each match adds two items: the one of its two forms that is there, and the text behind it.
  for (const [index, piece] of text.split(PARTS_OF_REQUEST).entries()) {
    if (piece === undefined) continue;
    if (index % 3 !== 2) literal += piece;
    else {
      if (literal !== "") parts.push(literal);
      literal = "";
      parts.push({ part: piece as RequestPart });
    }
  }
  if (parts.length === 0) return literal;
  return literal === "" ? parts : [...parts, literal];
}
