/**
 * Parameters of a query, the pairs of application/x-www-form-urlencoded: found by their decoded names, taken out or covered
 * without a change to the others. Names are compared as the servers behind us read them: `api%5Fkey` is `api_key`.
 */

/** As the URL standard decodes it: what is no valid encoding stays, what is no UTF-8 becomes U+FFFD. */
export function decodeFormText(text: string): string {
  if (!/[%+]/.test(text)) return text;
  return new URLSearchParams(`=${text}`).get("") ?? "";
}

/** The name of a pair, decoded. */
function nameOf(pair: string): string {
  const equals = pair.indexOf("=");
  return decodeFormText(equals < 0 ? pair : pair.slice(0, equals));
}

/** The decoded values of all parameters with this name, in order. */
export function parametersOf(query: string | null, name: string): readonly string[] {
  if (query === null || query === "") return [];
  return query
    .split("&")
    .filter((pair) => nameOf(pair) === name)
    .map((pair) => (pair.includes("=") ? decodeFormText(pair.slice(pair.indexOf("=") + 1)) : ""));
}

/** The query without the parameters of this name; what is left stays byte for byte. null: nothing is left. */
export function withoutParameter(query: string | null, name: string): string | null {
  if (query === null) return null;
  const pairs = query.split("&");
  const kept = pairs.filter((pair) => nameOf(pair) !== name);
  if (kept.length === pairs.length) return query;
  return kept.length === 0 ? null : kept.join("&");
}

/** A URL, or a part of one with its query, in which the values of these parameters are covered by `cover`. */
export function coverParameters(url: string, names: ReadonlySet<string>, cover: string): string {
  const question = url.indexOf("?");
  return question < 0 ? url : url.slice(0, question + 1) + coverQuery(url.slice(question + 1), names, cover);
}

/** The same for what stands behind the question mark. A fragment behind it hides nothing. */
export function coverQuery(query: string, names: ReadonlySet<string>, cover: string): string {
  return query
    .split("&")
    .map((pair) => (names.has(nameOf(pair)) ? `${pair.split("=", 1)[0]}=${cover}` : pair))
    .join("&");
}
