/** Which commands this machine has. Debian keeps servers in sbin, which is not on the PATH of every user. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import path from "node:path";

/** The absolute path of a command, or null. */
export function findCommand(command: string): string | null {
  for (const folder of [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/sbin"]) {
    if (folder === "") continue;
    const file = path.join(folder, command);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** The first thing that looks like a version in what the command prints, on either output; "" when there is none. */
export function versionOf(command: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(findCommand(command) ?? command, args, { encoding: "utf8", timeout: 5_000 });
  return /\d+\.\d+(?:\.\d+)*/.exec(`${stdout}\n${stderr}`)?.[0] ?? "";
}
