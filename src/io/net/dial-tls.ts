/**
 * The TLS side of connecting: a context per set of options, made once, and the sessions that servers gave us, so that the
 * next handshake with the same server is a short one. A session is used only under the options it was made under: a
 * resumed one skips the check of the server's name, which must not carry over from a connection that was not verified.
 */
import net from "node:net";
import tls from "node:tls";
import type { DialTls } from "../../core/ports.ts";

/** Servers of one set of options whose sessions are kept. A session is one to five KiB. */
const SESSIONS_MAX = 256;

/** One context for each DialTls object, for as long as that object lives. */
export class ClientContexts {
  readonly #clients = new WeakMap<DialTls, ClientTls>();

  /** Throws when its PEM texts cannot be used. */
  of(options: DialTls): ClientTls {
    let client = this.#clients.get(options);
    if (client === undefined) {
      client = new ClientTls(options);
      this.#clients.set(options, client);
    }
    return client;
  }
}

/** A DialTls made ready. */
export class ClientTls {
  readonly serverName: string;
  readonly #options: DialTls;
  readonly #context: tls.SecureContext;
  /** By "host:port", or the name alone where a connection was there before, in the order of last use. */
  readonly #sessions = new Map<string, Buffer>();

  /** Throws when a certificate or key cannot be used. */
  constructor(options: DialTls) {
    this.#options = options;
    this.serverName = options.serverName;
    this.#context = tls.createSecureContext({
      minVersion: options.minVersion,
      ...(options.ca === null ? {} : { ca: options.ca }),
      ...(options.cert === null || options.key === null ? {} : { cert: options.cert, key: options.key }),
    });
  }

  /** Begins a handshake on a connected socket. Verification has happened when "secureConnect" is emitted. */
  connect(socket: net.Socket, server: string): tls.TLSSocket {
    const { serverName, verify, alpn } = this.#options;
    const session = this.#sessions.get(server);
    const secured = tls.connect({
      socket,
      secureContext: this.#context,
      rejectUnauthorized: verify,
      // Names the server for the check of its certificate; as SNI an address is not allowed (RFC 6066, section 3).
      host: serverName,
      ...(net.isIP(serverName) === 0 ? { servername: serverName } : {}),
      ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
      ...(session === undefined ? {} : { session }),
    });
    secured.on("session", (fresh: Buffer) => this.#keep(server, fresh));
    return secured;
  }

  /** A handshake with this server failed: its session may be why. */
  forget(server: string): void {
    this.#sessions.delete(server);
  }

  #keep(server: string, session: Buffer): void {
    this.#sessions.delete(server);
    if (this.#sessions.size >= SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!);
    this.#sessions.set(server, session);
  }
}
