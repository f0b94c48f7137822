/**
 * What differs between two configurations, in the terms of those who keep things alive: sockets, servers, pools of
 * connections, code. What is the same here may go on untouched through a reload.
 */
import { canonicalJson } from "./canonical.ts";
import type { Config, ListenConfig, ServerConfig } from "./config.ts";

/** Names of one kind of thing, by what happened to them. */
export interface NamesDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
}

export interface ConfigDiff {
  /** By canonical address, whichever server it belongs to: a socket can pass from one server to another. */
  readonly listeners: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    /** In both: the socket stays. */
    readonly kept: readonly string[];
    /** Among those kept: TLS came, went or has other certificates or versions. */
    readonly tlsChanged: readonly string[];
    /** Among those kept: another server has it now. */
    readonly moved: readonly string[];
  };
  /** By name. Changed: its routes, limits or addresses, what they inherit included. */
  readonly servers: NamesDiff;
  /** By name. Changed: the pool has to be made anew; connections of the old one end when they are idle. */
  readonly upstreams: NamesDiff;
  /** By name. Changed: the store has to be opened anew. */
  readonly stores: NamesDiff;
  /** By name. Changed: other limits, which apply at once, or another folder, which is another cache. */
  readonly caches: NamesDiff;
  /** The address of the admin interface. */
  readonly admin: boolean;
  readonly log: boolean;
  readonly trustedProxies: boolean;
  readonly via: boolean;
  /** Only a restart can change it. */
  readonly transport: boolean;
  /** Only a restart can change it. */
  readonly workers: boolean;
  /** Not the least difference. */
  readonly same: boolean;
}

export function diffConfig(before: Config, after: Config): ConfigDiff {
  const differs = (key: keyof Config) => canonicalJson(before[key]) !== canonicalJson(after[key]);
  return {
    listeners: diffListeners(listenersOf(before), listenersOf(after)),
    servers: diffNames(before.servers, after.servers),
    upstreams: diffNames(before.upstreams, after.upstreams),
    stores: diffNames(before.stores, after.stores),
    caches: diffNames(before.caches, after.caches),
    admin: differs("admin"),
    log: differs("log"),
    trustedProxies: differs("trustedProxies"),
    via: differs("via"),
    transport: differs("transport"),
    workers: differs("workers"),
    same: canonicalJson(before) === canonicalJson(after),
  };
}

interface OwnedListener {
  readonly listen: ListenConfig;
  readonly server: string;
}

function listenersOf(config: Config): ReadonlyMap<string, OwnedListener> {
  const owned = config.servers.flatMap((server) =>
    server.listen.map(
      (listen, index) => [listenerKey(listen, server, index), { listen, server: server.name }] as const,
    ),
  );
  return new Map(owned);
}

/** Port 0 may be asked for more than once: such a listener is known by its place. */
export function listenerKey(listen: ListenConfig, server: ServerConfig, index: number): string {
  const anyPort = listen.address.kind === "tcp" && listen.address.port === 0;
  return anyPort ? `${listen.text} (${server.name}.listen[${index}])` : listen.text;
}

function diffListeners(before: ReadonlyMap<string, OwnedListener>, after: ReadonlyMap<string, OwnedListener>) {
  const kept = [...after.keys()].filter((key) => before.has(key));
  const keptBy = (differs: (old: OwnedListener | undefined, now: OwnedListener | undefined) => boolean) =>
    kept.filter((key) => differs(before.get(key), after.get(key)));
  return {
    added: [...after.keys()].filter((key) => !before.has(key)),
    removed: [...before.keys()].filter((key) => !after.has(key)),
    kept,
    tlsChanged: keptBy((old, now) => canonicalJson(old?.listen.tls) !== canonicalJson(now?.listen.tls)),
    moved: keptBy((old, now) => old?.server !== now?.server),
  };
}

function diffNames(
  before: readonly { readonly name: string }[],
  after: readonly { readonly name: string }[],
): NamesDiff {
  const old = new Map(before.map((item) => [item.name, canonicalJson(item)]));
  const now = new Map(after.map((item) => [item.name, canonicalJson(item)]));
  const both = [...now.keys()].filter((name) => old.has(name));
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
    changed: both.filter((name) => old.get(name) !== now.get(name)),
    unchanged: both.filter((name) => old.get(name) === now.get(name)),
  };
}
