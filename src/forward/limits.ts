/** Limits of the forward proxy that are not a matter of taste, each with its reason. */

/** Tunnels of one client address. A browser has some hundred, a build machine too; an office may stand behind one address. */
export const TUNNELS_PER_CLIENT_MAX = 2_000;
/**
 * Origins whose connections are remembered by each thread: beyond it those that rest go. A browser speaks to tens, an office to
 * thousands.
 */
export const ORIGINS_MAX = 8_192;
/** An origin without a connection is remembered for up to this long: the requests of one page come within seconds. */
export const EMPTY_ORIGIN_MS = 5_000;
/** Origins whose TLS sessions are remembered by each thread, twice as many at most. A session is one to five KiB. */
export const TLS_ORIGINS_MAX = 1_000;
/** Of a body that a debug rule shows, with all of which one line of the log is made: more than a person reads. */
export const DEBUG_BODY_BYTES_MAX = 256 * 1024;

/** Servers of the world are farther away than one's own: Squid waits a minute, curl five, browsers until the user gives up. */
export const FORWARD_CONNECT_TIMEOUT_MS = 10_000;
/** Some pages take their minute, and the client has its own patience. Squid read_timeout 15 min. */
export const FORWARD_RESPONSE_TIMEOUT_MS = 120_000;
export const FORWARD_BODY_TIMEOUT_MS = 300_000;

/** A parent that could not be reached is tried last for this long. nginx fail_timeout 10 s, Squid (dead_peer_timeout) 10 s. */
export const PARENT_AVOID_MS = 10_000;
