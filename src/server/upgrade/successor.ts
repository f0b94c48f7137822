/**
 * A process that is to take this one's place: the same command line again, whose program and configuration are read anew. It is
 * started with the listening sockets of this one, and takes nothing before it serves.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { DESCRIPTOR_FIRST, type FromSuccessor, HANDOVER_VARIABLE, type HandedAddress } from "./handover.ts";

/** It reads the configuration, starts its workers and has all of them listen. */
const START_MS_MAX = 60_000;

/** Why there is none: a sentence, and what it found wrong, in lines. */
export class SuccessorError extends Error {
  readonly problems: readonly string[];

  constructor(message: string, problems: readonly string[], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.problems = problems;
  }
}

/**
 * As it was called, and not where that led: a link, or a name on the PATH, may lead to another version of Node by now. Under a name that was
 * made up (`exec -a`) it is found where it is.
 */
export function programOf({ argv0, execPath }: Pick<NodeJS.Process, "argv0" | "execPath">): string {
  return path.basename(argv0) === path.basename(execPath) ? argv0 : execPath;
}

export class Successor {
  readonly pid: number;
  readonly #child: ChildProcess;
  /** Resolve when it has said so; false: it has ended, or was silent for too long. */
  readonly #said = {
    serving: Promise.withResolvers<boolean>(),
    done: Promise.withResolvers<boolean>(),
  };
  readonly #gone = Promise.withResolvers<void>();
  #problems: readonly string[] = [];
  #end = "";

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child;
    this.pid = pid;
    const timer = setTimeout(() => this.#giveUp(`was not ready within ${START_MS_MAX / 1000} s`), START_MS_MAX);
    child.on("message", (message: Partial<FromSuccessor> | null) => {
      switch (message?.kind) {
        case "serving":
        case "done":
          this.#said[message.kind].resolve(true);
          break;
        case "failed":
          this.#problems = message.lines ?? [];
        // Anything else: its configuration is a program, which can say what it likes on this channel.
      }
    });
    // Such as a signal that could not be sent: what matters is whether it ends.
    child.on("error", () => {});
    // When all that it has said was read.
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      this.#ended(`ended with ${signal === null ? `status ${status}` : signal}`);
      this.#gone.resolve();
    });
    void this.#said.done.promise.then(() => clearTimeout(timer));
  }

  /** Rejects with a SuccessorError. `addresses`: with the descriptors of this process. */
  static async start(addresses: readonly HandedAddress[]): Promise<Successor> {
    const descriptors = addresses.flatMap((address) => address.descriptors);
    let next = DESCRIPTOR_FIRST;
    const handed = addresses.map((address) => ({ ...address, descriptors: address.descriptors.map(() => next++) }));
    const args = [...process.execArgv, ...process.argv.slice(1)];
    try {
      // Throws of what it has no memory for, or the environment no room.
      const child = spawn(programOf(process), args, {
        stdio: ["ignore", "inherit", "inherit", "ipc", ...descriptors],
        env: { ...process.env, [HANDOVER_VARIABLE]: JSON.stringify(handed) },
      });
      await once(child, "spawn");
      return new Successor(child, child.pid!);
    } catch (error) {
      throw new SuccessorError(`no other process can be started: ${(error as Error).message}`, [], error);
    }
  }

  /** Resolves when it accepts on the sockets. Rejects with a SuccessorError, and then it is gone. */
  serves(): Promise<void> {
    return this.#when("serving");
  }

  /** Gives it the admin interface; resolves when it has opened its own. Rejects likewise. */
  async takes(): Promise<void> {
    this.#child.send({ kind: "yours" }, () => {});
    await this.#when("done");
  }

  /** Nobody is to take the place of this process. Resolves when it is gone: until then it may still be given connections. */
  end(): Promise<void> {
    this.#child.kill("SIGKILL");
    return this.#gone.promise;
  }

  /** It goes on without this process. */
  release(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  async #when(kind: "serving" | "done"): Promise<void> {
    if (await this.#said[kind].promise) return;
    throw new SuccessorError(`process ${this.pid}, which was to take the place, ${this.#end}`, this.#problems);
  }

  #giveUp(why: string): void {
    this.#ended(why);
    void this.end();
  }

  #ended(why: string): void {
    this.#end ||= why;
    for (const { resolve } of Object.values(this.#said)) resolve(false);
  }
}
