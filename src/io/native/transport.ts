/**
 * The transport on the addon: Linux, plain TCP and unix sockets. What speaks TLS, and sockets that node:http gives away, go to
 * io/net, which runs beside it in the same thread.
 */
import type net from "node:net";
import { getSystemErrorName } from "node:util";
import type { Clock, Connection, Dialer, DialHandler, DialTarget, PendingDial, TlsLayer } from "../../core/ports.ts";
import type { DialOwner } from "../dialing/connecting.ts";
import { RacingDialer } from "../dialing/dial.ts";
import { NameCache } from "../dialing/name-cache.ts";
import { systemErrorOf } from "../failures.ts";
import { NetTransport } from "../net/transport.ts";
import type { ListenOptions, Transport, TransportListener, TransportOptions } from "../transport.ts";
import { TransportState } from "../transport-state.ts";
import type { Addon } from "./addon.ts";
import { findAskOriginal } from "./addresses.ts";
import { type ConnectingOwner, NativeConnecting } from "./connecting.ts";
import { EventLoop } from "./event-loop.ts";
import { type ListenerOwner, openListener } from "./listen.ts";

/** All transports of a thread share its loop: the addon can be opened once. */
let loopOfThread: EventLoop | null = null;

export class NativeTransport implements Transport {
  readonly name = "native";
  readonly dialer: Dialer;
  readonly tls: TlsLayer;
  readonly #shared: SharedState;
  readonly #net: NetTransport;
  readonly #connecting: NativeConnecting;

  constructor(clock: Clock, addon: Addon, options: TransportOptions = {}) {
    loopOfThread ??= new EventLoop(addon, options.ownsThread ?? false);
    this.#shared = new SharedState(loopOfThread, clock, options.keepAliveMs ?? null, options.onFault);
    const names = new NameCache(clock, options.lookup);
    const duplicateOf = (one: number) => duplicate(addon, one);
    this.#net = new NetTransport(clock, { ...options, duplicate: duplicateOf, findAskOriginal });
    this.#connecting = new NativeConnecting(this.#shared);
    this.dialer = this.dialerWith(names);
    this.tls = this.#net.tls;
  }

  dialerWith(names: NameCache): Dialer {
    const plain = new RacingDialer(this.#shared, names, this.#connecting);
    return new DialerByTls(plain, this.#net.dialerWith(names));
  }

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<TransportListener> {
    if (options.tls !== null) return this.#net.listen(options, onConnection);
    return openListener(this.#shared, options, onConnection);
  }

  adopt(socket: net.Socket): Connection {
    return this.#net.adopt(socket);
  }

  get openConnections(): number {
    return this.#shared.connections + this.#shared.attempts + this.#net.openConnections;
  }
}

class DialerByTls implements Dialer {
  readonly #plain: Dialer;
  readonly #secure: Dialer;

  constructor(plain: Dialer, secure: Dialer) {
    this.#plain = plain;
    this.#secure = secure;
  }

  dial(target: DialTarget, handler: DialHandler): PendingDial {
    return (target.tls === null ? this.#plain : this.#secure).dial(target, handler);
  }
}

/** What the connections, listeners and attempts of a transport share. */
class SharedState extends TransportState implements DialOwner, ListenerOwner, ConnectingOwner {
  readonly loop: EventLoop;
  readonly batch: EventLoop;
  readonly keepAliveSeconds: number;

  constructor(
    loop: EventLoop,
    clock: Clock,
    keepAliveMs: number | null,
    onFault: ((fault: Error) => void) | undefined,
  ) {
    super(clock, onFault);
    this.loop = this.batch = loop;
    this.keepAliveSeconds = keepAliveMs === null ? 0 : Math.max(1, Math.round(keepAliveMs / 1000));
  }
}

function duplicate(addon: Addon, descriptor: number): number {
  const copy = addon.duplicate(descriptor);
  if (copy < 0) throw systemErrorOf(getSystemErrorName(copy));
  return copy;
}
