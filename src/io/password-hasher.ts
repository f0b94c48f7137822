/**
 * Verifies passwords in Node's pool of threads, by the packages @node-rs/bcrypt and @node-rs/argon2. They are loaded when the
 * first password is to be verified: most proxies never see one. How many run at once is decided by who asks.
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
