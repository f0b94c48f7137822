/** All targets, in the order of the tables. nginx is the first: it is what the others are compared with. */
import { aiohttp } from "./aiohttp.ts";
import { caddy } from "./caddy.ts";
import { floor } from "./floor.ts";
import { haproxy } from "./haproxy.ts";
import { headgateNative, headgateNet } from "./headgate.ts";
import { nginx } from "./nginx.ts";
import { fastifyHttpProxy, fastProxy, httpProxy, proxyChain } from "./npm-peers.ts";
import { squid } from "./squid.ts";
import type { Target } from "./target.ts";
import { tinyproxy } from "./tinyproxy.ts";
import { trafficServer } from "./traffic-server.ts";
import { varnish } from "./varnish.ts";

export const TARGETS: readonly Target[] = [
  nginx,
  floor,
  headgateNative,
  headgateNet,
  haproxy,
  varnish,
  squid,
  trafficServer,
  tinyproxy,
  caddy,
  fastProxy,
  fastifyHttpProxy,
  httpProxy,
  proxyChain,
  aiohttp,
];
