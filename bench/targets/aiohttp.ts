/** Programs around Python's aiohttp, written as its documentation shows client and server. One process, one thread. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import type { Target } from "./target.ts";

/** Debian's, which has Debian's modules, whatever else is first on the PATH. */
const PYTHON = "/usr/bin/python3";
const peers = path.join(path.dirname(import.meta.dirname), "peers");

function python(code: string): string | null {
  const { status, stdout } = spawnSync(PYTHON, ["-c", code], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

export const aiohttp: Target = {
  name: "aiohttp",
  abilities: ["forwardAuth", "credentials"],
  lacks: {
    reverse: "the programs are for the scenarios of authentication",
    workers: "its workers would be processes that the program starts itself",
  },
  missing: () =>
    python("import aiohttp, cryptography, redis") === null
      ? "apt-get install python3-aiohttp python3-cryptography python3-redis"
      : null,
  version: () => python("import aiohttp; print(aiohttp.__version__)") ?? "",
  launch({ port, originPort, authPort, sessions }) {
    const ports = [String(port), String(originPort)];
    if (sessions === null) {
      return {
        command: [PYTHON, path.join(peers, "aiohttp-proxy.py"), ...ports],
        env: { AUTH_PORT: String(authPort) },
      };
    }
    const { redisPort, jwt, credentials } = sessions;
    const program = path.join(peers, "credentials-proxy.py");
    return { command: [PYTHON, program, ...ports, String(redisPort), jwt, credentials] };
  },
};
