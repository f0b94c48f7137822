/**
 * tinyproxy: a forward proxy with a thread for each connection. It keeps no connection, to clients or to origins: each request
 * opens two and closes them.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Target } from "./target.ts";

export const tinyproxy: Target = {
  name: "tinyproxy",
  abilities: ["forward", "connect"],
  lacks: { reverse: "tinyproxy as a reverse proxy rewrites paths, and knows no other settings" },
  missing: () => (findCommand("tinyproxy") === null ? "apt-get install tinyproxy" : null),
  version: () => versionOf("tinyproxy", ["-v"]),
  launch({ folder, port, clientsMax }) {
    const file = path.join(folder, "tinyproxy.conf");
    writeFileSync(
      file,
      `Port ${port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 3600
MaxClients ${clientsMax}
DisableViaHeader Yes
LogFile "${folder}/tinyproxy.log"
LogLevel Critical
`,
    );
    return { command: [findCommand("tinyproxy")!, "-d", "-c", file] };
  },
};
