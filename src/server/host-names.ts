/** Where names lead to, for who must know whether a client's claim is true: asked of the same cache as connections are made by. */
import type { HostNames } from "../forward/access.ts";
import type { NameCache, ResolvedAddress, ResolveHandler } from "../io/dialing/name-cache.ts";
import { canonicalAddress } from "../semantics/cidr.ts";

export class ResolvedHosts implements HostNames {
  readonly #names: NameCache;

  constructor(names: NameCache) {
    this.#names = names;
  }

  /** A name that cannot be resolved, or not in time, leads nowhere. */
  leadsTo(host: string, address: string): boolean | Promise<boolean> {
    const literal = canonicalAddress(host);
    if (literal !== null) return literal === canonicalAddress(address);
    const question = new Question(canonicalAddress(address));
    // The cache gives up by itself when there is no answer.
    this.#names.resolve(host, question);
    return question.answer ?? question.wait();
  }
}

class Question implements ResolveHandler {
  readonly #address: string | null;
  /** null: it is not known yet. */
  answer: boolean | null = null;
  #settle: ((answer: boolean) => void) | null = null;

  constructor(address: string | null) {
    this.#address = address;
  }

  wait(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  onResolved(addresses: readonly ResolvedAddress[]): void {
    this.#known(addresses.some(({ address }) => canonicalAddress(address) === this.#address));
  }

  onUnresolved(): void {
    this.#known(false);
  }

  #known(answer: boolean): void {
    this.answer = answer;
    this.#settle?.(answer);
  }
}
