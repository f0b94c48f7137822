/**
 * The TLS side of connecting: a context per set of certificates, made once, and the sessions that servers gave us, so that the
 * next handshake with the same server is a short one. A session is used only under the options it was made under: a
 * resumed one skips the check of the server's name, which must not carry over from a connection that was not verified.
 */

import net from "node:net";
import tls from "node:tls";
import { FifoMap } from "../../core/fifo-map.ts";
import type { DialTls } from "../../core/ports.ts";

/**
 * Contexts that are remembered for options that are made later. A configuration has a few authorities and certificates; with the
 * authorities of a whole system a context is 1 MB, and costs 30 ms of the thread.
 */
const CONTEXTS_MAX = 16;

/** Servers of one set of options whose sessions are kept. A session is one to five KiB. */
const SESSIONS_MAX = 256;

type Credentials = Pick<DialTls, "ca" | "cert" | "key" | "minVersion">;

interface Made extends Credentials {
  readonly context: tls.SecureContext;
}

/**
 * What is made of a DialTls, for as long as that object lives. Those that differ in the server's name only have one context, which
 * knows nothing of names.
 */
export class ClientContexts {
  readonly #clients = new WeakMap<DialTls, ClientTls>();
  /** Used last comes last. */
  readonly #made: Made[] = [];

  /** Throws when its PEM texts cannot be used. */
  of(options: DialTls): ClientTls {
    let client = this.#clients.get(options);
    if (client === undefined) {
      client = new ClientTls(options, this.#contextOf(options));
      this.#clients.set(options, client);
    }
    return client;
  }

  #contextOf({ ca, cert, key, minVersion }: Credentials): tls.SecureContext {
    const made = this.#made;
    // Texts are compared: mostly they are the same objects, else of different lengths.
    const at = made.findIndex(
      (it) => it.minVersion === minVersion && it.ca === ca && it.cert === cert && it.key === key,
    );
    const found = at < 0 ? { ca, cert, key, minVersion, context: contextOf({ ca, cert, key, minVersion }) } : made[at]!;
    if (at >= 0) made.splice(at, 1);
    else if (made.length >= CONTEXTS_MAX) made.shift();
    made.push(found);
    return found.context;
  }
}

/** Throws when a certificate or key cannot be used. */
function contextOf({ ca, cert, key, minVersion }: Credentials): tls.SecureContext {
  return tls.createSecureContext({
    minVersion,
    ...(ca === null ? {} : { ca }),
    ...(cert === null || key === null ? {} : { cert, key }),
  });
}

/** A DialTls made ready. */
export class ClientTls {
  readonly serverName: string;
  readonly #options: DialTls;
  readonly #context: tls.SecureContext;
  /** By "host:port", or the name alone where a connection was there before, in the order of last use. */
  readonly #sessions = new FifoMap<string, Buffer>();

  constructor(options: DialTls, context: tls.SecureContext) {
    this.#options = options;
    this.serverName = options.serverName;
    this.#context = context;
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
    const sessions = this.#sessions;
    if (!sessions.has(server) && sessions.size >= SESSIONS_MAX) sessions.delete(sessions.oldest!);
    sessions.set(server, session);
  }
}
