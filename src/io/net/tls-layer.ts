/**
 * TLS on a connection that is there already, of any transport: the connection gives up its socket, Node puts TLS on it, and the
 * result is a connection of io/net. It decides how long that may take, and that nothing is left open when it fails.
 */
import type net from "node:net";
import tls from "node:tls";
import { ProxyError } from "../../core/errors.ts";
import type {
  Connection,
  DialHandler,
  DialTls,
  PendingDial,
  ServeTls,
  TimerHandle,
  TlsLayer,
} from "../../core/ports.ts";
import { describeAddress } from "../addresses.ts";
import type { CompletionHandler, DialOwner } from "../dialing/connecting.ts";
import { tellConnected, tellFailed } from "../dialing/telling.ts";
import { failureOf, type SystemError } from "../failures.ts";
import { givesSocket, type SocketReceiver } from "../socket-giver.ts";
import type { ConnectionOwner } from "./connection.ts";
import type { ClientContexts } from "./dial-tls.ts";
import { Handshake, type HandshakeFacts } from "./handshake.ts";
import { SERVER_OPTIONS } from "./listen-tls.ts";

export interface TlsLayerOwner extends DialOwner, ConnectionOwner {
  readonly batch: DialOwner["batch"] & ConnectionOwner["batch"];
}

/** Begins a handshake on a socket. Throws when the options cannot be used. */
type Begin = (socket: net.Socket, handler: CompletionHandler) => PendingDial;

export class NetTlsLayer implements TlsLayer {
  readonly #owner: TlsLayerOwner;
  readonly #clients: ClientContexts;
  readonly #servers = new WeakMap<ServeTls, tls.SecureContext>();

  constructor(owner: TlsLayerOwner, clients: ClientContexts) {
    this.#owner = owner;
    this.#clients = clients;
  }

  serve(
    connection: Connection,
    early: Buffer,
    options: ServeTls,
    timeoutMs: number,
    handler: DialHandler,
  ): PendingDial {
    const what = `TLS handshake of client ${describeAddress(connection.remote)}`;
    const facts = factsOf(connection, "client", what);
    const begin: Begin = (socket, completion) => {
      const secured = accept(socket, this.#contextOf(options), options.alpn);
      return new Handshake(this.#owner, secured, completion, facts);
    };
    return new Securing(this.#owner, connection, facts, handler).start(early, timeoutMs, begin);
  }

  connect(
    connection: Connection,
    early: Buffer,
    options: DialTls,
    timeoutMs: number,
    handler: DialHandler,
  ): PendingDial {
    const what = `TLS handshake with ${options.serverName} by way of ${describeAddress(connection.remote)}`;
    const facts = factsOf(connection, "upstream", what);
    const begin: Begin = (socket, completion) => {
      const client = this.#clients.of(options);
      const onFailed = (): void => client.forget(options.serverName);
      const secured = client.connect(socket, options.serverName);
      return new Handshake(this.#owner, secured, completion, { ...facts, onFailed });
    };
    return new Securing(this.#owner, connection, facts, handler).start(early, timeoutMs, begin);
  }

  /** One context for each ServeTls object, for as long as that object lives. Throws when its PEM texts cannot be used. */
  #contextOf(options: ServeTls): tls.SecureContext {
    let context = this.#servers.get(options);
    if (context === undefined) {
      const { cert, key, minVersion } = options;
      context = tls.createSecureContext({ cert, key, minVersion, secureOptions: SERVER_OPTIONS });
      this.#servers.set(options, context);
    }
    return context;
  }
}

function factsOf(connection: Connection, side: HandshakeFacts["side"], what: string): HandshakeFacts {
  const { remote, local, originalDestination = null } = connection;
  return { ends: { remote, local }, originalDestination, side, what };
}

/**
 * The server's side on a socket. A tls.Server would tell which of its sockets is ready, but not which one was made of which;
 * what it does besides is done here.
 */
function accept(socket: net.Socket, secureContext: tls.SecureContext, alpn: readonly string[]): tls.TLSSocket {
  const secured = new tls.TLSSocket(socket, {
    isServer: true,
    secureContext,
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
  });
  // A client that ends within the handshake will not finish it; afterwards it may end its side alone.
  secured.allowHalfOpen = false;
  secured.once("secure", () => {
    secured.allowHalfOpen = true;
  });
  // Node tells of what breaks behind the handshake to the server, which is not there, and leaves the socket open.
  secured.on("_tlsError", (error: Error) => secured.destroy(error));
  return secured;
}

/** From a connection to one that speaks TLS, within one deadline. */
class Securing implements PendingDial, SocketReceiver, CompletionHandler {
  readonly #owner: TlsLayerOwner;
  readonly #connection: Connection;
  readonly #facts: HandshakeFacts;
  readonly #handler: DialHandler;
  #early = Buffer.alloc(0);
  #begin: Begin | null = null;
  #deadline: TimerHandle | null = null;
  #giving: PendingDial | null = null;
  #handshake: PendingDial | null = null;
  #isDone = false;

  constructor(owner: TlsLayerOwner, connection: Connection, facts: HandshakeFacts, handler: DialHandler) {
    this.#owner = owner;
    this.#connection = connection;
    this.#facts = facts;
    this.#handler = handler;
  }

  start(early: Buffer, timeoutMs: number, begin: Begin): this {
    const connection = this.#connection;
    // It may lie in memory that is used again when its reader returns.
    this.#early = Buffer.from(early);
    this.#begin = begin;
    this.#owner.countAttempt(1);
    this.#deadline = this.#owner.clock.after(timeoutMs, () => this.#timedOut(timeoutMs));
    if (givesSocket(connection)) this.#giving = connection.giveSocket(this);
    else {
      connection.destroy();
      this.#failLater(new ProxyError("proxy_internal_error", `${this.#facts.what}: it has no socket`));
    }
    return this;
  }

  cancel(): void {
    if (this.#isDone) return;
    this.#settled();
    this.#giving?.cancel();
    this.#handshake?.cancel();
  }

  onSocket(socket: net.Socket): void {
    if (this.#early.length > 0) socket.unshift(this.#early);
    // Only where the peer's end was read before TLS was put on the socket, which then never hears of it.
    socket.once("end", () => socket.destroy());
    try {
      this.#handshake = this.#begin!(socket, this);
    } catch (thrown) {
      socket.destroy();
      const { message } = thrown as Error;
      const words = `${this.#facts.what}: its TLS options cannot be used: ${message}`;
      this.#failLater(new ProxyError("proxy_configuration_error", words, { cause: thrown }));
    }
  }

  onNoSocket(error: SystemError): void {
    this.#failLater(failureOf(error, this.#facts.what, this.#facts.side));
  }

  onComplete(connection: Connection): void {
    if (this.#isDone) return;
    this.#settled();
    tellConnected(this.#owner, this.#handler, connection);
  }

  onIncomplete(error: ProxyError): void {
    this.#fail(error);
  }

  #settled(): void {
    this.#isDone = true;
    this.#deadline?.cancel();
    this.#owner.countAttempt(-1);
  }

  /** For failures that may be known before the layer has returned. */
  #failLater(error: ProxyError): void {
    process.nextTick(() => this.#fail(error));
  }

  #fail(error: ProxyError): void {
    if (this.#isDone) return;
    this.cancel();
    tellFailed(this.#owner, this.#handler, error);
  }

  #timedOut(timeoutMs: number): void {
    const { what, side } = this.#facts;
    this.#fail(new ProxyError("connection_timeout", `${what}: not finished within ${timeoutMs} ms`, { side }));
  }
}
