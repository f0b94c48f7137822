/**
 * Users who prove who they are by a password, verified against a hash. What is known to be right or wrong is decided at once; only
 * what nobody has asked before waits for a verification.
 *
 * An unknown user is no different from a wrong password: it is verified too, against a hash that costs as much as one of
 * the users', is remembered and counted alike, and gets the same verdict.
 */
import { createHmac, randomBytes } from "node:crypto";
import type { ProxyError } from "../core/errors.ts";
import { AttemptLimit } from "./attempt-limit.ts";
import type { BasicCredentials } from "./authorization.ts";
import type { FailedAttempts } from "./failed-attempts.ts";
import type { PasswordChecks } from "./password-checks.ts";
import { type PasswordHash, standInHash } from "./password-hash.ts";
import type { RefusalReason } from "./refusal.ts";

export interface BasicUsersPorts {
  readonly passwords: PasswordChecks;
  readonly attempts: FailedAttempts;
}

/** Somebody who has proved who it is; the same object each time. */
export class ProvedUser {
  readonly name: string;
  readonly hash: string;

  constructor(name: string, hash: string) {
    this.name = name;
    this.hash = hash;
  }
}

/** Who it is, why it is refused, or that the address is not heard (429). */
export type PasswordVerdict = ProvedUser | RefusalReason | ProxyError;

export class BasicUsers {
  readonly #passwords: PasswordChecks;
  readonly #limit: AttemptLimit;
  readonly #users: ReadonlyMap<string, ProvedUser>;
  readonly #standIns: StandIns;

  /** `by` is who asks, for the log; `failuresMax` the option `failedAttempts`. */
  constructor(
    by: string,
    hashes: ReadonlyMap<string, PasswordHash>,
    ports: BasicUsersPorts,
    failuresMax: number | null | undefined,
  ) {
    this.#passwords = ports.passwords;
    this.#limit = new AttemptLimit(by, ports.attempts, failuresMax);
    this.#users = new Map([...hashes].map(([name, { text }]) => [name, new ProvedUser(name, text)]));
    this.#standIns = new StandIns([...hashes.values()]);
  }

  /** Those that may come to be, for who keeps something for each. */
  get users(): Iterable<ProvedUser> {
    return this.#users.values();
  }

  has(name: string): boolean {
    return this.#users.has(name);
  }

  /** `address` is the client's, "" when it has none. The promise comes only where a verification must be waited for. */
  check(login: BasicCredentials, address: string): PasswordVerdict | Promise<PasswordVerdict> {
    const user = this.#users.get(login.user) ?? null;
    const hash = user?.hash ?? this.#standIns.of(login.user);
    // No user at all, as where a configuration is only looked at.
    if (hash === null) return "password_wrong";
    const passwords = this.#passwords;
    const digest = passwords.digest(hash, login.password);
    const known = passwords.known(digest);
    if (known === true && user !== null && this.#limit.isProved(address, digest)) return user;
    // Before anything is said of the password, though the answer may be known: see AttemptLimit.
    const blocked = this.#limit.refusalOf(address);
    if (blocked !== null) return blocked;
    if (known === null) return this.#verify(user, address, digest, hash, login.password);
    if (!known) this.#limit.count(address);
    return this.#verdict(user, address, digest, known);
  }

  /**
   * Counts ahead, so that no more guesses of one address are verified at once than one after the other. Who asks what is
   * being verified already, as the requests of one page do, guesses nothing new and is counted when the answer is there.
   */
  #verify(
    user: ProvedUser | null,
    address: string,
    digest: string,
    hash: string,
    password: Buffer,
  ): PasswordVerdict | Promise<PasswordVerdict> {
    const isCounted = !this.#passwords.isUnderWay(digest);
    const verified = this.#passwords.verify(digest, hash, password);
    if (verified === null) return "verification_busy";
    if (isCounted) this.#limit.count(address);
    return verified.then(
      (isRight) => {
        if (isCounted && isRight) this.#limit.takeBack(address);
        // Also when the client has left meanwhile: leaving early must not make guesses free.
        if (!isCounted && !isRight) this.#limit.count(address);
        return this.#verdict(user, address, digest, isRight);
      },
      (error: unknown) => {
        if (isCounted) this.#limit.takeBack(address);
        throw error;
      },
    );
  }

  #verdict(user: ProvedUser | null, address: string, digest: string, isRight: boolean): PasswordVerdict {
    if (user === null || !isRight) return "password_wrong";
    this.#limit.prove(address, digest);
    return user;
  }
}

/**
 * Hashes in place of those that unknown users do not have. Where users' hashes cost differently, a name without a user costs what
 * some user's does, and always the same: how long an answer takes then says nothing of who exists.
 */
class StandIns {
  readonly #models: readonly PasswordHash[];
  readonly #secret = randomBytes(32);

  constructor(models: readonly PasswordHash[]) {
    this.#models = models;
  }

  /** null: there are no users to resemble. */
  of(name: string): string | null {
    const { length } = this.#models;
    if (length === 0) return null;
    const number = createHmac("sha256", this.#secret).update(name).digest().readUInt32LE(0);
    return standInHash(this.#models[number % length]!, this.#secret, name);
  }
}
