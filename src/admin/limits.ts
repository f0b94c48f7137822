/**
 * What one client of the admin interface may take. Its clients are operators and their tools on this machine: little is
 * enough, and what is stuck must not lock them out.
 */

/** A whole request head. Ours have a few hundred bytes; a browser that brings its cookies for `localhost` has some KiB. */
export const HEAD_BYTES_MAX = 16 * 1024;
/** The JSON of a request: options of an operation, or a list of keys. */
export const BODY_BYTES_MAX = 64 * 1024;
/** Open at once: a few people, a monitor that leaks. The next one is closed at once. */
export const CONNECTIONS_MAX = 64;
/** A head, or a whole request, must arrive within this time: it comes from this machine. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** An idle connection is closed, so that a leak cannot fill the places. Longer than most monitors' intervals. */
export const IDLE_TIMEOUT_MS = 65_000;
/** How often Node looks for requests that take too long. Twice as late as promised is soon enough. */
export const TIMEOUT_CHECK_MS = 5_000;

export interface AdminLimits {
  readonly headBytesMax: number;
  readonly bodyBytesMax: number;
  readonly connectionsMax: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly timeoutCheckMs: number;
}

export const ADMIN_LIMITS: AdminLimits = {
  headBytesMax: HEAD_BYTES_MAX,
  bodyBytesMax: BODY_BYTES_MAX,
  connectionsMax: CONNECTIONS_MAX,
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  idleTimeoutMs: IDLE_TIMEOUT_MS,
  timeoutCheckMs: TIMEOUT_CHECK_MS,
};
