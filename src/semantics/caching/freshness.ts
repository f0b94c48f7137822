/**
 * How long an answer is fresh, how old it is already, and how long it may be given stale (RFC 9111 section 4.2, RFC 5861). All in
 * milliseconds; a freshness lifetime is counted in the answer's age.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { ABSENT, ageField, type ResponseDirectives } from "./cache-control.ts";
import { parseHttpDate } from "./dates.ts";

/** Freshness of answers that say nothing of it: a share of the time since they changed (RFC 9111, section 4.2.2). */
export interface HeuristicFreshness {
  /** 0.1: a tenth. */
  readonly share: number;
  readonly maxMs: number;
}

/** Where a lifetime comes from: the answer, the configuration in its place, or a guess because it says nothing. */
export type LifetimeSource = "answer" | "rule" | "guess" | "none";

export interface Lifetime {
  readonly ms: number;
  readonly source: LifetimeSource;
}

/** What a configuration says of lifetimes. */
export interface LifetimeRules {
  /** Instead of what the answer says, counted from its arrival. */
  readonly lifetimeMs: number | null;
  /** The same for an answer that says nothing. */
  readonly defaultLifetimeMs: number | null;
  /** Every answer that may be given without validation is fresh for at least so long, counted from its arrival. */
  readonly lifetimeMinMs: number | null;
  /** No answer is fresh for longer, counted from its arrival. */
  readonly lifetimeMaxMs: number | null;
  /** null: an answer that says nothing is not fresh. */
  readonly heuristic: HeuristicFreshness | null;
}

/** Statuses whose answers may be given again although nothing in them says so (RFC 9110, section 15.1; RFC 7725, section 3). */
const HEURISTICALLY_CACHEABLE = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 451, 501]);

export function isHeuristicallyCacheable(status: number): boolean {
  return HEURISTICALLY_CACHEABLE.has(status);
}

/** The Date of an answer, or when it was received. */
export function dateOf(response: FieldBlock, receivedMs: number): number {
  const [text] = response.getAll("date");
  return (text === undefined ? null : parseHttpDate(text, receivedMs)) ?? receivedMs;
}

/** corrected_initial_age (RFC 9111, section 4.2.3). */
export function initialAge(response: FieldBlock, requestedMs: number, receivedMs: number): number {
  // Date has whole seconds: less than one is no age, or an answer that is fresh for a second would arrive half stale.
  const apparentAge = Math.max(Math.floor((receivedMs - dateOf(response, receivedMs)) / 1000) * 1000, 0);
  return Math.max(apparentAge, ageField(response) + Math.max(receivedMs - requestedMs, 0));
}

/**
 * What the answer itself says of its lifetime: s-maxage, max-age, Expires in this order; null when it says nothing. `hasExpires`
 * is false when Expires does not count: beside targeted directives, or when a rule ignores it.
 */
export function explicitLifetime(
  directives: ResponseDirectives,
  response: FieldBlock,
  receivedMs: number,
  hasExpires: boolean,
): number | null {
  if (directives.sMaxageMs !== ABSENT) return directives.sMaxageMs;
  if (directives.maxAgeMs !== ABSENT) return directives.maxAgeMs;
  if (!hasExpires) return null;
  const [text] = response.getAll("expires");
  if (text === undefined) return null;
  const expires = parseHttpDate(text, receivedMs);
  return expires === null ? 0 : Math.max(expires - dateOf(response, receivedMs), 0);
}

/** `mayGuess`: the status, or `public`, allows to give again what says nothing of its lifetime. */
export function lifetimeOf(
  explicitMs: number | null,
  response: FieldBlock,
  ageMs: number,
  receivedMs: number,
  rules: LifetimeRules,
  mayGuess: boolean,
): Lifetime {
  const lifetime = uncappedLifetime(explicitMs, response, ageMs, receivedMs, rules, mayGuess);
  const { lifetimeMinMs, lifetimeMaxMs } = rules;
  if (lifetimeMinMs !== null && lifetime.ms < ageMs + lifetimeMinMs)
    return { ms: ageMs + lifetimeMinMs, source: "rule" };
  if (lifetimeMaxMs === null) return lifetime;
  return { ms: Math.min(lifetime.ms, ageMs + lifetimeMaxMs), source: lifetime.source };
}

function uncappedLifetime(
  explicitMs: number | null,
  response: FieldBlock,
  ageMs: number,
  receivedMs: number,
  rules: LifetimeRules,
  mayGuess: boolean,
): Lifetime {
  // What arrives old is fresh for as long as the rule says all the same: freshness is counted in age, and Age stays true.
  if (rules.lifetimeMs !== null) return { ms: ageMs + rules.lifetimeMs, source: "rule" };
  if (explicitMs !== null) return { ms: explicitMs, source: "answer" };
  if (rules.defaultLifetimeMs !== null) return { ms: ageMs + rules.defaultLifetimeMs, source: "guess" };
  if (rules.heuristic === null || !mayGuess) return { ms: 0, source: "none" };
  const [text] = response.getAll("last-modified");
  const modified = text === undefined ? null : parseHttpDate(text, receivedMs);
  if (modified === null) return { ms: 0, source: "none" };
  const unchangedMs = Math.max(dateOf(response, receivedMs) - modified, 0);
  return { ms: Math.min(unchangedMs * rules.heuristic.share, rules.heuristic.maxMs), source: "guess" };
}
