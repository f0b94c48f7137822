/** HAProxy: one process, as many threads as workers. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Assignment, Target } from "./target.ts";

/** Hosts and paths are looked up in a map, which is a tree of prefixes; each of its lines names a backend. */
function routing({ folder, routes }: Assignment): string {
  if (routes === null) return "  default_backend origin";
  const map = path.join(folder, "routes.map");
  const lines = routes.hosts.flatMap((host) => routes.paths.map((prefix) => `${host}${prefix}/ origin`));
  writeFileSync(map, `${lines.join("\n")}\n`);
  return `  use_backend %[base,map_beg(${map})]`;
}

function haproxyConfig(assignment: Assignment): string {
  const { port, originPort, workers, clientsMax, accessLog, tls } = assignment;
  return `global
  nbthread ${workers}
  maxconn ${clientsMax + 64}
  no strict-limits
${accessLog === null ? "" : "  log stdout format raw local0"}
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 60s
  timeout tunnel 3600s
  option http-keep-alive
  http-reuse always
${accessLog === null ? "" : "  log global\n  option httplog"}
frontend clients
  bind 127.0.0.1:${port} backlog 4096${tls === null ? "" : ` ssl crt ${tls.bundle} alpn http/1.1`}
${routing(assignment)}
backend origin
  option forwardfor
  http-request set-header X-Forwarded-Proto ${tls === null ? "http" : "https"}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  server one 127.0.0.1:${originPort} pool-max-conn 512
`;
}

export const haproxy: Target = {
  name: "haproxy",
  abilities: ["reverse", "closing", "tls", "workers", "websocket", "routes", "accessLog"],
  lacks: {
    forward: "HAProxy is no forward proxy",
    connect: "HAProxy is no forward proxy",
    forwardAuth: "HAProxy needs a Lua program for it",
    redisReads: "HAProxy needs a Lua program for it",
  },
  missing: () => (findCommand("haproxy") === null ? "apt-get install haproxy" : null),
  version: () => versionOf("haproxy", ["-v"]),
  launch(assignment) {
    const file = path.join(assignment.folder, "haproxy.cfg");
    writeFileSync(file, haproxyConfig(assignment));
    const command = [findCommand("haproxy")!, "-db", "-f", file];
    return assignment.accessLog === null ? { command } : { command, stdoutFile: assignment.accessLog };
  },
};
