/**
 * Sets of hosts as options name them: exact ones, and all below a suffix. A look-up takes as many steps as the name has labels,
 * however many hosts there are.
 */
import { hostOf } from "../../semantics/uri.ts";

export class HostSet {
  readonly #exact = new Set<string>();
  /** Of "*.example.org": "example.org". */
  readonly #suffixes = new Set<string>();
  readonly #all: boolean;

  /** Patterns are those of `hostPattern`, with brackets around IPv6; "*" is every host. */
  constructor(patterns: readonly string[]) {
    this.#all = patterns.includes("*");
    for (const pattern of patterns) {
      if (pattern.startsWith("*.")) this.#suffixes.add(pattern.slice(2));
      // An address has many spellings, and hosts come in one of them.
      else this.#exact.add(hostOf(pattern) ?? pattern);
    }
  }

  /** `host` is in lower case, without brackets and without a dot at its end. */
  has(host: string): boolean {
    if (this.#all || this.#exact.has(host)) return true;
    if (this.#suffixes.size === 0) return false;
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      if (this.#suffixes.has(host.slice(dot + 1))) return true;
    }
    return false;
  }
}
