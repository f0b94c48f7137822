/** The feature `basicAuth`: lets users pass who prove who they are by a password, and tells the upstream who it is. */
import { ProxyError } from "../../core/errors.ts";
import { credentialsOf, MALFORMED, parseBasic } from "../../identity/authorization.ts";
import { BasicUsers, type BasicUsersPorts, type PasswordVerdict, type ProvedUser } from "../../identity/basic-users.ts";
import { identify } from "../../identity/identify.ts";
import { fieldText, IdentityField } from "../../identity/identity-field.ts";
import type { PasswordHash } from "../../identity/password-hash.ts";
import { type RefusalReason, refusal } from "../../identity/refusal.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import type { BasicAuthOptions } from "./options.ts";

export interface BasicAuthPorts extends BasicUsersPorts {
  /** What a file of users holds. */
  users(file: string): ReadonlyMap<string, PasswordHash>;
}

const NAME = "basicAuth";

/** What is told of a user. */
interface Told {
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
  readonly #users: BasicUsers;
  readonly #told: ReadonlyMap<ProvedUser, Told>;
  readonly #userField: IdentityField | null;
  readonly #challenge: string;

  constructor(options: BasicAuthOptions, ports: BasicAuthPorts) {
    this.#options = options;
    const { file, users = {}, realm, userHeader } = options;
    const hashes = file === undefined ? new Map(Object.entries(users)) : ports.users(file);
    this.#users = new BasicUsers(NAME, hashes, ports, options.failedAttempts);
    this.#told = new Map([...this.#users.users].map((user) => [user, toldOf(user)]));
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
    const verdict = this.#users.check(login, exchange.clientAddress);
    if (verdict instanceof Promise) return verdict.then((known) => this.#decide(exchange, known));
    this.#decide(exchange, verdict);
  }

  #decide(exchange: Exchange, verdict: PasswordVerdict): void {
    if (typeof verdict === "string") return this.#refuse(exchange, verdict);
    if (verdict instanceof ProxyError) return exchange.fail(verdict);
    if (!exchange.ended) this.#pass(exchange, this.#told.get(verdict)!);
  }

  #pass(exchange: Exchange, { identity, fieldValue }: Told): void {
    const { fields } = exchange.request;
    if (!this.#options.forward) fields.delete("authorization");
    this.#userField?.add(fields, fieldValue);
    identify(exchange, identity);
  }

  #refuse(exchange: Exchange, reason: RefusalReason): void {
    exchange.fail(refusal(NAME, reason, { challenge: this.#challenge }));
  }
}

function toldOf({ name }: ProvedUser): Told {
  return { identity: { subject: name, by: NAME }, fieldValue: fieldText(name) };
}
