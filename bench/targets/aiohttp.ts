/** A gateway in Python on asyncio, as a login's back end would write it: Debian's python3-aiohttp. One process, one thread. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import type { Target } from "./target.ts";

/** Debian's, whose packages are meant: another one in the PATH has none of them. */
const PYTHON = "/usr/bin/python3";
const peers = path.join(path.dirname(import.meta.dirname), "peers");

function python(code: string): string | null {
  const { status, stdout } = spawnSync(PYTHON, ["-c", code], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

export const aiohttp: Target = {
  name: "aiohttp",
  abilities: ["credentials"],
  lacks: { reverse: "the program stands for a gateway that authenticates" },
  missing: () =>
    python("import aiohttp, cryptography, redis") === null
      ? "apt-get install python3-aiohttp python3-cryptography python3-redis"
      : null,
  version: () => python("import aiohttp; print(aiohttp.__version__)") ?? "",
  launch({ port, originPort, sessions }) {
    const { redisPort, jwt, credentials } = sessions!;
    const ports = [port, originPort, redisPort].map(String);
    return { command: [PYTHON, path.join(peers, "credentials-proxy.py"), ...ports, jwt, credentials] };
  },
};
