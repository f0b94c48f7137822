/**
 * A body as a log may show it: its text, without its secrets, where it is text of a kind that can be read; otherwise only what is
 * known about it. JSON and forms are read by their grammars; of other text, all is shown up to the first line that names or looks
 * like a secret, for nobody can tell where that secret stands and where it ends.
 */
import { decodeFormText } from "../../semantics/query.ts";
import type { SecretNames } from "../../semantics/secret-names.ts";
import { COVER, type Covered, coverJson } from "./cover-json.ts";

type Kind = "json" | "form" | "text";

/** null: it is not shown. */
export function kindOf(contentType: string | null): Kind | null {
  const match = /^\s*([\w!#$&^.+-]+)\/([\w!#$&^.+-]+)\s*(;.*)?$/s.exec(contentType ?? "");
  if (match === null) return null;
  const type = (match[1] ?? "").toLowerCase();
  const subtype = (match[2] ?? "").toLowerCase();
  // What is read in another encoding than it was written in hides its names from us.
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(match[3] ?? "")?.[1]?.toLowerCase() ?? "utf-8";
  if (!["utf-8", "utf8", "us-ascii", "ascii"].includes(charset)) return null;
  if (/^(?:json|x-ndjson|ndjson|jsonl|json-seq)$|\+json$/.test(subtype)) return "json";
  if (type === "application" && subtype === "x-www-form-urlencoded") return "form";
  const isText = type === "text" || /^(?:xml|javascript|graphql|yaml|x-yaml|toml)$|\+(?:xml|yaml)$/.test(subtype);
  return isText ? "text" : null;
}

/** `isCut`: the bytes are only the beginning. null: they are no text. */
export function coverBody(bytes: Buffer, kind: Kind, isCut: boolean, names: SecretNames): Covered | null {
  const text = textOf(bytes, isCut);
  if (text === null) return null;
  const { text: shown, isWhole } = cover(text, kind, names);
  return { text: shown, isWhole: isWhole && !isCut };
}

function cover(text: string, kind: Kind, names: SecretNames): Covered {
  switch (kind) {
    case "json":
      return coverJson(text, names);
    case "form":
      return { text: coverForm(text, names), isWhole: true };
    case "text":
      return coverText(text, names);
  }
}

/** null: it is no UTF-8, or holds what no text does. A character that was cut at the end is left out. */
function textOf(bytes: Buffer, isCut: boolean): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: isCut });
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

/** Names that are those of secrets in forms, and of anything in JSON. */
const SECRET_FORM_NAMES: ReadonlySet<string> = new Set(["code", "code_verifier", "device_code", "user_code", "key"]);

/** Pairs as the URL standard reads them. */
function coverForm(text: string, names: SecretNames): string {
  let isCovered = false;
  return text
    .split("&")
    .map((pair) => {
      const equals = pair.indexOf("=");
      // Behind a secret it may be more of it, where somebody did not encode an ampersand.
      if (equals < 0) return isCovered ? COVER : pair;
      const name = decodeFormText(pair.slice(0, equals));
      isCovered = names.has(name) || SECRET_FORM_NAMES.has(name.toLowerCase());
      isCovered ||= tellsSecret(decodeFormText(pair.slice(equals + 1)), names);
      return isCovered ? `${pair.slice(0, equals)}=${COVER}` : pair;
    })
    .join("&");
}

function tellsSecret(value: string, names: SecretNames): boolean {
  if (names.isToldBy(value)) return true;
  return /^\s*[[{]/.test(value) && coverJson(value, names).text !== value;
}

function coverText(text: string, names: SecretNames): Covered {
  const mention = names.firstMention(text);
  if (mention < 0) return { text, isWhole: true };
  const lineStart = Math.max(text.lastIndexOf("\n", mention), text.lastIndexOf("\r", mention)) + 1;
  return { text: text.slice(0, lineStart) + COVER, isWhole: false };
}
