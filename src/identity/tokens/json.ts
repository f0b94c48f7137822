/**
 * JSON as tokens hold it: objects only, and none that two readers could read in two ways. A name that stands twice in
 * an object is refused (RFC 8725 section 2.4 would let the last one win, and others take the first), and so are bytes
 * that are no UTF-8.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** A string, or one of the characters that open, close and separate; between them only scalars and white space. */
const STRUCTURE = /"(?:[^"\\]|\\.)*"|[{}[\],]/gs;

/** null when the bytes are anything but one such object. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | null {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) && !repeatsName(text) ? value : null;
  } catch {
    return null;
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The member of its own, undefined when there is none: nothing is inherited from objects of JavaScript. */
export function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Whether an object in the text, which is JSON, has a name twice, however it is escaped. */
function repeatsName(text: string): boolean {
  // The names of every object that is open; null for a list.
  const open: (Set<string> | null)[] = [];
  let isName = false;
  for (const [token] of text.matchAll(STRUCTURE)) {
    const names = open.at(-1);
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : null);
    else if (token === "}" || token === "]") open.pop();
    else if (token !== "," && isName && names instanceof Set) {
      const name = JSON.parse(token) as string;
      if (names.has(name)) return true;
      names.add(name);
    }
    isName = token === "{" || token === ",";
  }
  return false;
}
