/** A program around Python's aiohttp, written as its documentation shows client and server. One process, one thread. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import type { Target } from "./target.ts";

/** Debian's, which has Debian's modules, whatever else is first on the PATH. */
const PYTHON = "/usr/bin/python3";
const program = path.join(path.dirname(import.meta.dirname), "peers/aiohttp-proxy.py");

function moduleVersion(): string | null {
  const { status, stdout } = spawnSync(PYTHON, ["-c", "import aiohttp; print(aiohttp.__version__)"], {
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : null;
}

export const aiohttp: Target = {
  name: "aiohttp",
  abilities: ["forwardAuth"],
  lacks: {
    reverse: "the program is for the scenarios of authentication",
    workers: "its workers would be processes that the program starts itself",
  },
  missing: () => (moduleVersion() === null ? "apt-get install python3-aiohttp" : null),
  version: () => moduleVersion() ?? "",
  launch: ({ port, originPort, authPort }) => ({
    command: [PYTHON, program, String(port), String(originPort)],
    env: { AUTH_PORT: String(authPort) },
  }),
};
