/** Opens what the keeper of a cache has of the machines that it shares with. Only loaded where a cache is shared. */

import type { Keeper } from "../../caching/keeping/keeper.ts";
import { KeeperTier } from "../../caching/tier/keeper-tier.ts";
import { TIER_LOG_MAX } from "../../caching/tier/ports.ts";
import { SHARED_FORMAT } from "../../caching/tier/shared-answer.ts";
import type { RedisStoreConfig } from "../../identity/stores/options.ts";
import { openRedisTier } from "../../io/redis/open.ts";
import type { AppLog } from "../app-log.ts";
import { unheldClock as clock, random } from "../surroundings.ts";
import { TlsFiles } from "../tls-files.ts";

/**
 * It begins to take part; a Redis that is away is no reason to wait. `name`: caches of the same one share. Rejects with a SetupError when
 * a file that the store names cannot be used.
 */
export async function openTier(
  name: string,
  store: RedisStoreConfig,
  keeper: Keeper,
  log: AppLog,
): Promise<KeeperTier> {
  const files = await TlsFiles.load({ servers: [], upstreams: [], caches: [], stores: [store] });
  const tls = store.tls === null ? null : { ...files.forUpstream(store.tls), serverName: store.tls.serverName };
  const way = openRedisTier(
    { ...store, tls },
    { name, format: SHARED_FORMAT, logMax: TIER_LOG_MAX },
    {
      clock,
      random,
      onUntracked: () =>
        log.warn(`cache ${name}: Redis does not tell what changes: purges of other machines come later`),
    },
  );
  const onChange = (cutOff: string | null): void => {
    if (cutOff === null) log.info(`cache ${name}: shared with other machines`);
    else
      log.warn(
        `cache ${name}: cut off from the machines that share it, so that nothing is found in it, and requests go to the origin: ${cutOff}`,
      );
  };
  const onForgotten = (): void => {
    log.warn(
      `cache ${name}: all that was stored is forgotten, since what the other machines purged meanwhile cannot be known: Redis has lost it, or no longer has all of it`,
    );
  };
  // Another one after each start: a machine that is back is one that has to catch up.
  const machine = `${chance()}${chance()}`;
  const tier = new KeeperTier({ keeper, store: way, clock, machine, onChange, onForgotten });
  tier.start();
  return tier;
}

function chance(): string {
  return Math.floor(random.next() * 2 ** 48).toString(36);
}
