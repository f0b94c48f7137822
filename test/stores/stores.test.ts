// The contract of session stores, on each of them: in memory, in an LMDB, on a real Redis as it is, behind TLS and a password, on
// a unix socket, behind sentinels, as a cluster, without tracking, and as old as before RESP3.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe } from "node:test";
import { LmdbSessionStore } from "../../src/io/lmdb/session-store.ts";
import { MemorySessionStore } from "../../src/testing/session-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { RedisServer, startCluster } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { realTime, type StoreUnderTest, sessionStoreContract } from "./contract.ts";
import { openRedis, SURROUNDINGS, type Told } from "./redis-stage.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "headgate-stores-"));
after(() => rmSync(root, { recursive: true }));

describe("sessions in memory", () => {
  const clock = new VirtualClock();
  const store = new MemorySessionStore(clock);
  sessionStoreContract("memory", () => ({ store, now: () => clock.now(), pass: async (ms) => clock.advance(ms) }));
});

describe("sessions in an LMDB", () => {
  const store = new LmdbSessionStore(path.join(root, "sessions.d"), SURROUNDINGS);
  sessionStoreContract("lmdb", () => onRealTime(store));
});

function onRealTime(store: StoreUnderTest["store"]): StoreUnderTest {
  return { store, now: () => performance.now(), pass: realTime };
}

/** The contract on what `start` gives, whose servers end behind it. */
function onRedis(name: string, start: (servers: RedisServer[]) => Promise<StoreUnderTest["store"]>): void {
  describe(`sessions on Redis, ${name}`, { skip: needs("redis-server") }, () => {
    const servers: RedisServer[] = [];
    let store: StoreUnderTest["store"];
    before(async () => {
      store = await start(servers);
    });
    after(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())));
    sessionStoreContract(name, () => onRealTime(store));
  });
}

async function started(servers: RedisServer[], ...args: Parameters<typeof RedisServer.start>): Promise<RedisServer> {
  const server = await RedisServer.start(...args);
  servers.push(server);
  return server;
}

onRedis("as it is", async (servers) => openRedis((await started(servers)).url));

onRedis("without tracking", async (servers) => openRedis({ url: (await started(servers)).url, tracking: "off" }));

onRedis("without a cache", async (servers) => openRedis({ url: (await started(servers)).url, cache: { entries: 0 } }));

onRedis("where tracking is forbidden", async (servers) => {
  const args = ["--user", "app", "on", ">word", "~*", "+@all", "-client|tracking", "--user", "default", "off"];
  return openRedis(`redis://app:word@127.0.0.1:${(await started(servers, { args })).port}/2`);
});

onRedis("with no more rights than the documentation says", async (servers) => {
  const rights = "+get +pttl +ping +hello +select +client|tracking +set +del +scan".split(" ");
  const args = ["--user", "app", "on", ">word", "~*", ...rights, "--user", "default", "off"];
  const server = await started(servers, { args });
  const told: Told = { events: [] };
  const store = openRedis(`redis://app:word@127.0.0.1:${server.port}/2`, { told });
  await store.get("any");
  assert.deepEqual(told.events, [], "tracked");
  return store;
});

onRedis("that speaks RESP2 only", async (servers) => {
  const args = ["--rename-command", "HELLO", ""];
  return openRedis((await started(servers, { args })).url);
});

onRedis("on a unix socket, with a password", async (servers) => {
  const args = ["--unixsocket", "FOLDER/redis.sock", "--requirepass", "p@ss word"];
  const server = await started(servers, { args });
  return openRedis({ url: `redis+unix:${server.folder}/redis.sock`, password: "p@ss word" });
});

onRedis("behind TLS, which wants a certificate of ours", async (servers) => {
  const folder = path.join(root, "tls");
  mkdirSync(folder);
  const authority = new Authority();
  const issued = issueCertificate({ names: ["redis.test"], issuer: authority });
  for (const [name, text] of [
    ["ca", authority.cert],
    ["cert", issued.cert],
    ["key", issued.key],
  ] as const) {
    writeFileSync(path.join(folder, name), text);
  }
  const args = [
    "--tls-cert-file",
    `${folder}/cert`,
    "--tls-key-file",
    `${folder}/key`,
    "--tls-ca-cert-file",
    `${folder}/ca`,
  ];
  const server = await started(servers, { args, isTls: true });
  const tls = { ca: authority.cert, cert: issued.cert, key: issued.key, serverName: "redis.test" };
  return openRedis(`rediss://127.0.0.1:${server.port}`, { tls });
});

onRedis("behind sentinels, of which one is away", async (servers) => {
  const master = await started(servers);
  const args = ["--sentinel"];
  const file = path.join(master.folder, "sentinel.conf");
  writeFileSync(file, `sentinel monitor main 127.0.0.1 ${master.port} 1\n`);
  const sentinel = await started(servers, { args: [file, ...args] });
  const nodes = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${sentinel.port}`];
  return openRedis({ url: "redis://unused.invalid", sentinel: { name: "main", nodes } });
});

onRedis("as a cluster", async (servers) => {
  servers.push(...(await startCluster()));
  return openRedis({ url: servers[0]!.url, cluster: true });
});
