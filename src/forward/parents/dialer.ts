/**
 * Connections through a parent, as a dialer over the one that reaches the parent: an HTTP proxy is asked by CONNECT, a SOCKS
 * proxy by its own request, and TLS to the origin is put on top. Names are sent to the parent and resolved there. It decides
 * nothing about which way is taken, and keeps the parent's health.
 *
 * Either the parent has answered, and what it says is final; or it has not, as a proxy would, and then it cannot be reached
 * (ParentUnreachable): whoever has another way takes that one.
 */
import { ByteQueue } from "../../core/byte-queue.ts";
import { Deadline, type DeadlineWheel } from "../../core/deadlines.ts";
import { type ErrorType, ProxyError } from "../../core/errors.ts";
import type {
  AddressFilter,
  Clock,
  Connection,
  ConnectionHandler,
  Dialer,
  DialHandler,
  DialTarget,
  PendingDial,
  TlsLayer,
} from "../../core/ports.ts";
import { SocksClient } from "../../protocol/socks/client.ts";
import { ERR_SERVER_CREDENTIALS, ERR_SERVER_NO_METHOD, ERR_SERVER_REFUSED } from "../../protocol/socks/errors.ts";
import type { PoolServer } from "../../upstreams/pool.ts";
import { ConnectClient, credentialsRefused } from "./connect-client.ts";
import type { Parent } from "./parent.ts";

export interface ParentSurroundings {
  /** Reaches the parents. */
  readonly dialer: Dialer;
  readonly tlsLayer: TlsLayer;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
}

/** Also takes what the other side has said already, before it was asked anything. */
export interface TunnelDialHandler extends DialHandler {
  onConnected(connection: Connection, early?: Buffer): void;
}

/** No answer that a proxy gives: another way may work. */
export class ParentUnreachable extends ProxyError {}

/** Who has been asked to pass us on: CONNECT or SOCKS, by bytes that come and go. */
interface Negotiation {
  readonly toSend: Buffer | null;
  readonly isConnected: boolean;
  receive(buffer: Buffer, start: number, end: number): number;
  isRefusal(code: number): boolean;
  failure(code: number): ProxyError;
}

/** Connections to the parent itself, for requests that it passes on: whatever host the target names. */
export class ParentConnections implements Dialer {
  readonly #parent: Parent;
  readonly #around: ParentSurroundings;

  constructor(parent: Parent, around: ParentSurroundings) {
    this.#parent = parent;
    this.#around = around;
  }

  dial({ timeoutMs }: DialTarget, handler: DialHandler): PendingDial {
    const parent = this.#parent;
    const { dialer, clock } = this.#around;
    return dialer.dial(targetOf(parent, timeoutMs), {
      onConnected: (connection) => {
        parent.wasReached();
        handler.onConnected(connection);
      },
      onFailed: (error) => {
        parent.wasNotReached(clock.now());
        handler.onFailed(unreachable(parent, error));
      },
    });
  }
}

/** The parent as the one server of a pool: it is sent requests for everywhere. */
export function parentServer(parent: Parent): PoolServer {
  const { name, host, port, tls } = parent;
  return {
    url: name,
    scheme: tls === null ? "http" : "https",
    host,
    port,
    authority: hostPort(parent),
    weight: 1,
    tls,
    addresses: ANY_ADDRESS,
    proxy: { line: parent.authorization, refused: () => refusedBy(parent, credentialsRefused()) },
  };
}

/** The parent's own address stands in the configuration, so no rule is asked about it. */
const ANY_ADDRESS: AddressFilter = { refusalOf: () => null };

/** Connections to anywhere, through the parent. */
export class ParentTunnels implements Dialer {
  readonly #parent: Parent;
  readonly #around: ParentSurroundings;
  readonly #via: string | null;

  /** `via`: our own element of the field Via; null: we have no name there. */
  constructor(parent: Parent, around: ParentSurroundings, via: string | null) {
    this.#parent = parent;
    this.#around = around;
    this.#via = via;
  }

  /** For who asks before it is told anything: what comes earlier is an error. */
  dial(target: DialTarget, handler: DialHandler): PendingDial {
    return this.#dial(target, this.#via, {
      onConnected: (connection, early) => {
        if (early === undefined || early.length === 0) return handler.onConnected(connection);
        connection.destroy();
        const message = `${hostPort(target)} spoke before it was asked`;
        handler.onFailed(new ProxyError("http_protocol_error", message));
      },
      onFailed: (error) => handler.onFailed(error),
    });
  }

  /** `passedVia`: what others on the way to us have put into Via, so that a loop is found; null: nothing. */
  dialTunnel(target: DialTarget, passedVia: string | null, handler: TunnelDialHandler): PendingDial {
    const elements = [passedVia, this.#via].filter((element) => element !== null);
    return this.#dial(target, elements.length === 0 ? null : elements.join(", "), handler);
  }

  #dial(target: DialTarget, via: string | null, handler: TunnelDialHandler): PendingDial {
    const parent = this.#parent;
    const lines = (via === null ? "" : `Via: ${via}\r\n`) + parent.authorization;
    const negotiation =
      parent.kind === "socks5" ? socksNegotiation(parent, target) : new ConnectClient(hostPort(target), lines);
    const dial = new TunnelDial(parent, this.#around, target, negotiation, handler);
    dial.start();
    return dial;
  }
}

/** One connection through a parent, on its way. */
class TunnelDial implements PendingDial, DialHandler, ConnectionHandler {
  readonly #parent: Parent;
  readonly #around: ParentSurroundings;
  readonly #target: DialTarget;
  /** null: SOCKS cannot name the host. */
  readonly #negotiation: Negotiation | null;
  readonly #handler: TunnelDialHandler;
  /** All steps together have the target's time; each begins with what is left of it. */
  readonly #endMs: number;
  /** The step that is somebody else's: the connection to the parent, or TLS through it. */
  #pending: PendingDial | null = null;
  /** While we negotiate. */
  #connection: Connection | null = null;
  #deadline: Deadline | null = null;
  readonly #received = new ByteQueue();

  constructor(
    parent: Parent,
    around: ParentSurroundings,
    target: DialTarget,
    negotiation: Negotiation | null,
    handler: TunnelDialHandler,
  ) {
    this.#parent = parent;
    this.#around = around;
    this.#target = target;
    this.#negotiation = negotiation;
    this.#handler = handler;
    this.#endMs = around.clock.now() + target.timeoutMs;
  }

  start(): void {
    this.#pending = this.#around.dialer.dial(targetOf(this.#parent, this.#target.timeoutMs), this);
  }

  cancel(): void {
    this.#pending?.cancel();
    this.#pending = null;
    const connection = this.#connection;
    this.#leaveConnection();
    connection?.destroy();
  }

  onFailed(error: ProxyError): void {
    this.#pending = null;
    this.#parent.wasNotReached(this.#around.clock.now());
    this.#handler.onFailed(unreachable(this.#parent, error));
  }

  onConnected(connection: Connection): void {
    this.#pending = null;
    const negotiation = this.#negotiation;
    if (negotiation === null) {
      connection.handler = NOBODY;
      connection.destroy();
      const message = `${this.#parent.name}: SOCKS cannot name the host ${this.#target.host}`;
      return this.#handler.onFailed(new ProxyError("destination_unavailable", message, { retryable: false }));
    }
    this.#connection = connection;
    connection.handler = this;
    this.#deadline = new Deadline(this.#around.deadlines, () => {
      this.#failUnanswered(new ProxyError("connection_timeout", `no answer within ${this.#target.timeoutMs} ms`));
    });
    this.#deadline.arm(this.#leftMs());
    this.#send(negotiation);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const negotiation = this.#negotiation!;
    const received = this.#received;
    received.append(buffer, start, end);
    while (!negotiation.isConnected) {
      const used = negotiation.receive(received.bytes, received.start, received.end);
      if (used === 0) return;
      if (used < 0) {
        const error = negotiation.failure(used);
        if (negotiation.isRefusal(used)) this.#refused(error);
        else this.#failUnanswered(error);
        return;
      }
      received.consume(used);
      this.#send(negotiation);
    }
    this.#connected();
  }

  onDrain(): void {}

  onEnd(): void {
    this.#closedEarly();
  }

  onClose(error: ProxyError | null): void {
    if (error === null) this.#closedEarly();
    else this.#failUnanswered(error);
  }

  #send(negotiation: Negotiation): void {
    if (negotiation.toSend !== null) this.#connection!.write(negotiation.toSend);
  }

  #connected(): void {
    const connection = this.#connection!;
    const early = this.#received.take();
    this.#leaveConnection();
    this.#parent.wasReached();
    const { tls } = this.#target;
    if (tls === null) return this.#handler.onConnected(connection, early);
    this.#pending = this.#around.tlsLayer.connect(connection, early, tls, this.#leftMs(), this.#handler);
  }

  #refused(error: ProxyError): void {
    const connection = this.#connection!;
    this.#leaveConnection();
    connection.destroy();
    this.#parent.wasReached();
    this.#handler.onFailed(refusedBy(this.#parent, error));
  }

  #closedEarly(): void {
    this.#failUnanswered(new ProxyError("connection_terminated", "it closed the connection without an answer"));
  }

  #failUnanswered(error: ProxyError): void {
    const connection = this.#connection!;
    this.#leaveConnection();
    connection.destroy();
    this.onFailed(error);
  }

  #leaveConnection(): void {
    if (this.#connection !== null) this.#connection.handler = NOBODY;
    this.#connection = null;
    this.#deadline?.dispose();
    this.#deadline = null;
  }

  #leftMs(): number {
    return Math.max(0, this.#endMs - this.#around.clock.now());
  }
}

/** Of a connection that was given up: nothing that comes is of interest. */
const NOBODY: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

function targetOf({ host, port, tls }: Parent, timeoutMs: number): DialTarget {
  return { host, port, tls, timeoutMs };
}

function hostPort({ host, port }: Pick<DialTarget, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function socksNegotiation(parent: Parent, { host, port }: DialTarget): Negotiation | null {
  const client = SocksClient.to(host, port, parent.socksCredentials);
  if (client === null) return null;
  return {
    get toSend() {
      return client.toSend;
    },
    get isConnected() {
      return client.state === "connected";
    },
    receive: (buffer, start, end) => client.receive(buffer, start, end),
    isRefusal: (code) => SOCKS_REFUSALS.has(code),
    failure: (code) => client.failure(code),
  };
}

const SOCKS_REFUSALS: ReadonlySet<number> = new Set([ERR_SERVER_NO_METHOD, ERR_SERVER_CREDENTIALS, ERR_SERVER_REFUSED]);

/**
 * Whatever failed, it is no fault of the destination: so the page for the client must not say that it is. Who has another way
 * knows it by its class; to try the same one again at once is no use.
 */
function unreachable({ name }: Parent, error: ProxyError): ParentUnreachable {
  const { type, status, side, cause } = error;
  const reason = "parent_unreachable";
  return new ParentUnreachable(type, `proxy ${name}: ${error.message}`, {
    status,
    side,
    retryable: false,
    cause,
    reason,
  });
}

/** What a refusal is that has to do with the parent's own rules; any other is about the destination. */
const REFUSAL_REASONS: { readonly [type in ErrorType]?: string } = {
  proxy_configuration_error: "parent_refused",
  http_request_denied: "parent_denied",
};

/** Asked again, it would say the same again. */
function refusedBy({ name }: Parent, error: ProxyError): ProxyError {
  const { type, status, side } = error;
  const why = REFUSAL_REASONS[type];
  const reason = why === undefined ? {} : { reason: why };
  return new ProxyError(type, `proxy ${name}: ${error.message}`, { status, side, retryable: false, ...reason });
}
