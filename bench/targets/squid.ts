/**
 * Squid as a reverse proxy ("accelerator"), and as a forward proxy: without a cache, unless the scenario is about caches. Its own folders
 * of a store must be made before it runs.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { CacheSize, Target } from "./target.ts";

const MIB = 1024 ** 2;

/** What is larger than the objects of any scenario, and what it may keep of one in memory. */
function cacheOptions({ folder, memoryBytes, diskBytes }: CacheSize): string {
  return `cache_mem ${Math.ceil(memoryBytes / MIB)} MB
maximum_object_size 1 GB
maximum_object_size_in_memory 2 MB
memory_replacement_policy heap GDSF
cache_dir aufs ${folder} ${Math.ceil(diskBytes / MIB)} 16 256`;
}

export const squid: Target = {
  name: "squid",
  abilities: ["reverse", "closing", "forward", "connect", "cache"],
  lacks: {
    websocket: "Squid 5 passes no upgrades by itself",
    workers: "Squid's workers need shared memory of the system",
    routes: "Squid has access lists, not routes",
    accessLog: "Squid's log goes through another program",
    forwardAuth: "Squid asks programs, not endpoints",
    redisReads: "Squid runs no code of ours",
  },
  missing: () => (findCommand("squid") === null ? "apt-get install squid" : null),
  version: () => versionOf("squid", ["-v"]),
  launch({ folder, port, originPort, clientsMax, role, cache }) {
    const file = path.join(folder, "squid.conf");
    const reverse = `http_port 127.0.0.1:${port} accel defaultsite=localhost
cache_peer 127.0.0.1 parent ${originPort} 0 no-query no-digest no-netdb-exchange originserver name=origin
never_direct allow all`;
    const forward = `http_port 127.0.0.1:${port}
always_direct allow all
via off`;
    writeFileSync(
      file,
      `${role === "forward" ? forward : reverse}
http_access allow all
${cache === null ? "cache deny all\ncache_mem 0 MB" : cacheOptions(cache)}
access_log none
cache_log ${folder}/squid.log
cache_store_log none
pid_filename none
netdb_filename none
pinger_enable off
forwarded_for ${role === "forward" ? "delete" : "on"}
max_filedescriptors ${clientsMax * 2 + 256}
server_persistent_connections on
client_persistent_connections on
client_idle_pconn_timeout 1 hour
server_idle_pconn_timeout 1 hour
shutdown_lifetime 0 seconds
coredump_dir ${folder}
workers 1
`,
    );
    if (cache !== null) {
      // Started by root, it gives up those rights for a user of its own.
      chmodSync(cache.folder, 0o777);
      const { status, stderr } = spawnSync(findCommand("squid")!, ["-z", "-N", "-f", file], { encoding: "utf8" });
      if (status !== 0) throw new Error(`squid -z: ${stderr.trim()}`);
    }
    return { command: [findCommand("squid")!, "-N", "-f", file] };
  },
};
