// Redis stopped, silent, restarted, or never there: what is asked fails soon, what is kept is not believed longer than it may be,
// and everything works again by itself.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { ProxyError } from "../../src/core/errors.ts";
import type { RedisTls } from "../../src/io/redis/link.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { RedisServer, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { answerAsUsual, ScriptedRedis } from "../support/scripted-redis.ts";
import { ShiftedClock } from "../support/shifted-clock.ts";
import { openRedis, type Told } from "./redis-stage.ts";

/** The milliseconds that it took to refuse. */
async function refused(asked: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof ProxyError);
    assert.equal(error.status, 503);
    assert.equal(error.reason, "store_unavailable");
    assert.deepEqual(error.fields, [["Retry-After", "5"]]);
    return true;
  });
  return performance.now() - start;
}

const isDone = (asked: Promise<unknown>): Promise<boolean> =>
  asked.then(
    () => true,
    () => false,
  );
const works = (store: { get(key: string): Promise<unknown> }): Promise<boolean> => isDone(store.get("any"));

/** Well before the stage's timeouts, and longer than a crowded machine keeps a process from running. */
const SOON_MS = 60_000;
const HOUR_MS = 3_600_000;

describe("Redis", { skip: needs("redis-server") }, () => {
  test("is stopped and started again", async () => {
    await using server = await RedisServer.start({ isDurable: true });
    const told: Told = { events: [] };
    const store = openRedis(server.url, { told });
    await store.put("k", "v", null);
    await store.get("k");
    await server.stop();
    await until(() => store.peek("k") === undefined);
    for (let count = 0; count < 3; count++) assert.ok((await refused(store.get("k"))) < SOON_MS);
    await refused(store.put("k", "v", null));
    await refused(store.delete("k"));
    await refused(
      (async () => {
        for await (const _ of store.list("")) assert.fail("nothing to list");
      })(),
    );
    await server.restart();
    await until(() => works(store));
    assert.equal((await store.get("k"))?.value, "v");
    assert.equal(store.peek("k")?.value, "v", "kept again");
    assert.equal(told.events.length, 2, told.events.join());
    assert.match(told.events[0] ?? "", /^away: Redis cannot be reached: \w/);
    assert.equal(told.events[1], "back");
  });

  test("is killed while look-ups are under way, again and again", async () => {
    await using server = await RedisServer.start({ isDurable: true });
    const store = openRedis({ url: server.url, cache: { entries: 0 } });
    for (let index = 0; index < 20; index++) await store.put(`k${index}`, `v${index}`, null);
    let asking = true;
    let answered = 0;
    const askers = Array.from({ length: 20 }, async (_, index) => {
      while (asking) {
        const record = await store.get(`k${index}`).catch(() => undefined);
        if (record === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
        // An answer is right, or there is none.
        else assert.equal(record?.value, `v${index}`);
        if (record !== undefined) answered++;
      }
    });
    for (let round = 0; round < 3; round++) {
      const before = answered;
      await until(() => answered > before + 200);
      await server.stop("SIGKILL");
      await server.restart();
    }
    const before = answered;
    await until(() => answered > before + 200);
    asking = false;
    await Promise.all(askers);
  });

  test("is silent: frozen, and its connections stay", async () => {
    await using server = await RedisServer.start();
    const told: Told = { events: [] };
    const store = openRedis({ url: server.url, timeouts: { command: "200ms", connect: "300ms" } }, { told });
    await until(() => works(store));
    told.events.length = 0;
    await until(() => isDone(store.put("k", "v", null)));
    await until(() => isDone(store.get("k")));
    told.events.length = 0;
    server.freeze();
    const frozenMs = performance.now();
    const took = await refused(store.get("other"));
    assert.ok(took >= 150 && took < 200 + SOON_MS, `${took} ms`);
    await until(() => store.peek("k") === undefined);
    assert.ok(performance.now() - frozenMs < 1200 + SOON_MS);
    // The kernel still takes connections in its name.
    for (let count = 0; count < 5; count++) assert.ok((await refused(store.get("k"))) < 200 + SOON_MS);
    server.thaw();
    await until(() => works(store));
    // On a crowded machine, any answer may take longer than 200 ms.
    await until(() => isDone(store.get("k")));
    assert.equal(store.peek("k")?.value, "v");
    assert.match(told.events.join(), /^away: Redis is silent: no answer within 200 ms,.*back$/);
  });

  test("is silent and nobody asks: the ping finds out", async () => {
    await using server = await RedisServer.start();
    const told: Told = { events: [] };
    const store = openRedis({ url: server.url, timeouts: { command: "100ms" } }, { told });
    await until(() => works(store));
    told.events.length = 0;
    await until(() => isDone(store.put("k", "v", null)));
    await until(() => isDone(store.get("k")));
    told.events.length = 0;
    server.freeze();
    const start = performance.now();
    await until(() => told.events.length > 0);
    assert.equal(store.peek("k"), undefined);
    assert.ok(performance.now() - start < 1100 + SOON_MS);
    server.thaw();
  });

  test("is away, and known sessions live on for the grace", async () => {
    await using server = await RedisServer.start();
    const clock = new ShiftedClock();
    const store = openRedis({ url: server.url, grace: "1h" }, { clock });
    await store.put("k", "v", null);
    await store.put("short", "v", HOUR_MS / 2);
    await store.get("k");
    await store.get("short");
    await store.get("unknown");
    await server.stop();
    await until(() => store.peek("unknown") === undefined);
    for (const key of ["k", "short"]) assert.equal(store.peek(key)?.value, "v");
    await refused(store.get("unknown"));
    assert.equal((await store.get("k"))?.value, "v");
    // Its own end still holds.
    clock.aheadMs = HOUR_MS / 2;
    assert.equal(store.peek("short"), undefined);
    assert.equal(store.peek("k")?.value, "v");
    clock.aheadMs = HOUR_MS;
    assert.equal(store.peek("k"), undefined);
    await refused(store.get("k"));
  });

  test("comes back without what it had: what was kept over the outage is forgotten", async () => {
    await using server = await RedisServer.start();
    const store = openRedis({ url: server.url, grace: "1h" });
    await store.put("k", "v", null);
    await store.get("k");
    await server.stop();
    await until(async () => (await store.get("x").catch(() => undefined)) === undefined);
    assert.equal(store.peek("k")?.value, "v");
    await server.restart();
    await until(() => works(store));
    assert.equal(await store.get("k"), null);
  });

  test("is not there at the start, and comes later", async () => {
    await using server = await RedisServer.start();
    await server.stop();
    const told: Told = { events: [] };
    const store = openRedis(server.url, { told });
    assert.ok((await refused(store.get("k"))) < SOON_MS);
    assert.deepEqual(told.events, [
      "away: Redis cannot be reached: connection refused, nothing accepts connections there (ECONNREFUSED)",
    ]);
    await server.restart();
    await until(() => works(store));
    assert.deepEqual(told.events.slice(1), ["back"]);
  });

  test("has other sessions in their place: a hash is none, and no fault of the others", async () => {
    await using server = await RedisServer.start();
    const store = openRedis(server.url);
    await server.run("HSET", "hash", "a", "b");
    await refused(store.get("hash"));
    assert.equal(await store.get("k"), null);
  });

  test("refuses the password: told without it", async () => {
    await using server = await RedisServer.start({ args: ["--requirepass", "right-word"] });
    const told: Told = { events: [] };
    const store = openRedis(`redis://:wrong-word@127.0.0.1:${server.port}`, { told });
    await refused(store.get("k"));
    assert.deepEqual(told.events, ["away: Redis says WRONGPASS: it refuses the user name or the password"]);
    const without = openRedis(server.url, { told });
    await refused(without.get("k"));
    assert.match(told.events[1]!, /^away: Redis says NOAUTH/);
  });
});

test("nobody listens: immediately, and without any wait the next time", async () => {
  const store = openRedis(`redis://127.0.0.1:${await freePort()}`);
  assert.ok((await refused(store.get("k"))) < SOON_MS);
  const start = performance.now();
  await Promise.all(Array.from({ length: 1000 }, () => refused(store.get("k"))));
  assert.ok(performance.now() - start < SOON_MS);
});

test("a closed store leaves no connection attempt behind", async () => {
  await using server = await ScriptedRedis.start();
  server.answer = () => null;
  const store = openRedis(server.url);
  const asked = refused(store.get("k"));
  await until(() => server.sockets.size === 1);
  const start = performance.now();
  await store.close();
  await asked;
  await until(() => server.sockets.size === 0);
  assert.ok(performance.now() - start < SOON_MS);
});

test("a server whose certificate is not trusted, or has another name, is not spoken to", async () => {
  const authority = new Authority();
  const issued = issueCertificate({ names: ["redis.test"], issuer: authority });
  let heard = "";
  const server = tls.createServer(issued, (socket) =>
    socket
      .on("error", () => {})
      .on("data", (data) => {
        heard += data;
      }),
  );
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `rediss://:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}`;
  const none = { cert: null, key: null };
  const told: Told = { events: [] };
  await refused(openRedis(url, { told, tls: { ...none, ca: null, serverName: "redis.test" } }).get("k"));
  await refused(openRedis(url, { told, tls: { ...none, ca: authority.cert, serverName: "other.test" } }).get("k"));
  await refused(openRedis(url, { told, tls: { ...none, ca: authority.cert, serverName: null } }).get("k"));
  assert.deepEqual(
    told.events.map((event) => event.replace("away: Redis cannot be reached: ", "")),
    [
      "nobody whom this machine trusts has signed its certificate: see `tls.ca` of its store (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
      "its certificate is for another name: see `tls.serverName` of its store (ERR_TLS_CERT_ALTNAME_INVALID)",
      "its certificate is for another name: see `tls.serverName` of its store (ERR_TLS_CERT_ALTNAME_INVALID)",
    ],
  );
  assert.equal(heard, "");
  server.close();
});

test("TLS on one side alone is named as what may be wrong", async () => {
  const authority = new Authority();
  const secure = tls.createServer(issueCertificate({ names: ["redis.test"], issuer: authority }));
  // Whoever speaks without TLS is an error of the handshake, and parted from.
  secure.on("tlsClientError", (_, socket) => socket.destroy());
  await once(secure.listen(0, "127.0.0.1"), "listening");
  await using plain = await ScriptedRedis.start();
  plain.answer = () => null;
  const told: Told = { events: [] };
  await refused(openRedis(`redis://127.0.0.1:${(secure.address() as AddressInfo).port}`, { told }).get("k"));
  const url = plain.url.replace("redis:", "rediss:");
  const tlsOfAll: RedisTls = { ca: null, cert: null, key: null, serverName: null };
  await refused(openRedis({ url, timeouts: { connect: "300ms", command: "2m" } }, { told, tls: tlsOfAll }).get("k"));
  const [withoutTls, withTls] = told.events;
  assert.match(withoutTls ?? "", /; a server that speaks TLS has a URL that begins with rediss:\/\/$/);
  assert.match(withTls ?? "", /within 300 ms; a server that speaks without TLS has a URL that begins with redis:\/\/$/);
  secure.close();
});

test("a server that takes the connection and says nothing", async () => {
  await using server = await ScriptedRedis.start();
  server.answer = () => null;
  const store = openRedis({ url: server.url, timeouts: { connect: "300ms", command: "100ms" } });
  const took = await refused(store.get("k"));
  assert.ok(took < 100 + SOON_MS, `${took} ms`);
  await until(() => server.sockets.size === 0);
  server.answer = answerAsUsual;
  await until(() => works(store));
});

test("what a server says of a command that it does not know has a password in it, and is not told", async () => {
  await using server = await ScriptedRedis.start();
  const told: Told = { events: [] };
  server.answer = (command) =>
    `-ERR unknown command '${command[0]}', with args beginning with: '${command.slice(1).join("' '")}'\r\n`;
  const store = openRedis(server.url.replace("//", "//user:hunter2@"), { told });
  await assert.rejects(store.get("secret-key"), (error: Error) => {
    assert.doesNotMatch(`${error.message} ${(error.cause as Error).message}`, /hunter2|secret-key/);
    return true;
  });
  assert.ok(server.reads.flat().flat().includes("hunter2"), "it was sent");
  assert.deepEqual(told.events, ["away: Redis says ERR"]);
});

test("a server that closes every connection is asked with pauses", async () => {
  await using server = await ScriptedRedis.start();
  let connections = 0;
  server.server.on("connection", (socket) => {
    connections++;
    socket.destroy();
  });
  const store = openRedis(server.url);
  await refused(store.get("k"));
  const start = performance.now();
  await until(() => connections >= 4);
  // Pauses of 50, 100 and 200 ms, each cut by half at most.
  assert.ok(performance.now() - start >= 150, `${performance.now() - start} ms`);
});
