/** Where names lead to, for who must know whether a client's claim is true: asked of the same cache as connections are made by. */
import type { ProxyError } from "../core/errors.ts";
import type { HostNames, Leads } from "../forward/access.ts";
import type { NameCache, ResolvedAddress, ResolveHandler } from "../io/dialing/name-cache.ts";
import { canonicalAddress } from "../semantics/cidr.ts";

export class ResolvedHosts implements HostNames {
  readonly #names: NameCache;

  constructor(names: NameCache) {
    this.#names = names;
  }

  /** A name that does not exist leads nowhere; of one that cannot be resolved, or not in time, nobody can say. */
  leadsTo(host: string, address: string): Leads | Promise<Leads> {
    const literal = canonicalAddress(host);
    if (literal !== null) return literal === canonicalAddress(address);
    const question = new Question(this.#names, host, canonicalAddress(address));
    // The cache gives up by itself when there is no answer.
    this.#names.resolve(host, question);
    return question.answer ?? question.wait();
  }
}

/** What a resolver says of a name that does not exist, or has no address. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

class Question implements ResolveHandler {
  readonly #names: NameCache;
  readonly #host: string;
  readonly #address: string | null;
  /** null: it is not known yet. */
  answer: Leads | null = null;
  #settle: ((answer: Leads) => void) | null = null;

  constructor(names: NameCache, host: string, address: string | null) {
    this.#names = names;
    this.#host = host;
    this.#address = address;
  }

  wait(): Promise<Leads> {
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  onResolved(addresses: readonly ResolvedAddress[], isPart: boolean): void {
    const leads = addresses.some(({ address }) => canonicalAddress(address) === this.#address);
    // The address may be of the family that is late.
    if (isPart && !leads) this.#names.resolveRest(this.#host, this);
    else this.#known(leads);
  }

  onUnresolved(error: ProxyError): void {
    const { code = "" } = (error.cause ?? {}) as { readonly code?: string };
    this.#known(NO_SUCH_NAME.has(code) ? false : error);
  }

  #known(answer: Leads): void {
    this.answer = answer;
    this.#settle?.(answer);
  }
}
