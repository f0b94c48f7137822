/**
 * Verifies passwords, and makes hashes of them, in Node's pool of threads, by the packages @node-rs/bcrypt and @node-rs/argon2.
 * They are loaded when the first password comes: most proxies never see one. How many run at once is decided by who asks.
 */
import type { PasswordHasher } from "../core/ports.ts";

export const passwordHasher: PasswordHasher = {
  async verify(hash, password) {
    if (hash.startsWith("$argon2id$")) {
      const { verify } = await import("@node-rs/argon2");
      return verify(hash, password);
    }
    const { verify } = await import("@node-rs/bcrypt");
    return verify(password, hash);
  },
};

/** A hash by argon2id, with the memory and passes that OWASP recommends for logins (19 MiB, 2 passes: the package's default). */
export async function hashPassword(password: string): Promise<string> {
  const { hash } = await import("@node-rs/argon2");
  return hash(password);
}
