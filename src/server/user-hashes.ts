/**
 * From names and passwords, as people give them to a command, to what a configuration may hold: names and hashes. An error
 * says what is wrong and shows nothing of it: what stands in the wrong place may be the password.
 */
import { explainUserName } from "../identity/htpasswd.ts";
import { hashPassword } from "../io/password-hasher.ts";

export interface UserPassword {
  readonly name: string;
  readonly password: string;
}

/** `name:password`; the first colon ends the name. @throws TypeError */
export function parseUserPassword(text: string): UserPassword {
  const colon = text.indexOf(":");
  if (colon < 0) throw new TypeError("expected USER:PASSWORD");
  return userPassword(text.slice(0, colon), text.slice(colon + 1));
}

/** @throws TypeError */
export function userPassword(name: string, password: string): UserPassword {
  const why = explainUserName(name) ?? (password === "" ? "the password is empty" : null);
  if (why !== null) throw new TypeError(why);
  return { name, password };
}

/** Hashes by name. @throws TypeError when a name comes twice. */
export async function hashUsers(users: readonly UserPassword[]): Promise<Readonly<Record<string, string>>> {
  const names = new Set(users.map(({ name }) => name));
  if (names.size < users.length) throw new TypeError("the same user comes twice");
  const hashed = await Promise.all(
    users.map(async ({ name, password }) => [name, await hashPassword(password)] as const),
  );
  return Object.fromEntries(hashed);
}
