// Log lines on their way out: in batches, in order, never lost without a word, whatever becomes of the target.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs, {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { SystemClock } from "./clock.ts";
import { LogWriter, logFileTrouble } from "./log-file.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-log-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = () => path.join(folder, `${++files}.log`);
const lossLine = (lost: number) => `lost ${lost}`;

/** A writer on a virtual clock, and the troubles that it told. */
function open(file: string, bufferCharsMax?: number) {
  const clock = new VirtualClock();
  const troubles: string[] = [];
  const options = {
    lossLine,
    onTrouble: (error: Error) => troubles.push(error.message),
    onRecovered: () => troubles.push("recovered"),
  };
  const log = new LogWriter(
    { path: file },
    clock,
    bufferCharsMax === undefined ? options : { ...options, bufferCharsMax },
  );
  return { clock, troubles, log };
}

async function untilContent(file: string, content: string): Promise<void> {
  while (readFileSync(file, "utf8") !== content) await nextTurn();
}

test("lines wait for 100 ms, then leave together", async () => {
  const file = newFile();
  const { clock, log } = open(file);
  log.write("one");
  log.write("two\n");
  log.write("\u00fc\u{1f600}");
  clock.advance(99);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.equal(readFileSync(file, "utf8"), "");
  clock.advance(1);
  await untilContent(file, "one\ntwo\n\u00fc\u{1f600}\n");
  assert.equal(statSync(file).mode & 0o777 & ~0o640, 0, "not for everybody");
  await log.close();
});

test("64 KiB leave at once, and what comes meanwhile follows in order", async () => {
  const file = newFile();
  const { clock, log } = open(file);
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);
  for (const line of lines) log.write(line);
  while (statSync(file).size < 64 * 1024) await nextTurn();
  clock.advance(100);
  await log.close();
  assert.equal(readFileSync(file, "utf8"), `${lines.join("\n")}\n`);
});

test("close writes what is left; later lines are dropped; closing twice is fine", async () => {
  const file = newFile();
  const { log } = open(file);
  log.write("last words");
  await log.close();
  await log.close();
  log.write("too late");
  await log.reopen();
  assert.equal(readFileSync(file, "utf8"), "last words\n");
});

test("lines are appended to what is there", async () => {
  const file = newFile();
  fs.writeFileSync(file, "before\n");
  const { log } = open(file);
  log.write("after");
  await log.close();
  assert.equal(readFileSync(file, "utf8"), "before\nafter\n");
});

test("reopen after a rename: old lines in the old file, new ones in a new file, none lost", async () => {
  const file = newFile();
  const { clock, log } = open(file);
  log.write("old");
  clock.advance(100);
  await untilContent(file, "old\n");
  renameSync(file, `${file}.1`);
  await log.reopen();
  log.write("new");
  clock.advance(100);
  await untilContent(file, "new\n");
  assert.equal(readFileSync(`${file}.1`, "utf8"), "old\n");
  await log.close();
});

test("rotation under load loses and repeats nothing", async () => {
  const file = newFile();
  const { log } = open(file);
  let written = 0;
  for (let rotation = 1; rotation <= 10; rotation++) {
    for (let count = 0; count < 5_000; count++) log.write(`line ${written++} ${"x".repeat(40)}`);
    renameSync(file, `${file}.${rotation}`);
    const reopened = log.reopen();
    for (let count = 0; count < 5_000; count++) log.write(`line ${written++} ${"x".repeat(40)}`);
    await reopened;
    while (!existsSync(file)) await nextTurn();
  }
  await log.close();
  const parts = [...Array.from({ length: 10 }, (_, index) => `${file}.${index + 1}`), file];
  const lines = parts.flatMap((part) => readFileSync(part, "utf8").split("\n").slice(0, -1));
  assert.equal(lines.length, written);
  for (const [index, line] of lines.entries()) assert.ok(line.startsWith(`line ${index} `), line);
});

test("a folder that was removed: the old file goes on, reopening says why not, and works when the folder is back", async () => {
  const sub = path.join(folder, "sub");
  mkdirSync(sub);
  const file = path.join(sub, "a.log");
  const { clock, troubles, log } = open(file);
  rmSync(sub, { recursive: true });
  log.write("into the void");
  clock.advance(100);
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  await assert.rejects(log.reopen(), { message: `cannot open the log file ${file}: there is no such folder` });
  assert.deepEqual(troubles, []);
  mkdirSync(sub);
  await log.reopen();
  log.write("back");
  await log.close();
  assert.equal(readFileSync(file, "utf8"), "back\n");
});

test("a file that cannot be opened is an error of the start", () => {
  const missing = path.join(folder, "no", "such.log");
  assert.throws(() => open(missing), { message: `cannot open the log file ${missing}: there is no such folder` });
  assert.throws(() => open(folder), { message: `cannot open the log file ${folder}: this is a folder, not a file` });
});

test("where a log cannot be written is known without one", () => {
  const missing = path.join(folder, "no", "such.log");
  assert.equal(logFileTrouble(missing), `cannot open the log file ${missing}: there is no such folder`);
  assert.equal(logFileTrouble(folder), `cannot open the log file ${folder}: this is a folder, not a file`);
  const fresh = path.join(folder, "fresh.log");
  assert.equal(logFileTrouble(fresh), null);
  assert.equal(existsSync(fresh), false);
  const file = path.join(folder, "file");
  writeFileSync(file, "");
  assert.equal(logFileTrouble(file), null);
  const below = path.join(file, "a.log");
  assert.equal(logFileTrouble(below), `cannot open the log file ${below}: a part of the path is not a folder`);
});

test("a full disk: lines are kept, then dropped and counted; the log says so when there is room again", async (t) => {
  const { clock, troubles, log } = open("/dev/full", 1_000);
  log.write("first");
  clock.advance(100);
  while (troubles.length === 0) await nextTurn();
  for (let index = 0; index < 100; index++) log.write(`line ${index} ${"x".repeat(42)}`);
  assert.ok(log.lostLines > 50, `${log.lostLines} lines lost`);
  const { lostLines } = log;
  for (let retry = 0; retry < 3; retry++) {
    clock.advance(1_000);
    for (let turn = 0; turn < 20; turn++) await nextTurn();
  }
  assert.equal(troubles.length, 1, "told once");
  assert.match(troubles[0]!, /ENOSPC/);
  // Room again: the same descriptor is made to write elsewhere.
  const file = newFile();
  const target = fs.openSync(file, "a");
  const { write } = fs;
  t.mock.method(fs, "write", ((_fd: number, ...rest: unknown[]) =>
    (write as (...all: unknown[]) => void)(target, ...rest)) as typeof fs.write);
  while (log.lostLines > 0) {
    clock.advance(1_000);
    await nextTurn();
  }
  clock.advance(100);
  log.write("afterwards");
  await log.close();
  fs.closeSync(target);
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  assert.equal(lines[0], "first");
  assert.ok(lines[1]!.startsWith("line 0 "));
  assert.equal(lines.at(-2), `lost ${lostLines}`);
  assert.equal(lines.at(-1), "afterwards");
  assert.equal(troubles[1], "recovered");
  assert.equal(troubles.length, 2);
  assert.equal(lines.length, 1 + (100 - lostLines) + 2);
});

const module = path.join(import.meta.dirname, "log-file.ts");
const clockModule = path.join(import.meta.dirname, "clock.ts");

/** A process that writes to its standard output through a LogWriter; `first` runs before that is made. */
function child(body: string, first = "") {
  const script = `
    import { LogWriter, logFileTrouble } from ${JSON.stringify(module)};
    import { SystemClock } from ${JSON.stringify(clockModule)};
    ${first}
    const clock = new SystemClock();
    const onTrouble = (error) => process.stderr.write(error.code + "\\n");
    const log = new LogWriter("stdout", clock, { lossLine: (lost) => "lost " + lost, onTrouble, bufferCharsMax: 300_000 });
    ${body}`;
  return spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "pipe"] });
}

test("standard output: everything arrives, through a pipe that is slower than we are", async () => {
  const process = child(`
    for (let count = 0; count < 20_000; count++) log.write("line " + count);
    await log.close();`);
  let text = "";
  for await (const chunk of process.stdout) {
    text += chunk;
    await nextTurn();
  }
  assert.equal(text, Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join(""));
});

test("standard output that nobody reads: the process goes on, drops, and can end", async () => {
  const process = child(`
    for (let count = 0; count < 100_000; count++) log.write("line " + count);
    process.stderr.write("lost " + (log.lostLines > 0) + "\\n");
    setTimeout(() => { process.stderr.write("alive\\n"); process.exit(); }, 50);`);
  process.stdout.pause();
  let text = "";
  for await (const chunk of process.stderr) text += chunk;
  assert.equal(text, "lost true\nalive\n");
  process.stdout.destroy();
  assert.equal(process.exitCode ?? (await once(process, "exit"))[0], 0);
});

test("standard output whose reader has gone: told once, the process goes on", async () => {
  const process = child(`
    process.stdin.once("data", () => {
      for (let count = 0; count < 3; count++) setTimeout(() => log.write("x"), count * 150);
      setTimeout(() => { process.stderr.write("alive\\n"); process.exit(); }, 600);
    });
    process.stderr.write("ready\\n");`);
  let text = "";
  process.stderr.on("data", (chunk) => {
    text += chunk;
    if (String(chunk).includes("ready")) {
      process.stdout.destroy();
      process.stdin.write("go");
    }
  });
  const [code] = await once(process, "close");
  assert.equal(text, "ready\nEPIPE\nalive\n");
  assert.equal(code, 0);
});

test("standard output that another process has made wait for its reader: the process can end", async () => {
  // As the process before an upgrade does: it has begun with a pipe that waits, and ends after us.
  const before = 'process.stdout.on("error", () => {}); process.stdin.resume(); process.stderr.write("ready")';
  const first = `
    import { spawn } from "node:child_process";
    import { once } from "node:events";
    const before = spawn(process.execPath, ["-e", ${JSON.stringify(before)}], { stdio: ["pipe", "inherit", "pipe"] });
    await once(before.stderr, "data");`;
  const body = `
    before.stdin.end();
    await once(before, "exit");
    for (let count = 0; count < 20_000; count++) log.write("line " + count);
    setTimeout(() => process.exit(), 500);`;
  const process = child(body, first);
  process.stdout.pause();
  const deadline = setTimeout(() => process.kill("SIGKILL"), 10_000);
  const [code] = await once(process, "exit");
  clearTimeout(deadline);
  process.stdout.destroy();
  assert.equal(code, 0);
});

test("a named pipe: refused while nobody reads it, and who reads it slowly or goes holds nobody up", {
  skip: os.platform() === "win32",
}, async () => {
  const file = newFile();
  execFileSync("mkfifo", [file]);
  assert.throws(() => new LogWriter({ path: file }, new SystemClock(), { lossLine }), /: nobody reads this pipe, /);
  const reader = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const { log, clock, troubles } = open(file);
  // More than a pipe holds: what is written is not waited for, and what is left is tried again.
  const text = "x".repeat(100_000);
  log.write(text);
  const read = Buffer.alloc(100_001);
  let bytes = 0;
  while (bytes < read.length) {
    await nextTurn();
    clock.advance(10);
    try {
      bytes += fs.readSync(reader, read, bytes, read.length - bytes, null);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN");
    }
  }
  assert.equal(read.toString(), `${text}\n`);
  fs.closeSync(reader);
  await assert.rejects(log.reopen(), /: nobody reads this pipe, /);
  assert.deepEqual(troubles, []);
  await log.close();
});

test("a socket, as /dev/stdout is under systemd, is no file, and no pipe that lacks a reader", {
  skip: os.platform() === "win32",
}, async () => {
  const file = newFile();
  const server = net.createServer().listen(file);
  await once(server, "listening");
  assert.throws(() => new LogWriter({ path: file }, new SystemClock(), { lossLine }), / or it is a socket; .* stdout/);
  server.close();
});

test("flushSync saves the last lines of a process that ends at once", async () => {
  const process = child(`
    process.on("exit", () => log.flushSync());
    log.write("last words");
    process.exit(3);`);
  let text = "";
  for await (const chunk of process.stdout) text += chunk;
  assert.equal(text, "last words\n");
});

test("a real clock writes without being asked", async () => {
  const file = newFile();
  const log = new LogWriter({ path: file }, new SystemClock(), { lossLine });
  log.write("by itself");
  await untilContent(file, "by itself\n");
  await log.close();
});
