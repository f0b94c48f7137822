/**
 * What is said of a forward proxy. `headgate forward` says once it listens whom it serves, where requests may go, and a command to
 * try it with; whose HTTPS is opened is said at every start, since whoever runs a proxy has to know.
 */
import os from "node:os";
import type { Config, ServerConfig } from "../config/config.ts";
import { joinOr } from "../config/problems.ts";
import { cacheFolder } from "../server/caches/folder.ts";
import { authorityFolder } from "../server/interceptions.ts";
import type { Listening } from "../server/listening-url.ts";
import { formatBytes } from "./status-report.ts";

type Forward = NonNullable<ServerConfig["forward"]>;
type Ports = Forward["allow"][number]["ports"];

/** Lines for a person. `caches`: those that the proxy has. */
export function forwardHints(
  { forward }: ServerConfig,
  listening: readonly Listening[],
  caches: Config["caches"] = [],
): readonly string[] {
  const [place] = listening;
  if (forward === null || place === undefined) return [];
  const [rule] = forward.allow;
  const { clients = null, hosts = null, ports, connectPorts } = rule!;
  // Of family 0 are unix sockets.
  const isSocket = place.address.family === 0;
  const isLocal = isSocket || /^(127\.|::1$)/.test(place.address.address);
  const users = Object.keys(forward.auth?.users ?? {});
  const from = isLocal ? "this machine" : clients === null ? null : joinOr(clients);
  const who =
    users.length === 0 ? (from ?? "everybody") : `whoever logs in as ${joinOr(users)}, from ${from ?? "anywhere"}`;
  const networks = forward.allow.flatMap((each) => each.networks ?? []);
  const inside = networks.length === 0 ? "" : ` or in ${joinOr(networks)}`;
  const outside = networks.length === 0 ? "; private addresses are refused (--networks)" : "";
  const where =
    hosts === null ? `any host at a public address${inside}` : `${joinOr(hosts)}, at public addresses${inside}`;
  return [
    `it serves ${who}`,
    `requests go to ${where}, port ${portsOf(ports)}, tunnels (https) to port ${portsOf(connectPorts)}${outside}`,
    ...(forward.via.length === 0 ? [] : [`all of it through ${joinOr(parentsOf(forward))}`]),
    ...(forward.intercept === null ? [] : [interceptionHint(forward.intercept)]),
    ...caches.map((cache) => cacheHint(cache, forward.intercept !== null)),
    // Of a unix socket programs that take a proxy know nothing.
    ...(isSocket ? [] : useHints(urlOf(place), users[0] ?? null, isLocal || clients === null ? "" : ", on a client")),
  ];
}

function useHints(url: string, user: string | null, where: string): readonly string[] {
  const asUser = user === null ? "" : ` --proxy-user ${quoted(user)}`;
  const withUser = user === null ? url : url.replace("://", `://${encodeURIComponent(user)}:PASSWORD@`);
  return [
    `try${where}: curl -x ${url}${asUser} http://example.org/`,
    `for other programs: export http_proxy=${withUser} https_proxy=${withUser}`,
  ];
}

/** A line for each server that opens HTTPS: of which hosts, and with which CA. */
export function openingLines(servers: readonly ServerConfig[]): readonly string[] {
  return servers.flatMap(({ name, forward }) => {
    const intercept = forward?.intercept ?? null;
    if (intercept === null) return [];
    const { hosts, except, ca } = intercept;
    const but = except.length === 0 ? "" : `, but not of ${joinOr(except)}`;
    const which = hosts.includes("*") ? "all hosts" : joinOr(hosts);
    return [`${name} opens the HTTPS of ${which}${but}, with the CA in ${authorityFolder(ca)}`];
  });
}

function parentsOf({ via }: Forward): readonly string[] {
  return via.flatMap((rule) => {
    if (rule === "direct") return [];
    return rule.proxies.map(({ kind, host, port }) => `${kind}://${host.includes(":") ? `[${host}]` : host}:${port}`);
  });
}

function interceptionHint({ hosts, ports, ca }: NonNullable<Forward["intercept"]>): string {
  const dir = ca === null ? "" : ` --dir ${quoted(ca)}`;
  return `it opens the HTTPS of ${joinOr(hosts)} on port ${portsOf(ports)}; clients have to trust its CA: headgate ca show${dir}`;
}

function cacheHint(cache: Config["caches"][number], isOpened: boolean): string {
  const which = isOpened ? "" : "; of HTTPS nothing, which only --intercept opens";
  return `answers are kept in ${cacheFolder(cache)}, up to ${formatBytes(cache.bytesMax)}${which} (headgate cache stats)`;
}

function portsOf(ports: Ports): string {
  return joinOr((ports ?? []).map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)));
}

/** As a client writes it: another machine knows this one by its name. */
function urlOf({ address: { family, address, port }, isTls }: Listening): string {
  const isAny = address === "::" || address === "0.0.0.0";
  const host = isAny ? os.hostname() : family === 6 ? `[${address}]` : address;
  return `${isTls ? "https" : "http"}://${host}:${port}`;
}

/** For a shell. */
function quoted(text: string): string {
  return /^[\w.@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
