/**
 * A proxy as a process: started, told of signals, ended. The only place that ends the process while it serves.
 *
 * SIGHUP reopens the logs and reads the configuration again; a configuration that is wrong changes nothing. SIGTERM and SIGINT
 * drain, the second one ends everything at once. A fault that nobody caught in a worker is a worker's end, and another one takes
 * its place; in the main thread it is logged and ends the process with status 70: to start it again is the service manager's
 * business.
 */
import type { Config } from "../config/config.ts";
import { ControlPlane } from "../server/control-plane.ts";
import type { Listening } from "../server/listening-url.ts";
import { SetupError } from "../server/setup-error.ts";
import { openStandardErrorLog, type StandardErrorLog } from "../server/standard-error.ts";
import { Predecessor } from "../server/upgrade/predecessor.ts";
import type { WatchedFile } from "../server/watch.ts";
import { CommandError, STATUS_FAULT } from "./command-error.ts";
import { inlineMore } from "./compiler.ts";
import { loadConfigFile, setupLines } from "./config-file.ts";
import { releaseSignals } from "./early-signals.ts";
import { startupLine } from "./startup-line.ts";
import { version } from "./version.ts";

export interface ServiceOptions {
  readonly config: Config;
  /** The text of the program that it came from; null: it came from data. */
  readonly program: string | null;
  /** Lines for the log. */
  readonly warnings: readonly string[];
  /** Where the configuration came from and is read again; null: from flags. */
  readonly file: string | null;
  /** Reload whenever the file changes, also since it was read; null: only when somebody asks. */
  readonly watch: WatchedFile | null;
  /** Lines for who has just started it, once it listens. */
  readonly hints?: (listening: readonly Listening[]) => readonly string[];
  /** How long a worker may be silent before it is ended as stuck. Default: half a minute. */
  readonly silentMsMax?: number;
}

/** Serves until a signal ends it. Rejects with a CommandError when it cannot begin. */
export async function serve(options: ServiceOptions): Promise<void> {
  inlineMore();
  const service = new Service(options);
  await service.start();
}

class Service {
  readonly #file: string | null;
  readonly #output: StandardErrorLog;
  readonly #control: ControlPlane;
  readonly #hints: NonNullable<ServiceOptions["hints"]>;
  readonly #watch: WatchedFile | null;
  #isServing = false;
  /** SIGHUP came before it could be obeyed. */
  #hungUp = false;

  constructor({ config, program, warnings, file, watch, hints, silentMsMax }: ServiceOptions) {
    this.#file = file;
    this.#hints = hints ?? (() => []);
    this.#watch = watch;
    const output = openStandardErrorLog(config.log.level);
    this.#output = output;
    const linesOf = (error: unknown): readonly string[] => this.#linesOf(error);
    this.#control = new ControlPlane({
      config,
      program,
      warnings,
      file,
      version,
      output,
      load: loadConfigFile,
      linesOf,
      predecessor: Predecessor.find(),
      ...(silentMsMax !== undefined && { silentMsMax }),
    });
  }

  async start(): Promise<void> {
    const control = this.#control;
    this.#catchFaults();
    this.#obeySignals();
    try {
      await control.start();
    } catch (error) {
      await this.#output.close();
      throw new CommandError(this.#linesOf(error), undefined, error);
    }
    this.#isServing = true;
    this.#output.log.info(startupLine(control.listening, control));
    this.#watch?.whenChanged(() => control.fileChanged());
    for (const line of this.#hints(control.listening)) this.#output.log.info(line);
    if (this.#hungUp) this.#hangUp();
    await control.ended;
    this.#exit(0);
  }

  #exit(status: number): void {
    if (this.#control.canExit) process.exit(status);
    this.#output.flushSync();
    process.kill(process.pid, "SIGKILL");
  }

  #obeySignals(): void {
    process.on("SIGTERM", () => this.#stop("SIGTERM"));
    process.on("SIGINT", () => this.#stop("SIGINT"));
    process.on("SIGHUP", () => this.#hangUp());
    process.on("SIGUSR2", () => {
      if (this.#isServing) void this.#control.upgrade("SIGUSR2");
    });
    // Node opens its inspector on SIGUSR1 unless it was started with --disable-sigusr1, or somebody listens.
    process.on("SIGUSR1", () => this.#output.log.info("SIGUSR1 does nothing"));
    this.#hungUp = releaseSignals();
  }

  #catchFaults(): void {
    const die = (err: unknown): void => {
      this.#output.log.fatal({ err }, "a fault that nobody caught: the process ends");
      this.#control.abandon();
      this.#exit(STATUS_FAULT);
    };
    process.on("uncaughtException", die);
    process.on("unhandledRejection", die);
  }

  #hangUp(): void {
    this.#hungUp = !this.#isServing;
    if (this.#hungUp) return;
    if (this.#file === null) void this.#control.reopenLogs("SIGHUP");
    else void this.#control.reload("SIGHUP");
  }

  #stop(signal: NodeJS.Signals): void {
    if (!this.#isServing) {
      // Nobody is served yet: it ends as any program does.
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
      return;
    }
    this.#watch?.close();
    if (this.#control.isEnding) this.#control.stop(`${signal} again`);
    else this.#control.drain(signal);
  }

  #linesOf(error: unknown): readonly string[] {
    if (error instanceof CommandError) return error.lines;
    if (error instanceof SetupError) {
      return this.#file === null ? error.problems.map(({ message }) => message) : setupLines(error, this.#file);
    }
    return (error instanceof Error ? error.message : String(error)).split("\n");
  }
}
