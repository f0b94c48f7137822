/**
 * Our name in Via when the configuration leaves it to us: the same after every restart, different for every host and for
 * every server on it, and no host name, which would tell strangers about the inside of a network.
 *
 * Loops are found by this name, so two servers that are lawfully chained on one host, in one process or in two, need two.
 * What tells them apart is where they listen.
 */
import { createHash } from "node:crypto";
import os from "node:os";
import type { Config, ServerConfig } from "../config/config.ts";

/** Our name in Via on this server; null: `Via` is left alone. */
export function viaNameOf({ via }: Config, server: ServerConfig, instance: string): string | null {
  if (via.kind === "off") return null;
  return via.kind === "name" ? via.name : madeViaName(server, instance);
}

/** `instance` stands for addresses that the system has yet to choose, and for those of a server that listens nowhere. */
export function madeViaName(server: ServerConfig, instance: string, hostname: string = os.hostname()): string {
  const isKnown =
    server.listen.length > 0 && !server.listen.some(({ address }) => "port" in address && address.port === 0);
  const places = server.listen.map(({ text }) => text).sort();
  const place = isKnown ? places : [...places, server.name, instance];
  const digest = createHash("sha256")
    .update(["via", hostname, ...place].join("\n"))
    .digest("hex");
  return `headgate-${digest.slice(0, 12)}`;
}
