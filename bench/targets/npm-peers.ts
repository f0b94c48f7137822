/** The proxies of npm, each in a small program of bench/peers written as its README shows it. One process, one thread. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Ability, Target } from "./target.ts";

const folder = path.dirname(import.meta.dirname);

function npmPeer(name: string, program: string, abilities: readonly Ability[], lacks: Target["lacks"] = {}): Target {
  const installed = path.join(folder, "node_modules", name, "package.json");
  return {
    name,
    abilities,
    lacks: { workers: "its workers would be processes that the program starts itself", ...lacks },
    missing: () => (existsSync(installed) ? null : "npm ci, in bench/"),
    version: () => (JSON.parse(readFileSync(installed, "utf8")) as { version: string }).version,
    launch: ({ port, originPort, redisPort, authPort, sessions }) => {
      const file = path.join(folder, "peers", sessions === null ? program : `credentials-${program}`);
      const command = [process.execPath, file, String(port), String(originPort)];
      if (sessions !== null) command.push(String(sessions.redisPort), sessions.jwt, sessions.credentials);
      const env = {
        ...(redisPort !== null && { REDIS_PORT: String(redisPort) }),
        ...(authPort !== null && { AUTH_PORT: String(authPort) }),
      };
      return { command, env };
    },
  };
}

export const fastProxy = npmPeer("fast-proxy", "fast-proxy.mjs", ["reverse", "closing"], {
  websocket: "fast-proxy passes no upgrades",
});
export const fastifyHttpProxy = npmPeer("@fastify/http-proxy", "fastify-http-proxy.mjs", ["reverse", "websocket"], {
  closing: "it says keep-alive, as the origin does, and closes",
});
export const httpProxy = npmPeer("http-proxy", "http-proxy.mjs", [
  "reverse",
  "closing",
  "websocket",
  "redisReads",
  "credentials",
  "forwardAuth",
]);
export const proxyChain = npmPeer("proxy-chain", "proxy-chain.mjs", ["forward", "connect"], {
  reverse: "proxy-chain is a forward proxy only",
});
