/**
 * Certificates of intercepted hosts, with their keys, in a folder: a file for each host, which its owner alone may read. A file is
 * written under another name first, so that nobody ever reads half of one, and several threads and processes may share the
 * folder. What is old, or more than there should be, is removed now and then; no file that another made is ever touched.
 *
 * The files are named by a digest of the CA and the host: safe on every system, of one length, and no list of who was visited. So
 * proxies with different CAs may share the folder too.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { LeafStore } from "../core/ports.ts";
import type { SystemError } from "./failures.ts";

/** Sixty times what a leaf with its chain and its key has: what is longer is none. */
const FILE_BYTES_MAX = 256 * 1024;
/** Some 80 MiB of disk. A client that asks for ever new names of an intercepted domain fills no more than this. */
const FILES_MAX = 20_000;
/** Looking at every file takes a while, and a thousand more than there should be do no harm. */
const WRITES_BETWEEN_SWEEPS = 1_000;
/** Files that nobody will finish: whoever wrote them is gone. */
const UNFINISHED_MS = 60_000;
const STORED = /^[0-9a-f]{64}\.pem$/;
const UNFINISHED = /^[0-9a-f]{64}\.[0-9a-f]{16}\.new$/;

export interface LeafFilesOptions {
  /** Made when it is needed, for its owner alone. */
  readonly folder: string;
  /** Tells CAs apart, such as the fingerprint of one. */
  readonly authority: string;
  /** A file that is older is of no use. */
  readonly keepMs: number;
  readonly wallMs: () => number;
  /** Left out: FILES_MAX. */
  readonly filesMax?: number;
}

export class LeafFiles implements LeafStore {
  readonly #options: LeafFilesOptions;
  readonly #filesMax: number;
  /** Since the last sweep. The first write of a run sweeps. */
  #writes = WRITES_BETWEEN_SWEEPS;

  constructor(options: LeafFilesOptions) {
    this.#options = options;
    this.#filesMax = options.filesMax ?? FILES_MAX;
  }

  async read(host: string): Promise<string | null> {
    try {
      const file = this.#fileOf(host);
      const { size } = await stat(file);
      return size > FILE_BYTES_MAX ? null : await readFile(file, "latin1");
    } catch {
      // Why does not matter: it is made anew, and if it cannot be written either, that is told.
      return null;
    }
  }

  async write(host: string, pem: string): Promise<void> {
    await this.#secureFolder();
    const file = this.#fileOf(host);
    const unfinished = `${file.slice(0, -".pem".length)}.${randomBytes(8).toString("hex")}.new`;
    try {
      // "x": a name that is there, or a link that leads elsewhere, is not written to.
      await writeFile(unfinished, pem, { encoding: "latin1", flag: "wx", mode: 0o600 });
      await rename(unfinished, file);
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {});
      throw error;
    }
    if (this.#writes++ >= WRITES_BETWEEN_SWEEPS) {
      this.#writes = 0;
      await this.#sweep();
    }
  }

  #fileOf(host: string): string {
    const { folder, authority } = this.#options;
    return path.join(folder, `${createHash("sha256").update(`${authority}\0${host}`).digest("hex")}.pem`);
  }

  /** Who may write to the folder could put back a certificate of last week, of which he has got hold of the key. */
  async #secureFolder(): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { mode, uid } = await stat(folder);
    const own = process.getuid?.() ?? uid;
    if (uid !== own && uid !== 0) throw new Error(`${folder} belongs to another user`);
    if (process.platform !== "win32" && (mode & 0o022) !== 0) {
      throw new Error(`${folder} can be written to by other users: chmod 700 ${folder}`);
    }
  }

  async #sweep(): Promise<void> {
    const wallMs = this.#options.wallMs();
    const kept: { readonly file: string; readonly modifiedMs: number }[] = [];
    for (const name of await readdir(this.#options.folder)) {
      if (!STORED.test(name) && !UNFINISHED.test(name)) continue;
      const file = path.join(this.#options.folder, name);
      const modifiedMs = await modificationOf(file);
      const maxAgeMs = STORED.test(name) ? this.#options.keepMs : UNFINISHED_MS;
      if (modifiedMs + maxAgeMs < wallMs) await rm(file, { force: true });
      else if (STORED.test(name)) kept.push({ file, modifiedMs });
    }
    kept.sort((a, b) => a.modifiedMs - b.modifiedMs);
    for (const { file } of kept.slice(0, Math.max(0, kept.length - this.#filesMax))) await rm(file, { force: true });
  }
}

/** What another thread has removed meanwhile is as old as can be. */
async function modificationOf(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    if ((error as SystemError).code === "ENOENT") return 0;
    throw error;
  }
}
