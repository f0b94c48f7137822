/**
 * The features of a route, sorted by phase when the configuration is compiled: for each phase the hooks that exist, in the
 * order in which they run, or null when there are none. So a phase without hooks costs one compare on a request's path.
 * What is left of a route behind one of its features, for requests of that feature's own, is compiled when it is first needed.
 */
import { type Feature, PHASES, type PhaseName } from "./phases.ts";

/** A feature that has the hook of the list's phase, and its place in `use`. */
export interface Hook {
  readonly feature: Feature;
  readonly index: number;
}

export interface Chain extends Readonly<Record<PhaseName, readonly Hook[] | null>> {
  readonly features: readonly Feature[];
  /** The features behind the one with this place in `use`. */
  behind(index: number): Chain;
}

/** Phases that run from the last feature to the first: the answer goes back through them. */
const REVERSED: ReadonlySet<PhaseName> = new Set<PhaseName>([
  "upstreamInformational",
  "upstreamResponse",
  "response",
  "trailers",
]);

export function compileChain(features: readonly Feature[]): Chain {
  const lists = {} as Record<PhaseName, readonly Hook[] | null>;
  for (const phase of PHASES) {
    const hooks = features.flatMap((feature, index) => (feature[phase] === undefined ? [] : [{ feature, index }]));
    if (REVERSED.has(phase)) hooks.reverse();
    lists[phase] = hooks.length === 0 ? null : hooks;
  }
  const behind: Chain[] = [];
  return {
    ...lists,
    features,
    behind(index) {
      behind[index] ??= compileChain(features.slice(index + 1));
      return behind[index];
    },
  };
}

export const EMPTY_CHAIN: Chain = compileChain([]);
