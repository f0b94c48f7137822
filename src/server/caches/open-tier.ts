/** Opens what the keeper of a cache has of the machines that it shares with. Only loaded where a cache is shared. */

import type { Keeper } from "../../caching/keeping/keeper.ts";
import { KeeperTier } from "../../caching/tier/keeper-tier.ts";
import { TIER_LOG_MAX } from "../../caching/tier/ports.ts";
import { CONNECT_TIMEOUT_MS, STORE_COMMAND_TIMEOUT_MS } from "../../core/limits.ts";
import type { RedisPlace } from "../../core/option-redis.ts";
import { RedisTierStore } from "../../io/redis/tier-store.ts";
import type { AppLog } from "../app-log.ts";
import { unheldClock as clock, random } from "../surroundings.ts";

/** It begins to take part; a Redis that is away is no reason to wait. `name`: caches of the same one share. */
export function openTier(
  name: string,
  { address, isTls, ...place }: RedisPlace,
  keeper: Keeper,
  log: AppLog,
): KeeperTier {
  const store = new RedisTierStore(
    {
      ...place,
      name,
      logMax: TIER_LOG_MAX,
      address: () => Promise.resolve(address),
      tls: isTls ? { ca: null, cert: null, key: null, serverName: null } : null,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      commandTimeoutMs: STORE_COMMAND_TIMEOUT_MS,
      mustBeMaster: false,
    },
    {
      clock,
      random,
      observer: {
        onAway: ({ message }) =>
          log.warn(
            `cache ${name}: ${message}; until it is back, nothing is found in it, and requests go to the origin`,
          ),
        onBack: () => log.info(`cache ${name}: Redis is back`),
        onUntracked: () =>
          log.warn(`cache ${name}: Redis does not tell what changes: purges of other machines come later`),
      },
    },
  );
  // Another one after each start: a machine that is back is one that has to catch up.
  const machine = `${Math.floor(random.next() * 2 ** 48).toString(36)}${Math.floor(random.next() * 2 ** 48).toString(36)}`;
  const tier = new KeeperTier({ keeper, store, clock, machine });
  tier.start();
  return tier;
}
