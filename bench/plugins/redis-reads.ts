/** The configuration of Headgate for the scenario redis-reads: a plugin reads three keys, one after another, for every request. */
import type { Exchange, Feature } from "../../src/index.ts";
import { configWith } from "./config-with.ts";
import { RedisReader } from "./redis-reader.ts";

const redis = new RedisReader(Number(process.env.REDIS_PORT));

const redisReads: Feature = {
  name: "redis-reads",
  async request(exchange: Exchange) {
    const first = await redis.get("bench:1");
    const second = await redis.get("bench:2");
    const third = await redis.get("bench:3");
    if (!exchange.ended) exchange.request.fields.set("X-Keys", `${first},${second},${third}`);
  },
};

export default configWith(redisReads);
