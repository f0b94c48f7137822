// The folder of leaves: whole files, for their owner alone, not too many of them, and nobody else's touched.

import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { TestFolder } from "../../test/support/folder.ts";
import { LeafFiles, type LeafFilesOptions } from "./leaf-files.ts";

const DAY_MS = 86_400_000;

function filesIn(folder: string, options: Partial<LeafFilesOptions> = {}): LeafFiles {
  return new LeafFiles({ folder, authority: "CA", keepMs: 7 * DAY_MS, wallMs: () => Date.now(), ...options });
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

test("what was written is read, by another run too, and by its owner alone", async () => {
  using folder = new TestFolder();
  const place = folder.file("cache/leaves");
  const files = filesIn(place);
  assert.equal(await files.read("a.example"), null);
  await files.write("a.example", "first");
  await files.write("a.example", "second");
  await files.write("2001:db8::1", "third");
  assert.equal(await filesIn(place).read("a.example"), "second");
  assert.equal(await filesIn(place).read("2001:db8::1"), "third");
  assert.equal(await filesIn(place, { authority: "another CA" }).read("a.example"), null);
  assert.equal(modeOf(place), "700");
  for (const name of readdirSync(place)) assert.equal(modeOf(path.join(place, name)), "600");
});

test("no name of a host leads out of the folder, or is too long for one", async () => {
  using folder = new TestFolder();
  const files = filesIn(folder.file("leaves"));
  const hosts = ["../../etc/passwd", "a/b", "con", "nul.example", "a".repeat(253), "A", "a", "\0"];
  for (const host of hosts) await files.write(host, host);
  for (const host of hosts) assert.equal(await files.read(host), Buffer.from(host).toString("latin1"));
  const names = readdirSync(folder.file("leaves"));
  assert.equal(names.length, hosts.length);
  for (const name of names) assert.match(name, /^[0-9a-f]{64}\.pem$/);
});

test("many writers of one host leave one whole file", async () => {
  using folder = new TestFolder();
  const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(5_000));
  await Promise.all(texts.map((text) => filesIn(folder.file("leaves")).write("a.example", text)));
  assert.ok(texts.includes((await filesIn(folder.file("leaves")).read("a.example"))!));
  assert.equal(readdirSync(folder.file("leaves")).length, 1);
});

test("a file that is far too long, or is none, is as good as none", async () => {
  using folder = new TestFolder();
  const files = filesIn(folder.path);
  await files.write("a.example", "x");
  const [name = ""] = readdirSync(folder.path);
  folder.write(name, "x".repeat(1024 * 1024));
  assert.equal(await files.read("a.example"), null);
  await files.write("a.example", "y");
  assert.equal(await files.read("a.example"), "y");
});

test("a folder to which others may write is not used", { skip: process.platform === "win32" }, async () => {
  using folder = new TestFolder();
  chmodSync(folder.path, 0o777);
  const words = `${folder.path} can be written to by other users: chmod 700 ${folder.path}`;
  await assert.rejects(filesIn(folder.path).write("a.example", "x"), { message: words });
  assert.deepEqual(readdirSync(folder.path), []);
});

test("where nothing can be written, that is told, and nothing stays behind", async () => {
  using folder = new TestFolder();
  const file = folder.write("file", "");
  await assert.rejects(filesIn(path.join(file, "leaves")).write("a.example", "x"), { code: "ENOTDIR" });
  assert.equal(await filesIn(path.join(file, "leaves")).read("a.example"), null);
  // In the place of the file stands a folder.
  const place = folder.file("leaves");
  await filesIn(place).write("a.example", "x");
  const [name = ""] = readdirSync(place);
  mkdirSync(path.join(folder.file("others"), name), { recursive: true, mode: 0o700 });
  await assert.rejects(filesIn(folder.file("others")).write("a.example", "x"), { code: "EISDIR" });
  assert.deepEqual(readdirSync(folder.file("others")), [name]);
});

test("what is old goes, what is more than it should be goes, and what others made stays", async () => {
  using folder = new TestFolder();
  const files = filesIn(folder.path);
  const aged = (name: string, ageMs: number): string => {
    const file = folder.file(name);
    if (!existsSync(file)) writeFileSync(file, "");
    utimesSync(file, new Date(), (Date.now() - ageMs) / 1000);
    return name;
  };
  const stored = (digit: string): string => `${digit.repeat(64)}.pem`;
  const others = [
    aged("notes.txt", 90 * DAY_MS),
    aged("ca.pem", 90 * DAY_MS),
    aged(`${"a".repeat(63)}.pem`, 90 * DAY_MS),
  ];
  symlinkSync(folder.file("notes.txt"), folder.file("link.pem"));
  aged(stored("1"), 8 * DAY_MS);
  aged(`${"2".repeat(64)}.${"0".repeat(16)}.new`, DAY_MS);
  const young = [aged(stored("3"), 6 * DAY_MS), aged(stored("4"), 5 * DAY_MS), aged(stored("5"), 4 * DAY_MS)];
  const unfinished = aged(`${"6".repeat(64)}.${"0".repeat(16)}.new`, 1_000);
  await files.write("a.example", "x");
  const mine = readdirSync(folder.path).filter((name) => ![...others, "link.pem", ...young, unfinished].includes(name));
  assert.equal(mine.length, 1);
  assert.deepEqual(readdirSync(folder.path).sort(), [...others, "link.pem", ...young, unfinished, ...mine].sort());

  await filesIn(folder.path, { filesMax: 2 }).write("a.example", "x");
  assert.deepEqual(readdirSync(folder.path).sort(), [...others, "link.pem", stored("5"), unfinished, ...mine].sort());
});
