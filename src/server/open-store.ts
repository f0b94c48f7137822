/**
 * Opens what a configuration says of a store. The one place that knows every kind of store. The libraries are only loaded where a
 * store is configured.
 */
import type { Clock, Random, SessionStore } from "../core/ports.ts";
import { refusal } from "../identity/refusal.ts";
import type { LmdbSettings, RedisSettings, StoreConfig } from "../identity/stores/options.ts";
import type { OpenedStore } from "./session-stores.ts";
import { SetupError } from "./setup-error.ts";
import type { DialFiles } from "./tls-files.ts";

export interface StoreSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** What operators are told of a store. */
  tell(level: "info" | "warn", message: string): void;
}

const unavailable = (cause: Error) => refusal("store", "store_unavailable", { cause });

/** Rejects with a SetupError when this machine cannot give it. A server that is away is no reason. */
export async function openStore(
  config: StoreConfig,
  files: DialFiles,
  around: StoreSurroundings,
): Promise<OpenedStore> {
  return config.kind === "lmdb" ? openLmdb(config, around) : openRedis(config, files, around);
}

async function openLmdb(config: LmdbSettings & { name: string }, around: StoreSurroundings): Promise<OpenedStore> {
  const { LmdbSessionStore } = await import("../io/lmdb/session-store.ts");
  try {
    const store: SessionStore = new LmdbSessionStore(config.path, { ...around, unavailable });
    return { store, start() {} };
  } catch (error) {
    const message = `cannot open the store ${config.path}: ${(error as Error).message}`;
    throw new SetupError([{ path: ["stores", config.name], message }], error);
  }
}

async function openRedis(
  config: RedisSettings & { name: string },
  files: DialFiles,
  around: StoreSurroundings,
): Promise<OpenedStore> {
  const { openRedisStore } = await import("../io/redis/open.ts");
  const { name, graceMs, cacheTtlMs } = config;
  const tls = config.tls === null ? null : { ...files, serverName: config.tls.serverName };
  const meanwhile =
    graceMs === null ? "sessions are answered with 503" : "sessions that are in memory live on for the grace";
  const observer = {
    onAway: (failure: Error) =>
      around.tell("warn", `store ${name}: ${failure.message}; until it is back, ${meanwhile}`),
    onBack: () => around.tell("info", `store ${name}: Redis is back`),
    onUntracked: () =>
      around.tell(
        "warn",
        `store ${name}: Redis does not tell what changes: a deleted session may be believed for ${cacheTtlMs} ms`,
      ),
  };
  return openRedisStore({ ...config, tls }, { ...around, observer, unavailable });
}
