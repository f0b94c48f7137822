/** All scenarios, in the order in which they run when none is named. */
import { accessLog } from "./access-log.ts";
import { answer1m, answer10k } from "./answers.ts";
import { browserHead } from "./browser-head.ts";
import { download, upload } from "./bulk.ts";
import { cacheHitLarge, cacheHitLargeFile, cacheHitSmall, cacheMixed } from "./cache.ts";
import { cacheEntries } from "./cache-entries.ts";
import { connections } from "./connections.ts";
import { credentials, credentialsCold, credentialsShots } from "./credentials.ts";
import { defaultLoad } from "./default-load.ts";
import { connect, connectShort, forwardHttp } from "./forward.ts";
import { forwardAuth } from "./forward-auth.ts";
import { active, routes } from "./growth.ts";
import { idle } from "./idle.ts";
import { direct, latency } from "./latency.ts";
import { redisReads } from "./redis-reads.ts";
import { relay } from "./relay.ts";
import type { Scenario } from "./scenario.ts";
import { small } from "./small.ts";
import { steady } from "./steady.ts";
import { tls, tlsConnections } from "./tls.ts";
import { connectEcho, tunnels, websocket } from "./tunnels.ts";
import { workers } from "./workers.ts";

export const SCENARIOS: readonly Scenario[] = [
  small,
  browserHead,
  answer10k,
  answer1m,
  download,
  upload,
  connections,
  tls,
  tlsConnections,
  idle,
  websocket,
  connectEcho,
  forwardHttp,
  connect,
  connectShort,
  tunnels,
  routes,
  active,
  steady,
  workers,
  latency,
  accessLog,
  relay,
  direct,
  credentials,
  credentialsCold,
  credentialsShots,
  forwardAuth,
  redisReads,
  cacheHitSmall,
  cacheHitLarge,
  cacheHitLargeFile,
  cacheMixed,
  cacheEntries,
  defaultLoad,
];
