/**
 * What every transport offers to the composition root: io/net on Node's own sockets, io/native on the addon. Both may run
 * side by side in one thread.
 */
import type net from "node:net";
import type { ProxyError } from "../core/errors.ts";
import type { Address, Connection, Dialer, Listener, TlsLayer } from "../core/ports.ts";
import type { Lookup, NameCache } from "./dialing/name-cache.ts";
import type { ListenTls } from "./net/listen-tls.ts";
import type { ProxyHeaders } from "./proxy-headers.ts";

export type { DnsOptions } from "./dns/names.ts";
export type { ListenTls, ProxyHeaders };

export interface TransportOptions {
  /** TCP keep-alive probes after this much silence; default: none, since idle limits find dead peers. */
  readonly keepAliveMs?: number;
  /** A client's TLS handshake, from accept to the end. */
  readonly handshakeTimeoutMs?: number;
  /** A handler threw, or the system refused to accept: something is lost, the process goes on. Default: a warning. */
  readonly onFault?: (fault: Error) => void;
  /** Asks for the addresses of a name. Default: the system's resolver. */
  readonly lookup?: Lookup;
  /**
   * Nobody else needs to know when this thread is idle, or drives its event loop: then the transport may wait in the loop's place.
   * The first transport of a thread decides. Default: no.
   */
  readonly ownsThread?: boolean;
}

export interface ListenOptions {
  /** A name or an address without brackets; null: every address of both families. */
  readonly host: string | null;
  /** 0: the system chooses. */
  readonly port: number;
  /** The path of a unix socket; then host and port say nothing. */
  readonly path: string | null;
  /** Permissions of the unix socket's file, such as 0o660; default: by the process's umask. */
  readonly mode?: number;
  readonly tls: ListenTls | null;
  readonly backlog?: number;
  /** Several threads or processes may listen on the same address, and the kernel spreads the connections. */
  readonly reusePort?: boolean;
  /**
   * A listening socket that somebody else has bound, as `host`, `port` or `path` say, and who keeps it open: closing the
   * listener stops accepting and leaves the descriptor alone. io/net without the addon cannot duplicate it, and closes it.
   */
  readonly descriptor?: number;
  /**
   * Traffic is redirected here by the system's firewall (REDIRECT of iptables and nftables, or DNAT to this machine): connections
   * know their `originalDestination`, which is null for clients that came directly. With TPROXY, which leaves the destination as it
   * was and so makes it the local address, it is null, too. Needs the addon, also on io/net: rejects where there is none.
   */
  readonly transparent?: boolean;
  /** Peers that say first whose connection it is; left out: none do. Their header comes before TLS. */
  readonly proxyHeaders?: ProxyHeaders | null;
  /** A client's handshake failed: for the log. Called as often as clients fail: the caller limits the rate. */
  readonly onTlsError?: (error: ProxyError, remote: Address) => void;
}

export interface TransportListener extends Listener {
  /**
   * Certificates and authorities for connections to come; those that exist go on, and their sessions are not resumed. Throws when
   * they cannot be used, or when clients would be asked for something else than before: the old ones stay.
   */
  updateTls(tls: ListenTls): void;
  /**
   * In front of `close`, with which the system resets who still waits to be accepted: resolves when nobody does, as far as that can be
   * told.
   */
  takeWaiting(): Promise<void>;
  /**
   * Behind `close`, after which handshakes that have begun go on, and PROXY headers that are waited for have as long as a first
   * request: resolves when all of them have ended, which may take their time.
   */
  whenHandshakesEnd(): Promise<void>;
}

export interface Transport {
  readonly name: "native" | "net";
  readonly dialer: Dialer;
  /** A dialer of the same connections and counts that takes the addresses of names from there. */
  dialerWith(names: NameCache): Dialer;
  /** For connections of this transport, whichever way they were made. */
  readonly tls: TlsLayer;
  /**
   * Begins to listen; with TLS, `onConnection` is called after the handshake. It sets `connection.handler` before it
   * returns. Rejects with a ListenError, which has a `code` (EADDRINUSE, EACCES, ...) and a message for the operator.
   */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<TransportListener>;
  /** A connection of a socket that somebody else accepted: node:http gives one away on an upgrade. Set its handler at once. */
  adopt(socket: net.Socket): Connection;
  /** Connections and attempts of either side that hold a socket. */
  readonly openConnections: number;
}
