/**
 * Whether the parts of `forward` fit each other, and above all whether strangers could use the proxy: one that listens where they
 * can reach it says whom it serves, or does not start.
 *
 * It is asked once every value of the file is known to be right.
 */
import type { ListenAddress } from "../core/option-addresses.ts";
import { formatListenAddress } from "../core/option-addresses.ts";
import type { Finding, Path } from "./problems.ts";
import type { ConfigBlocks, ServerBlock } from "./schema.ts";

type ForwardBlock = NonNullable<ServerBlock["forward"]>;

export function forwardProblems({ servers, log }: ConfigBlocks): readonly Finding[] {
  const canTell = log.access !== null && log.access.format.kind === "json";
  return Object.entries(servers).flatMap(([name, server]) => {
    const { forward } = server;
    if (forward === undefined) return [];
    return [
      ...usersWithoutAuth(forward, name),
      ...openToStrangers(server, forward, name),
      ...waysBackHere(server, forward, name),
      ...(canTell ? [] : debugUnseen(forward, name)),
    ];
  });
}

function debugUnseen({ allow = [] }: ForwardBlock, server: string): readonly Finding[] {
  return allow.flatMap(({ debug }, index): Finding[] => {
    if (debug === undefined) return [];
    const path: Path = ["servers", server, "forward", "allow", index, "debug"];
    return [{ path, at: "key", message: 'nobody would see it: it needs the access log with "format: json"' }];
  });
}

function usersWithoutAuth({ auth, deny, allow = [] }: ForwardBlock, server: string): readonly Finding[] {
  if (auth !== undefined) return [];
  const path: Path = ["servers", server, "forward"];
  const rules = [
    ...deny.map((rule, index) => ["deny", index, rule] as const),
    ...allow.map((rule, index) => ["allow", index, rule] as const),
  ];
  return rules.flatMap(([list, index, { users }]): Finding[] =>
    users === undefined
      ? []
      : [
          {
            path: [...path, list, index, "users"],
            at: "key",
            message: 'nobody can prove who it is: it needs "auth" in "forward"',
          },
        ],
  );
}

/** Where a server listens for others than this machine; null: nowhere. */
export function strangersReach(server: ServerBlock): ListenAddress | null {
  return openListen(server)?.address ?? null;
}

function openListen({ listen }: ServerBlock): ServerBlock["listen"][number] | undefined {
  // Who is behind a load balancer on this machine may be anybody.
  return listen.find(({ address, proxyProtocol }) => proxyProtocol !== null || !isLoopback(address));
}

/** A proxy that serves anybody is used by everybody within days, for what its owner would have to answer for. */
function openToStrangers(server: ServerBlock, { auth, allow }: ForwardBlock, name: string): readonly Finding[] {
  const reachable = openListen(server);
  if (reachable === undefined || (auth !== undefined && !auth.optional)) return [];
  const open = (allow ?? [{ clients: undefined, users: undefined }]).findIndex(
    ({ clients, users }) => clients === undefined && users === undefined,
  );
  if (open < 0) return [];
  const path: Path = ["servers", name, "forward", ...(allow === undefined ? [] : ["allow", open])];
  const where = formatListenAddress(reachable.address);
  const [who, otherwise] = !isLoopback(reachable.address)
    ? [`who can reach ${where}`, "listen on 127.0.0.1"]
    : [`whom "proxyProtocol" names at ${where}`, 'listen without "proxyProtocol"'];
  const message =
    `would serve everybody ${who}: name the networks of its clients ` +
    `(${allow === undefined ? "allow: [{ clients: [10.0.0.0/8] }]" : "clients: [10.0.0.0/8]"}), ask who they are (auth), or ${otherwise}`;
  return [{ path, at: allow === undefined ? "key" : "value", message }];
}

/**
 * A way from a server to itself. HTTP would tell by Via, at each request; SOCKS has nothing that tells, and one tunnel would become
 * as many as a client may have.
 */
function waysBackHere({ listen }: ServerBlock, { via }: ForwardBlock, name: string): readonly Finding[] {
  return via.flatMap((rule, index): readonly Finding[] => {
    if (rule === "direct") return [];
    const back = listen.find(({ address }) => rule.proxy.some(({ host, port }) => leadsTo(address, host, port)));
    if (back === undefined) return [];
    const message = `this way leads back to this very server, which listens on ${formatListenAddress(back.address)}`;
    return [{ path: ["servers", name, "forward", "via", index, "proxy"], at: "value", message }];
  });
}

function leadsTo(address: ListenAddress, host: string, port: number): boolean {
  if (address.kind === "unix" || address.port !== port) return false;
  const own = address.host;
  return (
    own === host || (isLoopbackHost(host) && (own === null || own === "0.0.0.0" || own === "::" || own === "localhost"))
  );
}

function isLoopback(address: ListenAddress): boolean {
  return address.kind === "unix" || (address.host !== null && isLoopbackHost(address.host));
}

function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
