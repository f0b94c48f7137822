// Ten thousand sessions asked for at random on many connections, while records are replaced and deleted, the proxy reloads, and Redis
// goes away and comes back: whatever happens, nobody's request ever reaches the upstream with another one's credentials, or with those of
// a session that has ended. The upstream checks every request.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { KeyRing, seal } from "../../src/identity/envelope.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { freePort } from "../support/free-port.ts";
import { hmacToken, inSeconds } from "../support/jwt.ts";
import { Program } from "../support/program.ts";
import { RedisServer } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";
import { replayHint, seed } from "../support/seed.ts";

const SESSIONS = 10_000;
const USERS = 32;
/** The last ones are deleted in the middle. */
const LASTING = 9_900;
/** Answers between two events, more than one for each of the sessions that are asked for often: the races are at the events. */
const BETWEEN_EVENTS = 2_000;
/**
 * How long what was replaced or deleted may still be seen by who asks while Redis is there: 50 ms, and what a busy machine adds. To
 * this comes the longest that any answer took meanwhile: so long the machine, or one of the programs, may have stood still.
 */
const STALE_MS = 1_000;
const JWT_KEY = "k".repeat(64);
const CREDENTIALS_KEY = "ab".repeat(32);
const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: CREDENTIALS_KEY }]);

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-sessions-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Knows from the path whose request it is, and from the credentials of which version of the record they are. */
class CheckingUpstream {
  served = 0;
  /** When the last version of each session but one was replaced; the index leads to it. */
  readonly versions = new Map<number, { version: number; sinceMs: number }>();
  readonly ended = new Map<number, number>();
  readonly wrong: string[] = [];
  /** What was given of old, and how long ago it had been replaced or deleted when it was asked for. */
  readonly stale: { readonly lateMs: number; readonly what: string }[] = [];
  readonly server = http.createServer(({ url = "", headers }, response) => {
    const pair = Buffer.from((headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString();
    this.#judge(url, pair, Number(headers["x-asked-ms"]));
    this.served++;
    response.end("ok");
  });

  #judge(url: string, pair: string, askedMs: number): void {
    const index = Number(/\d+/.exec(url)?.[0]);
    const [, user, password, version] = /^user(\d+):password(\d+)~(\d+)$/.exec(pair) ?? [];
    if (user !== String(index) || password !== user) {
      this.wrong.push(`${url}: the credentials of another one: ${pair}`);
      return;
    }
    const { version: current, sinceMs } = this.versions.get(index) ?? { version: 0, sinceMs: 0 };
    if (Number(version) < current) this.stale.push({ lateMs: askedMs - sinceMs, what: `${url}: replaced: ${pair}` });
    const endedMs = this.ended.get(index);
    if (endedMs !== undefined) this.stale.push({ lateMs: askedMs - endedMs, what: `${url}: ended: ${pair}` });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return (this.server.address() as AddressInfo).port;
  }
}

describe("sessions under load", { skip: needs("redis-server") }, () => {
  test("no credential goes astray while Redis restarts", { timeout: 120_000 }, async () => {
    await using redis = await RedisServer.start({ isDurable: true });
    const client = await redis.client();
    const recordOf = (index: number, version: number): string[] => {
      const credentials = seal(ring, `user${index}:password${index}~${version}`, `s-${index}`);
      return ["SET", `s-${index}`, JSON.stringify({ v: 1, credentials }), "EX", "3600"];
    };
    await Promise.all(Array.from({ length: SESSIONS }, (_, index) => client.sendCommand(recordOf(index, 0))));
    client.destroy();
    const tokens = Array.from({ length: SESSIONS }, (_, index) =>
      hmacToken({ sub: `user${index}`, sid: `s-${index}`, exp: inSeconds(3600) }, JWT_KEY),
    );

    const upstream = new CheckingUpstream();
    const upstreamPort = await upstream.listen();
    const port = await freePort();
    writeFileSync(path.join(folder, "jwt.key"), JWT_KEY);
    writeFileSync(path.join(folder, "credentials.key"), CREDENTIALS_KEY);
    const file = path.join(folder, "headgate.json");
    const credentials = {
      token: { cookie: "Authorization", algorithm: "HS512", key: { file: "jwt.key" } },
      session: { store: redis.url, key: "{sid}" },
      decrypt: { algorithm: "aes-256-gcm", key: { file: "credentials.key" } },
    };
    const server = { listen: `127.0.0.1:${port}`, use: [{ credentials }], proxy: `http://127.0.0.1:${upstreamPort}` };
    writeFileSync(file, JSON.stringify({ workers: 2, log: { access: "off" }, servers: { mail: server } }));
    await using gateway = Program.headgate(["run", "--config", file]);
    await gateway.until(/mail on http:/);

    const random = new SeededRandom(seed);
    const agent = new http.Agent({ keepAlive: true, maxSockets: USERS });
    const statuses = new Map<number, number>();
    let isOver = false;
    let isOutOfOrder = false;
    /** Of an answer, until the first outage. */
    let slowestMs = 0;
    const ask = (index: number): Promise<number> =>
      new Promise((resolve, reject) => {
        const askedMs = performance.now();
        const headers = { cookie: `Authorization=${tokens[index]}`, "x-asked-ms": askedMs };
        http
          .get({ agent, port, host: "127.0.0.1", path: `/${index}`, headers }, (response) => {
            response.resume().once("end", () => {
              if (!isOutOfOrder) slowestMs = Math.max(slowestMs, performance.now() - askedMs);
              resolve(response.statusCode!);
            });
          })
          .once("error", reject);
      });
    /** One user after another's session; a few sessions often, the others now and then. */
    const user = async (): Promise<void> => {
      while (!isOver) {
        const index = Math.floor(random.next() * (random.next() < 0.5 ? 100 : SESSIONS));
        const status = await ask(index);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const enough = async (count: number, status: number): Promise<void> => {
      const before = statuses.get(status) ?? 0;
      while ((statuses.get(status) ?? 0) < before + count) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const users = Promise.all(Array.from({ length: USERS }, user));

    await enough(BETWEEN_EVENTS, 200);
    const operator = await redis.client();
    for (let index = 0; index < 100; index++) {
      await operator.sendCommand(recordOf(index, 1));
      upstream.versions.set(index, { version: 1, sinceMs: performance.now() });
    }
    for (let index = LASTING; index < SESSIONS; index++) {
      await operator.sendCommand(["DEL", `s-${index}`]);
      upstream.ended.set(index, performance.now());
    }
    operator.destroy();
    gateway.child.kill("SIGHUP");
    await enough(2 * BETWEEN_EVENTS, 200);
    isOutOfOrder = true;
    for (let round = 0; round < 2; round++) {
      await redis.stop(round === 0 ? "SIGTERM" : "SIGKILL");
      await enough(500, 503);
      await redis.restart();
      await enough(BETWEEN_EVENTS, 200);
    }
    // A link that is silent and not closed.
    redis.freeze();
    await enough(100, 503);
    redis.thaw();
    await enough(BETWEEN_EVENTS, 200);
    isOver = true;
    await users;

    agent.destroy();
    assert.equal(await gateway.stop(), 0, gateway.output);
    upstream.server.close();
    const told = `${JSON.stringify([...statuses])} ${replayHint}`;
    assert.deepEqual(upstream.wrong.slice(0, 5), [], told);
    const tooLate = upstream.stale.filter(({ lateMs }) => lateMs > STALE_MS + slowestMs);
    assert.deepEqual(tooLate.slice(0, 5), [], `answers took ${slowestMs} ms at most; ${told}`);
    assert.deepEqual(
      [...statuses.keys()].sort((a, b) => a - b),
      [200, 401, 503],
      told,
    );
    assert.ok(upstream.served >= 6 * BETWEEN_EVENTS, told);
  });
});
