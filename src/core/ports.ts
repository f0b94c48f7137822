/**
 * What the proxy needs from the outside, as interfaces: connections, listeners, dialers, time and chance. io/ implements
 * them on real machinery, testing/ on simulated machinery; everything between knows only these.
 *
 * Handlers are objects, not closures, and no call allocates a promise: these run for every batch of bytes.
 */
import type { ProxyError } from "./errors.ts";
import type { FieldBlock } from "./fields.ts";

/** A peer's or our own end of a connection. For a unix socket: family 0, address is the path ("" when unnamed), port 0. */
export interface Address {
  readonly family: 4 | 6 | 0;
  /** Without brackets; IPv4-mapped IPv6 addresses are given as IPv4. */
  readonly address: string;
  readonly port: number;
}

/** What TLS agreed on; null on a plain connection. */
export interface TlsInfo {
  /** "TLSv1.2", "TLSv1.3" */
  readonly protocol: string;
  readonly cipher: string;
  /** The name that the client asked for (SNI), lower case; null when it sent none. */
  readonly serverName: string | null;
  /** The protocol that ALPN chose; null when none was. */
  readonly alpn: string | null;
  /** The session was resumed. */
  readonly resumed: boolean;
  /**
   * What the client showed to prove who it is, read when it is first asked for; null when it showed nothing, was not asked,
   * or when the connection is one that we made.
   */
  readonly peerCertificate: PeerCertificate | null;
}

/** A client's certificate. Texts are as the certificate has them: who passes them on makes them safe for where they go. */
export interface PeerCertificate {
  /** By an authority that the listener trusts, for clients, and in its time when the connection began. */
  readonly isVerified: boolean;
  /** Why it is not verified, in OpenSSL's word such as CERT_HAS_EXPIRED; null: it is. */
  readonly refusal: string | null;
  /** As RFC 4514 writes names: "CN=alice,O=Example". */
  readonly subject: string;
  readonly issuer: string;
  /** Alternative names with their kind: "dns:a.example", "email:a@example.org", "uri:...", "ip:192.0.2.1"; other kinds are left out. */
  readonly alternativeNames: readonly string[];
  /** Hexadecimal, lower case. */
  readonly serialNumber: string;
  /** SHA-256 of the whole certificate: hexadecimal, lower case, without colons. */
  readonly fingerprint: string;
  /** On the wall clock. */
  readonly notAfterMs: number;
  /** DER. */
  readonly bytes: Buffer;
}

/** Where bytes are put that are about to be queued: from `start` on. */
export interface WriteRoom {
  readonly bytes: Buffer;
  /** Of all of `bytes`. */
  readonly view: DataView;
  readonly start: number;
}

/**
 * A byte stream with a peer. Calls never throw and do nothing once the connection is closed.
 *
 * Writes are batched: bytes are copied out before the call returns and leave at the end of the loop turn at the latest.
 */
export interface Connection {
  readonly local: Address;
  readonly remote: Address;
  /** Where the client had meant to go, when its traffic was redirected here by the system; otherwise absent or null. */
  readonly originalDestination?: Address | null;
  readonly tls: TlsInfo | null;
  /** Who is told of bytes and of the end; may be replaced at any time (a tunnel takes over after 101). */
  handler: ConnectionHandler;
  /** Queues `bytes[start, end)`. The caller may reuse the bytes as soon as the call returns. */
  write(bytes: Uint8Array, start?: number, end?: number): void;
  /** Queues text whose characters are all below U+0100. */
  writeLatin1(text: string): void;
  /**
   * Room for `bytesMax` bytes, where they will leave from if the transport can: what is made anew, as a head, is then copied once
   * less. `commit` queues what was put there, up to `end`; until then nothing is asked of any connection.
   */
  reserve(bytesMax: number): WriteRoom;
  commit(end: number): void;
  /** Bytes that were queued and not yet taken by the kernel. Above the high-water mark the other side is paused. */
  readonly queuedBytes: number;
  /** The same, and once it is closed what was lost of it: where a file was among what was sent, else that may be 0. */
  readonly unsentBytes: number;
  /** No onBytes until resume(); the kernel's buffers fill and the peer slows down. Idempotent. */
  pause(): void;
  resume(): void;
  /**
   * Sends what is queued, then FIN (TLS: close_notify first). Bytes still arrive until the peer ends too. `peerIsDone`: it has said
   * that it sends nothing more; unless it has, the transport may then close at once in place of waiting for its end.
   */
  end(peerIsDone?: boolean): void;
  /** Closes at once, queued bytes are dropped. With `reset`, TCP RST where the transport can: the peer must not take what it
   * got for a complete message. onClose is called once, in a later turn or at the end of this one. */
  destroy(error?: ProxyError, reset?: boolean): void;
  readonly closed: boolean;
  /**
   * Sends `length` bytes of an open file, from `offset` on, in order with what is written, and counted in `queuedBytes`.
   * `onSent` is called once, in a later turn, when the descriptor is not needed any more; when the connection closed before all was
   * sent, behind `onClose`. A file that cannot be read, or is shorter, closes the connection with an error and a reset.
   */
  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): void;
  /**
   * From now on what arrives here goes to `to` without being seen: no onBytes until `bytes` of them have passed
   * (Infinity: until the peer's end). null: this pair cannot, and the caller copies.
   *
   * The transport holds back whichever side is faster; pause() and resume() act as on onBytes. What was written to `to` before
   * goes first; until the splice is over nobody else writes to it. onEnd and onClose come as always, onEnd when everything
   * before it has been handed on: the splice is over then. To end it early is to destroy either connection: what is in between
   * is lost, and where only `to` is closed, onBytes is called again with what comes behind the `receivedBytes` that were taken;
   * the transport may hold that back until resume().
   */
  spliceTo(to: Connection, bytes: number, handler: SpliceHandler): Splice | null;
}

/** Bytes on their way from one connection to another, in the kernel. The counts stay when it is over. */
export interface Splice {
  /** What was taken from the one connection so far. */
  readonly receivedBytes: number;
  /** What the other one has been given so far; the difference waits for it. */
  readonly sentBytes: number;
}

export interface SpliceHandler {
  /** All the bytes that were asked for have been handed on; from now on onBytes is called again. Never after the peer's end. */
  onSpliced(): void;
}

export interface ConnectionHandler {
  /** `buffer[start, end)` arrived. Valid during the call only: copy what must outlive it. Never called when paused. */
  onBytes(buffer: Buffer, start: number, end: number): void;
  /** `queuedBytes` has fallen to zero after it had been above the high-water mark. */
  onDrain(): void;
  /** The peer sent FIN; it may still read. */
  onEnd(): void;
  /** Closed, by either side; nothing comes after. With an error when it was not an orderly end; its side is that of the peer. */
  onClose(error: ProxyError | null): void;
}

/** An open listening socket. */
export interface Listener {
  /** Where it really listens: the port is the one that the system chose when 0 was asked for. */
  readonly address: Address;
  /** Stops accepting; connections that exist go on. Resolves when the socket is closed. */
  close(): Promise<void>;
}

/** Where to connect to. */
export interface DialTarget {
  /** A name or an IP address (without brackets), or a unix socket's path when port is 0. */
  readonly host: string;
  readonly port: number;
  /** null: plain TCP. Otherwise an opaque handle made by the transport from the upstream's TLS options. */
  readonly tls: DialTls | null;
  /** Address racing included; name resolution and TLS handshake included. */
  readonly timeoutMs: number;
  /** Asked about every address before it is connected to, the host's own when that is one. Left out: all may be. */
  readonly addresses?: AddressFilter;
}

/** Which addresses may be connected to: of a name, whatever it resolved to this time. */
export interface AddressFilter {
  /** Why not (destination_ip_prohibited); null: it may be. `address` is without brackets; IPv4-mapped ones come as IPv4. */
  refusalOf(address: string): ProxyError | null;
}

/** The client side of TLS, already loaded: contents of PEM files, not paths. */
export interface DialTls {
  /** Name for SNI and for the verification of the certificate. */
  readonly serverName: string;
  /** false accepts any certificate: for tests and closed networks only. */
  readonly verify: boolean;
  /** PEM text of the authorities to trust instead of the system's; null: the system's. */
  readonly ca: string | null;
  /** PEM text of our own certificate chain and key, for upstreams that ask for one. */
  readonly cert: string | null;
  readonly key: string | null;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** Protocols to offer by ALPN, most wanted first; empty: no ALPN. */
  readonly alpn: readonly string[];
}

/** Exactly one of the two is called, in a later turn, unless the attempt was cancelled. */
export interface DialHandler {
  /** Set `connection.handler` before returning. */
  onConnected(connection: Connection): void;
  /** `error.type` says what failed: dns_error, connection_refused, connection_timeout, tls_certificate_error, ... */
  onFailed(error: ProxyError): void;
}

export interface PendingDial {
  /** Gives up; the handler is not called any more. */
  cancel(): void;
}

export interface Dialer {
  dial(target: DialTarget, handler: DialHandler): PendingDial;
}

/** Our side of TLS where we are the server: contents of PEM files, not paths. */
export interface ServeTls {
  /** The certificate, followed by those between it and the authority's. */
  readonly cert: string;
  readonly key: string;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** Protocols to agree to by ALPN, most wanted first. */
  readonly alpn: readonly string[];
}

/**
 * TLS on a connection that is there already: what a client sends inside a tunnel, or what we send through one. From the call on
 * the connection belongs to the layer: it does nothing any more for whoever had it, its handler is told nothing more, not even
 * the end, and the layer closes it when the handshake fails, is cancelled, or is not over in `timeoutMs`. What was written to it
 * before leaves first; no file may be among it, and no splice begin or end there. `early` is what had arrived and was not used; it
 * is copied. The error's side is the peer's, which is the client for `serve` and the upstream for `connect`.
 *
 * A client none of whose protocols is in `alpn` is refused with no_application_protocol (RFC 7301, section 3.2); one that names
 * none is not.
 */
export interface TlsLayer {
  serve(connection: Connection, early: Buffer, tls: ServeTls, timeoutMs: number, handler: DialHandler): PendingDial;
  connect(connection: Connection, early: Buffer, tls: DialTls, timeoutMs: number, handler: DialHandler): PendingDial;
}

/** A timer that was set and can be cleared. */
export interface TimerHandle {
  cancel(): void;
}

/** Time. `now` is monotonic, in milliseconds with fractions, from an arbitrary start that is the same for all threads of a process. */
export interface Clock {
  now(): number;
  /** The wall clock in milliseconds since 1970: for what others date by it (log lines, Date, the expiry of tokens) only. */
  wallMs(): number;
  /** Calls `callback` once, not before `delayMs` have passed. A pending timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): TimerHandle;
}

/** Chance: numbers in [0, 1). Seeded in tests. */
export interface Random {
  next(): number;
}

/** Verifies passwords, off this thread. */
export interface PasswordHasher {
  /** Whether a password is that of a bcrypt or argon2id hash. Rejects when the hash is neither. */
  verify(hash: string, password: Uint8Array): Promise<boolean>;
}

/** What a session store has under a key. Never changed: until somebody replaces it, look-ups may give the same object. */
export interface SessionRecord {
  readonly value: string;
  /** On the monotonic clock, when it stops being; Infinity: never. */
  readonly expiresMs: number;
}

/**
 * Records by key, on this machine or shared by several. Keys and values are text; no key is longer than
 * SESSION_KEY_BYTES_MAX, no value longer than SESSION_VALUE_BYTES_MAX.
 */
export interface SessionStore {
  /** What is known here and now: the record, null that there is none, undefined that `get` must be asked. */
  peek(key: string): SessionRecord | null | undefined;
  /** null: there is none. Rejects with a ProxyError of status 503 when the store cannot be asked. */
  get(key: string): Promise<SessionRecord | null>;
  /** `ttlMs: null`: until it is deleted. Rejects as `get` does. */
  put(key: string, value: string, ttlMs: number | null): Promise<void>;
  /** Whether there was one. Rejects as `get` does. */
  delete(key: string): Promise<boolean>;
  /** Keys that begin with `prefix`, in no order; `ttlMs` is what is left, null: no end. Throws as `get` rejects. */
  list(prefix: string): AsyncIterable<{ readonly key: string; readonly ttlMs: number | null }>;
  close(): Promise<void>;
}

/** Certificates that were made for hosts, kept from one run to the next and shared by threads: a cache, which may lose anything. */
export interface LeafStore {
  /** What was written for the host last; null when there is nothing that can be read. Whether it is good is for the caller to see. */
  read(host: string): Promise<string | null>;
  /** PEM texts, the private key among them. Rejects with an Error when they cannot be kept. */
  write(host: string, pem: string): Promise<void>;
}

/** A request of the proxy's own, such as to an authentication service. */
export interface HttpCall {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Without framing and connection fields; Host is added when it is missing. They belong to the client, which releases them. */
  readonly fields: FieldBlock;
  readonly body: Uint8Array | null;
  /** A longer body fails the call. */
  readonly answerBytesMax: number;
  /** From the call to the end of the answer. */
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Hop-by-hop fields and framing are gone. They belong to the receiver, which must release them. */
  readonly fields: FieldBlock;
  readonly body: Buffer;
}

/** Exactly one of the two is called, possibly before `send` returns, unless the call was cancelled. */
export interface HttpAnswerHandler {
  onAnswer(answer: HttpAnswer): void;
  onFailed(error: ProxyError): void;
}

export interface PendingCall {
  /** Gives up; the handler is not called any more. Does nothing once it was. */
  cancel(): void;
}

/** Sends requests of the proxy's own over the pool of one upstream. */
export interface HttpClient {
  send(call: HttpCall, handler: HttpAnswerHandler): PendingCall;
}

/**
 * Asks for a document of the web, off the path of requests. Rejects when there is no answer; follows no redirect.
 */
export type Fetch = (url: string | URL, init?: FetchInit) => Promise<Response>;

export interface FetchInit {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | Headers | undefined;
  readonly body?: string | URLSearchParams | Uint8Array | null | undefined;
  readonly signal?: AbortSignal | null | undefined;
}

/**
 * What was made for these options before, in this configuration or the one of before it, or what `make` makes: for what was
 * learnt of others and must outlive a reload. The kind tells apart what has the same options.
 */
export type Kept = <T extends object>(kind: string, options: unknown, make: () => T) => T;
