/**
 * The listening sockets of a proxy and the client connections behind them, through reloads: an address that stays keeps
 * its socket and its connections and gets the new site; a new one is opened before an old one is closed. Either all of a
 * reload happens or nothing does: every step that is taken knows how to take itself back, until it is told to stay.
 *
 * Two addresses can stand in each other's way (":8080" and "127.0.0.1:8080", or one that now speaks TLS or SOCKS, takes redirected
 * traffic, or asks its clients for other certificates): then the old socket is closed first, and opened again should the new one fail.
 */
import type { ListenConfig } from "../config/config.ts";
import { NEXT_REQUEST_TIMEOUT_MS } from "../core/limits.ts";
import type { ListenAddress } from "../core/option-addresses.ts";
import type { Address, Connection } from "../core/ports.ts";
import type { ListenTls } from "../io/net/listen-tls.ts";
import type { ListenOptions, ProxyHeaders, Transport, TransportListener } from "../io/transport.ts";
import { Http1Driver } from "../pipeline/drivers/http1.ts";
import { ClientRedirected } from "../pipeline/drivers/redirected.ts";
import type { ServedClient } from "../pipeline/drivers/served-client.ts";
import { ClientSocks } from "../pipeline/drivers/socks.ts";
import type { ConnectionOrigin } from "../pipeline/forwarding.ts";
import type { Site } from "../pipeline/site.ts";
import { CidrSet } from "../semantics/cidr.ts";
import type { AppLog } from "./app-log.ts";
import { listenFailure } from "./listener-errors.ts";
import type { RepeatedFaults } from "./repeated-faults.ts";
import { SetupError, type SetupProblem } from "./setup-error.ts";
import { clock } from "./surroundings.ts";
import type { Counters } from "./threads/counters.ts";

export interface WantedListener {
  /** What tells it from the others, before and after a reload. */
  readonly key: string;
  readonly listen: ListenConfig;
  /** Where it stands in the configuration. */
  readonly place: SetupProblem["path"];
  readonly tls: ListenTls | null;
  readonly site: Site;
  /** null: it is bound here, as the address says. */
  readonly socket: HandedSocket | null;
}

/** A socket that the main thread has bound for this one, or the port that it has found for all of them. */
export interface HandedSocket {
  /** The one that was chosen where the address left it open. */
  readonly port: number;
  /** null: this thread binds it by itself, beside the other threads. */
  readonly descriptor: number | null;
  /** Further ones, of a process before this one that had more threads: what waits there would be reset if nobody accepted on them. */
  readonly further: readonly number[];
  readonly reusePort: boolean;
}

/** Listeners that are ready to be taken into use. One of the two is called, once. */
export interface PreparedListeners {
  /** Takes effect at once and cannot fail; resolves when those that are left are closed. */
  commit(): Promise<void>;
  /** Everything is as before. */
  rollback(): Promise<void>;
}

export interface ListenerSurroundings {
  readonly transport: Transport;
  readonly counters: Counters;
  readonly log: AppLog;
  readonly faults: RepeatedFaults;
}

/** The client connections of one listener; says when the last one has gone. */
class ClientConnections extends Http1Driver {
  /** Those who say first whose connection it is; null: every peer is. */
  balancers: CidrSet | null;
  readonly #listen: ListenConfig;
  readonly #counters: Counters;
  /** Resolves when all were cut off. */
  readonly #cut = Promise.withResolvers<void>();
  /** Nobody is taken any more. */
  #isOver = false;

  constructor({ site, listen }: WantedListener, counters: Counters) {
    super(site);
    this.balancers = balancersOf(listen);
    this.#listen = listen;
    this.#counters = counters;
  }

  override accept(connection: Connection, origin: ConnectionOrigin | null = null): void {
    if (this.#isOver) return connection.destroy();
    // What comes out of a tunnel speaks HTTP, whatever made the tunnel.
    if (origin !== null) super.accept(connection, origin);
    else if (this.#listen.protocol === "socks") this.add(new ClientSocks(this, connection));
    else if (this.#listen.transparent) this.add(new ClientRedirected(this, connection));
    else super.accept(connection);
    this.#counters.countConnection(1);
  }

  /** A handshake that ended after we had stopped accepting: its client's request may be under way, and nobody else can answer it. */
  protected override add(client: ServedClient): void {
    super.add(client);
    if (this.draining) client.drain();
  }

  override destroy(): void {
    this.#isOver = true;
    this.#cut.resolve();
    super.destroy();
  }

  /** Behind `drain`: resolves when the last one has gone, and who was in a handshake on `socket` has come or had the time to. */
  async untilGone(socket: TransportListener): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const deadline = clock.after(NEXT_REQUEST_TIMEOUT_MS, resolve);
    await Promise.race([socket.whenHandshakesEnd(), late, this.#cut.promise]);
    deadline.cancel();
    await this.untilEmpty();
    this.#isOver = true;
  }

  override forget(client: Parameters<Http1Driver["forget"]>[0]): void {
    const before = this.size;
    super.forget(client);
    if (this.size < before) this.#counters.countConnection(-1);
  }
}

export class OpenListener {
  wanted: WantedListener;
  socket: TransportListener;
  readonly clients: ClientConnections;

  constructor(wanted: WantedListener, socket: TransportListener, clients: ClientConnections) {
    this.wanted = wanted;
    this.socket = socket;
    this.clients = clients;
  }

  /** Where it really listens. */
  get address(): Address {
    return this.socket.address;
  }
}

/** Takes back one step of a reload. */
type Undo = () => void | Promise<void>;

export class Listeners {
  readonly #around: ListenerSurroundings;
  #open = new Map<string, OpenListener>();
  /** Closed ones, whose connections are still there. */
  readonly #leaving = new Set<OpenListener>();

  constructor(around: ListenerSurroundings) {
    this.#around = around;
  }

  get open(): readonly OpenListener[] {
    return [...this.#open.values()];
  }

  /** Client connections, those behind closed listeners included. */
  get connections(): number {
    return this.#drivers().reduce((sum, clients) => sum + clients.size, 0);
  }

  /**
   * Opens what it takes to listen on these; with `commit` no others are left, and connections of those end within `drainMs`.
   * Rejects with a SetupError, and then everything is as before.
   */
  async prepare(wanted: readonly WantedListener[], drainMs: number): Promise<PreparedListeners> {
    const next = new Map<string, OpenListener>();
    const undo: Undo[] = [];
    const rollback = async (): Promise<void> => {
      for (const step of undo.reverse()) await step();
    };
    try {
      await this.#take(wanted, next, undo);
    } catch (error) {
      await rollback();
      throw error;
    }
    return { commit: () => this.#commit(wanted, next, drainMs), rollback };
  }

  async #commit(wanted: readonly WantedListener[], next: Map<string, OpenListener>, drainMs: number): Promise<void> {
    const before = this.#open;
    this.#open = next;
    for (const item of wanted) {
      const open = next.get(item.key)!;
      open.wanted = item;
      open.clients.site = item.site;
      open.clients.balancers = balancersOf(item.listen);
    }
    const left = [...before].filter(([key, open]) => next.get(key) !== open);
    await Promise.all(left.map(([, open]) => this.#leave(open, drainMs)));
  }

  async #take(wanted: readonly WantedListener[], next: Map<string, OpenListener>, undo: Undo[]): Promise<void> {
    const wantedKeys = new Set(wanted.map(({ key }) => key));
    const removed = [...this.#open].filter(([key]) => !wantedKeys.has(key)).map(([, open]) => open);
    const inTheWay: [WantedListener, OpenListener[]][] = [];
    for (const item of wanted) {
      const existing = this.#open.get(item.key);
      if (existing !== undefined && asksTheSame(existing.wanted, item)) {
        updateTls(existing, item, undo);
        next.set(item.key, existing);
        continue;
      }
      const rivals = opensBeside(item, existing)
        ? []
        : existing === undefined
          ? removed.filter((open) => overlap(open.wanted.listen, item.listen))
          : [existing];
      if (rivals.length > 0) inTheWay.push([item, rivals]);
      else next.set(item.key, await this.#openNew(item, undo));
    }
    for (const rival of new Set(inTheWay.flatMap(([, rivals]) => rivals))) {
      // Of Node's own sockets one that is closed resets who waits there.
      await rival.socket.takeWaiting();
      await rival.socket.close();
      undo.push(() => this.#reopen(rival));
    }
    for (const [item] of inTheWay) next.set(item.key, await this.#openNew(item, undo));
  }

  async #openNew(wanted: WantedListener, undo: Undo[]): Promise<OpenListener> {
    const clients = new ClientConnections(wanted, this.#around.counters);
    const socket = await this.#bind(wanted, clients);
    const open = new OpenListener(wanted, socket, clients);
    undo.push(async () => {
      await socket.close();
      clients.destroy();
    });
    return open;
  }

  async #reopen(open: OpenListener): Promise<void> {
    try {
      open.socket = await this.#bind(open.wanted, open.clients);
    } catch (err) {
      this.#around.log.fatal({ err }, `${open.wanted.listen.text} was given up for a reload and cannot be had again`);
    }
  }

  async #bind({ listen, tls, place, socket }: WantedListener, clients: ClientConnections): Promise<TransportListener> {
    const { address, transparent } = listen;
    const { transport, faults, log } = this.#around;
    const tell = (what: string, err: Error): void =>
      faults.report(`${what} on ${listen.text}`, (details) => log.info(details, err.message));
    const options: Omit<ListenOptions, "host" | "port" | "path"> = {
      tls,
      transparent,
      onTlsError: (error) => tell("handshakes", error),
      proxyHeaders: listen.proxyProtocol === null ? null : headersFor(clients, (error) => tell("PROXY headers", error)),
    };
    const sockets: TransportListener[] = [];
    try {
      for (const where of placesOf(address, socket))
        sockets.push(await transport.listen({ ...where, ...options }, (connection) => clients.accept(connection)));
    } catch (error) {
      for (const opened of sockets) await opened.close();
      throw new SetupError([{ path: place, message: listenFailure(listen, error as Error) }], error);
    }
    return sockets.length === 1 ? sockets[0]! : new JointListener(sockets);
  }

  /** Resolves when its socket is closed; who waits there is answered, as everybody else who is there. */
  async #leave(open: OpenListener, drainMs: number): Promise<void> {
    const { socket, clients } = open;
    clients.drain();
    this.#leaving.add(open);
    const deadline = clock.after(drainMs, () => clients.destroy());
    await socket.takeWaiting();
    await socket.close();
    void clients.untilGone(socket).then(() => {
      deadline.cancel();
      this.#leaving.delete(open);
    });
  }

  /** Closes the sockets; connections go on. */
  async stopAccepting(): Promise<void> {
    const sockets = this.open.map(({ socket }) => socket);
    await Promise.all(sockets.map((socket) => socket.takeWaiting()));
    for (const socket of sockets) await socket.close();
  }

  /**
   * Stops accepting and waits until all connections have ended, `ms` at most; then they are closed. Resolves with the number
   * of connections that had to be.
   */
  async drain(ms: number): Promise<number> {
    await this.stopAccepting();
    const all = [...this.#open.values(), ...this.#leaving];
    for (const { clients } of this.#open.values()) clients.drain();
    const gone = all.map(({ clients, socket }) => clients.untilGone(socket));
    let cut = 0;
    const deadline = clock.after(ms, () => {
      cut = this.connections;
      this.destroy();
    });
    await Promise.all(gone);
    deadline.cancel();
    this.#open.clear();
    this.#leaving.clear();
    return cut;
  }

  /** Closes every connection at once; a `drain` that waits for them ends. */
  destroy(): void {
    for (const clients of this.#drivers()) clients.destroy();
  }

  #drivers(): readonly ClientConnections[] {
    return [...this.#open.values(), ...this.#leaving].map(({ clients }) => clients);
  }
}

/** Several sockets of one address. */
class JointListener implements TransportListener {
  readonly #sockets: readonly TransportListener[];

  constructor(sockets: readonly TransportListener[]) {
    this.#sockets = sockets;
  }

  get address(): Address {
    return this.#sockets[0]!.address;
  }

  updateTls(tls: ListenTls): void {
    for (const socket of this.#sockets) socket.updateTls(tls);
  }

  async takeWaiting(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.takeWaiting()));
  }

  async whenHandshakesEnd(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.whenHandshakesEnd()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }
}

function placesOf(address: ListenAddress, socket: HandedSocket | null) {
  const first = placeOf(address, socket);
  return [first, ...(socket?.further ?? []).map((descriptor) => ({ ...first, descriptor }))];
}

function placeOf(address: ListenAddress, socket: HandedSocket | null) {
  const handed = socket === null || socket.descriptor === null ? {} : { descriptor: socket.descriptor };
  if (address.kind === "unix") return { host: null, port: 0, path: address.path, ...handed };
  const { host } = address;
  if (socket === null) return { host, port: address.port, path: null };
  return { host, port: socket.port, path: null, reusePort: socket.reusePort, ...handed };
}

/**
 * Whether nothing has to be closed first, so that nobody is refused in between: the main thread has bound another socket for it already, or
 * the kernel lets each thread bind one beside those that are there.
 */
function opensBeside({ socket }: WantedListener, existing: OpenListener | undefined): boolean {
  if (socket === null) return false;
  return socket.descriptor === null ? socket.reusePort : existing === undefined;
}

function balancersOf({ proxyProtocol }: ListenConfig): CidrSet | null {
  const from = proxyProtocol?.from ?? null;
  return from === null ? null : CidrSet.parse(from);
}

/** As the configuration says that is in use when a connection comes. */
function headersFor(clients: ClientConnections, onRefused: ProxyHeaders["onRefused"]): ProxyHeaders {
  return {
    expectsFrom: ({ address }) => clients.balancers === null || clients.balancers.has(address),
    get timeoutMs() {
      return clients.site.limits.headTimeoutMs;
    },
    onRefused,
  };
}

function updateTls(open: OpenListener, wanted: WantedListener, undo: Undo[]): void {
  const { tls: before } = open.wanted;
  const { tls } = wanted;
  if (before === null || tls === null || JSON.stringify(before) === JSON.stringify(tls)) return;
  try {
    open.socket.updateTls(tls);
  } catch (error) {
    throw new SetupError([{ path: wanted.place, message: (error as Error).message }], error);
  }
  undo.push(() => open.socket.updateTls(before));
}

/**
 * Whether a socket may go on with its connections: who is let in, what is spoken, and whether it takes a handshake, is as before.
 * Connections that began under authorities that are trusted no more must end.
 */
function asksTheSame(existing: WantedListener, wanted: WantedListener): boolean {
  const [one, other] = [existing.listen, wanted.listen];
  if (one.protocol !== other.protocol || one.transparent !== other.transparent) return false;
  if ((one.proxyProtocol === null) !== (other.proxyProtocol === null)) return false;
  const before = existing.tls;
  const now = wanted.tls;
  if (before === null || now === null) return before === now;
  return JSON.stringify(before.clientAuth ?? null) === JSON.stringify(now.clientAuth ?? null);
}

/** Whether the system may refuse one of two addresses because of the other. */
function overlap({ address: one }: ListenConfig, { address: other }: ListenConfig): boolean {
  return one.kind === "tcp" && other.kind === "tcp" && one.port !== 0 && one.port === other.port;
}
