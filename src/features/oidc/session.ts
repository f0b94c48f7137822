/**
 * A session: who logged in, with which tokens, since when. It is text to whoever keeps it, and lies encrypted wherever
 * it lies. Nothing here asks a clock or a provider: it says when a session ends and when its tokens do, and others act
 * on it.
 *
 * Times are those of the wall clock in milliseconds, since a session may pass from machine to machine.
 */
import type { Claims } from "./claims.ts";

export interface Session {
  /** The subject, as the issuer names it. */
  readonly subject: string;
  /** The issuer's own session, which a logout elsewhere names; null: the issuer did not say. */
  readonly sid: string | null;
  readonly idToken: string;
  readonly accessToken: string | null;
  readonly refreshToken: string | null;
  /** When the tokens were got, and when the one that matters ends; null: nobody said. */
  readonly gotMs: number;
  readonly endsMs: number | null;
  readonly createdMs: number;
  /** The last time that it is known to have been used. */
  readonly seenMs: number;
  /** What the userinfo endpoint said; null: it was not asked. */
  readonly userInfo: Claims | null;
}

const VERSION = 1;

/** The session as text; names are short because cookies are. */
export function encodeSession(session: Session): string {
  return JSON.stringify({
    v: VERSION,
    sub: session.subject,
    sid: session.sid,
    id: session.idToken,
    at: session.accessToken,
    rt: session.refreshToken,
    got: session.gotMs,
    end: session.endsMs,
    born: session.createdMs,
    seen: session.seenMs,
    info: session.userInfo,
  });
}

/** null: the text is no session of this version. It was sealed by us, so that its fields are what they were. */
export function decodeSession(text: string): Session | null {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  if (typeof record !== "object" || record === null || record.v !== VERSION) return null;
  return {
    subject: record.sub as string,
    sid: record.sid as string | null,
    idToken: record.id as string,
    accessToken: record.at as string | null,
    refreshToken: record.rt as string | null,
    gotMs: record.got as number,
    endsMs: record.end as number | null,
    createdMs: record.born as number,
    seenMs: record.seen as number,
    userInfo: record.info as Claims | null,
  };
}

export interface Lifetimes {
  readonly lifetimeMs: number;
  /** null: no limit. */
  readonly idleMs: number | null;
  /** How long before the end of the tokens they are refreshed; null: never. */
  readonly refreshBeforeMs: number | null;
}

/** A session is noted as used when so much of its idle time has passed: not with every request. */
const TOUCH_SHARE = 1 / 8;

/** When a session is over if nobody uses it from now on. */
export function sessionEndMs({ createdMs, seenMs }: Session, { lifetimeMs, idleMs }: Lifetimes): number {
  const end = createdMs + lifetimeMs;
  return idleMs === null ? end : Math.min(end, seenMs + idleMs);
}

/** When its use is to be noted; Infinity: never. */
export function touchMs({ seenMs }: Session, { idleMs }: Lifetimes): number {
  return idleMs === null ? Number.POSITIVE_INFINITY : seenMs + idleMs * TOUCH_SHARE;
}

/**
 * When its tokens are to be refreshed; Infinity: never. Tokens that live shortly are refreshed in the second half of
 * their life.
 */
export function refreshMs({ refreshToken, gotMs, endsMs }: Session, { refreshBeforeMs }: Lifetimes): number {
  if (refreshToken === null || endsMs === null || refreshBeforeMs === null) return Number.POSITIVE_INFINITY;
  return endsMs - Math.min(refreshBeforeMs, (endsMs - gotMs) / 2);
}
