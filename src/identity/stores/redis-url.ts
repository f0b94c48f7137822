/**
 * Where a Redis is, as text: `redis://USER:PASSWORD@HOST:PORT/DATABASE` (or `valkey://`, with an s behind it for TLS), or the unix socket
 * of one. It decides what may be said; messages never quote it, since it may hold a password.
 */
import { canonicalHost } from "../../core/option-addresses.ts";
import { resolveOptionPath } from "../../core/option-files.ts";

/** A node of Redis, or the unix socket of one. `host` has no brackets. */
export type StoreAddress =
  | { readonly host: string; readonly port: number }
  /** Absolute. */
  | { readonly path: string };

export interface RedisPlace {
  readonly address: StoreAddress;
  readonly isTls: boolean;
  readonly database: number;
  readonly username: string | null;
  readonly password: string | null;
}

export const REDIS_PORT = 6379;
const REDIS_URL = /^(redis|rediss|valkey|valkeys):\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/(\d{0,5}))?$/i;
const UNIX_URL = /^redis\+unix:(?:\/\/(?=\/))?(.+)$/is;

/** "host:port" or "host"; null when it is neither. */
export function parseNode(text: string, defaultPort: number): { readonly host: string; readonly port: number } | null {
  const match = /^(.*?)(?::(\d{1,5}))?$/s.exec(text);
  const host = canonicalHost(match?.[1] ?? "");
  const port = Number(match?.[2] ?? defaultPort);
  return host === null || port < 1 || port > 65_535 ? null : { host: host.replace(/^\[(.*)\]$/, "$1"), port };
}

/** null: it is no URL of Redis. */
export function parseRedisUrl(text: string): RedisPlace | null {
  if (text.includes("\0")) return null;
  const unix = UNIX_URL.exec(text);
  if (unix !== null) {
    const path = resolveOptionPath(unix[1] ?? "");
    return { address: { path }, isTls: false, database: 0, username: null, password: null };
  }
  const match = REDIS_URL.exec(text);
  const address = parseNode(match?.[3] ?? "", REDIS_PORT);
  if (match === null || address === null) return null;
  const [, username = "", password = ""] = /^([^:]*)(?::(.*))?$/s.exec(match[2] ?? "") ?? [];
  const credentials = [decodePart(username), decodePart(password)] as const;
  if (credentials[0] === null || credentials[1] === null) return null;
  return {
    address,
    isTls: /^(rediss|valkeys)$/i.test(match[1] ?? ""),
    database: Number(match[4] ?? 0),
    username: credentials[0] || null,
    password: credentials[1] || null,
  };
}

function decodePart(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
