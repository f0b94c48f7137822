// A thread that ends, as each does when the code of a plugin changes, leaves no file of a cache open: the process lives on, and what
// was removed would keep its blocks.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { needsProc } from "../support/soak-process.ts";

const FILES = 20;

/** Opens all, and when it is told so lets them go and ends. */
const reader = `
  import { pbkdf2 } from "node:crypto";
  import { parentPort, workerData } from "node:worker_threads";
  import { openCacheDisk } from ${JSON.stringify(new URL("../../src/io/cache/open.ts", import.meta.url).href)};
  const disk = openCacheDisk(workerData.folder);
  const files = [];
  for (let body = 1; body <= workerData.count; body++) files.push(disk.openBody(body));
  parentPort.once("message", () => {
    // Others have the pool's threads just now.
    for (let count = 0; count < 8; count++) pbkdf2("", "", 50_000, 64, "sha512", () => {});
    for (const file of files.splice(0, workerData.count / 2)) file.letGo();
    const closed = disk.close();
    for (const file of files) file.letGo();
    closed.then(() => process.exit(0));
  });
  parentPort.postMessage("open");
`;

function openIn(folder: string): number {
  const names = readdirSync("/proc/self/fd").map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      // The one that listed the folder.
      return "";
    }
  });
  return names.filter((name) => name.startsWith(path.join(folder, "bodies"))).length;
}

test("a thread that ends leaves no removed file open", { skip: needsProc }, async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-cache-"));
  const books = openCacheBooks(folder);
  for (let body = 1; body <= FILES; body++) {
    const file = books.createBody(body);
    await file.append(Buffer.alloc(100_000, body));
    file.letGo();
    await books.keepBody(body);
  }
  const url = new URL(`data:text/javascript,${encodeURIComponent(reader)}`);
  const worker = new Worker(url, { workerData: { folder, count: FILES } });
  await once(worker, "message");
  assert.ok(openIn(folder) >= FILES);
  for (let body = 1; body <= FILES; body++) await books.removeBody(body);
  const exited = once(worker, "exit");
  worker.postMessage("end");
  await exited;
  await books.close();
  assert.equal(openIn(folder), 0);
  rmSync(folder, { recursive: true });
});
