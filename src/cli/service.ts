/**
 * A proxy as a process: started, told of signals, reloaded, drained, ended. The only place that ends the process while it
 * serves.
 *
 * SIGHUP reopens the logs and reads the configuration again; a configuration that is wrong changes nothing. SIGTERM and SIGINT
 * drain, the second one ends everything at once. A fault that nobody caught is logged and ends the process with status 70:
 * to start it again is the service manager's business.
 */
import type { Config } from "../config/config.ts";
import { describeChange, ProxyServer } from "../server/proxy.ts";
import { SetupError } from "../server/setup-error.ts";
import { openStandardErrorLog, type StandardErrorLog } from "../server/standard-error.ts";
import { type FileWatch, watchFile } from "../server/watch.ts";
import { CommandError, STATUS_FAULT } from "./command-error.ts";
import { loadConfigFile, setupLines } from "./config-file.ts";
import { startupLine } from "./startup-line.ts";

export interface ServiceOptions {
  readonly config: Config;
  /** Lines for the log. */
  readonly warnings: readonly string[];
  /** Where the configuration came from and is read again; null: from flags. */
  readonly file: string | null;
  /** Reload whenever the file changes. */
  readonly watch: boolean;
}

/** Serves until a signal ends it. Rejects with a CommandError when it cannot begin. */
export async function serve(options: ServiceOptions): Promise<void> {
  const service = new Service(options);
  await service.start();
}

class Service {
  readonly #file: string | null;
  readonly #output: StandardErrorLog;
  readonly #proxy: ProxyServer;
  readonly #options: ServiceOptions;
  #config: Config;
  #watch: FileWatch | null = null;
  #isStopping = false;
  /** Reloads happen one after the other. */
  #reloading: Promise<void> = Promise.resolve();

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#file = options.file;
    this.#config = options.config;
    this.#output = openStandardErrorLog(options.config.log.level);
    this.#proxy = new ProxyServer(this.#output.log);
  }

  async start(): Promise<void> {
    const { log } = this.#output;
    this.#catchFaults();
    for (const line of this.#options.warnings) log.warn(line);
    try {
      await this.#proxy.load(this.#config);
      await this.#proxy.listen();
    } catch (error) {
      await this.#output.close();
      throw new CommandError(this.#linesOf(error), undefined, error);
    }
    this.#obeySignals();
    if (this.#options.watch && this.#file !== null)
      this.#watch = watchFile(this.#file, () => this.#reload("has changed"));
    log.info(startupLine(this.#proxy.listening, this.#proxy.transport.name));
  }

  #obeySignals(): void {
    process.on("SIGTERM", () => void this.#stop("SIGTERM"));
    process.on("SIGINT", () => void this.#stop("SIGINT"));
    process.on("SIGHUP", () => this.#hangUp());
    // Node opens its inspector on SIGUSR1 unless it was started with --disable-sigusr1, or somebody listens.
    process.on("SIGUSR1", () => this.#output.log.info("SIGUSR1 does nothing"));
  }

  #catchFaults(): void {
    const die = (err: unknown): void => {
      this.#output.log.fatal({ err }, "a fault that nobody caught: the process ends");
      this.#proxy.flushLogs();
      this.#output.flushSync();
      process.exit(STATUS_FAULT);
    };
    process.on("uncaughtException", die);
    process.on("unhandledRejection", die);
  }

  #hangUp(): void {
    const { log } = this.#output;
    this.#proxy.reopenLogs().then(
      () => log.info("SIGHUP: log files were opened anew"),
      (err: Error) => log.error({ err }, "SIGHUP: log files cannot be opened"),
    );
    if (this.#file !== null) this.#reload("SIGHUP");
  }

  #reload(why: string): void {
    this.#reloading = this.#reloading.then(() => this.#reloadNow(this.#file!, why));
  }

  async #reloadNow(file: string, why: string): Promise<void> {
    const { log } = this.#output;
    if (this.#isStopping) return;
    try {
      const loaded = await loadConfigFile(file);
      await this.#proxy.load(loaded.config);
      const change = describeChange(this.#config, loaded.config);
      this.#config = loaded.config;
      for (const line of loaded.warnings) log.warn(line);
      log.info(`${file}: ${why}, loaded again: ${change}`);
    } catch (error) {
      for (const line of this.#linesOf(error)) log.error(line);
      log.error(`${file}: ${why}, not loaded: the old configuration goes on serving`);
    }
  }

  #linesOf(error: unknown): readonly string[] {
    if (error instanceof CommandError) return error.lines;
    if (error instanceof SetupError) {
      return this.#file === null ? error.problems.map(({ message }) => message) : setupLines(error, this.#file);
    }
    return [error instanceof Error ? error.message : String(error)];
  }

  async #stop(signal: string): Promise<void> {
    const { log } = this.#output;
    if (this.#isStopping) {
      log.warn(`${signal} again: cutting off what is left`);
      this.#proxy.destroy();
      return;
    }
    this.#isStopping = true;
    this.#watch?.close();
    const drainMs = this.#config.drainTimeoutMs;
    log.info(
      `${signal}: no new connections; what is under way may take ${drainMs / 1000} s, a second signal cuts it off`,
    );
    const cut = await this.#proxy.close(drainMs);
    if (cut > 0) log.warn(`the time is up: ${cut} ${cut === 1 ? "connection was" : "connections were"} cut off`);
    log.info("stopped");
    await this.#output.close();
    process.exit(0);
  }
}
