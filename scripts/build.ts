// Makes the JavaScript package: src without its tests becomes dist/, with declarations, and the command becomes
// executable. Nothing of an earlier build is left, so what is packed is what the sources say.

import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = path.dirname(import.meta.dirname);
const output = path.join(root, "dist");
const command = path.join(output, "cli", "main.js");

/** SIGUSR1 would open Node's inspector to whoever may signal the process, so the command starts without it. */
const shebang = "#!/usr/bin/env -S node --disable-sigusr1";

rmSync(output, { recursive: true, force: true });
const compiler = spawnSync(path.join(root, "node_modules", ".bin", "tsc"), ["-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (compiler.status !== 0) process.exit(compiler.status ?? 1);

const script = readFileSync(command, "utf8").replace(/^#!.*\n/, "");
writeFileSync(command, `${shebang}\n${script}`);
chmodSync(command, 0o755);
