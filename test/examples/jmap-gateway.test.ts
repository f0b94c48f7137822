// The gateway of examples/jmap-gateway in front of a server that demands Basic, with a real Redis: who gets through, who does not,
// and what becomes of it while Redis is away.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { KeyRing, seal } from "../../src/identity/envelope.ts";
import { freePort } from "../support/free-port.ts";
import { base64url, hmacToken, inSeconds } from "../support/jwt.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { RedisServer, until } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 120_000 };
const JWT_KEY = "a secret that both the login and the gateway know, long enough for SHA-512 to be worth it".padEnd(
  64,
  "!",
);
const CREDENTIALS_KEY = "00112233445566778899aabbccddeeff".repeat(2);
const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: CREDENTIALS_KEY }]);

describe("the JMAP gateway", { skip: needs("redis-server") }, () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-jmap-"));
  let redis: RedisServer;
  let mail: Program;
  let gateway: Program;
  let url: string;

  before(async () => {
    redis = await RedisServer.start({ isDurable: true });
    mail = Program.node("examples/jmap-gateway/mail-server.ts", [], { env: { MAIL_PORT: "0" } });
    const [, MAIL_PORT = ""] = await mail.until(/mail server on port (\d+)/);
    const port = String(await freePort());
    url = `http://127.0.0.1:${port}/jmap/session`;
    copyFileSync(path.join(repositoryRoot, "examples/jmap-gateway/headgate.yaml"), path.join(folder, "headgate.yaml"));
    writeFileSync(path.join(folder, "jwt.key"), `${JWT_KEY}\n`);
    writeFileSync(path.join(folder, "credentials.key"), `${CREDENTIALS_KEY}\n`);
    gateway = Program.headgate(["run", "--config", path.join(folder, "headgate.yaml")], {
      env: { JMAP_PORT: port, REDIS_PORT: String(redis.port), MAIL_PORT },
    });
    await gateway.until(/jmap on http:/);
  });

  after(async () => {
    const status = await gateway?.stop();
    await mail?.stop();
    await redis?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
    assert.equal(status, 0, gateway?.output);
  });

  /** A login of a user whose password is his name backwards; the token. */
  async function login(user: string, sid: string, claims: object = {}): Promise<string> {
    const credentials = seal(ring, `${user}:${[...user].reverse().join("")}`, sid);
    await redis.run("SET", sid, JSON.stringify({ v: 1, credentials }), "EX", "3600");
    return hmacToken({ sub: user, sid, iat: inSeconds(0), exp: inSeconds(3600), ...claims }, JWT_KEY);
  }

  const headersWith = (token: string | null) =>
    token === null ? {} : { cookie: `theme=dark; Authorization=${token}; last=1` };
  const ask = (token: string | null): Promise<Response> => fetch(url, { headers: headersWith(token) });
  /** On a connection of its own each time, so that every worker has its share. */
  const statusWith = (token: string | null): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = http.get(url, { agent: false, headers: headersWith(token) }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode!));
      });
      request.once("error", reject);
    });

  test("a cookie's token becomes Basic, and the cookie itself stays here", TIMEOUT, async () => {
    const token = await login("alice", "s-alice");
    for (const form of [token, Buffer.from(token).toString("base64"), Buffer.from(`"${token}"`).toString("base64")]) {
      const answer = await ask(form);
      assert.equal(answer.status, 200);
      assert.deepEqual(await answer.json(), { user: "alice", path: "/jmap/session", cookie: "theme=dark; last=1" });
    }
  });

  test("without a token 401, and the same for every kind of bad one", TIMEOUT, async () => {
    const token = await login("bob", "s-bob");
    const claims = { sub: "bob", sid: "s-bob", exp: inSeconds(3600) };
    const [head = "", payload = ""] = token.split(".");
    const bad: Record<string, string> = {
      expired: await login("bob", "s-bob", { exp: inSeconds(-3600) }),
      forged: hmacToken(claims, "another key"),
      "another's claims": `${head}.${base64url({ ...claims, sid: "s-alice" })}.${token.split(".")[2]}`,
      "no algorithm": `${base64url({ alg: "none" })}.${payload}.`,
      "no algorithm, signed": hmacToken(claims, JWT_KEY, { alg: "none" }),
      "another algorithm": hmacToken(claims, JWT_KEY, { alg: "HS256" }),
      "an algorithm of key pairs": hmacToken(claims, JWT_KEY, { alg: "RS256" }),
      "no session": hmacToken({ ...claims, sid: "s-nobody" }, JWT_KEY),
      "no sid": hmacToken({ sub: "bob", exp: inSeconds(3600) }, JWT_KEY),
      "no token": "x",
    };
    const none = await ask(null);
    assert.equal(none.status, 401);
    assert.match(none.headers.get("www-authenticate") ?? "", /^Bearer realm="[^"]*"$/);
    for (const [name, value] of Object.entries(bad)) {
      const answer = await ask(value);
      assert.equal(answer.status, 401, name);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer .*error="invalid_token"/, name);
    }
    assert.equal(await statusWith(token), 200);
  });

  /** Milliseconds after a deletion until which a request that was made still passed. */
  async function lastAcceptedAfter(sid: string): Promise<number> {
    const token = await login("carol", sid);
    // Every worker has it in memory by then.
    for (let i = 0; i < 20; i++) assert.equal(await statusWith(token), 200);
    await redis.run("DEL", sid);
    const deletedMs = performance.now();
    let last = 200;
    let lastAcceptedMs = deletedMs;
    while (last === 200 || performance.now() - deletedMs < 200) {
      const askedMs = performance.now();
      last = await statusWith(token);
      if (last === 200) lastAcceptedMs = askedMs;
    }
    assert.equal(last, 401);
    return lastAcceptedMs - deletedMs;
  }

  // All but the fastest two may take longer: a crowded machine may keep processes from running for longer than that.
  test("a session that is deleted ends within 50 ms", TIMEOUT, async () => {
    const delaysMs: number[] = [];
    for (let i = 0; i < 5; i++) delaysMs.push(await lastAcceptedAfter(`s-carol-${i}`));
    const second = delaysMs.sort((a, b) => a - b)[1]!;
    assert.ok(second < 50, `still accepted after ${delaysMs.join(", ")} ms`);
  });

  test("without Redis 503, and all is well again by itself when it is back", TIMEOUT, async () => {
    const token = await login("dave", "s-dave");
    assert.equal(await statusWith(token), 200);
    await redis.stop();
    await until(async () => (await statusWith(token)) === 503);
    const answer = await ask(token);
    assert.equal(answer.status, 503);
    assert.match(answer.headers.get("retry-after") ?? "", /^\d+$/);
    assert.equal(await statusWith(null), 401);
    await redis.restart();
    await until(async () => (await statusWith(token)) === 200);
  });
});
