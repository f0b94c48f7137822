/** Squid without a cache: as a reverse proxy ("accelerator"), and as a forward proxy. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Target } from "./target.ts";

export const squid: Target = {
  name: "squid",
  abilities: ["reverse", "closing", "forward", "connect"],
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
  launch({ folder, port, originPort, clientsMax, role }) {
    const file = path.join(folder, "squid.conf");
    const reverse = `http_port 127.0.0.1:${port} accel defaultsite=localhost
cache_peer 127.0.0.1 parent ${originPort} 0 no-query no-digest originserver name=origin
never_direct allow all`;
    const forward = `http_port 127.0.0.1:${port}
always_direct allow all
via off`;
    writeFileSync(
      file,
      `${role === "forward" ? forward : reverse}
http_access allow all
cache deny all
cache_mem 0 MB
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
    return { command: [findCommand("squid")!, "-N", "-f", file] };
  },
};
