// What tests need of the machine beyond Node: commands from Debian packages. `npm test` installs them when it may (see
// scripts/setup.mjs); where one is missing, the tests that need it are skipped and say what would run them.

import { accessSync, constants } from "node:fs";
import path from "node:path";
import systemPackages from "../../scripts/system-packages.json" with { type: "json" };

/** The absolute path of a command, or null. Debian keeps servers in sbin, which is not on the PATH of every user. */
export function findCommand(command: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/sbin"];
  for (const folder of folders) {
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

/**
 * For the `skip` option of node:test: false when all the commands are there, otherwise the sentence that the report
 * shows. Only commands of scripts/system-packages.json may be asked for, so that set-up knows every one of them.
 */
export function needs(...commands: string[]): false | string {
  const missing = commands.filter((command) => findCommand(command) === null);
  if (missing.length === 0) return false;
  const packages = missing.map((command) => {
    const entry = systemPackages.find((candidate) => candidate.command === command);
    if (entry === undefined) throw new Error(`${command} is not in scripts/system-packages.json`);
    return entry.package;
  });
  return `skipped: needs ${missing.join(" and ")} (apt-get install ${packages.join(" ")})`;
}
