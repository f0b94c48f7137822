// npm and Node as a user of the package has them: the machine's own, not those of this clone's node_modules.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

export const repositoryRoot = path.resolve(import.meta.dirname, "../..");

export const manifest = JSON.parse(readFileSync(path.join(repositoryRoot, "package.json"), "utf8")) as {
  version: string;
  engines: { node: string };
  scripts: Record<string, string>;
};

/** The environment without what an outer `npm test` says about itself, and without our node_modules/.bin on the PATH. */
export function userEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("npm_") || name.startsWith("npm_config_"),
  );
  const folders = (process.env.PATH ?? "").split(path.delimiter);
  const outside = folders.filter((folder) => !folder.endsWith(path.join("node_modules", ".bin")));
  // NODE_TEST_CONTEXT would make every Node that is started report as a test of this one.
  return { ...Object.fromEntries(kept), PATH: outside.join(path.delimiter), NODE_TEST_CONTEXT: undefined };
}

/** Runs npm in a folder and gives what it wrote to stdout; when it fails, all that it wrote is in the exception. */
export function npm(cwd: string, ...args: string[]): string {
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  const options = { cwd, env: userEnvironment(), encoding: "utf8" } as const;
  const { status, stdout, stderr } = spawnSync("npm", [...args, ...quiet], options);
  if (status !== 0) throw new Error(`npm ${args.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout;
}

/** Compares versions by their numbers: whether `version` is at least `floor`. */
export function isAtLeast(version: string, floor: string): boolean {
  const [have, want] = [version, floor].map((text) => text.replace(/^v/, "").split(".").map(Number));
  const at = [0, 1, 2].find((index) => (have?.[index] ?? 0) !== (want?.[index] ?? 0));
  return at === undefined || (have?.[at] ?? 0) > (want?.[at] ?? 0);
}

/**
 * The folder of a Node for users: the machine's own when the package supports it, otherwise the oldest supported line
 * from the registry, installed below `folder`. Only that package's install script may run.
 */
export function provideNode(folder: string): string {
  const floor = manifest.engines.node.replace(">=", "");
  const own = execFileSync("node", ["-p", "process.execPath + ' ' + process.version"], {
    env: userEnvironment(),
    encoding: "utf8",
  });
  const [executable = "", version = ""] = own.trim().split(" ");
  if (isAtLeast(version, floor)) return path.dirname(executable);
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ private: true, allowScripts: { node: true } }));
  npm(folder, "install", `node@${floor}`);
  return path.join(folder, "node_modules", "node", "bin");
}
