/**
 * Which answers may be compressed, whatever the client accepts: the answers whose bytes depend on Accept-Encoding, and
 * that must say so in Vary. It reads messages and changes nothing.
 */
import { FIELD_CONTENT_LENGTH, fieldIdOf } from "../../core/field-names.ts";
import { BODY_UNTIL_END, type RequestMessage, type ResponseMessage } from "../../core/message.ts";
import { listHas } from "../../semantics/field-list.ts";

const FIELD_CONTENT_ENCODING = fieldIdOf("content-encoding");
const FIELD_CACHE_CONTROL = fieldIdOf("cache-control");
const FIELD_CONTENT_TYPE = fieldIdOf("content-type");

/**
 * Whether some client may get this answer compressed. Not: what is encoded already, a part of a representation (206,
 * Content-Range), what the origin forbids to transform (RFC 9111, section 5.2.2.6), what has no body or is known to be
 * short, and types that are not asked for.
 */
export function isCompressible(
  request: RequestMessage,
  response: ResponseMessage,
  types: MediaTypes,
  minBytes: number,
): boolean {
  const { status, fields } = response;
  if (status < 200 || status === 204 || status === 205 || status === 206 || status === 304) return false;
  if (fields.rowOfId(FIELD_CONTENT_ENCODING) >= 0 || fields.has("content-range")) return false;
  const bodyBytes = request.method === "HEAD" ? announcedBytes(response) : response.bodyBytes;
  if (bodyBytes === 0 || (bodyBytes !== BODY_UNTIL_END && bodyBytes < minBytes)) return false;
  const type = fields.rowOfId(FIELD_CONTENT_TYPE);
  return type >= 0 && types.has(fields.valueAt(type)) && !forbidsTransform(response);
}

/** The length that the answer to a GET would have. */
function announcedBytes({ fields }: ResponseMessage): number {
  const row = fields.rowOfId(FIELD_CONTENT_LENGTH);
  return row < 0 ? BODY_UNTIL_END : Number(fields.valueAt(row));
}

/** Cache-Control: no-transform, of an origin or of a client (RFC 9111, sections 5.2.2.6 and 5.2.1.6). */
export function forbidsTransform({ fields }: RequestMessage | ResponseMessage): boolean {
  if (fields.rowOfId(FIELD_CACHE_CONTROL) < 0) return false;
  return listHas(fields.get("cache-control") ?? "", "no-transform");
}

/**
 * Media types as the configuration lists them: "text/html", "text/*", "application/*+json", in lower case. An event
 * stream is taken only when it is listed by its whole name: each holds an encoder for hours to save little.
 */
export class MediaTypes {
  readonly #exact: ReadonlySet<string>;
  /** "text/" */
  readonly #families: ReadonlySet<string>;
  /** "application/+json" */
  readonly #suffixed: ReadonlySet<string>;

  constructor(types: readonly string[]) {
    this.#exact = new Set(types.filter((type) => !type.includes("/*")));
    this.#families = new Set(types.filter((type) => type.endsWith("/*")).map((type) => type.slice(0, -1)));
    this.#suffixed = new Set(types.filter((type) => type.includes("/*+")).map((type) => type.replace("*", "")));
  }

  /** Whether the value of a Content-Type is of one of these types. */
  has(contentType: string): boolean {
    const semicolon = contentType.indexOf(";");
    const type = (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
    if (this.#exact.has(type)) return true;
    if (type === "text/event-stream") return false;
    const family = type.slice(0, type.indexOf("/") + 1);
    const plus = type.lastIndexOf("+");
    return this.#families.has(family) || (plus > 0 && this.#suffixed.has(family + type.slice(plus)));
  }
}
