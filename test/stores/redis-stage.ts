// Stores on real servers of Redis, made of options as a file has them.

import { after } from "node:test";
import type { Clock } from "../../src/core/ports.ts";
import { refusal } from "../../src/identity/refusal.ts";
import { storeOptions } from "../../src/identity/stores/options.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { systemRandom } from "../../src/io/random.ts";
import type { RedisCluster } from "../../src/io/redis/cluster.ts";
import type { RedisTls } from "../../src/io/redis/link.ts";
import type { RedisNode } from "../../src/io/redis/node.ts";
import { openRedisStore } from "../../src/io/redis/open.ts";

export const SURROUNDINGS = {
  clock: new SystemClock(),
  random: systemRandom,
  unavailable: (cause: Error) => refusal("store", "store_unavailable", { cause }),
};

export interface Told {
  readonly events: string[];
}

const opened: { close(): Promise<void> }[] = [];
after(() => Promise.all(opened.map((store) => store.close())));

/** Longer than this machine may be busy with other things: a test that is about time says its own. */
const PATIENT = { connect: "2m", command: "2m" };

/** Closed behind the test file. `options` are those of a file, or a URL. `told.events` hears what operators are told. */
export function openRedis(
  options: string | Readonly<Record<string, unknown>>,
  { clock, tls, told }: { clock?: Clock; tls?: RedisTls; told?: Told } = {},
): RedisNode | RedisCluster {
  const settings = storeOptions.parse({
    timeouts: PATIENT,
    ...(typeof options === "string" ? { url: options } : options),
  });
  if (settings.kind !== "redis") throw new Error("no URL of Redis");
  const observer = {
    onAway: (failure: Error) => void told?.events.push(`away: ${failure.message}`),
    onBack: () => void told?.events.push("back"),
    onUntracked: () => void told?.events.push("untracked"),
  };
  const { store } = openRedisStore(
    { ...settings, tls: tls ?? null },
    { ...SURROUNDINGS, ...(clock !== undefined && { clock }), observer },
  );
  opened.push(store);
  return store as RedisNode | RedisCluster;
}
