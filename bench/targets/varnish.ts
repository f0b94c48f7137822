/**
 * Varnish, told to pass everything: as a proxy, unless the scenario is about caches. It adds X-Forwarded-For and Via by itself. What it passes it still
 * holds in its transient storage until the client has all of it; the version of Debian 12 has no setting against that.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Target } from "./target.ts";

const TRANSIENT_BYTES = 64 * 1024 ** 2;

export const varnish: Target = {
  name: "varnish",
  abilities: ["reverse", "closing", "websocket", "cache"],
  lacks: {
    forward: "Varnish is no forward proxy",
    connect: "Varnish is no forward proxy",
    accessLog: "another program writes the log of Varnish",
    workers: "Varnish has a thread for each busy connection, not workers",
    routes: "Varnish has conditions, not routes",
    forwardAuth: "Debian's Varnish has no module for it",
    redisReads: "Debian's Varnish has no module for it",
  },
  missing: () => (findCommand("varnishd") === null ? "apt-get install varnish" : null),
  version: () => versionOf("varnishd", ["-V"]),
  launch({ folder, port, originPort, cache }) {
    const file = path.join(folder, "pass.vcl");
    writeFileSync(
      file,
      `vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "${originPort}"; .max_connections = 20000; }
sub vcl_recv {
  set req.http.X-Forwarded-Proto = "http";
  set req.http.X-Forwarded-Host = req.http.host;
  if (req.http.Upgrade) { return (pipe); }
  return (${cache === null ? "pass" : "hash"});
}
sub vcl_pipe {
  if (req.http.Upgrade) {
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
  }
}
`,
    );
    const address = `127.0.0.1:${port}`;
    const options = ["-p", "thread_pools=1", "-p", "timeout_idle=3600", "-p", "timeout_linger=1"];
    return {
      command: [
        findCommand("varnishd")!,
        ...["-F", "-j", "none", "-n", path.join(folder, "varnish"), "-a", address, "-T", "none", "-f", file],
        ...["-s", `malloc,${cache?.memoryBytes ?? TRANSIENT_BYTES}`, ...options],
      ],
    };
  },
};
