/**
 * From names with passwords or hashes, as people give them to a command, to what a configuration may hold: names and hashes. An
 * error says what is wrong and shows nothing of it: what stands in the wrong place may be the password.
 */
import { explainUserName } from "../identity/htpasswd.ts";
import { judgeHash } from "../identity/password-hash.ts";
import { hashPassword } from "../io/password-hasher.ts";

export type GivenUser = { readonly name: string } & ({ readonly password: string } | { readonly hash: string });

/** What begins so is the hash of a password, of whatever kind, and nobody's password. */
const HASH = /^(\$(argon2[a-z]*|2[a-z]|apr1|[1567y])\$|\{S?SHA\})/i;

/** `name:password`, or `name:hash` as `headgate user` and `htpasswd -B` print it; the first colon ends the name. @throws TypeError */
export function parseGivenUser(text: string): GivenUser {
  const colon = text.indexOf(":");
  if (colon < 0) throw new TypeError("no colon in it: expected USER:PASSWORD or USER:HASH");
  const user = userPassword(text.slice(0, colon), text.slice(colon + 1));
  if (!HASH.test(user.password)) return user;
  const verdict = judgeHash(user.password.trimEnd());
  if (!verdict.ok) throw new TypeError(verdict.why);
  return { name: user.name, hash: verdict.hash.text };
}

/** @throws TypeError */
export function userPassword(name: string, password: string) {
  const why = explainUserName(name) ?? (password === "" ? "the password is empty" : null);
  if (why !== null) throw new TypeError(why);
  return { name, password };
}

/** Hashes by name; no name comes twice. */
export async function hashUsers(users: readonly GivenUser[]): Promise<Readonly<Record<string, string>>> {
  const hashed = await Promise.all(
    users.map(async (user) => [user.name, "hash" in user ? user.hash : await hashPassword(user.password)] as const),
  );
  return Object.fromEntries(hashed);
}
