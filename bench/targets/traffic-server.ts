/**
 * Apache Traffic Server, as a cache in front of an origin. Which folders it uses says a file ("runroot"): those of its package for
 * programs, our own for the rest. Objects are in one file of a fixed size, and in memory what is asked for often.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Assignment, CacheSize, Target } from "./target.ts";

/** It keeps the directory of its store at the head of it, and takes none that is smaller. */
const STORE_BYTES_MIN = 256 * 1024 ** 2;

/** Debian's package. */
const INSTALLED = { exec_prefix: "/usr", bindir: "/usr/bin", sbindir: "/usr/sbin", includedir: "/usr/include" };
const MODULES = { libdir: "/usr/lib/trafficserver", libexecdir: "/usr/lib/trafficserver/modules" };

const ALLOW = `ip_allow:
  - { apply: in, ip_addrs: 127.0.0.0/8, action: allow, methods: ALL }
`;

function records({ port }: Assignment, { memoryBytes }: CacheSize): string {
  const settings: Record<string, string | number> = {
    "http.server_ports": `${port}:ip-in=127.0.0.1`,
    "cache.ram_cache.size": memoryBytes,
    "cache.ram_cache_cutoff": memoryBytes,
    "http.cache.http": 1,
    "http.insert_response_via_str": 0,
    "http.insert_request_via_str": 0,
    "http.keep_alive_no_activity_timeout_in": 3600,
    "http.keep_alive_no_activity_timeout_out": 3600,
    "http.transaction_no_activity_timeout_in": 3600,
    "http.insert_squid_x_forwarded_for": 1,
    "reverse_proxy.enabled": 1,
    "url_remap.remap_required": 1,
    "url_remap.pristine_host_hdr": 1,
    "log.logging_enabled": 0,
    "exec_thread.autoconfig": 0,
    "exec_thread.limit": 1,
    accept_threads: 0,
    crash_log_helper: "NULL",
    // Who started it goes on to be its user.
    "admin.user_id": "#-1",
  };
  return Object.entries(settings)
    .map(([name, value]) => `CONFIG proxy.config.${name} ${typeof value === "number" ? "INT" : "STRING"} ${value}\n`)
    .join("");
}

export const trafficServer: Target = {
  name: "ats",
  abilities: ["cache"],
  lacks: { reverse: "is here as a cache only" },
  missing: () => (findCommand("traffic_server") === null ? "apt-get install trafficserver" : null),
  version: () => versionOf("traffic_server", ["-V"]),
  launch(assignment) {
    const { folder, originPort, cache } = assignment;
    if (cache === null) throw new Error("it is here as a cache only");
    const sysconfdir = path.join(folder, "etc");
    const others = ["datadir", "runtimedir", "logdir", "cachedir"].map((name) => [name, path.join(folder, name)]);
    const own: Record<string, string> = { sysconfdir, ...Object.fromEntries(others) };
    for (const made of Object.values(own)) mkdirSync(made);
    const layout = { prefix: folder, localstatedir: folder, ...INSTALLED, ...MODULES, ...own };
    const lines = Object.entries(layout).map(([name, value]) => `${name}: ${value}\n`);
    writeFileSync(path.join(folder, "runroot.yaml"), lines.join(""));
    const store = path.join(cache.folder, "store");
    const storeBytes = Math.max(cache.diskBytes, STORE_BYTES_MIN);
    const descriptor = openSync(store, "w");
    ftruncateSync(descriptor, storeBytes);
    closeSync(descriptor);
    const files = {
      "storage.config": `${store} ${storeBytes}\n`,
      "remap.config": `map / http://127.0.0.1:${originPort}/\n`,
      "records.config": records(assignment, cache),
      "ip_allow.yaml": ALLOW,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(sysconfdir, name), text);
    return { command: [findCommand("traffic_server")!, `--run-root=${folder}`] };
  },
};
