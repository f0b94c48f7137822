/**
 * The feature `basicAuth`: a user's name and password, verified against a hash. What is known to be right or wrong is
 * decided at once; only what nobody has asked before waits for a verification.
 *
 * An unknown user is no different from a wrong password: it is verified too, against a hash that costs as much as one of
 * the users', is remembered and counted alike, and gets the same answer.
 */
import { createHmac, randomBytes } from "node:crypto";
import { credentialsOf, MALFORMED, parseBasic } from "../../identity/authorization.ts";
import { type FailedAttempts, secondsBlocked } from "../../identity/failed-attempts.ts";
import { fieldText, IdentityField } from "../../identity/identity-field.ts";
import type { PasswordChecks } from "../../identity/password-checks.ts";
import { type PasswordHash, standInHash } from "../../identity/password-hash.ts";
import { type RefusalOptions, type RefusalReason, refusal } from "../../identity/refusal.ts";
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
  readonly #ports: BasicAuthPorts;
  readonly #users: ReadonlyMap<string, User>;
  readonly #standIns: StandIns;
  readonly #userField: IdentityField | null;
  readonly #challenge: string;

  constructor(options: BasicAuthOptions, ports: BasicAuthPorts) {
    this.#options = options;
    this.#ports = ports;
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
    const { passwords, attempts } = this.#ports;
    const digest = passwords.digest(hash, login.password);
    const known = passwords.known(digest);
    if (known === true) return this.#decide(exchange, user, true);
    const retryAfterSeconds = secondsBlocked(attempts, exchange.clientAddress, this.#options.failedAttempts);
    if (retryAfterSeconds > 0) return this.#refuse(exchange, "too_many_failures", { retryAfterSeconds });
    if (known === false) return this.#decide(exchange, user, false);
    const verified = passwords.verify(digest, hash, login.password);
    if (verified === null) return this.#refuse(exchange, "verification_busy");
    // Counted also when the client has left meanwhile: leaving early must not make guesses free.
    return verified.then((isRight) => this.#decide(exchange, user, isRight));
  }

  #decide(exchange: Exchange, user: User | null, isRight: boolean): void {
    if (user === null || !isRight) {
      this.#ports.attempts.count(exchange.clientAddress);
      return this.#refuse(exchange, "password_wrong");
    }
    if (exchange.ended) return;
    const { fields } = exchange.request;
    if (!this.#options.forward) fields.delete("authorization");
    this.#userField?.add(fields, user.fieldValue);
    exchange.identity = user.identity;
  }

  #refuse(exchange: Exchange, reason: RefusalReason, options: RefusalOptions = {}): void {
    exchange.fail(refusal(NAME, reason, { challenge: this.#challenge, ...options }));
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
