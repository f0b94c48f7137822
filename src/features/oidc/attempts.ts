/**
 * Attempts to log in that are under way, each in a short-lived encrypted cookie of the browser that began it: so it can
 * only be ended by that browser (no login with somebody else's code), several tabs have one each, and nothing is kept
 * here.
 *
 * The name of the cookie has a digest of the attempt's state, by which the answer finds it, and the time of its
 * beginning, by which the oldest goes when there are too many. Neither is believed: what counts is inside.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { type KeyRing, open, seal } from "../../identity/envelope.ts";
import type { Proofs } from "./provider.ts";

/** From the first redirect until the browser comes back: a password, a second factor, perhaps a registration. */
export const ATTEMPT_LIFETIME_MS = 15 * 60_000;
/**
 * Attempts of one browser: a restored window has as many tabs. Their cookies come with every request, up to 2 KiB each.
 */
export const ATTEMPTS_MAX = 5;

export interface Attempt extends Proofs {
  /** Where the issuer sends the browser back to: the same text has to be shown with the code. */
  readonly redirectUri: string;
  /** A path of our host. */
  readonly returnPath: string;
  readonly startedMs: number;
}

/** A new one, with 256 bits of chance in each of its proofs (RFC 7636 section 4.1). */
export function newAttempt(redirectUri: string, returnPath: string, wallMs: number): Attempt {
  const random = (): string => randomBytes(32).toString("base64url");
  return { state: random(), nonce: random(), verifier: random(), redirectUri, returnPath, startedMs: wallMs };
}

export function sealAttempt(keys: KeyRing, context: string, attempt: Attempt): string {
  const { state, nonce, verifier, redirectUri, returnPath, startedMs } = attempt;
  return seal(keys, JSON.stringify([state, nonce, verifier, redirectUri, returnPath, startedMs]), context);
}

/** null: it is none of ours, of another state, or too old. */
export function openAttempt(
  keys: KeyRing,
  context: string,
  sealed: string,
  state: string,
  wallMs: number,
): Attempt | null {
  const text = open(keys, sealed, context);
  if (text === null) return null;
  const [own, nonce, verifier, redirectUri, returnPath, startedMs] = JSON.parse(text) as AttemptFields;
  if (!equalInConstantTime(own, state)) return null;
  if (wallMs - startedMs > ATTEMPT_LIFETIME_MS) return null;
  return { state: own, nonce, verifier, redirectUri, returnPath, startedMs };
}

type AttemptFields = [string, string, string, string, string, number];

/** Digests are compared: they are of equal length, whatever the texts are. */
function equalInConstantTime(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

/** Names the cookie of an attempt: when it began, and of which state it is. */
export function attemptId({ state, startedMs }: Pick<Attempt, "state" | "startedMs">): string {
  return `${Math.floor(startedMs / 1000).toString(36)}-${digestOf(state)}`;
}

function digestOf(state: string): string {
  return createHash("sha256").update(state).digest("base64url").slice(0, 12);
}

/** Of a request's attempts, the one that has this state by its name; null: none has. */
export function idOfState(ids: Iterable<string>, state: string): string | null {
  const tail = `-${digestOf(state)}`;
  for (const id of ids) if (id.endsWith(tail)) return id;
  return null;
}

/** The attempts that must go so that there is room for one more: those that began first, and all that are over. */
export function attemptsToForget(ids: Iterable<string>, wallMs: number): readonly string[] {
  const begun = (id: string): number => Number.parseInt(id, 36) || 0;
  const oldest = (wallMs - ATTEMPT_LIFETIME_MS) / 1000;
  const sorted = [...ids].sort((one, other) => begun(other) - begun(one));
  return sorted.filter((id, place) => place >= ATTEMPTS_MAX - 1 || begun(id) < oldest);
}
