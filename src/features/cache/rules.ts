/**
 * What the configuration says of an answer: the first rule that matches its path, status and type, or what holds without one. Made
 * once as the rules that semantics/ decides by; for an answer they are only found.
 */
import type { StoringRules } from "../../semantics/caching/storing.ts";
import type { CacheOptions, CacheRule } from "./options.ts";

/** Errors whose answers are kept for `negative` when they say nothing themselves. */
const NEGATIVE = /^(?:404|405|410|414|451|5\d\d)$/;

/** A 206 is a part of what a whole request would get with this status, and is kept as that. */
const PART = 206;
const WHOLE = "200";

/** What holds for one answer. null: it is not stored. */
export type RulesOfAnswer = StoringRules | null;

export class AnswerRules {
  readonly #rules: readonly CompiledRule[];
  readonly #byDefault: RuleSet;
  readonly #hasNegative: boolean;
  /** Only these look at it. */
  readonly #asksForType: boolean;

  constructor(options: CacheOptions) {
    this.#rules = options.rules.map((rule) => ({ rule, set: ruleSetOf(rule, options) }));
    this.#byDefault = ruleSetOf(null, options)!;
    this.#hasNegative = options.negative !== null;
    this.#asksForType = options.rules.some(({ type }) => type !== null);
  }

  /** `path`: normalised, as the client asked for it; `contentType`: the value of the field, null when there is none. */
  for(path: string, status: number, contentType: string | null): RulesOfAnswer {
    const type = this.#asksForType ? mediaTypeOf(contentType ?? "") : "";
    let set: RuleSet | null = this.#byDefault;
    for (const compiled of this.#rules) {
      if (!matches(compiled.rule, path, status, type)) continue;
      set = compiled.set;
      break;
    }
    if (set === null) return null;
    return this.#hasNegative && NEGATIVE.test(String(status)) ? set.ofErrors : set.ofOthers;
  }
}

interface CompiledRule {
  readonly rule: CacheRule;
  /** null: never stored. */
  readonly set: RuleSet | null;
}

interface RuleSet {
  readonly ofErrors: StoringRules;
  readonly ofOthers: StoringRules;
}

function ruleSetOf(rule: CacheRule | null, options: CacheOptions): RuleSet | null {
  if (rule?.isNever === true) return null;
  const { heuristic, staleOnError, staleWhileRevalidate, tags, negative, setCookie } = options;
  const ignored = new Set<string>(rule?.ignore ?? []);
  if (ignored.has("cache-control")) ignored.add("cdn-cache-control");
  const ofOthers: StoringRules = {
    lifetimeMs: rule?.forMs ?? null,
    defaultLifetimeMs: null,
    lifetimeMinMs: rule?.minMs ?? null,
    lifetimeMaxMs: rule?.maxMs ?? null,
    heuristic: heuristic === null ? null : { share: heuristic.share, maxMs: heuristic.max },
    staleWhileRevalidateMs: staleWhileRevalidate ?? 0,
    staleIfErrorMs: staleOnError ?? 0,
    ignored,
    setCookie,
    targetedFields: ["cdn-cache-control"],
    tagFields: tags === null ? [] : [tags],
    storesParts: true,
  };
  return { ofOthers, ofErrors: { ...ofOthers, defaultLifetimeMs: negative } };
}

function matches({ path, status, type }: CacheRule, askedPath: string, answered: number, mediaType: string): boolean {
  if (status !== null) {
    const text = String(answered);
    const isMet = status.some((one) => text.startsWith(one) || (answered === PART && WHOLE.startsWith(one)));
    if (!isMet) return false;
  }
  if (path !== null && !path.some((pattern) => isPathIn(pattern, askedPath))) return false;
  return type === null || type.some((one) => isTypeOf(one, mediaType));
}

/** "/up", or "/dists/*" for that and all below. */
export function isPathIn(pattern: string, path: string): boolean {
  if (!pattern.endsWith("/*")) return path === pattern;
  return path === pattern.slice(0, -2) || path.startsWith(pattern.slice(0, -1));
}

function isTypeOf(pattern: string, mediaType: string): boolean {
  return pattern.endsWith("/*") ? mediaType.startsWith(pattern.slice(0, -1)) : mediaType === pattern;
}

/** Lower case, without parameters; "" when there is none. */
function mediaTypeOf(value: string): string {
  const semicolon = value.indexOf(";");
  return (semicolon < 0 ? value : value.slice(0, semicolon)).trim().toLowerCase();
}
