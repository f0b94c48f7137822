/**
 * A proxy as a process, seen from its main thread: workers that serve, and what operators may ask of them. It decides in which
 * order a configuration is read, tried, taken into use and told of; it handles no signal and never ends the process.
 */
import os from "node:os";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { AdminError } from "../admin/admin-error.ts";
import { type Admin, openAdmin } from "../admin/open.ts";
import type { Config } from "../config/config.ts";
import { type ConfigDiff, diffConfig } from "../config/diff.ts";
import type { UpstreamConfig } from "../upstreams/options.ts";
import type { ServerStates } from "../upstreams/server-states.ts";
import type { CacheControl } from "./caches/control.ts";
import type {
  Control,
  ListenerStatus,
  ReloadOutcome,
  ReloadStatus,
  Status,
  UpgradeOutcome,
  UpstreamStatus,
} from "./control.ts";
import { describeChange } from "./describe-change.ts";
import { forwardStatusOf } from "./forward-status.ts";
import { HealthChecks } from "./health-checks.ts";
import type { Listening } from "./listening-url.ts";
import { listeningUrl } from "./listening-url.ts";
import { SetupError } from "./setup-error.ts";
import { setupWarnings } from "./setup-warnings.ts";
import { SpareMemory } from "./spare-memory.ts";
import type { StandardErrorLog } from "./standard-error.ts";
import { clock, random } from "./surroundings.ts";
import { sourceOf } from "./threads/config-source.ts";
import type { ConfigSource } from "./threads/protocol.ts";
import { openSocketSource, type SocketSource } from "./threads/socket-source.ts";
import type { Sourced } from "./threads/spawning.ts";
import { WorkerGroup } from "./threads/worker-group.ts";
import type { Predecessor } from "./upgrade/predecessor.ts";
import { obstacleTo } from "./upgrade/systemd.ts";
import { Upgrade } from "./upgrade/upgrade.ts";
import { upstreamStatusOf } from "./upstream-status.ts";

export interface LoadedConfig {
  readonly config: Config;
  /** The text of the program that it came from; null: it came from data. */
  readonly program: string | null;
  /** Lines. */
  readonly warnings: readonly string[];
}

export interface ControlPlaneOptions extends LoadedConfig {
  readonly version: string;
  /** Where the configuration came from; null: from the command line. */
  readonly file: string | null;
  readonly output: StandardErrorLog;
  /** Reads the file again. Rejects with what `linesOf` explains. */
  readonly load: (file: string) => Promise<LoadedConfig>;
  /** Why something cannot be done, in lines with their places in the file. */
  readonly linesOf: (error: unknown) => readonly string[];
  /** The process whose place this one takes; null: there is none. */
  readonly predecessor: Predecessor | null;
  /** How long a worker may be silent before it is ended as stuck. Default: ANSWER_MS_MAX. */
  readonly silentMsMax?: number;
}

const NOTHING_TO_REOPEN = Promise.resolve(null);
const ABOUT_TO_END = { kind: "refused", reason: "the process is about to end" } as const;

export class ControlPlane implements Control {
  /** Resolves when it has been told to end and nothing is left. */
  readonly ended: Promise<void>;
  readonly #options: ControlPlaneOptions;
  readonly #startedMs = Date.now();
  readonly #resolveEnded: () => void;
  #config: Config;
  /** What the workers have imported; null: nothing. */
  #code: string | null;
  #group: WorkerGroup | null = null;
  #transport = "";
  #admin: Admin | null = null;
  #checks: HealthChecks | null = null;
  /** One that is under way. */
  #upgrade: Upgrade | null = null;
  #lastReload: ReloadStatus | null = null;
  readonly #spareMemory = new SpareMemory();
  #isEnding = false;
  /** Reloads happen one after the other. */
  #reloading: Promise<unknown> = Promise.resolve();

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { config, file, program } = options;
    this.#config = config;
    this.#code = codeOf(sourceOf(config, file, program));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  /** Resolves when every worker listens. Rejects, and then nothing is open: with a SetupError when the machine is to blame. */
  async start(): Promise<void> {
    const { output, file, program, warnings, predecessor, silentMsMax } = this.#options;
    const config = this.#config;
    for (const line of warnings) output.log.warn(line);
    const source = await socketSourceFor(config);
    const workers = countWorkers(config, source);
    this.#transport = source.transport;
    const group = new WorkerGroup({
      workers,
      transport: config.transport,
      source,
      output,
      ...(predecessor !== null && { inherited: predecessor.addresses }),
      ...(silentMsMax !== undefined && { silentMsMax }),
    });
    await group.start({ config, source: sourceOf(config, file, program) });
    this.#group = group;
    const statesOf = (upstream: UpstreamConfig): ServerStates => group.upstreams.statesOf(upstream);
    const checks = new HealthChecks({ clock, random, log: output.log, statesOf });
    this.#checks = checks;
    checks.keep(config.upstreams);
    try {
      await predecessor?.letGo();
      this.#admin = await this.#openAdmin(config);
      if (predecessor !== null) {
        predecessor.done();
        group.takeOver();
      }
    } catch (error) {
      checks.stop();
      await group.drain(0);
      throw error;
    }
    this.#spareMemory.giveBackSoon();
  }

  /** There are none before the start, and nobody to ask. */
  get caches(): CacheControl {
    return this.#group!.caches;
  }

  get listening(): readonly Listening[] {
    return this.#group?.listening ?? [];
  }

  get transport(): string {
    return this.#transport;
  }

  get workers(): number {
    return this.#group?.size ?? 0;
  }

  status(): Status {
    const { version, file } = this.#options;
    return {
      version,
      node: process.versions.node,
      pid: process.pid,
      state: this.#isEnding ? "draining" : "serving",
      startedAt: new Date(this.#startedMs).toISOString(),
      uptimeSeconds: Math.round((Date.now() - this.#startedMs) / 1000),
      config: file === null ? null : path.resolve(file),
      transport: this.#transport,
      listeners: this.listening.map((item) => this.#listenerStatus(item)),
      workers: this.#group?.status() ?? [],
      upstreams: this.#upstreamStatus(),
      forward: this.#group === null ? null : forwardStatusOf(this.#group.users),
      caches: this.#group === null ? [] : this.caches.stats(),
      lastReload: this.#lastReload,
    };
  }

  /** As somebody asks for it, who may have renamed log files as well. `why` stands in the log: who asked. */
  reload(why = "headgate reload"): Promise<ReloadOutcome> {
    return this.#queueReload(why, this.reopenLogs(why));
  }

  fileChanged(): void {
    void this.#queueReload("has changed");
  }

  #queueReload(why: string, reopened: Promise<string | null> = NOTHING_TO_REOPEN): Promise<ReloadOutcome> {
    const outcome = this.#reloading.then(() => this.#reloadNow(why, reopened));
    this.#reloading = outcome;
    return outcome;
  }

  upgrade(why = "headgate upgrade"): Promise<UpgradeOutcome> {
    const outcome = this.#reloading.then(() => this.#upgradeNow(why));
    this.#reloading = outcome;
    return outcome;
  }

  drain(why = "headgate drain"): void {
    if (this.#isEnding) return;
    const seconds = this.#config.drainTimeoutMs / 1000;
    const grace = `what is under way may take ${seconds} s, a second signal cuts it off`;
    void this.#end(`${why}: no new connections; ${grace}`);
  }

  stop(why = "headgate stop"): void {
    if (this.#isEnding) this.#options.output.log.warn(`${why}: cutting off what is left`);
    else void this.#end(`${why}: no new connections; what is under way is cut off`);
    this.#group?.destroy();
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Opens the file of the access log anew, after it was renamed. Resolves with why that cannot be done; null: it is done. */
  async reopenLogs(why: string): Promise<string | null> {
    const { log } = this.#options.output;
    if (this.#group === null) return null;
    try {
      await this.#group.reopenLogs();
      log.info(`${why}: log files were opened anew`);
      return null;
    } catch (error) {
      const trouble = `${(error as Error).message}; what was open before is written to`;
      log.error(`${why}: ${trouble}`);
      return trouble;
    }
  }

  /** `process.exit` waits for every thread: with one that cannot be ended, it would wait for ever. */
  get canExit(): boolean {
    return this.#group?.hasLost !== true;
  }

  /** For a process that ends right now: removes the admin's socket, and writes what can be written without waiting. */
  abandon(): void {
    this.#admin?.close();
    this.#group?.flushLogs();
    this.#options.output.flushSync();
  }

  #upstreamStatus(): readonly UpstreamStatus[] {
    const group = this.#group;
    if (group === null) return [];
    return upstreamStatusOf(this.#config, {
      reportsOf: (upstream) => group.upstreams.reportsOf(upstream),
      reasonOf: (upstream, server) => this.#checks?.reasonOf(upstream, server) ?? null,
    });
  }

  #listenerStatus(item: Listening): ListenerStatus {
    const { server, protocol } = item;
    const isProxy = this.#config.servers.some(({ name, forward }) => name === server && forward !== null);
    return { server, url: listeningUrl(item), isForward: isProxy && protocol === "http" };
  }

  async #reloadNow(why: string, reopened: Promise<string | null>): Promise<ReloadOutcome> {
    const { file, output, load, linesOf } = this.#options;
    if (file === null)
      return { kind: "refused", reason: "the configuration came from the command line, not from a file" };
    if (this.#isEnding) return ABOUT_TO_END;
    let outcome: Exclude<ReloadOutcome, { kind: "refused" }>;
    try {
      const { config, program, warnings } = await load(file);
      const diff = diffConfig(this.#config, config);
      const ofSetup = await setupWarnings(config, clock);
      const source = sourceOf(config, file, program);
      const code = codeOf(source);
      // The main thread has the modules that a program imports from its first reading on: what it makes of them may be as before.
      const isOtherCode = code !== this.#code;
      const isImportedAnew = isOtherCode && this.#group!.canBeReplaced;
      await this.#apply({ config, source }, diff, isOtherCode);
      const change = describeChange(diff, isImportedAnew);
      this.#config = config;
      this.#code = code;
      this.#checks?.keep(config.upstreams);
      output.log.level = config.log.level;
      const told = [
        ...warnings,
        ...onlyByRestart(config, this.#options.config),
        ...(isOtherCode && !isImportedAnew ? [MODULES_STAY] : []),
      ];
      for (const line of told) output.log.warn(line);
      const trouble = await reopened;
      const ofLogs = trouble === null ? [] : [trouble];
      // Those of the setup the workers write to the log, once each.
      outcome = { kind: "loaded", change, warnings: [...ofLogs, ...told, ...ofSetup] };
      output.log.info(`${file}: ${why}, loaded again: ${change}`);
    } catch (error) {
      // Workers that were starting are ended then: why they did not start is no news.
      if (this.#isEnding) return ABOUT_TO_END;
      outcome = { kind: "failed", problems: linesOf(error) };
      for (const line of outcome.problems) output.log.error(line);
      output.log.error(`${file}: ${why}, not loaded: the old configuration goes on serving`);
    }
    this.#spareMemory.giveBackSoon();
    this.#lastReload = { at: new Date().toISOString(), outcome };
    return outcome;
  }

  async #upgradeNow(why: string): Promise<UpgradeOutcome> {
    const { log } = this.#options.output;
    const obstacle = this.#isEnding ? ABOUT_TO_END.reason : this.#obstacleToUpgrade();
    if (obstacle !== null) {
      log.error(`${why}: ${obstacle}`);
      return { kind: "refused", reason: obstacle };
    }
    const group = this.#group!;
    const upgrade = new Upgrade(
      {
        addresses: group.toHandOn,
        closeAdmin: () => {
          this.#admin?.close();
          this.#admin = null;
        },
        openAdmin: () => this.#openAdminAgain(),
      },
      log,
    );
    this.#upgrade = upgrade;
    try {
      const outcome = await upgrade.run(why);
      if (this.#isEnding) return ABOUT_TO_END;
      if (outcome.kind === "replaced") {
        group.handOn();
        void this.#end(`${why}: process ${outcome.pid} serves; this one lets what is under way end`);
      }
      return outcome;
    } finally {
      this.#upgrade = null;
    }
  }

  /** Caches are in one process at a time. */
  #obstacleToUpgrade(): string | null {
    const [cache] = this.#config.caches;
    if (cache !== undefined)
      return `the folder of cache ${cache.name} belongs to one process: restart this one instead`;
    return obstacleTo(process, this.#options.predecessor !== null);
  }

  async #apply(next: Sourced, diff: ConfigDiff, isOtherCode: boolean): Promise<void> {
    const opensAdmin = diff.admin || this.#admin?.isLost === true;
    const admin = opensAdmin ? await this.#openAdmin(next.config) : this.#admin;
    try {
      await this.#group!.reload(next, isOtherCode);
    } catch (error) {
      if (admin !== this.#admin) admin?.close();
      throw error;
    }
    if (admin !== this.#admin) this.#admin?.close();
    this.#admin = admin;
  }

  async #openAdmin({ admin }: Config): Promise<Admin | null> {
    try {
      return await openAdmin({ admin, control: this, log: this.#options.output.log, current: this.#admin });
    } catch (error) {
      if (error instanceof AdminError) throw new SetupError([{ path: ["admin"], message: error.message }], error);
      throw error;
    }
  }

  /** Where it has just been; it is in the log when somebody else is there by now. */
  async #openAdminAgain(): Promise<void> {
    try {
      this.#admin = await this.#openAdmin(this.#config);
    } catch (error) {
      this.#options.output.log.error((error as Error).message);
    }
  }

  /** `line` is for the log: who asked, and what becomes of what is under way. */
  async #end(line: string): Promise<void> {
    this.#isEnding = true;
    this.#upgrade?.cancel();
    const { log } = this.#options.output;
    log.info(line);
    const cut = (await this.#group?.drain(this.#config.drainTimeoutMs)) ?? 0;
    this.#checks?.stop();
    if (cut > 0) log.warn(`the time is up: ${cut} ${cut === 1 ? "connection was" : "connections were"} cut off`);
    log.info("stopped");
    this.#admin?.close();
    await this.#options.output.close();
    this.#resolveEnded();
  }
}

/** No other worker can listen where these do; each reads the text of the program anew, and has its modules already. */
const MODULES_STAY =
  "modules that the file imports are as before until an upgrade or a restart: with `transport: net` a unix socket has one worker";

/** The text of a program that each worker imports; null: it is data. */
function codeOf(source: ConfigSource): string | null {
  return source.kind === "program" ? source.text : null;
}

/** What the file says and the process does not do before it is started again. */
function onlyByRestart(config: Config, started: Config): readonly string[] {
  const changed = (["workers", "transport"] as const).filter((field) => config[field] !== started[field]);
  const reshared = config.caches.filter(({ name, directory, shared }) => {
    const before = started.caches.find((one) => one.name === name && one.directory === directory);
    return before !== undefined && !isDeepStrictEqual(shared, before.shared);
  });
  return [
    ...changed.map((field) => `${field}: has changed, which takes effect with an upgrade or a restart`),
    ...reshared.map(({ name }) => `caches.${name}.shared: has changed, which takes effect with a restart`),
  ];
}

async function socketSourceFor({ transport }: Config): Promise<SocketSource> {
  try {
    return await openSocketSource(transport);
  } catch (error) {
    throw new SetupError([{ path: ["transport"], message: (error as Error).message }], error);
  }
}

function countWorkers({ workers }: Config, { shares }: SocketSource): number {
  if (workers === "auto") return shares === "never" ? 1 : os.availableParallelism();
  if (workers === 1 || shares !== "never") return workers;
  const message = "on this system several threads cannot listen on one port: only one worker is possible";
  throw new SetupError([{ path: ["workers"], message }]);
}
