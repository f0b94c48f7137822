/**
 * Notices that files have changed, however that is done: written in place, replaced by a rename, or by turning a symbolic
 * link somewhere on their path, as certificate tools and Kubernetes do. It watches the folders of the files, not the
 * files, since a watch on a file follows the old one away; and it looks again from time to time, for what no watch shows
 * (network file systems, links higher up, folders that were replaced).
 *
 * Whoever asked is told once the files have stayed the same for a moment, and only if one that exists is another than before: a file
 * that is gone is about to come back. Of one that stays away he is told once.
 */
import { type FSWatcher, statSync, watch } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Clock, TimerHandle } from "../../core/ports.ts";

/** A certificate and its key are two files, and neither is written at once: for this long nothing may have changed. */
const QUIET_MS = 200;
/** How late a change is noticed where no watch shows it. */
const LOOK_AGAIN_MS = 10_000;
/** Nobody who replaces a file leaves it away for so long. */
const AWAY_MS_MAX = 30_000;

export interface FileWatch {
  close(): void;
}

/**
 * Calls `onChange` after any of the files has changed since this call, with those that have, as absolute paths: read them after it, not
 * before. Keeps no process alive. Files that do not exist yet are fine.
 */
export function watchFiles(
  paths: readonly string[],
  clock: Clock,
  onChange: (changed: readonly string[]) => void,
): FileWatch {
  return new Watching(paths, clock, onChange);
}

class Watching implements FileWatch {
  readonly #clock: Clock;
  readonly #onChange: (changed: readonly string[]) => void;
  /** What each file was when it was last there. */
  readonly #seen = new Map<string, string | null>();
  readonly #watchers = new Map<string, FSWatcher>();
  #soon: TimerHandle | null = null;
  #later: TimerHandle | null = null;
  /** Since when those are away that were there, until that has been told. */
  readonly #away = new Map<string, number>();
  readonly #changed = new Set<string>();
  #isLooking = false;
  #isClosed = false;

  constructor(paths: readonly string[], clock: Clock, onChange: (changed: readonly string[]) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.#watchFolders(paths.map((file) => path.resolve(file)));
    for (const file of paths) this.#seen.set(path.resolve(file), signatureNow(file));
    this.#waitLong();
  }

  close(): void {
    this.#isClosed = true;
    this.#soon?.cancel();
    this.#later?.cancel();
    this.#unwatch();
  }

  #watchFolders(files: Iterable<string>): void {
    for (const file of files) {
      const folder = path.dirname(file);
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => this.#lookSoon());
        // A watch that breaks is made anew when the folders are looked at again.
        watcher.on("error", () => watcher.close());
        this.#watchers.set(folder, watcher);
      } catch {
        // No such folder now, or no watches left: looking again covers it.
      }
    }
  }

  #unwatch(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Something happened in a folder, perhaps to other files. The time is not pushed back: a busy folder is looked at too. */
  #lookSoon(): void {
    if (this.#isClosed || this.#soon !== null) return;
    this.#soon = this.#clock.after(QUIET_MS, () => {
      this.#soon = null;
      void this.#look();
    });
  }

  #waitLong(): void {
    this.#later = this.#clock.after(LOOK_AGAIN_MS, () => {
      // A watch stays with a folder that was moved away; the folder that has its name now needs one.
      this.#unwatch();
      this.#watchFolders(this.#seen.keys());
      this.#waitLong();
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    if (this.#isLooking) {
      this.#lookSoon();
      return;
    }
    this.#isLooking = true;
    let isQuiet = true;
    for (const [file, before] of this.#seen) {
      const found = await signatureOf(file);
      if (found === before) this.#away.delete(file);
      if (found === before || (found === null && !this.#staysAway(file))) continue;
      this.#seen.set(file, found);
      this.#away.delete(file);
      this.#changed.add(file);
      isQuiet = false;
    }
    this.#isLooking = false;
    if (this.#isClosed) return;
    if (!isQuiet) this.#lookSoon();
    else if (this.#changed.size > 0) {
      const changed = [...this.#changed];
      this.#changed.clear();
      this.#onChange(changed);
    }
  }

  /** A file that was there before. */
  #staysAway(file: string): boolean {
    const nowMs = this.#clock.now();
    const sinceMs = this.#away.get(file) ?? nowMs;
    this.#away.set(file, sinceMs);
    return nowMs - sinceMs >= AWAY_MS_MAX;
  }
}

interface FileFacts {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** Differs when the file that a path leads to is another one or was written. */
function signature({ dev, ino, size, mtimeNs, ctimeNs }: FileFacts): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** null when there is no such file. */
async function signatureOf(file: string): Promise<string | null> {
  try {
    return signature(await stat(file, { bigint: true }));
  } catch {
    return null;
  }
}

function signatureNow(file: string): string | null {
  try {
    return signature(statSync(file, { bigint: true }));
  } catch {
    return null;
  }
}
