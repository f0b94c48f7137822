/**
 * A cache's folder: what belongs into it, and whether it is ours. It holds a file that says its format, the books (an LMDB) and the
 * bodies, and is its owner's alone (mode 0700). A folder with anything else in it is refused: nothing of somebody else is removed.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";

const FORMAT_FILE = "format";
const FORMAT_FILE_NEW = "format.new";
/** The format's name while what is there must not be trusted: renaming needs no room on a disk that is full. */
const DISTRUSTED_FILE = "format.distrusted";
const FORMAT_LINE = /^headgate cache (\d{1,9})\n$/;

/** Where the books are, and where the bodies. */
export function booksIn(folder: string): string {
  return path.join(folder, "books");
}

export function bodiesIn(folder: string): string {
  return path.join(folder, "bodies");
}

/** What is in it cannot be used: it is of another format, or was not to be trusted when the last process ended. */
export const UNUSABLE = 0;

/**
 * Makes it when it is not there. Returns the format of what is in it, or UNUSABLE; null: nothing is. Throws an Error that says what is
 * wrong.
 */
export function prepareFolder(folder: string): number | null {
  makeFolder(folder);
  const format = formatIn(folder);
  // It may have been made by somebody else, with other rights.
  chmodSync(folder, 0o700);
  return format;
}

/** What `prepareFolder` returns and throws, of a folder that is there: nothing is made or changed. */
export function formatIn(folder: string): number | null {
  const names = readdirSync(folder);
  const isEmpty = names.every((name) => name === FORMAT_FILE_NEW);
  const format = isEmpty ? null : names.includes(DISTRUSTED_FILE) ? UNUSABLE : readFormat(folder);
  if (!isEmpty && format === null) {
    throw new Error(`${folder} has files in it that are not a cache's: a cache wants a folder of its own`);
  }
  return format;
}

/** Not by `recursive`, which tries without end where a file system has no place for new folders, such as /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

/** To be called before anything else is put into it, so that it is known for what it is. */
export function writeFormat(folder: string, format: number): void {
  const name = path.join(folder, FORMAT_FILE);
  writeFileSync(`${name}.new`, `headgate cache ${format}\n`, { mode: 0o600 });
  renameSync(`${name}.new`, name);
  rmSync(path.join(folder, DISTRUSTED_FILE), { force: true });
}

/** Whether the next process finds what is there, or begins with nothing. Throws an Error when the disk fails. */
export function setTrust(folder: string, isTrusted: boolean): void {
  const names = [FORMAT_FILE, DISTRUSTED_FILE].map((name) => path.join(folder, name)) as [string, string];
  if (isTrusted) renameSync(names[1], names[0]);
  else renameSync(names[0], names[1]);
}

/** The library that keeps the books would make their folder for everybody to read. */
export function makeBooksFolder(folder: string): void {
  mkdirSync(booksIn(folder), { recursive: true, mode: 0o700 });
}

/** null: there is none. */
function readFormat(folder: string): number | null {
  try {
    const found = FORMAT_LINE.exec(readFileSync(path.join(folder, FORMAT_FILE), "latin1"));
    return found === null ? null : Number(found[1]);
  } catch {
    return null;
  }
}
