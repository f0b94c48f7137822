/** Where a cache is on this machine, and what the machine has to say about that before anything is opened. */
import { accessSync, constants, statfsSync } from "node:fs";
import path from "node:path";
import type { CacheConfig } from "../../caching/options.ts";
import { defaultCacheFolder } from "../../config/authority-folders.ts";
import type { Config } from "../../config/config.ts";
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
      accessSync(nearestFolder(cacheFolder(cache)), constants.W_OK | constants.X_OK);
    } catch (error) {
      throw cannotOpen(cache, reasonOf(error), error);
    }
  }
}

/** What works and is hardly meant. */
export function cacheWarnings({ caches }: Config): readonly string[] {
  return caches.flatMap((cache) => tooLarge(cache, nearestFolder(cacheFolder(cache))));
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
  try {
    const { blocks, bsize } = statfsSync(there);
    whole = blocks * bsize;
  } catch {
    // A file system that does not say: nothing can be said about it.
    return [];
  }
  if (whole === 0 || bytesMax + freeBytesMin <= whole) return [];
  const sum = `size ${sizeText(bytesMax)} and minFree ${sizeText(freeBytesMin)}`;
  const room = whole > freeBytesMin ? `it gets ${sizeText(whole - freeBytesMin)} at most` : "it stores nothing";
  return [`cache ${name}: ${sum} are more than the whole file system of ${there} (${sizeText(whole)}): ${room}`];
}

/** Whole numbers do: it is about orders of magnitude. */
function sizeText(bytes: number): string {
  const mib = Math.floor(bytes / 2 ** 20);
  return mib >= 10 * 1024 ? `${Math.floor(mib / 1024)}GiB` : `${mib}MiB`;
}
