/** Small files of text, and why one cannot be read, in words for the operator. */
import { readFile, stat } from "node:fs/promises";
import type { SystemError } from "./failures.ts";

const FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of the path is not a folder",
  EISDIR: "this is a folder, not a file",
  EACCES: "permission denied; the user that runs the proxy must be able to read it",
  ERR_ENCODING_INVALID_ENCODED_DATA: "it is not UTF-8 text",
};

/** Rejects with an Error whose message says why, without the path. */
export async function readTextFile(path: string, bytesMax: number): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw new Error(`it is larger than ${bytesMax / 1024 / 1024} MiB`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    const { code = "", message } = error as SystemError;
    throw new Error(`cannot be read: ${FAILURES[code] ?? message}`, { cause: error });
  }
}
