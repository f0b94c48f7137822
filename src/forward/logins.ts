/**
 * Who uses the proxy, where that is said before any request: in the handshake of SOCKS. The users, their passwords and the
 * count of failures are those of `Proxy-Authorization`, so that what is refused on one way is refused on the other.
 */
import { ProxyError } from "../core/errors.ts";
import type { BasicUsers, PasswordVerdict, ProvedUser } from "../identity/basic-users.ts";
import type { Identity } from "../pipeline/exchange.ts";
import type { Logins, LoginVerdict } from "../pipeline/site.ts";
import { BY, unproved } from "./refusal.ts";

export class ForwardLogins implements Logins {
  readonly isRequired: boolean;
  readonly #users: BasicUsers;

  constructor(users: BasicUsers, isRequired: boolean) {
    this.#users = users;
    this.isRequired = isRequired;
  }

  check(user: string, password: Buffer, address: string): LoginVerdict | Promise<LoginVerdict> {
    const verdict = this.#users.check({ user, password }, address);
    return verdict instanceof Promise ? verdict.then(loginOf) : loginOf(verdict);
  }
}

function loginOf(verdict: PasswordVerdict): LoginVerdict {
  // A realm is a word of HTTP.
  if (typeof verdict === "string") return unproved(verdict, "");
  return verdict instanceof ProxyError ? verdict : identityOf(verdict);
}

const identities = new WeakMap<ProvedUser, Identity>();

/** The same object for the same user. */
export function identityOf(user: ProvedUser): Identity {
  let identity = identities.get(user);
  if (identity === undefined) {
    identity = { subject: user.name, by: BY };
    identities.set(user, identity);
  }
  return identity;
}
