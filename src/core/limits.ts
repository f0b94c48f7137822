/**
 * Every limit of the proxy that is not a matter of taste, with its reason and the precedents beside it. What an operator
 * may change is a default of the configuration that starts from the constant here.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** A whole request or response head. nginx allows 4 x 8 KiB, HAProxy 16 KiB, Node 16 KiB, Apache 8 KiB a line. */
export const HEAD_BYTES_MAX = 32 * KiB;
/** The request line alone. nginx 8 KiB a buffer; some single-sign-on redirects need more than 8 KiB. */
export const REQUEST_LINE_BYTES_MAX = 16 * KiB;
/** Fields of one section. Apache 100, nginx (max_headers) 1000, HAProxy 101. */
export const FIELDS_MAX = 128;
/** A trailer section is metadata: the same count as a head, a fraction of its size. */
export const TRAILER_BYTES_MAX = 8 * KiB;
/** One line "size;extensions" of a chunk. Extensions carry nothing anyone uses and hide smuggling: keep them short. */
export const CHUNK_LINE_BYTES_MAX = 256;
/** All chunk extensions and line endings of one body may not outweigh its content by more than this (CVE-2023-39326). */
export const CHUNK_OVERHEAD_BYTES_MAX = 16 * KiB;
/** Interim (1xx) responses before the final one; an upstream that sends more is broken or hostile. */
export const INFORMATIONAL_MAX = 16;

/** A complete head must arrive within this time; slower senders are Slowloris or broken. nginx 60 s, HAProxy 10 s typical. */
export const HEAD_TIMEOUT_MS = 10_000;
/** An idle keep-alive client connection. nginx 75 s. */
export const IDLE_TIMEOUT_MS = 75_000;
/** No byte of a body moved in this time, in either direction: the side that should move it is dead. nginx 60 s. */
export const BODY_PROGRESS_TIMEOUT_MS = 60_000;
/** A TLS handshake on a listener. nginx 60 s, HAProxy follows its client timeout; ten seconds suits slow phones too. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
/** An answer was sent although the request's body did not end: how long we wait for more of it, so that the answer is not lost in a reset
 * (RFC 9112 section 9.6). nginx's lingering_timeout 5 s. */
export const LINGER_TIMEOUT_MS = 5_000;
/** And how long at most, while it keeps coming: many clients send all of it before they read. nginx's lingering_time 30 s; a drain lasts less. */
export const LINGER_MS_MAX = 20_000;
/** So much of it is read and thrown away for the connection to be kept; of more than that, the answer says that it is closed. */
export const DISCARD_BYTES_MAX = 1 * MiB;
/**
 * Whoever is connected when its listener is given up, and is not asking for anything: its next request may be under way, and nobody else
 * could answer it any more. Several round trips to the other side of the world.
 */
export const NEXT_REQUEST_TIMEOUT_MS = 1_000;

/**
 * A WebSocket of which one side has ended, and nothing passes: its connection is closed with that (RFC 6455 section 7.1.4), and what is left is to
 * say goodbye. Other protocols may go on for hours in one direction.
 */
export const WEBSOCKET_END_MS = 10_000;

/** A request's body is kept for another attempt up to this size. nginx buffers 16 KiB, Envoy 1 MiB when asked. */
export const REPLAY_BODY_BYTES_MAX = 64 * KiB;
/** Bytes queued for one side before the other side is paused. Node's streams: 64 KiB; two of its read sizes here. */
export const QUEUE_HIGH_WATER_BYTES = 128 * KiB;

/** A body of which more than this is still to come may pass in the kernel, without being seen. Below it, what it takes to begin
 * and to end a splice outweighs the copies that it saves. One read of a transport, and what a pipe holds on Linux. */
export const SPLICE_BYTES_MIN = 64 * KiB;

/** Upstream defaults. Connect: HAProxy's common 5 s, shorter since another address or server is tried. */
export const CONNECT_TIMEOUT_MS = 3_000;
/** From the request's end to the first byte of the answer. nginx 60 s; the design's 30 s. */
export const RESPONSE_TIMEOUT_MS = 30_000;
/** A pooled connection that serves nobody. nginx keepalive_timeout 60 s. The only bound on how many rest, as with HAProxy and Envoy:
 * what a burst needed, the next one needs too, and what is used least is gone first. A fixed number of them (nginx's keepalive)
 * makes a busy pool close and dial all the time. */
export const POOL_IDLE_MS = 60_000;
/** A pooled connection lives at most this long, so that changes of DNS and balancing reach it. nginx keepalive_time 1 h. */
export const POOL_LIFETIME_MS = 3_600_000;
/** Subtracted from an upstream's own "Keep-Alive: timeout=N", for the time our request is under way to it. */
export const KEEP_ALIVE_MARGIN_MS = 1_000;
/** Requests that wait for a place when an upstream is at its maximum, and for how long. HAProxy queues without bound, 5 s. */
export const QUEUE_LENGTH_MAX = 1024;
export const QUEUE_TIMEOUT_MS = 5_000;
/** Attempts after the first. Envoy 1, Traefik configurable, HAProxy 3. */
export const RETRIES_MAX = 2;
/** Retries may be at most this share of the requests of the last seconds, plus a small constant, so that they cannot
 * multiply an outage (Envoy's retry budget: 20 %, 3 concurrent). */
export const RETRY_BUDGET_SHARE = 0.2;
export const RETRY_BUDGET_MIN = 10;

/** A tunnel (WebSocket, CONNECT) without a byte either way. HAProxy's common timeout tunnel 1 h. */
export const TUNNEL_IDLE_MS = 3_600_000;

/** Resolved names: how long an answer is believed that does not say how long it is good, and how long a failure is. */
export const DNS_TTL_MS = 30_000;
export const DNS_NEGATIVE_TTL_MS = 1_000;
export const DNS_TIMEOUT_MS = 5_000;
/** Bounds for answers that say it. Below the one, a name with a TTL of 0 would be asked for by every connection (Envoy: 5 s; Squid:
 * 1 min); above the other, a mistake in a zone would stay for days that was mended long ago (Squid: 6 h). */
export const DNS_TTL_MIN_MS = 1_000;
export const DNS_TTL_MAX_MS = 3_600_000;
/** Of one question to one server, doubled with each further try. The system's 5 s would outlive the connect timeout; with these, the
 * last try is over before DNS_TIMEOUT_MS. */
export const DNS_TRY_TIMEOUT_MS = 1_500;
export const DNS_TRIES_MAX = 2;
/** RFC 8305 section 3, Resolution Delay: how long IPv4 addresses that are known wait for those of IPv6. 50 ms recommended. */
export const DNS_RESOLUTION_DELAY_MS = 50;
/** RFC 8305 section 5, Connection Attempt Delay: 250 ms recommended. */
export const CONNECTION_ATTEMPT_DELAY_MS = 250;

/** SIGTERM: how long exchanges in flight may take to end. Kubernetes gives 30 s before SIGKILL: stay below it. */
export const DRAIN_TIMEOUT_MS = 25_000;

/** Of a session store, encoded as UTF-8. A key is a few claims of a token; Redis takes 512 MiB, LMDB 1978 bytes. */
export const SESSION_KEY_BYTES_MAX = 512;
/** Credentials of a user, or the tokens of an OpenID provider, encrypted. */
export const SESSION_VALUE_BYTES_MAX = 64 * KiB;

/** Redis, for one look-up: a request waits for it, and a client is better told to come again than kept. */
export const STORE_COMMAND_TIMEOUT_MS = 1_000;
/** Answers of a store that each thread keeps, and the memory that they may take: 65,536 sessions are those of a large webmail. */
export const STORE_CACHE_ENTRIES_MAX = 65_536;
export const STORE_CACHE_BYTES_MAX = 64 * MiB;
/** How long an answer is believed when Redis does not say what changes: how long a deleted session may live on then. */
export const STORE_CACHE_TTL_MS = 1_000;

/** Failed attempts to authenticate from one address in a minute, before it is refused unheard. fail2ban: 5 in ten minutes, but a whole
 * office can stand behind one address. */
export const FAILED_ATTEMPTS_MAX = 30;
