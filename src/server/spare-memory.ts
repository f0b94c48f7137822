/**
 * Gives back the memory that reading a configuration took. The thread that controls the others hardly allocates once they serve,
 * so V8 has no reason to look at its heap again, and would keep for ever what the schema and the parser needed for a moment:
 * 15 MiB, an eighth of the whole process.
 *
 * V8 gives it back for a collection of the last resort alone. That takes a seventh of a second of this thread, which serves
 * nobody, and a moment later than what has just begun to serve.
 */
import v8 from "node:v8";
import { runInNewContext } from "node:vm";

/** Whoever started or reloaded the proxy has his answer by then. Shorter than it takes to look at a process after a start. */
const QUIET_MS = 1_000;

/** Collects once when nothing has been read for a while. */
export class SpareMemory {
  #timer: NodeJS.Timeout | null = null;

  /** A configuration was read. */
  giveBackSoon(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = setTimeout(giveBackNow, QUIET_MS).unref();
  }
}

/** Does nothing where V8 does not let itself be asked: it is a courtesy to the machine. */
export function giveBackNow(): void {
  // Contexts that are made while the flag is set have the function; no other code gets to see it.
  v8.setFlagsFromString("--expose-gc");
  const collect = runInNewContext("globalThis.gc") as NodeJS.GCFunction | undefined;
  // Unless somebody has started the process with it.
  if (globalThis.gc === undefined) v8.setFlagsFromString("--no-expose-gc");
  void collect?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
