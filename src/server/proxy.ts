/**
 * A proxy as a whole: what a configuration asks for, opened, kept through reloads, and closed. It decides what happens in
 * which order, so that a configuration takes effect as a whole or not at all; how one thing is kept alive is decided by
 * listeners.ts, upstream-pools.ts, session-stores.ts, caches/, kept-parts.ts and access-output.ts.
 *
 * It reads no configuration file, handles no signal and never ends the process.
 */
import { randomUUID } from "node:crypto";
import type { Config, ServerConfig } from "../config/config.ts";
import { ProxyError } from "../core/errors.ts";
import type { ForwardCounters } from "../forward/access.ts";
import { TunnelCounts } from "../forward/tunnel-counts.ts";
import { UserCounter } from "../forward/user-counts.ts";
import { FailedAttempts } from "../identity/failed-attempts.ts";
import { PasswordChecks } from "../identity/password-checks.ts";
import { namesByDns } from "../io/dns/names.ts";
import { createFetch } from "../io/fetch.ts";
import { openTransport, type WantedTransport } from "../io/open-transport.ts";
import { OwnAddresses } from "../io/own-addresses.ts";
import { passwordHasher } from "../io/password-hasher.ts";
import { type FileWatch, watchFiles } from "../io/tls/watch-files.ts";
import type { Transport } from "../io/transport.ts";
import { UpstreamClient } from "../pipeline/calls.ts";
import { Forks } from "../pipeline/forked.ts";
import type { ExchangeObserver, Site } from "../pipeline/site.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import type { PoolSurroundings } from "../upstreams/pool.ts";
import { ServerStates, upstreamKey } from "../upstreams/server-states.ts";
import { AccessLog } from "./access-log.ts";
import { type AccessOutput, accessOutputs, type OpenAccessOutput } from "./access-output.ts";
import type { AppLog } from "./app-log.ts";
import { CacheKeepers } from "./caches/keepers.ts";
import { openKeeper } from "./caches/open-keeper.ts";
import { openThreadCache } from "./caches/open-thread-cache.ts";
import { OwnKeepers } from "./caches/supplies.ts";
import { type CacheSupply, type ThreadCachePlan, ThreadCaches } from "./caches/thread-caches.ts";
import { type ComposedServer, composeServers } from "./compose.ts";
import { FaultObserver } from "./fault-observer.ts";
import { FeatureMakers } from "./features.ts";
import { ForwardUpstreams } from "./forward-destinations.ts";
import { HealthChecks } from "./health-checks.ts";
import { ResolvedHosts } from "./host-names.ts";
import type { InterceptionSurroundings } from "./interceptions.ts";
import { KeptParts } from "./kept-parts.ts";
import { Listeners } from "./listeners.ts";
import { type Listening, listeningAt } from "./listening-url.ts";
import { NamedFiles } from "./named-files.ts";
import { openStore, type StoreSurroundings } from "./open-store.ts";
import { RepeatedFaults } from "./repeated-faults.ts";
import { type OpenStore, SessionStores, type StorePlan } from "./session-stores.ts";
import { warningsOf } from "./setup-warnings.ts";
import { clock, deadlines, random } from "./surroundings.ts";
import { Counters } from "./threads/counters.ts";
import { makeTicketSecret } from "./ticket-keys.ts";
import { type PoolPlan, UpstreamPools } from "./upstream-pools.ts";
import { upstreamTeller } from "./upstream-teller.ts";
import { type HandedSockets, wantedListeners } from "./wanted-listeners.ts";
import { Warnings } from "./warnings.ts";

const REFUSED = "files have changed and cannot be used; what they held before stays";

type UpstreamNamed = Parameters<typeof upstreamKey>[0];

/** What is open. */
interface Current {
  readonly config: Config;
  readonly servers: readonly ComposedServer[];
  readonly files: NamedFiles;
  readonly watch: FileWatch;
}

/** What a proxy that shares its work with others has from outside. Everything left out, it has for itself alone. */
export interface ProxyOptions {
  readonly transport?: WantedTransport;
  /** It runs in a thread that was made for it. */
  readonly ownsThread?: boolean;
  /** What tells it from others that are configured alike. */
  readonly instance?: string;
  /** Of makeTicketSecret, when others serve the same addresses. */
  readonly ticketSecret?: Uint8Array;
  readonly openAccessOutput?: OpenAccessOutput;
  readonly places?: NonNullable<PoolSurroundings["places"]>;
  readonly states?: NonNullable<PoolSurroundings["states"]>;
  readonly counters?: Counters;
  readonly attempts?: FailedAttempts;
  readonly forward?: ForwardCounters;
  readonly openStore?: OpenStore;
  readonly caches?: CacheSupply;
  /** Another thread tells what all of them find out. */
  readonly isQuiet?: boolean;
  /** What the files held that the first configuration names, when another thread read them: each that cannot be used now is as it was there. */
  readonly files?: ReadonlyMap<string, string> | null;
  /** Told what the files hold that are in use, whenever they were read. */
  readonly noteFiles?: (texts: ReadonlyMap<string, string>) => void;
}

/** A configuration that is ready to be taken into use. One of the two is called, once. */
export interface Prepared {
  /** Takes effect at once and cannot fail; resolves when nothing of what it replaces is left to be written. */
  commit(): Promise<void>;
  /** Everything is as before. */
  rollback(): Promise<void>;
}

export class ProxyServer {
  readonly transport: Transport;
  readonly #log: AppLog;
  readonly #isQuiet: boolean;
  readonly #filesBefore: ReadonlyMap<string, string> | null;
  readonly #noteFiles: (texts: ReadonlyMap<string, string>) => void;
  readonly #openAccessOutput: OpenAccessOutput;
  readonly #counters: Counters;
  readonly #attempts: FailedAttempts;
  readonly #forwardCounters: ForwardCounters;
  readonly #passwords = new PasswordChecks(passwordHasher, clock);
  readonly #faults = new RepeatedFaults(clock);
  /** Of the servers of upstreams, when they are this proxy's alone. */
  readonly #states = new Map<string, ServerStates>();
  /** null: somebody else checks the servers. */
  readonly #checks: HealthChecks | null;
  readonly #pools: UpstreamPools;
  readonly #forwards: ForwardUpstreams;
  readonly #stores: SessionStores;
  readonly #caches: ThreadCaches;
  readonly #parts = new KeptParts();
  readonly #ownAddresses = new OwnAddresses(clock);
  readonly #listeners: Listeners;
  readonly #forks = new Forks();
  readonly #accessLog = new AccessLog({ clock, random });
  readonly #instance: string;
  readonly #ticketSecret: Uint8Array;
  /** null: another thread tells them. */
  readonly #warnings: Warnings | null;
  #output: AccessOutput | null = null;
  #current: Current | null = null;
  #sockets: HandedSockets | null = null;
  #isListening = false;
  #isClosed = false;
  #closing: Promise<number> | null = null;
  /** The last of what was asked for: loads, reloads and the end happen one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** Throws an Error for the operator when the transport is not there. */
  constructor(log: AppLog, options: ProxyOptions = {}) {
    this.#log = log;
    this.#isQuiet = options.isQuiet ?? false;
    this.#warnings = this.#isQuiet ? null : new Warnings(clock, (warning) => log.warn(warning));
    this.#filesBefore = options.files ?? null;
    this.#noteFiles = options.noteFiles ?? (() => {});
    this.#instance = options.instance ?? randomUUID();
    this.#ticketSecret = options.ticketSecret ?? makeTicketSecret();
    this.#openAccessOutput = options.openAccessOutput ?? accessOutputs(clock, log);
    const counters = options.counters ?? Counters.ofOneThread();
    this.#counters = counters;
    this.#attempts = options.attempts ?? new FailedAttempts(clock);
    this.#forwardCounters = options.forward ?? {
      tunnels: TunnelCounts.ofOneThread(),
      users: UserCounter.ofOneThread(),
    };
    const onFault = (fault: Error): void => this.#tellFault(fault);
    this.transport = openTransport(options.transport ?? "auto", clock, {
      onFault,
      ownsThread: options.ownsThread ?? false,
    });
    const statesOf = (upstream: UpstreamNamed): ServerStates => this.#statesOf(upstream);
    this.#checks = options.states === undefined ? new HealthChecks({ clock, random, log, statesOf }) : null;
    this.#pools = new UpstreamPools({
      dialer: this.transport.dialer,
      clock,
      deadlines,
      random,
      countConnection: (change) => counters.countUpstreamConnection(change),
      tell: upstreamTeller(log),
      ...(options.places !== undefined && { places: options.places }),
      states: options.states ?? statesOf,
    });
    this.#forwards = new ForwardUpstreams({
      namesFor: ({ servers, minTtlMs, maxTtlMs }) =>
        namesByDns(clock, { ...(servers !== null && { servers }), ttl: { minMs: minTtlMs, maxMs: maxTtlMs } }),
      dialerWith: (names) => this.transport.dialerWith(names),
      tlsLayer: this.transport.tls,
      instance: this.#instance,
      clock,
      deadlines,
      random,
      countConnection: (change) => counters.countUpstreamConnection(change),
    });
    this.#stores = new SessionStores(
      options.openStore ?? ((config, files) => openStore(config, files, this.#storeSurroundings)),
      clock,
      onFault,
    );
    const supply = options.caches ?? new OwnKeepers(new CacheKeepers(openKeeper, 1, log));
    this.#caches = new ThreadCaches(openThreadCache, supply, clock, onFault);
    this.#listeners = new Listeners({ transport: this.transport, counters, log, faults: this.#faults });
  }

  /**
   * Takes a configuration into use: the first one, or another in its place. Connections that the change does not concern go
   * on; exchanges under way end as they began. Rejects (a SetupError, when the machine is to blame) and changes nothing
   * when any part of it cannot be had. Opens no socket before `listen`, but for the health checks of upstreams.
   */
  load(config: Config): Promise<void> {
    return this.#next(async () => {
      const before = this.#current === null ? await this.#recallFiles(config) : null;
      await this.#apply(config, this.#isListening, this.#sockets, before);
      if (before !== null) this.#tellFiles([]);
    });
  }

  /**
   * The same in two steps: resolves when everything is there that can be refused, with what takes it into use or takes it back.
   * Whatever else is asked for waits until that is decided.
   */
  prepare(config: Config, sockets: HandedSockets | null): Promise<Prepared> {
    const { promise: decided, resolve: decide } = Promise.withResolvers<void>();
    const prepared = this.#next(() => this.#prepare(config, this.#isListening, sockets));
    this.#last = prepared.then(
      () => decided,
      () => {},
    );
    return prepared.then(({ commit, rollback }) => ({
      commit: () => commit().finally(decide),
      rollback: () => rollback().finally(decide),
    }));
  }

  /** Begins to listen, on all addresses or on none; on these sockets, or on its own. Rejects with a SetupError. */
  listen(sockets: HandedSockets | null = null): Promise<void> {
    return this.#next(async () => {
      if (this.#current === null) throw new Error("there is no configuration yet");
      if (this.#isListening) return;
      await this.#apply(this.#current.config, true, sockets, this.#current.files);
      this.#isListening = true;
    });
  }

  get listening(): readonly Listening[] {
    return this.#listeners.open.map(({ wanted: { site, listen }, address }) => listeningAt(site.name, address, listen));
  }

  /** The site of the configuration's first server; null before there is one. */
  get site(): Site | null {
    return this.#current?.servers[0]?.site ?? null;
  }

  /** The pool of an upstream, for a plugin to send an exchange to; null when none has the name. A reload may replace it. */
  upstream(name: string): Upstream | null {
    return this.#pools.find(name);
  }

  /** Opens the file of the access log anew, after it was renamed. */
  async reopenLogs(): Promise<void> {
    await this.#output?.writer.reopen();
  }

  /** Closes its listening sockets; connections go on. For the time before `close`. */
  stopAccepting(): Promise<void> {
    return this.#next(() => this.#listeners.stopAccepting());
  }

  /**
   * Stops accepting, lets exchanges end for `ms` at most, and closes everything. Resolves with the number of connections that
   * were cut off.
   */
  close(ms: number): Promise<number> {
    // Whoever has less patience than who has closed it before.
    const impatient = this.#closing === null ? null : clock.after(ms, () => this.destroy());
    this.#closing ??= this.#next(async () => {
      this.#isClosed = true;
      const deadline = clock.after(ms, () => this.#forks.destroy());
      const cut = await this.#listeners.drain(ms);
      // What clients have begun, and nobody waits for any more, has the rest of the time.
      await this.#forks.untilEmpty();
      deadline.cancel();
      this.#checks?.stop();
      this.#pools.destroy();
      this.#forwards.destroy();
      await this.#stores.close();
      await this.#caches.close();
      this.#current?.watch.close();
      this.#warnings?.close();
      await this.#output?.writer.close();
      return cut;
    });
    return impatient === null ? this.#closing : this.#closing.finally(() => impatient.cancel());
  }

  /** Cuts everything off at once; a `close` that is waiting ends. */
  destroy(): void {
    this.#listeners.destroy();
    this.#forks.destroy();
  }

  /** For a process that is about to die: writes what can be written without waiting. */
  flushLogs(): void {
    this.#output?.writer.flushSync();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(() => {
      if (this.#isClosed) throw new Error("the proxy is closed");
      return work();
    });
    this.#last = done.catch(() => {});
    return done;
  }

  async #apply(
    config: Config,
    isListening: boolean,
    sockets: HandedSockets | null,
    before: NamedFiles | null = null,
  ): Promise<void> {
    const { commit } = await this.#prepare(config, isListening, sockets, before);
    await commit();
  }

  /** `before`: the files that this configuration has named so far, of which each stays as it was that cannot be used now. */
  async #prepare(
    config: Config,
    isListening: boolean,
    sockets: HandedSockets | null,
    before: NamedFiles | null = null,
  ): Promise<Prepared> {
    // Watched before they are read: a change in between is then seen.
    const watch = watchFiles(NamedFiles.pathsOf(config), clock, (changed) => this.#filesChanged(changed));
    let output = this.#output;
    let pools: PoolPlan | null = null;
    let stores: StorePlan | null = null;
    let caches: ThreadCachePlan | null = null;
    const forget = async (): Promise<void> => {
      watch.close();
      if (pools !== null) this.#pools.forget(pools);
      if (stores !== null) this.#stores.forget(stores);
      if (caches !== null) await this.#caches.forget(caches);
      if (output !== this.#output) await output?.writer.close();
    };
    try {
      const files = await NamedFiles.load(config, this.#interceptionSurroundings, before);
      const { tls, credentials, interceptions } = files;
      const makers = await FeatureMakers.load(config);
      const plan = this.#pools.plan(config.upstreams, tls);
      pools = plan;
      const forwards = this.#forwards.plan(config, tls);
      const storePlan = await this.#stores.plan(config.stores, tls);
      stores = storePlan;
      const cachePlan = await this.#caches.plan(config.caches);
      caches = cachePlan;
      const parts = this.#parts.plan();
      const { access } = config.log;
      output = access === null ? null : this.#openAccessOutput(access, this.#output);
      const servers = composeServers(config, {
        clock,
        deadlines,
        upstream: (name) => plan.get(name)!.pool,
        forward: (server) => {
          const { destinations, names } = forwards.get(server.name)!;
          return {
            destinations,
            names: new ResolvedHosts(names),
            interception: interceptions.of(server, destinations, parts.kept),
            isOwnAddress: (address) => this.#ownAddresses.has(address),
          };
        },
        observer: (server) => this.#observer(config, server),
        forks: this.#forks,
        makers,
        features: {
          clock,
          random,
          deadlines,
          attempts: this.#attempts,
          forward: this.#forwardCounters,
          cache: (name) => cachePlan.of(name),
          sessions: (name) => storePlan.get(name)!.opened.store,
          fetchFor: (ca) => createFetch({ ca }),
          kept: parts.kept,
          passwords: this.#passwords,
          files: credentials,
          cacheFacts: (name) => cachePlan.factsOf(name),
          http: (name) => new UpstreamClient(plan.get(name)!.pool, deadlines),
        },
        instance: this.#instance,
      });
      const wanted = wantedListeners(servers, tls, sockets, this.#ticketSecret);
      const listeners = isListening ? await this.#listeners.prepare(wanted, config.drainTimeoutMs) : null;
      const commit = (): Promise<void> => {
        const left = listeners?.commit();
        this.#pools.keep(plan);
        this.#keepStates(config.upstreams);
        this.#forwards.keep(forwards);
        this.#stores.keep(storePlan);
        this.#caches.keep(cachePlan, config.drainTimeoutMs);
        this.#parts.keep(parts);
        if (isListening) this.#stores.start();
        this.#checks?.keep(config.upstreams);
        this.#sockets = sockets;
        this.#current?.watch.close();
        this.#current = { config, servers, files, watch };
        this.#noteFiles(files.texts);
        this.#warnings?.keep(() => {
          const wallMs = clock.wallMs();
          const ofFiles = { tls: tls.warningsAt(wallMs), interception: interceptions.warningsAt(wallMs) };
          return warningsOf(config, ofFiles, clock);
        });
        this.#log.level = config.log.level;
        return Promise.all([left, this.#switchOutput(output)]).then(() => {});
      };
      const rollback = async (): Promise<void> => {
        await listeners?.rollback();
        await forget();
      };
      return { commit, rollback };
    } catch (error) {
      await forget();
      throw error;
    }
  }

  async #switchOutput(output: AccessOutput | null): Promise<void> {
    const before = this.#output;
    this.#output = output;
    this.#accessLog.sink = output?.writer ?? null;
    if (before !== output) await before?.writer.close();
  }

  #observer(config: Config, server: ServerConfig): ExchangeObserver {
    const { access } = config.log;
    const accessLog = access === null ? null : this.#accessLog.observer(access, server);
    return new FaultObserver(this.#log, this.#faults, this.#counters, accessLog);
  }

  /** Certificates, keys, authorities or lists of users are other ones than before: the same configuration, its files read again. */
  #filesChanged(changed: readonly string[]): void {
    if (this.#current === null || this.#isClosed) return;
    this.#next(async () => {
      // Of the configuration that is in use by then: another one may have been under way.
      const { config, files } = this.#current!;
      await this.#apply(config, this.#isListening, this.#sockets, files);
      this.#tellFiles(changed);
    }).catch((err: Error) => this.#log.error(`${REFUSED}: ${err.message}`));
  }

  async #recallFiles(config: Config): Promise<NamedFiles | null> {
    const texts = this.#filesBefore;
    return texts === null ? null : NamedFiles.recall(config, this.#interceptionSurroundings, texts);
  }

  #tellFiles(changed: readonly string[]): void {
    if (this.#isQuiet) return;
    const { taken, refused } = this.#current!.files.describe(changed);
    if (taken !== null) this.#log.info(`files that have changed were read again: ${taken}`);
    if (refused !== null) this.#log.error(`${REFUSED}: ${refused}`);
  }

  #statesOf(upstream: UpstreamNamed): ServerStates {
    const key = upstreamKey(upstream);
    let states = this.#states.get(key);
    if (states === undefined) {
      states = ServerStates.ofOneThread(upstream.servers.length);
      this.#states.set(key, states);
    }
    return states;
  }

  #keepStates(upstreams: readonly UpstreamNamed[]): void {
    const kept = new Set(upstreams.map(upstreamKey));
    for (const key of this.#states.keys()) if (!kept.has(key)) this.#states.delete(key);
  }

  get #interceptionSurroundings(): InterceptionSurroundings {
    return { clock, deadlines, tls: this.transport.tls, tell: (message) => this.#log.warn(message) };
  }

  get #storeSurroundings(): StoreSurroundings {
    const tell: StoreSurroundings["tell"] = (level, message) => {
      if (!this.#isQuiet) this.#log[level](message);
    };
    return { clock, random, tell };
  }

  #tellFault(err: Error): void {
    // What is known to happen, such as too many open files, says all in a sentence; a bug needs its stack.
    const isKnown = err instanceof ProxyError && err.type !== "proxy_internal_error";
    this.#faults.report(`transport ${err.name}`, (details) =>
      this.#log.error(isKnown ? details : { err, ...details }, err.message),
    );
  }
}
