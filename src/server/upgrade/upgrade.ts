/**
 * This process gives its place to another one: in which order that is started, told of, and given what only one of them can have. Until it
 * has everything, whatever goes wrong with it leaves this process as it was.
 */
import type { AppLog } from "../app-log.ts";
import type { UpgradeOutcome } from "../control.ts";
import type { HandedAddress } from "./handover.ts";
import { Successor, SuccessorError } from "./successor.ts";
import { tellMainProcess } from "./systemd.ts";

/** What this process has to give. */
export interface Belongings {
  /** What it listens on, with its own descriptors. */
  readonly addresses: readonly HandedAddress[];
  /** Only one process has it at a time. Both resolve or return when that is done, or cannot be. */
  closeAdmin(): void;
  openAdmin(): Promise<void>;
}

export class Upgrade {
  readonly #belongings: Belongings;
  readonly #log: AppLog;
  /** One that has not everything yet. */
  #successor: Successor | null = null;
  #isCancelled = false;

  constructor(belongings: Belongings, log: AppLog) {
    this.#belongings = belongings;
    this.#log = log;
  }

  /** This process is to end, and nobody is to take its place; does nothing once somebody has. */
  cancel(): void {
    this.#isCancelled = true;
    void this.#successor?.end();
  }

  /** `why` stands in the log: who asked. Never "replaced" when it was cancelled. */
  async run(why: string): Promise<Exclude<UpgradeOutcome, { kind: "refused" }>> {
    try {
      const { pid } = await this.#replace(why);
      return { kind: "replaced", pid };
    } catch (error) {
      await this.#successor?.end();
      if (!(error instanceof SuccessorError)) throw error;
      const { message: reason, problems } = error;
      if (!this.#isCancelled) {
        for (const line of problems) this.#log.error(line);
        this.#log.error(`${why}: ${reason}; this one goes on serving`);
      }
      return { kind: "failed", reason, problems };
    } finally {
      this.#successor = null;
    }
  }

  /** Rejects with a SuccessorError. */
  async #replace(why: string): Promise<Successor> {
    const successor = await Successor.start(this.#belongings.addresses);
    this.#successor = successor;
    const { pid } = successor;
    this.#log.info(`${why}: process ${pid} is to take the place of this one`);
    // It had not been there to be ended.
    if (this.#isCancelled) void successor.end();
    await successor.serves();
    await tellMainProcess(pid).catch((error: Error) => {
      const { message } = error;
      throw new SuccessorError(`systemd could not be told that process ${pid} is the main one: ${message}`, [], error);
    });
    await this.#giveAdmin(successor);
    successor.release();
    return successor;
  }

  async #giveAdmin(successor: Successor): Promise<void> {
    this.#belongings.closeAdmin();
    try {
      await successor.takes();
      if (this.#isCancelled) throw new SuccessorError(`process ${successor.pid} was ended`, []);
    } catch (error) {
      if (!this.#isCancelled) await this.#takeBack();
      throw error;
    }
  }

  async #takeBack(): Promise<void> {
    await this.#belongings.openAdmin();
    await tellMainProcess(process.pid).catch((err: Error) => {
      this.#log.error({ err }, "systemd could not be told that this process is the main one again");
    });
  }
}
