// What machines share on real servers of Redis, made of options as a file has them.

import type { TierTimes } from "../../src/caching/tier/member.ts";
import { TIER_LOG_MAX } from "../../src/caching/tier/ports.ts";
import { SHARED_FORMAT } from "../../src/caching/tier/shared-answer.ts";
import { storeOptions } from "../../src/identity/stores/options.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { systemRandom } from "../../src/io/random.ts";
import type { RedisTls } from "../../src/io/redis/link.ts";
import { openRedisTier } from "../../src/io/redis/open.ts";
import { slotOf } from "../../src/io/redis/slots.ts";
import type { RedisTierStore } from "../../src/io/redis/tier-store.ts";
import { type RedisServer, until } from "../support/redis.ts";
import type { TierUnderTest } from "./tier-machines.ts";

export const tierClock = new SystemClock();

/**
 * For tests that wait for them to end: in virtual time they are tested as well. A machine that is busy with other things for some seconds
 * does not lose its lease.
 */
export const SHORT_TIMES: TierTimes = { presenceMs: 8000, leaseMs: 6500, renewMs: 300 };
/** For all others: longer than a machine may be busy with other things. */
export const LONG_TIMES: TierTimes = { presenceMs: 60_000, leaseMs: 50_000, renewMs: 300 };

/** Longer than this machine may be busy with other things: a test that is about time says its own. */
const PATIENT = { connect: "20s", command: "20s" };

/** `options` are those of a store in a file. */
export function openTier(
  options: Readonly<Record<string, unknown>>,
  name: string,
  tls: RedisTls | null = null,
  format = SHARED_FORMAT,
): RedisTierStore {
  const settings = storeOptions.parse({ timeouts: PATIENT, ...options });
  if (settings.kind !== "redis") throw new Error("no URL of Redis");
  return openRedisTier(
    { ...settings, tls },
    { name, format, logMax: TIER_LOG_MAX },
    { clock: tierClock, random: systemRandom, onUntracked() {} },
  );
}

/** Of the log and the machines. */
export function keyOf(name: string, which: string): string {
  return `headgate:cache:{${name}}:${which}`;
}

let names = 0;

/** A cache of its own on servers that many tests have. */
export function onServers(
  servers: readonly RedisServer[],
  times: TierTimes,
): TierUnderTest & { readonly name: string } {
  const name = `artifacts-${++names}`;
  const keys = ["state", "log", "machines"].map((which) => keyOf(name, which));
  // The slots of startCluster are in thirds.
  const isCluster = servers.length > 1;
  const server = servers[isCluster ? Math.min(2, Math.floor(slotOf(keys[0]!) / 5461.34)) : 0]!;
  return {
    name,
    clock: tierClock,
    times,
    open: () => openTier({ url: servers[0]!.url, ...(isCluster && { cluster: true }) }, name),
    until,
    lose: async () => void (await server.run("DEL", ...keys)),
    remember: async () => {
      for (const key of keys) await server.run("COPY", key, `${key}:then`, "REPLACE");
      return async () => {
        await server.run("HSET", `${keys[0]!}:then`, "server", "another");
        // At one moment, as a server takes over. COPY does not bring back what was not there.
        const back = keys.map(
          (key, at) => `redis.call('DEL','${key}') redis.call('COPY','${key}:then',KEYS[${at + 1}])`,
        );
        await server.run("EVAL", back.join(" "), String(keys.length), ...keys);
      };
    },
    grow: async () => void (await server.run("HSET", keys[0]!, "young", "0")),
  };
}
