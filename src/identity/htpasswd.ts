/**
 * Files of users and hashes, as `htpasswd` of Apache writes them: a line for each user, "name:hash". Every line that cannot
 * be used is told with its number; none is passed over, since a user whose line is skipped would only find out later.
 */
import { judgeHash, type PasswordHash } from "./password-hash.ts";

/** Lines that are told of; a file of the wrong kind has thousands. */
const TOLD_MAX = 10;
/** Bytes of a name. Apache's htpasswd: 255. */
const NAME_BYTES_MAX = 255;

export interface ReadLines<T> {
  readonly entries: ReadonlyMap<string, T>;
  /** Sentences that begin with the number of the line; empty: all is well. */
  readonly problems: readonly string[];
}

/** What is wrong with the name of a user; null: nothing. Controls and colons cannot be sent (RFC 7617 section 2). */
export function explainUserName(name: string): string | null {
  if (name === "") return "a name has at least one character";
  if (name.includes(":")) return "a name has no colon";
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "a name has no control characters";
  if (name.trim() !== name) return "a name neither begins nor ends with a space";
  return Buffer.byteLength(name) > NAME_BYTES_MAX ? `a name has at most ${NAME_BYTES_MAX} bytes` : null;
}

/** Lines that are empty or begin with "#" say nothing. */
export function parseHtpasswd(text: string): ReadLines<PasswordHash> {
  return readLines(text, (name, hash) => {
    const why = explainUserName(name);
    if (why !== null) return why;
    const verdict = judgeHash(hash);
    return verdict.ok ? { value: verdict.hash } : verdict.why;
  });
}

/** Lines "name:value": the name ends at the first colon. `read` gives the value, or says what is wrong. */
export function readLines<T>(
  text: string,
  read: (name: string, value: string) => { readonly value: T } | string,
): ReadLines<T> {
  const entries = new Map<string, T>();
  const problems: string[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/\r$/, "");
    if (line.trim() === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    const found = colon < 0 ? "this line has no colon behind the name" : read(name, line.slice(colon + 1).trimEnd());
    if (typeof found !== "string") {
      if (entries.has(name)) problems.push(`line ${index + 1}: ${JSON.stringify(name)} has a line already`);
      entries.set(name, found.value);
    } else problems.push(`line ${index + 1}: ${found}`);
  }
  if (entries.size === 0 && problems.length === 0) problems.push("line 1: the file is empty: nobody could pass");
  const more = problems.length - TOLD_MAX;
  return { entries, problems: more > 0 ? [...problems.slice(0, TOLD_MAX), `and ${more} more`] : problems };
}
