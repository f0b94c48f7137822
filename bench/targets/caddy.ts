/** Caddy: one process, GOMAXPROCS as many as workers. It adds the three forwarding fields by itself. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Assignment, Target } from "./target.ts";

function caddyfile({ port, originPort, accessLog, authPort, routes, tls }: Assignment): string {
  const pass = `reverse_proxy 127.0.0.1:${originPort} {
      transport http {
        keepalive 1h
        keepalive_idle_conns_per_host 256
      }
    }`;
  const bind = "bind 127.0.0.1";
  const log = accessLog === null ? "" : `log {\n output file ${accessLog}\n format json\n }`;
  const secure = tls === null ? "" : `tls ${tls.cert} ${tls.key}`;
  const auth = authPort === null ? "" : `forward_auth 127.0.0.1:${authPort} {\n uri /auth\n copy_headers X-User\n }`;
  const sites =
    routes === null
      ? [`${tls === null ? "http" : "https"}://:${port} {\n ${bind}\n ${secure}\n ${log}\n ${auth}\n ${pass}\n}`]
      : routes.hosts.map((host) => {
          const handlers = routes.paths.map((prefix) => `handle ${prefix}/* {\n ${pass}\n }`);
          return `http://${host}:${port} {\n ${bind}\n ${handlers.join("\n")}\n}`;
        });
  return `{\n admin off\n auto_https off\n log {\n level ERROR\n }\n}\n${sites.join("\n")}\n`;
}

export const caddy: Target = {
  name: "caddy",
  abilities: ["reverse", "closing", "tls", "workers", "websocket", "routes", "accessLog", "forwardAuth"],
  lacks: {
    forward: "Debian's Caddy is no forward proxy",
    connect: "Debian's Caddy is no forward proxy",
    redisReads: "Debian's Caddy runs no code that reads Redis",
  },
  missing: () => (findCommand("caddy") === null ? "apt-get install caddy" : null),
  version: () => versionOf("caddy", ["version"]),
  launch(assignment) {
    const file = path.join(assignment.folder, "Caddyfile");
    writeFileSync(file, caddyfile(assignment));
    return {
      command: [findCommand("caddy")!, "run", "--config", file, "--adapter", "caddyfile"],
      env: {
        GOMAXPROCS: String(assignment.workers),
        // Caddy keeps files of its own where these say.
        XDG_DATA_HOME: assignment.folder,
        XDG_CONFIG_HOME: assignment.folder,
      },
    };
  },
};
