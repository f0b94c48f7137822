/** Where a cache is on this machine, and what the machine has to say about that before anything is opened. */
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import path from "node:path";
import type { CacheConfig } from "../../caching/options.ts";
import { defaultCacheFolder } from "../../config/authority-folders.ts";
import type { Config } from "../../config/config.ts";
import { formatSize } from "../../core/sizes.ts";
import { booksIn, formatIn } from "../../io/cache/folder.ts";
import { folderOwner } from "../authority-folder.ts";
import { SetupError } from "../setup-error.ts";

/** The one that the configuration names, or that of its name in the usual place. */
export function cacheFolder({ directory, name }: Pick<CacheConfig, "directory" | "name">): string {
  return directory ?? defaultCacheFolder(folderOwner(), name);
}

/** Throws a SetupError where a start would fail, without making anything. */
export function checkCacheFolders({ caches }: Config): void {
  for (const cache of caches) {
    try {
      checkFolder(cacheFolder(cache));
    } catch (error) {
      throw cannotOpen(cache, reasonOf(error), error);
    }
  }
}

/** Throws what a start would find. */
function checkFolder(folder: string): void {
  const there = nearestFolder(folder);
  const { uid } = statSync(`${there}/`);
  accessSync(there, constants.W_OK | constants.X_OK);
  if (there !== folder) return;
  formatIn(folder);
  const user = process.geteuid?.() ?? 0;
  // A cache's folder is its owner's alone, which only its owner can see to.
  if (user !== 0 && user !== uid) throw Object.assign(new Error(), { code: "EPERM" });
}

/** What works and is hardly meant. */
export function cacheWarnings({ caches, workers }: Config): readonly string[] {
  return caches.flatMap((cache) => [
    ...tooLarge(cache, nearestFolder(cacheFolder(cache))),
    ...tooMuchMemory(cache, workers),
  ]);
}

/** Another process that has one of the folders: a start beside it is refused, and a reload of it is none. */
export async function cacheOwnerWarnings({ caches }: Config): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const cache of caches) {
    const folder = cacheFolder(cache);
    if (!existsSync(booksIn(folder))) continue;
    const { ownerOf } = await import("../../io/cache/open.ts");
    let owner: number | null;
    try {
      owner = ownerOf(folder);
    } catch (error) {
      throw cannotOpen(cache, reasonOf(error), error);
    }
    if (owner === null) continue;
    warnings.push(
      `cache ${cache.name}: process ${owner} has ${folder}: it can be told to reload, but no other can start beside it`,
    );
  }
  return warnings;
}

export function cannotOpen(cache: CacheConfig, reason: string, cause: unknown): SetupError {
  const message = `cannot open the cache ${cache.name} in ${cacheFolder(cache)}: ${reason}`;
  return new SetupError([{ path: ["caches", cache.name, "directory"], message }], cause);
}

export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ""] ?? message;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system cannot be written to",
  ENOSPC: "no space is left on the device",
  ENOENT: "no folder can be made there",
  ENOTDIR: "a part of the path is no folder",
};

/** The folder itself, or the one in which it would be made. */
function nearestFolder(folder: string): string {
  let there = folder;
  while (!exists(there) && path.dirname(there) !== there) there = path.dirname(there);
  return there;
}

function exists(folder: string): boolean {
  try {
    accessSync(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

/** It works all the same: `minFree` keeps it from filling the disk. */
function tooLarge({ name, bytesMax, freeBytesMin }: CacheConfig, there: string): readonly string[] {
  let whole: number;
  let free: number;
  try {
    const { blocks, bavail, bsize } = statfsSync(there);
    whole = blocks * bsize;
    free = bavail * bsize;
  } catch {
    // A file system that does not say: nothing can be said about it.
    return [];
  }
  if (whole === 0) return [];
  if (bytesMax + freeBytesMin <= whole) {
    if (free >= freeBytesMin) return [];
    const room = `${sizeText(free)} of the file system of ${there} are free, less than minFree (${formatSize(freeBytesMin)})`;
    return [`cache ${name}: ${room}: until that changes it lets go of what it has and stores nothing`];
  }
  const sum = `size ${formatSize(bytesMax)} and minFree ${formatSize(freeBytesMin)}`;
  const room = whole > freeBytesMin ? `it gets ${sizeText(whole - freeBytesMin)} at most` : "it stores nothing";
  return [`cache ${name}: ${sum} are more than the whole file system of ${there} (${sizeText(whole)}): ${room}`];
}

/** The system would begin to swap, or end the process. */
function tooMuchMemory({ name, hotBytesMax }: CacheConfig, wanted: Config["workers"]): readonly string[] {
  const there = totalmem();
  const workers = wanted === "auto" ? availableParallelism() : wanted;
  if (hotBytesMax * workers <= there) return [];
  const each = workers === 1 ? "" : ` for each of ${workers} workers`;
  return [`cache ${name}: memory ${sizeText(hotBytesMax)}${each} is more than this machine has (${sizeText(there)})`];
}

/** Whole numbers do: it is about orders of magnitude. */
function sizeText(bytes: number): string {
  const mib = Math.floor(bytes / 2 ** 20);
  return mib >= 10 * 1024 ? `${Math.floor(mib / 1024)}GiB` : `${mib}MiB`;
}
