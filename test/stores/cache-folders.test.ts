// The contract of a cache's folder, on the one in memory and on the one on the disk.

import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after } from "node:test";
import { openCacheBooks, openCacheDisk } from "../../src/io/cache/open.ts";
import { MemoryCacheFolder } from "../../src/testing/cache-folder.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { cacheFolderContract } from "./cache-contract.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "headgate-cache-"));
after(() => rmSync(root, { recursive: true }));
let count = 0;

cacheFolderContract("memory", () => {
  const folder = new MemoryCacheFolder(new VirtualClock());
  return { openBooks: () => folder.openBooks(), openDisk: () => folder.openDisk(), isReal: false };
});

cacheFolderContract("disk", () => {
  const folder = path.join(root, String(count++), "cache");
  return {
    openBooks: () => openCacheBooks(folder),
    openDisk: () => openCacheDisk(folder),
    isReal: true,
  };
});
