/**
 * The addresses of a configuration as the main thread keeps them for its workers: which are open, which number each worker
 * gets, what a reload opens and closes. Either all new addresses can be had or nothing changes.
 */

import { closeSync } from "node:fs";
import type { Config, ListenConfig } from "../../config/config.ts";
import { listenerKey } from "../../config/diff.ts";
import { formatListenAddress, type ListenAddress } from "../../core/option-addresses.ts";
import type { Address } from "../../core/ports.ts";
import { listenFailure } from "../listener-errors.ts";
import type { HandedSocket } from "../listeners.ts";
import { type Listening, listeningAt } from "../listening-url.ts";
import { SetupError, type SetupProblem } from "../setup-error.ts";
import type { HandedAddress } from "../upgrade/handover.ts";
import type { HandedSockets } from "../wanted-listeners.ts";
import { removeSocketFile, type SocketPlace, type SocketSource } from "./socket-source.ts";

/** One address. */
interface OpenAddress {
  readonly listen: ListenConfig;
  readonly address: Address;
  /** By worker; those for whom there is none do not accept here. */
  readonly handed: readonly HandedSocket[];
}

interface WantedAddress {
  readonly key: string;
  readonly listen: ListenConfig;
  readonly server: string;
  readonly place: SetupProblem["path"];
}

/** What a worker may be given before it is certain. One of the last two is called, once. */
export interface PreparedSockets {
  /** For the worker at this index. */
  handedTo(index: number): HandedSockets;
  /** What is not wanted any more is closed when workers have released it. */
  commit(released: Promise<void>): void;
  rollback(): void;
}

export class ListeningSockets {
  readonly #source: SocketSource;
  readonly #workers: number;
  #open: ReadonlyMap<string, OpenAddress> = new Map();
  #wanted: readonly WantedAddress[] = [];
  /** Not wanted any more, while workers may still accept there. */
  readonly #closing = new Map<OpenAddress, Promise<void>>();
  /** What the process before this one listens on, as far as nothing has it yet. */
  #inherited: HandedAddress[];
  /** The files of its unix sockets that this one does not listen on. */
  #leftFiles: readonly string[] = [];
  /** Another process listens on the same sockets, and goes on to. */
  #areHandedOn = false;

  constructor(source: SocketSource, workers: number, inherited: readonly HandedAddress[]) {
    this.#source = source;
    this.#workers = workers;
    this.#inherited = [...inherited];
  }

  get listening(): readonly Listening[] {
    return this.#wanted.map(({ key, server, listen }) => listeningAt(server, this.#open.get(key)!.address, listen));
  }

  /** Whether other threads can be started on what is open, before those that accept there have ended. */
  get canBeShared(): boolean {
    const { shares } = this.#source;
    if (shares !== "tcp") return shares === "always";
    return this.#wanted.every(({ listen }) => listen.address.kind === "tcp");
  }

  /** For the worker at this index. */
  handedTo(index: number): HandedSockets {
    return handedTo(this.#open, index);
  }

  /** For a process that is to take this one's place, with the descriptors of this one. */
  get toHandOn(): readonly HandedAddress[] {
    return [...this.#open.values()].map(({ listen, address, handed }) => ({
      listen: formatListenAddress(listen.address),
      address,
      descriptors: handed.flatMap(descriptorsOf),
    }));
  }

  /** The other process has them: the files of unix sockets are its own from now on. */
  handOn(): void {
    this.#areHandedOn = true;
  }

  /** The process before this one has handed on: what it alone listened on is nobody's to reach. */
  takeOver(): void {
    for (const file of this.#leftFiles) removeSocketFile(file);
    this.#leftFiles = [];
  }

  /** Rejects with a SetupError, and then nothing has changed. */
  async prepare(config: Config): Promise<PreparedSockets> {
    const wanted = addressesOf(config);
    const next = new Map<string, OpenAddress>();
    const opened: OpenAddress[] = [];
    const leaving = this.#portsBut(wanted);
    try {
      for (const item of wanted) {
        const existing = this.#open.get(item.key);
        const open = existing ?? (await this.#bind(item, leaving));
        if (existing === undefined) opened.push(open);
        next.set(item.key, open);
      }
    } catch (error) {
      for (const open of opened) this.#close(open);
      throw error;
    }
    return {
      handedTo: (index) => handedTo(next, index),
      commit: (released) => {
        const unwanted = [...this.#open].filter(([key, open]) => next.get(key) !== open);
        for (const [, open] of unwanted) this.#closing.set(open, this.#closeAfter(released, open));
        this.#open = next;
        this.#wanted = wanted;
        // Whoever listens there before us goes on until it has ended.
        this.#leaveInherited();
      },
      rollback: () => {
        for (const open of opened) this.#close(open);
      },
    };
  }

  async #closeAfter(released: Promise<void>, open: OpenAddress): Promise<void> {
    await released;
    this.#close(open);
    this.#closing.delete(open);
  }

  /** A reload that gave it up may have just been made: what is ours is in nobody's way. */
  async #untilFree(address: ListenAddress): Promise<void> {
    for (const [{ listen }, closed] of this.#closing) if (isSamePlace(listen.address, address)) await closed;
  }

  /** Of what is open, here or in the process before this one, and not wanted any more. */
  #portsBut(wanted: readonly WantedAddress[]): readonly number[] {
    const keys = new Set(wanted.map(({ key }) => key));
    const listens = new Set(wanted.map(({ listen }) => formatListenAddress(listen.address)));
    const leaving = [
      ...[...this.#open].filter(([key]) => !keys.has(key)).map(([, open]) => open),
      ...this.#inherited.filter(({ listen }) => !listens.has(listen)),
    ];
    return leaving.map(({ address }) => address.port);
  }

  #leaveInherited(): void {
    for (const { descriptors } of this.#inherited) for (const descriptor of descriptors) closeSync(descriptor);
    const unix = this.#inherited.filter(({ address }) => address.family === 0);
    this.#leftFiles = unix.map(({ address }) => address.address);
    this.#inherited = [];
  }

  /** Those of the worker at this index, which has released them for good. */
  closeOf(index: number): void {
    for (const { address, handed } of this.#open.values()) this.#closeOne(address, handed[index]);
  }

  /** Those of all workers are closed. */
  forget(): void {
    this.#open = new Map();
    this.#wanted = [];
  }

  /** `leaving`: the ports that are about to be given up. */
  async #bind({ listen, place }: WantedAddress, leaving: readonly number[]): Promise<OpenAddress> {
    const { address } = listen;
    await this.#untilFree(address);
    const inherited = this.#takeInherited(formatListenAddress(address));
    try {
      if (inherited !== null) return await this.#adopt(listen, inherited);
      if (address.kind === "unix") return await this.#bindUnix(listen, address.path);
      return await this.#bindTcp(listen, { ...address, path: null }, leaving.includes(address.port));
    } catch (error) {
      throw new SetupError([{ path: place, message: listenFailure(listen, error as Error) }], error);
    }
  }

  /** One worker accepts: the kernel cannot spread the connections of a unix socket. */
  async #bindUnix(listen: ListenConfig, path: string): Promise<OpenAddress> {
    const { descriptor, address } = await this.#source.bind({ host: null, port: 0, path }, false);
    return { listen, address, handed: [{ port: 0, descriptor, further: [], reusePort: false }] };
  }

  /** `isLeaving`: we still listen on this port, in another form: ":80" that becomes "127.0.0.1:80". */
  async #bindTcp(listen: ListenConfig, wanted: SocketPlace, isLeaving: boolean): Promise<OpenAddress> {
    const source = this.#source;
    const reusePort = source.shares !== "never";
    // Without SO_REUSEPORT where nothing of our own is in the way, so that a port in use is an error, and 0 one port for all.
    const first = await source.bind(wanted, reusePort && isLeaving);
    const { address, descriptor } = first;
    if (descriptor === null) return { listen, address, handed: this.#bindLater(address) };
    // It stays, since clients may wait there already.
    source.share(descriptor);
    const open = { listen, address, handed: [{ port: address.port, descriptor, further: [], reusePort: true }] };
    await this.#bindUpTo(open, wanted);
    return open;
  }

  /** Each worker binds for itself. */
  #bindLater({ port }: Address): HandedSocket[] {
    const reusePort = this.#source.shares !== "never";
    return Array.from({ length: this.#workers }, () => ({ port, descriptor: null, further: [], reusePort }));
  }

  /** Until each worker has a socket. */
  async #bindUpTo(open: OpenAddress & { readonly handed: HandedSocket[] }, wanted: SocketPlace): Promise<void> {
    const { handed, address } = open;
    const { port } = address;
    try {
      while (handed.length < this.#workers) {
        const { descriptor } = await this.#source.bind({ ...wanted, port }, true);
        handed.push({ port, descriptor, further: [], reusePort: true });
      }
    } catch (error) {
      this.#close(open);
      throw error;
    }
  }

  #takeInherited(listen: string): HandedAddress | null {
    const at = this.#inherited.findIndex((inherited) => inherited.listen === listen);
    return at < 0 ? null : this.#inherited.splice(at, 1)[0]!;
  }

  /** Goes on where the process before this one listens. */
  async #adopt(listen: ListenConfig, { address, descriptors }: HandedAddress): Promise<OpenAddress> {
    const { shares, transport } = this.#source;
    const isUnix = address.family === 0;
    const { port } = address;
    // It goes on to accept on those until it has ended.
    if (transport !== "native") for (const descriptor of descriptors) closeSync(descriptor);
    // At one path there can be no other socket: it says so, unless the other process is gone.
    if (isUnix && (transport !== "native" || descriptors.length === 0)) return this.#bindUnix(listen, address.address);
    if (transport !== "native") return { listen, address, handed: this.#bindLater(address) };
    // With fewer workers than it has, some take several: the kernel sends clients to each until it is closed, and resets those that wait there then.
    const workers = this.#workers;
    const handed = descriptors.slice(0, workers).map((descriptor, worker) => ({
      port,
      descriptor,
      further: descriptors.filter((_, index) => index >= workers && index % workers === worker),
      reusePort: shares !== "never" && !isUnix,
    }));
    const open = { listen, address, handed };
    if (!isUnix && listen.address.kind === "tcp") await this.#bindUpTo(open, { ...listen.address, path: null });
    return open;
  }

  #close({ address, handed }: OpenAddress): void {
    for (const socket of handed) this.#closeOne(address, socket);
  }

  #closeOne({ family, address }: Address, socket: HandedSocket | undefined): void {
    for (const descriptor of descriptorsOf(socket)) {
      if (family === 0 && !this.#areHandedOn) removeSocketFile(address);
      this.#source.close(descriptor);
    }
  }
}

function isSamePlace(one: ListenAddress, other: ListenAddress): boolean {
  if (one.kind === "unix") return other.kind === "unix" && one.path === other.path;
  return other.kind === "tcp" && one.port === other.port && one.port !== 0;
}

function descriptorsOf(socket: HandedSocket | undefined): readonly number[] {
  const descriptor = socket?.descriptor ?? null;
  return descriptor === null ? [] : [descriptor, ...socket!.further];
}

function handedTo(open: ReadonlyMap<string, OpenAddress>, index: number): HandedSockets {
  return new Map([...open].map(([key, { handed }]) => [key, handed[index] ?? null]));
}

function addressesOf({ servers }: Config): readonly WantedAddress[] {
  return servers.flatMap((server) =>
    server.listen.map((listen, index) => ({
      key: listenerKey(listen, server, index),
      listen,
      server: server.name,
      place: ["servers", server.name, "listen", index],
    })),
  );
}
