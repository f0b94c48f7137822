/**
 * A proxy as a whole: what a configuration asks for, opened, kept through reloads, and closed. It decides what happens in
 * which order, so that a configuration takes effect as a whole or not at all; how one thing is kept alive is decided by
 * listeners.ts, upstream-pools.ts and access-output.ts.
 *
 * It reads no configuration file, handles no signal and never ends the process.
 */
import { randomUUID } from "node:crypto";
import type { Config, ServerConfig } from "../config/config.ts";
import { diffConfig, listenerKey } from "../config/diff.ts";
import type { Address } from "../core/ports.ts";
import { NetTransport } from "../io/net/transport.ts";
import { type FileWatch, watchFiles } from "../io/tls/watch-files.ts";
import type { ExchangeObserver, Site } from "../pipeline/site.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import { AccessLog } from "./access-log.ts";
import { type AccessOutput, openAccessOutput } from "./access-output.ts";
import type { AppLog } from "./app-log.ts";
import { type ComposedServer, composeServers } from "./compose.ts";
import { FaultObserver } from "./fault-observer.ts";
import { Listeners, type WantedListener } from "./listeners.ts";
import { RepeatedFaults } from "./repeated-faults.ts";
import { clock, deadlines, random } from "./surroundings.ts";
import { TlsFiles } from "./tls-files.ts";
import { UpstreamPools } from "./upstream-pools.ts";

/** An address on which a server is reached. */
export interface Listening {
  /** The server's name in the configuration. */
  readonly server: string;
  /** Where it really listens: with the port that the system chose when the configuration asked for port 0. */
  readonly address: Address;
  readonly isTls: boolean;
}

/** What is open. */
interface Current {
  readonly config: Config;
  readonly servers: readonly ComposedServer[];
  readonly watch: FileWatch;
}

export class ProxyServer {
  readonly transport: NetTransport;
  readonly #log: AppLog;
  readonly #faults = new RepeatedFaults(clock);
  readonly #pools: UpstreamPools;
  readonly #listeners: Listeners;
  readonly #accessLog = new AccessLog({ clock, random });
  readonly #instance = randomUUID();
  readonly #warnings = new Set<string>();
  #output: AccessOutput | null = null;
  #current: Current | null = null;
  #isListening = false;
  #isClosed = false;
  #closing: Promise<number> | null = null;
  /** The last of what was asked for: loads, reloads and the end happen one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(log: AppLog) {
    this.#log = log;
    this.transport = new NetTransport(clock, { onFault: (fault) => this.#tellFault(fault) });
    this.#pools = new UpstreamPools({ dialer: this.transport.dialer, clock, deadlines, random });
    this.#listeners = new Listeners({ transport: this.transport, log, faults: this.#faults });
  }

  /**
   * Takes a configuration into use: the first one, or another in its place. Connections that the change does not concern go
   * on; exchanges under way end as they began. Rejects (a SetupError, when the machine is to blame) and changes nothing
   * when any part of it cannot be had. Opens no socket before `listen`.
   */
  load(config: Config): Promise<void> {
    return this.#next(() => this.#apply(config, this.#isListening));
  }

  /** Begins to listen, on all addresses or on none. Rejects with a SetupError. */
  listen(): Promise<void> {
    return this.#next(async () => {
      if (this.#current === null) throw new Error("there is no configuration yet");
      if (this.#isListening) return;
      await this.#apply(this.#current.config, true);
      this.#isListening = true;
    });
  }

  get listening(): readonly Listening[] {
    return this.#listeners.open.map(({ wanted, address }) => {
      return { server: wanted.site.name, address, isTls: wanted.tls !== null };
    });
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

  /**
   * Stops accepting, lets exchanges end for `ms` at most, and closes everything. Resolves with the number of connections that
   * were cut off.
   */
  close(ms: number): Promise<number> {
    this.#closing ??= this.#next(async () => {
      this.#isClosed = true;
      const cut = await this.#listeners.drain(ms);
      this.#pools.destroy();
      this.#current?.watch.close();
      await this.#output?.writer.close();
      return cut;
    });
    return this.#closing;
  }

  /** Cuts everything off at once; a `close` that is waiting ends. */
  destroy(): void {
    this.#listeners.destroy();
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

  async #apply(config: Config, isListening: boolean): Promise<void> {
    // Watched before they are read: a change in between is then seen.
    const watch = watchFiles(TlsFiles.pathsOf(config), clock, () => this.#filesChanged());
    let output = this.#output;
    try {
      const files = await TlsFiles.load(config, clock);
      const plan = this.#pools.plan(config.upstreams, files);
      const { access } = config.log;
      output = access === null ? null : openAccessOutput(access, this.#output, clock, this.#log);
      const servers = composeServers(config, {
        clock,
        deadlines,
        upstream: (name) => plan.get(name)!.pool,
        observer: (server) => this.#observer(config, server),
        instance: this.#instance,
      });
      if (isListening) await this.#listeners.apply(wantedListeners(servers, files), config.drainTimeoutMs);
      // From here on nothing can fail.
      this.#pools.keep(plan);
      this.#current?.watch.close();
      this.#current = { config, servers, watch };
      for (const warning of files.warnings) this.#warnOnce(warning);
    } catch (error) {
      watch.close();
      if (output !== this.#output) await output?.writer.close();
      throw error;
    }
    this.#log.level = config.log.level;
    await this.#switchOutput(output);
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
    return new FaultObserver(this.#log, this.#faults, accessLog);
  }

  /** A certificate, key or authority is another than before: the same configuration, its files read again. */
  #filesChanged(): void {
    const current = this.#current;
    if (current === null || this.#isClosed) return;
    this.load(current.config).then(
      () => this.#log.info("certificates were read again"),
      (err: Error) =>
        this.#log.error(`certificates have changed and cannot be used; the old ones stay: ${err.message}`),
    );
  }

  /** A certificate that is about to expire is read again with every reload. */
  #warnOnce(warning: string): void {
    if (this.#warnings.has(warning)) return;
    this.#warnings.add(warning);
    this.#log.warn(warning);
  }

  #tellFault(err: Error): void {
    this.#faults.report(`transport ${err.name}`, (details) => this.#log.error({ err, ...details }, err.message));
  }
}

/** Every address of every server, by the key under which a configuration's difference knows it. */
function wantedListeners(servers: readonly ComposedServer[], files: TlsFiles): readonly WantedListener[] {
  return servers.flatMap(({ config, site }) =>
    config.listen.map((listen, index) => ({
      key: listenerKey(listen, config, index),
      listen,
      place: ["servers", config.name, "listen", index],
      tls: listen.tls === null ? null : files.forListener(listen.tls),
      site,
    })),
  );
}

/** What a reload changed, in one line. */
export function describeChange(before: Config, after: Config): string {
  const diff = diffConfig(before, after);
  if (diff.same) return "nothing has changed";
  const parts: string[] = [];
  const tell = (what: string, names: readonly string[]): void => {
    if (names.length > 0) parts.push(`${what} ${names.join(", ")}`);
  };
  tell("opened", diff.listeners.added);
  tell("closed", diff.listeners.removed);
  tell("servers added:", diff.servers.added);
  tell("removed:", diff.servers.removed);
  tell("servers changed:", diff.servers.changed);
  tell("upstreams made anew:", diff.upstreams.changed);
  return parts.length === 0 ? "settings changed" : parts.join("; ");
}
