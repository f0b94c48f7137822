/**
 * The feature `basicAuth`: a user's name and password, verified against a hash. What is known to be right or wrong is
 * decided at once; only what nobody has asked before waits for a verification.
 *
 * An unknown user is no different from a wrong password: it is verified too, against a hash that costs as much as one of
 * the users', is remembered and counted alike, and gets the same answer.
 */
import { createHmac, randomBytes } from "node:crypto";
import { AttemptLimit } from "../../identity/attempt-limit.ts";
import { credentialsOf, MALFORMED, parseBasic } from "../../identity/authorization.ts";
import type { FailedAttempts } from "../../identity/failed-attempts.ts";
import { fieldText, IdentityField } from "../../identity/identity-field.ts";
import type { PasswordChecks } from "../../identity/password-checks.ts";
import { type PasswordHash, standInHash } from "../../identity/password-hash.ts";
import { type RefusalReason, refusal } from "../../identity/refusal.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import type { BasicAuthOptions } from "./options.ts";

export interface BasicAuthPorts {
  readonly passwords: PasswordChecks;
  readonly attempts: FailedAttempts;
  /** What a file of users holds. */
  users(file: string): ReadonlyMap<string, PasswordHash>;
}

const NAME = "basicAuth";

interface User {
  readonly hash: string;
  readonly identity: Identity;
  /** The name as a field can hold it. */
  readonly fieldValue: string;
}

export function createBasicAuthFeature(options: BasicAuthOptions, ports: BasicAuthPorts): Feature {
  const feature = new BasicAuth(options, ports);
  return { name: NAME, request: (exchange) => feature.request(exchange) };
}

class BasicAuth {
  readonly #options: BasicAuthOptions;
  readonly #passwords: PasswordChecks;
  readonly #limit: AttemptLimit;
  readonly #users: ReadonlyMap<string, User>;
  readonly #standIns: StandIns;
  readonly #userField: IdentityField | null;
  readonly #challenge: string;

  constructor(options: BasicAuthOptions, ports: BasicAuthPorts) {
    this.#options = options;
    this.#passwords = ports.passwords;
    this.#limit = new AttemptLimit(NAME, ports.attempts, options.failedAttempts);
    const { file, users = {}, realm, userHeader } = options;
    const hashes = file === undefined ? new Map(Object.entries(users)) : ports.users(file);
    this.#users = new Map([...hashes].map(([name, { text }]) => [name, userOf(name, text)]));
    this.#standIns = new StandIns([...hashes.values()]);
    this.#userField = userHeader === undefined ? null : new IdentityField(userHeader);
    this.#challenge = `Basic realm="${realm}", charset="UTF-8"`;
  }

  request(exchange: Exchange): void | Promise<void> {
    const { fields } = exchange.request;
    this.#userField?.remove(fields);
    const given = credentialsOf(fields, "basic");
    if (given === null) return this.#refuse(exchange, "credentials_missing");
    const login = given === MALFORMED ? null : parseBasic(given);
    if (login === null) return this.#refuse(exchange, "credentials_malformed");
    const user = this.#users.get(login.user) ?? null;
    const hash = user?.hash ?? this.#standIns.of(login.user);
    // No user at all, as where a configuration is only looked at.
    if (hash === null) return this.#refuse(exchange, "password_wrong");
    const passwords = this.#passwords;
    const digest = passwords.digest(hash, login.password);
    const known = passwords.known(digest);
    const address = exchange.clientAddress;
    if (known === true && user !== null && this.#limit.isProved(address, digest)) return this.#pass(exchange, user);
    // Before anything is said of the password, though the answer may be known: see AttemptLimit.
    const blocked = this.#limit.refusalOf(address);
    if (blocked !== null) return exchange.fail(blocked);
    if (known === null) return this.#verify(exchange, user, digest, hash, login.password);
    if (!known) this.#limit.count(address);
    this.#decide(exchange, user, digest, known);
  }

  /**
   * Counts ahead, so that no more guesses of one address are verified at once than one after the other. Who asks what is
   * being verified already, as the requests of one page do, guesses nothing new and is counted when the answer is there.
   */
  #verify(exchange: Exchange, user: User | null, digest: string, hash: string, password: Buffer): void | Promise<void> {
    const address = exchange.clientAddress;
    const isCounted = !this.#passwords.isUnderWay(digest);
    const verified = this.#passwords.verify(digest, hash, password);
    if (verified === null) return this.#refuse(exchange, "verification_busy");
    if (isCounted) this.#limit.count(address);
    return verified.then(
      (isRight) => {
        if (isCounted && isRight) this.#limit.takeBack(address);
        // Also when the client has left meanwhile: leaving early must not make guesses free.
        if (!isCounted && !isRight) this.#limit.count(address);
        this.#decide(exchange, user, digest, isRight);
      },
      (error: unknown) => {
        if (isCounted) this.#limit.takeBack(address);
        throw error;
      },
    );
  }

  #decide(exchange: Exchange, user: User | null, digest: string, isRight: boolean): void {
    if (user === null || !isRight) return this.#refuse(exchange, "password_wrong");
    this.#limit.prove(exchange.clientAddress, digest);
    if (!exchange.ended) this.#pass(exchange, user);
  }

  #pass(exchange: Exchange, user: User): void {
    const { fields } = exchange.request;
    if (!this.#options.forward) fields.delete("authorization");
    this.#userField?.add(fields, user.fieldValue);
    exchange.identity = user.identity;
  }

  #refuse(exchange: Exchange, reason: RefusalReason): void {
    exchange.fail(refusal(NAME, reason, { challenge: this.#challenge }));
  }
}

function userOf(name: string, hash: string): User {
  return { hash, identity: { subject: name, by: NAME }, fieldValue: fieldText(name) };
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
