/** The folder of the authority of interception, as `headgate ca init` makes it: the names of its files. */
import os from "node:os";
import path from "node:path";
import type { FolderOwner } from "../config/authority-folders.ts";

export const CERTIFICATE_FILE = "ca.pem";
export const KEY_FILE = "ca.key";
/** The files that are read, for who watches them. */
export function pathsOfAuthority(folder: string): readonly string[] {
  return [path.join(folder, CERTIFICATE_FILE), path.join(folder, KEY_FILE)];
}

/** Of this process, for the default folders. */
export function folderOwner(): FolderOwner {
  return { uid: process.getuid?.() ?? null, env: process.env, home: os.homedir() };
}
