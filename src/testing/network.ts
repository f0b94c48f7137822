/**
 * A network without sockets: listeners, dials and connections in memory, moved by whoever runs the test. It decides what
 * happens next, first come first served or by seeded chance; between two events nothing happens. Time is the virtual clock's.
 *
 * A dialogue test writes what a client and an origin send and what must arrive at them:
 *
 *     const origin = network.origin("origin:80");
 *     const client = network.connect("proxy:80").sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
 *     const server = origin.accepts();
 *     server.receives("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
 */
import { type ErrorType, ProxyError } from "../core/errors.ts";
import type {
  Address,
  Connection,
  Dialer,
  DialHandler,
  DialTarget,
  Listener,
  PendingDial,
  TlsInfo,
} from "../core/ports.ts";
import { NameTable, type Place, placeAt, placeOf } from "./addresses.ts";
import { SimulatedConnection } from "./connection.ts";
import { DeliverySlab } from "./delivery-slab.ts";
import { Peer, ScriptedOrigin } from "./dialogue.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";
import type { Actor, Fragmentation, SimulatedFiles, TransitLane, Wire } from "./wire.ts";

export interface NetworkOptions {
  /** Default: a new one. */
  readonly clock?: VirtualClock;
  /** Default null: events happen in the order in which they became possible. Otherwise chance picks among the possible ones. */
  readonly random?: SeededRandom | null;
  /** Default "whole"; "random" needs `random`. */
  readonly fragmentation?: Fragmentation;
  /** Of one direction; a connection is established after twice as long. Default 0. */
  readonly latencyMs?: number;
  /** What the kernels hold for one direction before the sender has to wait. Default 64 KiB. */
  readonly kernelBufferBytes?: number;
  /** Whether connections can be spliced to each other; "random" needs `random`: some pairs can. Default false: bytes are copied. */
  readonly splices?: boolean | "random";
  /** What can be sent from files. Default: nothing, and `sendFile` throws. */
  readonly files?: SimulatedFiles | null;
}

export interface ConnectOptions {
  /** The client's IP address. Default 192.0.2.1. */
  readonly from?: string;
  /** What TLS agreed on. Default null: a plain connection. */
  readonly tls?: TlsInfo | null;
}

/** Sets `connection.handler` before it returns. */
export type AcceptHandler = (connection: Connection) => void;

const KERNEL_BUFFER_BYTES = 64 * 1024;
const CLIENT_ADDRESS = "192.0.2.1";
const DIALER_ADDRESS = "198.51.100.1";
const FIRST_EPHEMERAL_PORT = 49152;
/** More events than this without rest mean that two parties answer each other for ever. */
const STEPS_MAX = 10_000_000;
/** Turns of the event loop that `until` waits for at most. */
const TURNS_MAX = 1_000_000;

export class SimulatedNetwork implements Dialer {
  readonly clock: VirtualClock;
  readonly random: SeededRandom | null;
  /** May be changed between events. */
  fragmentation: Fragmentation;
  latencyMs: number;
  kernelBufferBytes: number;
  splices: boolean | "random";
  files: SimulatedFiles | null;
  /** Bytes that passed from one connection to another without being seen: for tests that count. */
  splicedBytes = 0;

  readonly #names = new NameTable();
  readonly #listeners = new Map<string, SimulatedListener>();
  readonly #failures = new Map<string, ErrorType>();
  readonly #connections = new Set<SimulatedConnection>();
  readonly #dials = new Set<SimulatedDial>();
  /** Actors with something to do; those before `#next` are done. */
  #ready: Actor[] = [];
  #next = 0;
  #stepping = false;
  #ephemeralPort = FIRST_EPHEMERAL_PORT;
  readonly #wire: Wire;

  constructor(options: NetworkOptions = {}) {
    this.clock = options.clock ?? new VirtualClock();
    this.random = options.random ?? null;
    this.fragmentation = options.fragmentation ?? "whole";
    this.latencyMs = options.latencyMs ?? 0;
    this.kernelBufferBytes = options.kernelBufferBytes ?? KERNEL_BUFFER_BYTES;
    this.splices = options.splices ?? false;
    this.files = options.files ?? null;
    if (this.splices === "random" && this.random === null) throw new TypeError("random splices need `random`");
    if (this.fragmentation === "random" && this.random === null) throw new TypeError("random fragments need `random`");
    const network = this;
    this.#wire = {
      random: this.random,
      slab: new DeliverySlab(),
      get fragmentation() {
        return network.fragmentation;
      },
      get kernelBufferBytes() {
        return network.kernelBufferBytes;
      },
      get files() {
        return network.files;
      },
      grantsSplice: () => (this.splices === "random" ? this.random!.chance(0.5) : this.splices),
      countSpliced: (bytes) => {
        this.splicedBytes += bytes;
      },
      schedule: (actor) => this.#schedule(actor),
      closed: (connection) => this.#connections.delete(connection),
      transit: (lane, arrive) => this.#transit(lane, arrive),
    };
  }

  /** Accepts connections to this place. Throws when somebody listens there already. */
  listen(authority: string, onConnection: AcceptHandler): Listener {
    const place = placeOf(authority);
    if (this.#listeners.has(place.key)) throw new Error(`somebody listens on ${place.key} already`);
    const listener = new SimulatedListener(this.#names.addressOf(place), onConnection, () =>
      this.#listeners.delete(place.key),
    );
    this.#listeners.set(place.key, listener);
    return listener;
  }

  dial(target: DialTarget, handler: DialHandler): PendingDial {
    const place = placeAt(target.host, target.port);
    const dial = new SimulatedDial(place, target, handler, (done) => this.#dials.delete(done));
    this.#dials.add(dial);
    dial.timer = this.clock.after(target.timeoutMs, () => {
      const type = this.#failures.get(place.key) === "dns_timeout" ? "dns_timeout" : "connection_timeout";
      dial.fail(new ProxyError(type, `${place.key} did not answer within ${target.timeoutMs} ms`));
    });
    this.#later(dial.lane, () => this.#decide(dial));
    return dial;
  }

  /** Dials of this place fail from now on: those that time out after the target's `timeoutMs`, others at once. */
  failDials(authority: string, type: ErrorType = "connection_refused"): void {
    this.#failures.set(placeOf(authority).key, type);
  }

  /** Takes back `failDials`. */
  healDials(authority: string): void {
    this.#failures.delete(placeOf(authority).key);
  }

  /** A client that a test plays. Throws when nobody listens there. */
  connect(authority: string, options: ConnectOptions = {}): Peer {
    const place = placeOf(authority);
    const listener = this.#listeners.get(place.key);
    if (listener === undefined) throw new Error(`nobody listens on ${place.key}`);
    const from = options.from ?? CLIENT_ADDRESS;
    const client: Address =
      place.port === 0
        ? { family: 0, address: "", port: 0 }
        : { family: from.includes(":") ? 6 : 4, address: from, port: this.#ephemeralPort++ };
    const end = this.#establish(listener, client, options.tls ?? null);
    const peer = new Peer(this, end, `client ${from}:${client.port}`);
    end.handOver(() => {});
    return peer;
  }

  /** A server that a test plays; its connections come from `accepts()`. */
  origin(authority: string): ScriptedOrigin {
    return new ScriptedOrigin(this, authority);
  }

  /** Runs one event; false when there is none. Time does not move. */
  step(): boolean {
    if (this.#stepping) throw new Error("an event cannot run inside of another");
    const actor = this.#takeReady();
    if (actor === null) return false;
    actor.scheduled = false;
    this.#stepping = true;
    try {
      actor.act();
    } finally {
      this.#stepping = false;
    }
    return true;
  }

  /** Runs events until none is possible without time passing; returns how many there were. */
  run(): number {
    for (let steps = 0; ; steps++) {
      if (!this.step()) return steps;
      if (steps === STEPS_MAX) throw new Error("the network does not come to rest");
    }
  }

  /** Lets time pass: events and timers run on the way, each at its own time. */
  advance(ms: number): void {
    const untilMs = this.clock.now() + ms;
    this.run();
    for (let dueMs = this.clock.nextDueMs; dueMs !== null && dueMs <= untilMs; dueMs = this.clock.nextDueMs) {
      this.clock.advanceTo(dueMs);
      this.run();
    }
    this.clock.advanceTo(untilMs);
  }

  /** Lets time pass until no event and no timer is left: every deadline that was armed has come. */
  runUntilIdle(): void {
    this.run();
    for (let dueMs = this.clock.nextDueMs; dueMs !== null; dueMs = this.clock.nextDueMs) {
      this.clock.advanceTo(dueMs);
      this.run();
    }
  }

  /** Runs events and what promises wait for, in turn, until neither has anything left to do. Time does not move. */
  async settle(): Promise<void> {
    do {
      this.run();
      await turnOfEventLoop();
    } while (this.#next < this.#ready.length);
  }

  /** Like `settle`, until this holds: for hooks that wait for real work outside, such as compression on another thread. */
  async until(condition: () => boolean, what = "the condition"): Promise<void> {
    for (let turns = 0; ; turns++) {
      await this.settle();
      if (condition()) return;
      if (turns === TURNS_MAX) throw new Error(`${what} did not come true`);
    }
  }

  /** What is still open, in words; empty when nothing is. For the end of a test. */
  leftovers(): string[] {
    const open = [...this.#connections].map((end) => `${nameOf(end.local)} is open towards ${nameOf(end.remote)}`);
    return [...open, ...[...this.#dials].map((dial) => `a dial of ${dial.place.key} is pending`)];
  }

  #schedule(actor: Actor): void {
    if (actor.scheduled) return;
    actor.scheduled = true;
    this.#ready.push(actor);
  }

  #takeReady(): Actor | null {
    if (this.#next === this.#ready.length) {
      this.#ready = [];
      this.#next = 0;
      return null;
    }
    if (this.random !== null) {
      // Chance picks one of those that are left; what stood first takes its place.
      const picked = this.random.between(this.#next, this.#ready.length - 1);
      const actor = this.#ready[picked]!;
      this.#ready[picked] = this.#ready[this.#next]!;
      this.#next++;
      return actor;
    }
    return this.#ready[this.#next++]!;
  }

  #transit(lane: TransitLane, arrive: () => void): void {
    const nowMs = this.clock.now();
    const arrivalMs = Math.max(nowMs + this.latencyMs, lane.lastArrivalMs);
    lane.lastArrivalMs = arrivalMs;
    if (arrivalMs === nowMs) arrive();
    else this.clock.after(arrivalMs - nowMs, arrive);
  }

  /** An event of its own, one latency from now. */
  #later(lane: TransitLane, act: () => void): void {
    this.#transit(lane, () => this.#schedule({ scheduled: false, act }));
  }

  #decide(dial: SimulatedDial): void {
    if (dial.done) return;
    const { place } = dial;
    const refusal = place.port === 0 ? null : dial.target.addresses?.refusalOf(this.#names.addressOf(place).address);
    if (refusal) {
      this.#later(dial.lane, () => dial.fail(refusal));
      return;
    }
    const failure = this.#failures.get(place.key);
    const listener = this.#listeners.get(place.key);
    if (failure === "connection_timeout" || failure === "dns_timeout") return;
    if (failure !== undefined || listener === undefined) {
      const error = new ProxyError(failure ?? "connection_refused", `${place.key} cannot be reached in this test`);
      this.#later(dial.lane, () => dial.fail(error));
      return;
    }
    const local: Address =
      place.port === 0
        ? { family: 0, address: "", port: 0 }
        : { family: 4, address: DIALER_ADDRESS, port: this.#ephemeralPort++ };
    const end = this.#establish(listener, local, tlsOf(dial.target));
    this.#later(dial.lane, () => dial.succeed(end));
  }

  /** Makes a connection; the listener's end is handed over in an event of its own. */
  #establish(listener: SimulatedListener, client: Address, tls: TlsInfo | null): SimulatedConnection {
    const { clientEnd, serverEnd } = SimulatedConnection.pair(this.#wire, client, listener.address, tls);
    this.#connections.add(clientEnd).add(serverEnd);
    this.#schedule({
      scheduled: false,
      act: () => {
        if (listener.closed) serverEnd.destroy(undefined, true);
        else serverEnd.handOver(listener.onConnection);
      },
    });
    return clientEnd;
  }
}

class SimulatedListener implements Listener {
  readonly address: Address;
  readonly onConnection: AcceptHandler;
  readonly #onClose: () => void;
  closed = false;

  constructor(address: Address, onConnection: AcceptHandler, onClose: () => void) {
    this.address = address;
    this.onConnection = onConnection;
    this.#onClose = onClose;
  }

  close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      this.#onClose();
    }
    return Promise.resolve();
  }
}

class SimulatedDial implements PendingDial {
  readonly place: Place;
  readonly target: DialTarget;
  readonly lane: TransitLane = { lastArrivalMs: 0 };
  timer: { cancel(): void } = { cancel: () => {} };
  done = false;
  readonly #handler: DialHandler;
  readonly #onDone: (dial: SimulatedDial) => void;

  constructor(place: Place, target: DialTarget, handler: DialHandler, onDone: (dial: SimulatedDial) => void) {
    this.place = place;
    this.target = target;
    this.#handler = handler;
    this.#onDone = onDone;
  }

  cancel(): void {
    this.#finish();
  }

  fail(error: ProxyError): void {
    if (this.#finish()) this.#handler.onFailed(error);
  }

  succeed(connection: SimulatedConnection): void {
    if (this.#finish()) connection.handOver((end) => this.#handler.onConnected(end));
    else connection.destroy(undefined, true);
  }

  #finish(): boolean {
    if (this.done) return false;
    this.done = true;
    this.timer.cancel();
    this.#onDone(this);
    return true;
  }
}

function tlsOf({ tls }: DialTarget): TlsInfo | null {
  if (tls === null) return null;
  const alpn = tls.alpn[0] ?? null;
  return {
    protocol: "TLSv1.3",
    cipher: "TLS_AES_128_GCM_SHA256",
    serverName: tls.serverName,
    alpn,
    resumed: false,
    peerCertificate: null,
  };
}

function nameOf({ family, address, port }: Address): string {
  if (family === 0) return `unix:${address}`;
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Everything that promises wait for has run when this resolves, and what other threads had finished has arrived. */
function turnOfEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
