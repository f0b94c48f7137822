// What the folder of a cache on the disk promises besides the contract: nobody else can read it, nothing of somebody else is touched,
// one process has it, one of another format is emptied, and a full disk is an error that passes.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { RECORD_VERSION } from "../../src/caching/keeping/record.ts";
import { FOLDER_FORMAT, openCacheBooks } from "../../src/io/cache/open.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "headgate-cache-"));
after(() => rmSync(root, { recursive: true }));
let count = 0;
const newFolder = (): string => path.join(root, String(count++), "cache");
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);
const id = "0123456789abcdef0123456789abcdef";

/** A program that has the books of the folder in its argument. */
const program = (body: string): string[] => [
  "--input-type=module",
  "--conditions=headgate-source",
  "-e",
  `import { openCacheBooks } from ${JSON.stringify(new URL("../../src/io/cache/open.ts", import.meta.url).href)};
  const books = openCacheBooks(process.argv[1]);
  ${body}`,
];

describe("a cache's folder", () => {
  test("is its owner's alone, whoever made it", async () => {
    const folder = newFolder();
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755);
    const books = openCacheBooks(folder);
    await books.put(id, Buffer.from("1"));
    const file = books.createBody(1);
    await file.append(Buffer.from("2"));
    file.letGo();
    await books.keepBody(1);
    const folders = [folder, `${folder}/books`, `${folder}/bodies`, `${folder}/bodies/01`];
    assert.deepEqual(folders.map(modeOf), ["700", "700", "700", "700"]);
    const files = ["books/data.mdb", "books/lock.mdb", "bodies/01/00000000000001", "format"];
    assert.deepEqual(
      files.map((name) => modeOf(path.join(folder, name))),
      ["600", "600", "600", "600"],
    );
    await books.close();
  });

  test("of somebody else is refused, and stays as it is", () => {
    const folder = newFolder();
    mkdirSync(path.join(folder, "bodies"), { recursive: true });
    writeFileSync(path.join(folder, "letter.txt"), "dear");
    assert.throws(
      () => openCacheBooks(folder),
      /has files in it that are not a cache's: a cache wants a folder of its own/,
    );
    assert.deepEqual(readdirSync(folder).sort(), ["bodies", "letter.txt"]);
  });

  test("of another format is emptied, and says so", async () => {
    assert.equal(FOLDER_FORMAT, RECORD_VERSION, "a new layout of records is a new format of the folder");
    const folder = newFolder();
    const before = openCacheBooks(folder, assert.fail);
    await before.put(id, Buffer.from("1"));
    await before.writeFact("slots", Buffer.from("1"));
    before.createBody(1).letGo();
    await before.keepBody(1);
    await before.close();
    writeFileSync(path.join(folder, "format"), "headgate cache 999\n");
    let emptied = 0;
    const books = openCacheBooks(folder, () => emptied++);
    assert.equal(emptied, 1);
    assert.deepEqual([books.read(id), books.readFact("slots")], [null, null]);
    assert.throws(() => books.openBody(1));
    await books.close();
    await openCacheBooks(folder, assert.fail).close();
  });

  test("that was being made when the process was killed is made anew", async () => {
    const folder = newFolder();
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "format.new"), "head");
    await openCacheBooks(folder).close();
    assert.equal(readFileSync(path.join(folder, "format"), "latin1"), `headgate cache ${FOLDER_FORMAT}\n`);
  });

  test("that another process has is refused with its number; of one that was killed it is taken over", async (context) => {
    const folder = newFolder();
    const child = spawn(process.execPath, [...program("console.log(1); setInterval(() => {}, 1000);"), folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    context.after(() => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    assert.throws(() => openCacheBooks(folder), new RegExp(`is in use as a cache by process ${child.pid}$`));
    child.kill("SIGKILL");
    await once(child, "close");
    const books = openCacheBooks(folder);
    const { status, stderr } = spawnSync(process.execPath, [...program(""), folder], { encoding: "utf8" });
    assert.notEqual(status, 0);
    assert.match(stderr, new RegExp(`is in use as a cache by process ${process.pid}\\n`));
    await books.close();
  });

  test("on a disk that is full rejects what does not fit, keeps what it had, and takes more when there is room again", async (context) => {
    const disk = path.join(root, "small-disk");
    mkdirSync(disk);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "none", disk]);
    if (mounted.status !== 0) return context.skip("needs the right to mount");
    try {
      const folder = path.join(disk, "cache");
      const books = openCacheBooks(folder);
      await books.put(id, Buffer.from("kept"));
      const filling = books.createBody(1);
      const piece = Buffer.alloc(100_000);
      await assert.rejects(
        async () => {
          for (;;) await filling.append(piece);
        },
        { code: "ENOSPC" },
      );
      const record = Buffer.alloc(200_000, 1);
      await assert.rejects(books.put(`f${id.slice(1)}`, record), {
        code: "ENOSPC",
        message: "No space left on device",
      });
      assert.equal(books.read(id)?.toString(), "kept");
      assert.equal(books.read(`f${id.slice(1)}`), null);
      filling.discard();
      filling.letGo();
      assert.ok(!existsSync(path.join(folder, "bodies/01/00000000000001.part")));
      while ((await books.freeBytes()) < 1_000_000);
      await books.put(`f${id.slice(1)}`, record);
      assert.deepEqual(books.read(`f${id.slice(1)}`), record);
      await books.close();
    } finally {
      spawnSync("umount", ["-l", disk]);
    }
  });
});
