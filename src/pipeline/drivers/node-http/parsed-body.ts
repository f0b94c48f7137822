/**
 * The body of a request that a body parser in front has already read. Its bytes are gone, and an upstream that waits for
 * them would wait for ever; so they are made again from what the parser left in `request.body`, where that is beyond doubt,
 * and where it is not, the request is refused at once with a sentence that says why.
 *
 *     Buffer, Uint8Array    as it is
 *     string                as UTF-8
 *     anything else         as JSON or as a URL-encoded form, as Content-Type says
 *
 * What is made again need not be what came, byte for byte (JSON loses its spaces). A program that must not change a byte
 * mounts the proxy before its body parsers.
 */
import { ProxyError } from "../../../core/errors.ts";
import type { FieldBlock } from "../../../core/fields.ts";

/** The bytes of `body`, or why there are none. Removes from `fields` what no longer holds. */
export function encodeParsedBody(body: unknown, fields: FieldBlock): Buffer | ProxyError {
  if (body === undefined)
    return refused("a body parser in front has read the request's body and left nothing in request.body");
  const coding = fields.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (body instanceof Uint8Array) {
    if (coding !== "identity")
      return refused(`nobody can tell whether the bytes in request.body are still in ${coding}`);
    return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }
  const contentType = fields.get("content-type") ?? "";
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType)?.[1]?.toLowerCase() ?? "utf-8";
  if (charset !== "utf-8" && charset !== "us-ascii")
    return refused(`request.body cannot be written in charset ${charset}`);
  const text = typeof body === "string" ? body : serialise(body, contentType);
  if (text instanceof ProxyError) return text;
  // A parser has decoded it, or there would be no text.
  fields.delete("content-encoding");
  return Buffer.from(text);
}

function serialise(body: unknown, contentType: string): string | ProxyError {
  const mediaType = contentType.split(";", 1)[0]!.trim().toLowerCase();
  if (mediaType === "application/json" || mediaType.endsWith("+json")) return json(body);
  if (mediaType === "application/x-www-form-urlencoded") return urlEncodedForm(body);
  return refused(`request.body cannot be written as ${mediaType === "" ? "a body without Content-Type" : mediaType}`);
}

function json(body: unknown): string | ProxyError {
  try {
    return JSON.stringify(body) ?? refused("request.body is nothing that JSON can say");
  } catch (thrown) {
    return refused("request.body cannot be written as JSON", thrown);
  }
}

/** One level of names, each with a text or a list of texts: nested names are spelled differently by every parser. */
function urlEncodedForm(body: unknown): string | ProxyError {
  if (typeof body !== "object" || body === null) return refused("request.body is not a form");
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    for (const text of Array.isArray(value) ? value : [value]) {
      if (typeof text !== "string")
        return refused(`the form in request.body has a nested value, ${JSON.stringify(name)}`);
      form.append(name, text);
    }
  }
  return form.toString();
}

function refused(why: string, cause?: unknown): ProxyError {
  const advice = "mount the proxy before body parsers";
  return new ProxyError("proxy_configuration_error", `${why}: ${advice}`, { retryable: false, cause });
}
