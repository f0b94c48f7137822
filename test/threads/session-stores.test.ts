// Session stores of a process with two workers: each has its own connection to Redis and its own memory of answers, both see at once
// what is deleted, an outage is answered with 503 and ends by itself, and neither deaths nor reloads leave connections behind.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { KeyRing, seal } from "../../src/identity/envelope.ts";
import { Folder, Running } from "../cli/headgate.ts";
import type { RawClient } from "../support/raw-client.ts";
import { RedisServer, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { Clients, get } from "./workers.ts";

const TOKEN_KEY = "of the test, and as long as it has to be";
const KEY = "ab".repeat(32);
const SESSION = "session-1";

/** Its time-outs are longer than a machine may be busy with other things. */
const storeAt = (url: string): string => JSON.stringify({ url, timeouts: { connect: "2m", command: "2m" } });

/** Routes besides the guarded one say which thread serves, and end it. */
const configuration = (store: string, upstream: string): string => `
import { threadId } from "node:worker_threads";
function handle(exchange) {
  if (exchange.request.path === "/exit") setImmediate(() => process.exit(3));
  return exchange.respond({ status: 200, fields: [], body: Buffer.from("thread " + threadId) });
}
const credentials = {
  token: { bearer: true, algorithm: "HS256", key: ${JSON.stringify(TOKEN_KEY)} },
  session: { store: "logins", key: "{sid}" },
  decrypt: { key: "${KEY}" },
};
export default {
  workers: 2,
  log: { access: "off" },
  stores: { logins: ${store} },
  servers: { web: { listen: "127.0.0.1:0", routes: [
    { match: { path: "/app" }, use: [{ credentials }], proxy: "${upstream}" },
    { handle },
  ] } },
};
`;

function token(): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sid: SESSION, exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", TOKEN_KEY).update(signed).digest("base64url")}`;
}

const REQUEST = `GET /app HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token()}\r\n\r\n`;

async function statusOf(client: RawClient): Promise<number> {
  return (await client.send(REQUEST).answer()).status;
}

async function putSession(redis: RedisServer): Promise<void> {
  const envelope = seal(new KeyRing([{ algorithm: "aes-256-gcm", key: KEY }]), "alice:secret", SESSION);
  await redis.run("SET", SESSION, JSON.stringify({ v: 1, credentials: envelope }), "PX", "3600000");
}

/** The ids of the connections that are tracked: those of the workers. */
async function trackedOf(redis: RedisServer): Promise<readonly string[]> {
  const list = String(await redis.run("CLIENT", "LIST", "TYPE", "normal"));
  return list
    .split("\n")
    .filter((line) => /flags=\w*t/.test(line))
    .map((line) => /^id=(\d+)/.exec(line)![1]!);
}

/** An upstream that answers 200 to Alice and fails the test's check for everybody else. */
async function startUpstream() {
  const wrong: (string | undefined)[] = [];
  const server = http.createServer((request, response) => {
    const { authorization } = request.headers;
    if (authorization !== `Basic ${btoa("alice:secret")}`) wrong.push(authorization);
    response.end("mail");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    wrong,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]: () => void server.close().closeAllConnections(),
  };
}

describe("session stores of two workers", { skip: needs("redis-server") }, () => {
  test("a session is deleted, Redis goes and comes back", async () => {
    await using redis = await RedisServer.start({ isDurable: true });
    using upstream = await startUpstream();
    using folder = new Folder();
    folder.file("headgate.ts", configuration(storeAt(redis.url), upstream.url));
    await putSession(redis);
    await using running = await Running.start(folder.path, "run");
    using clients = await Clients.connect(running.port("web"));
    const threads = clients.bodies.map((body) => clients.of(body)[0]!);
    assert.equal(threads.length, 2);
    for (const client of threads) assert.equal(await statusOf(client), 200);
    assert.equal((await trackedOf(redis)).length, 2);

    const operator = await redis.client();
    const taken: number[] = [];
    for (let round = 0; round < 10; round++) {
      // That there is none may be believed until Redis has said otherwise.
      await putSession(redis);
      for (const client of threads) await until(async () => (await statusOf(client)) === 200);
      const start = performance.now();
      await operator.sendCommand(["DEL", SESSION]);
      for (const client of threads) while ((await statusOf(client)) !== 401);
      taken.push(performance.now() - start);
    }
    operator.destroy();
    taken.sort((left, right) => left - right);
    // The fastest quarter: a crowded machine may keep processes from running for longer than that in most rounds.
    assert.ok(taken[2]! < 50, taken.join());

    await putSession(redis);
    for (const client of threads) await until(async () => (await statusOf(client)) === 200);
    await redis.stop();
    for (const client of threads) {
      await until(async () => (await statusOf(client)) !== 200);
      const answer = await client.send(REQUEST).answer();
      assert.equal(answer.status, 503);
      assert.equal(answer.fields.get("retry-after"), "5");
    }
    const { level, msg } = await running.untilLogged(/^store logins: /);
    assert.equal(level, "warn");
    assert.match(msg, /^store logins: Redis cannot be reached: .*; until it is back, sessions are answered with 503$/);
    await redis.restart();
    for (const client of threads) await until(async () => (await statusOf(client)) === 200);
    await running.untilLogged(/^store logins: Redis is back$/);
    assert.deepEqual(upstream.wrong, [], "never without the right credentials");
  });

  test("a worker dies: its connection is gone, and another one has its own", async () => {
    await using redis = await RedisServer.start();
    using upstream = await startUpstream();
    using folder = new Folder();
    folder.file("headgate.ts", configuration(storeAt(redis.url), upstream.url));
    await putSession(redis);
    await using running = await Running.start(folder.path, "run");
    await until(async () => (await trackedOf(redis)).length === 2);
    const before = await trackedOf(redis);
    using clients = await Clients.connect(running.port("web"), 1);
    clients.all[0]!.client.send(get("/exit"));
    await running.untilLogged(/^worker \d serves again$/);
    await until(async () => {
      const now = await trackedOf(redis);
      return now.length === 2 && now.filter((id) => before.includes(id)).length === 1;
    });
    using others = await Clients.connect(running.port("web"), 8);
    for (const { client } of others.all) assert.equal(await statusOf(client), 200);
  });

  test("a reload keeps what is the same, opens what is not, and the end closes all", async () => {
    await using redis = await RedisServer.start();
    using upstream = await startUpstream();
    using folder = new Folder();
    const write = (url: string): string =>
      folder.file(
        "headgate.yaml",
        JSON.stringify({
          workers: 2,
          log: { access: "off" },
          stores: { logins: JSON.parse(storeAt(url)) },
          servers: {
            web: {
              listen: "127.0.0.1:0",
              use: [
                {
                  credentials: {
                    token: { bearer: true, algorithm: "HS256", key: TOKEN_KEY },
                    session: { store: "logins", key: "{sid}" },
                    decrypt: { key: KEY },
                  },
                },
              ],
              proxy: upstream.url,
            },
          },
        }),
      );
    write(redis.url);
    {
      await using running = await Running.start(folder.path, "run");
      await until(async () => (await trackedOf(redis)).length === 2);
      const before = await trackedOf(redis);
      running.signal("SIGHUP");
      await running.untilLogged(/nothing has changed/);
      assert.deepEqual(await trackedOf(redis), before);
      write(`${redis.url}/1`);
      running.signal("SIGHUP");
      await running.untilLogged(/stores opened anew: logins/);
      // The old ones serve what began before, for a while.
      await until(async () => (await trackedOf(redis)).length === 4);
    }
    assert.deepEqual(await trackedOf(redis), []);
  });
});
