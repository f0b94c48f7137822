/**
 * What features have learnt of others, through reloads: the keys and the metadata of issuers. What is asked for with the same
 * options is the same part, so that a reload while an issuer is away forgets nothing. Parts hold nothing open: one that a
 * configuration in use no longer asks for is just forgotten.
 *
 * Plan first, then keep the plan; one that is not kept needs no undoing.
 */
import { canonicalJson } from "../config/canonical.ts";
import type { Kept } from "../core/ports.ts";

/** The parts of one configuration, by what was asked for. */
export interface PartsPlan {
  readonly parts: ReadonlyMap<string, object>;
  readonly kept: Kept;
}

export class KeptParts {
  #current: ReadonlyMap<string, object> = new Map();

  plan(): PartsPlan {
    const parts = new Map<string, object>();
    const kept: Kept = (kind, options, make) => {
      const identity = canonicalJson([kind, options]);
      const part = parts.get(identity) ?? this.#current.get(identity) ?? make();
      parts.set(identity, part);
      // Of one kind and options there is only what `make` makes of them.
      return part as ReturnType<typeof make>;
    };
    return { parts, kept };
  }

  keep({ parts }: PartsPlan): void {
    this.#current = parts;
  }
}
