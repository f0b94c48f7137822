import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange, type StandInRequest } from "../../../test/support/stand-in-exchange.ts";
import type { PasswordHasher } from "../../core/ports.ts";
import { FailedAttempts } from "../../identity/failed-attempts.ts";
import { PasswordChecks } from "../../identity/password-checks.ts";
import { judgeHash } from "../../identity/password-hash.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { createBasicAuthFeature } from "./index.ts";
import { basicAuthOptions } from "./options.ts";

const ALICE = "$2y$05$QQxXQxCQRLXpNwgcU8rjh.TJXFsQphwwuJ/iMNEQ7HzB4uh0RHZSe";
const BOB = `$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$${"A".repeat(43)}`;
const USERS = { alice: ALICE, "Bob Ünal": BOB };
const CHALLENGE = 'Basic realm="restricted", charset="UTF-8"';

/** Knows that Alice's password is "wonderland" and Bob's "builder". */
class NotedHasher implements PasswordHasher {
  readonly hashes: string[] = [];

  verify(hash: string, password: Uint8Array): Promise<boolean> {
    this.hashes.push(hash);
    const text = Buffer.from(password).toString();
    return Promise.resolve((hash === ALICE && text === "wonderland") || (hash === BOB && text === "builder"));
  }
}

function stage(options: Readonly<Record<string, unknown>> = {}) {
  const clock = new VirtualClock();
  const hasher = new NotedHasher();
  const ports = {
    passwords: new PasswordChecks(hasher, clock),
    attempts: new FailedAttempts(clock),
    users: () => new Map(),
  };
  const feature = createBasicAuthFeature(basicAuthOptions.parse({ users: USERS, ...options }), ports);
  const ask = async (request: StandInRequest) => {
    const exchange = new StandInExchange(request);
    const waiting = feature.request!(exchange);
    await waiting;
    return { exchange, waited: waiting !== undefined, error: exchange.errors[0] ?? null };
  };
  const login = (user: string, password: string, fields: readonly Line[] = [], clientAddress = "192.0.2.1") =>
    ask({ fields: [["Authorization", basic(user, password)], ...fields], clientAddress });
  return { clock, hasher, ask, login, attempts: ports.attempts };
}

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

describe("basicAuth", () => {
  it("lets a user pass, who is known without a verification from then on", async () => {
    const { login, hasher } = stage({ userHeader: "x-user" });
    const first = await login("alice", "wonderland", [["X-User", "root"]]);
    assert.equal(first.error, null);
    assert.deepEqual(first.exchange.requestLines, [["x-user", "alice"]]);
    assert.deepEqual(first.exchange.identity, { subject: "alice", by: "basicAuth" });
    const second = await login("alice", "wonderland");
    assert.deepEqual([second.error, second.waited], [null, false]);
    assert.deepEqual(hasher.hashes, [ALICE]);
  });

  it("hands the field on when it is told to, and tells names beyond ASCII", async () => {
    const { login } = stage({ userHeader: "x-user", forward: true });
    const { exchange } = await login("Bob Ünal", "builder");
    assert.deepEqual(exchange.requestLines, [
      ["Authorization", basic("Bob Ünal", "builder")],
      ["x-user", Buffer.from("Bob Ünal").toString("latin1")],
    ]);
  });

  it("challenges who says nothing, or something else", async () => {
    const { ask, hasher, attempts } = stage({ realm: "the tower" });
    for (const [fields, reason] of [
      [[], "credentials_missing"],
      [[["Authorization", "Bearer abc"]], "credentials_missing"],
      [[["Authorization", "Basic !"]], "credentials_malformed"],
      [[["Authorization", "Basic"]], "credentials_malformed"],
    ] as const) {
      const { error } = await ask({ fields });
      assert.deepEqual([error?.status, error?.reason], [401, reason]);
      assert.deepEqual(error?.fields, [["WWW-Authenticate", 'Basic realm="the tower", charset="UTF-8"']]);
    }
    assert.deepEqual([hasher.hashes, attempts.blockedSeconds("192.0.2.1", 1)], [[], 0]);
  });

  it("answers the unknown user as the wrong password, word for word", async () => {
    const { login } = stage();
    const answers = [await login("alice", "x"), await login("mallory", "x"), await login("mallory", "wonderland")];
    for (const { error, exchange } of answers) {
      assert.deepEqual(
        [error?.status, error?.reason, error?.message, error?.fields, exchange.identity],
        [
          401,
          "password_wrong",
          "basicAuth: no such user, or another password",
          [["WWW-Authenticate", CHALLENGE]],
          null,
        ],
      );
    }
  });

  it("verifies a hash as costly as a user's for a user who is not there, and remembers that too", async () => {
    const { login, hasher } = stage();
    const costs = new Set<string>();
    for (let i = 0; i < 40; i++) await login(`nobody ${i}`, "x", [], `192.0.2.${i}`);
    assert.equal(hasher.hashes.length, 40);
    assert.equal(new Set(hasher.hashes).size, 40);
    for (const hash of hasher.hashes) {
      const verdict = judgeHash(hash);
      assert.ok(verdict.ok);
      costs.add(verdict.hash.costs);
    }
    assert.deepEqual([...costs].sort(), ["$2y$05$", "$argon2id$v=19$m=65536,t=3,p=4$"]);
    const again = await login("nobody 7", "x");
    assert.deepEqual([again.waited, again.error?.reason, hasher.hashes.length], [false, "password_wrong", 40]);
  });

  it("verifies nothing more for an address that has failed too often, but lets pass who is known", async () => {
    const { login, hasher, clock } = stage({ failedAttempts: 3 });
    await login("alice", "wonderland");
    for (let i = 0; i < 3; i++) assert.equal((await login("alice", `guess ${i}`)).error?.status, 401);
    const blocked = await login("alice", "guess 3");
    assert.deepEqual([blocked.error?.status, blocked.error?.reason], [429, "too_many_failures"]);
    assert.match(blocked.error?.fields.find(([name]) => name === "Retry-After")?.[1] ?? "", /^[1-9]\d?$/);
    // What is known to be wrong is refused in the same way, or a guesser could tell which guess was made before.
    assert.equal((await login("alice", "guess 0")).error?.status, 429);
    assert.equal(hasher.hashes.length, 4);
    assert.equal((await login("alice", "wonderland")).error, null);
    assert.equal((await login("alice", "guess 4", [], "192.0.2.2")).error?.status, 401);
    clock.advance(60_000);
    assert.equal((await login("alice", "guess 5")).error?.status, 401);
  });

  it("counts the repeated wrong password too", async () => {
    const { login } = stage({ failedAttempts: 3 });
    for (let i = 0; i < 3; i++) assert.equal((await login("alice", "same")).error?.status, 401);
    assert.equal((await login("alice", "same")).error?.status, 429);
  });

  it("tells a blocked address nothing of a password that is known to be right from elsewhere", async () => {
    const { login, hasher } = stage({ failedAttempts: 3 });
    await login("alice", "wonderland", [], "192.0.2.7");
    for (let i = 0; i < 3; i++) await login("alice", `guess ${i}`);
    const wrong = await login("alice", "guess 0");
    const right = await login("alice", "wonderland");
    assert.deepEqual([right.error?.status, right.waited, right.exchange.identity], [429, false, null]);
    assert.deepEqual(right.error?.fields, wrong.error?.fields);
    assert.equal(right.error?.message, wrong.error?.message);
    // Nor by having asked: it had no success.
    assert.equal((await login("alice", "wonderland")).error?.status, 429);
    assert.equal((await login("alice", "wonderland", [], "192.0.2.7")).error, null);
    assert.equal(hasher.hashes.length, 4);
  });

  it("knows by whom a password was right though another one had verified it, and for an hour", async () => {
    const { login, clock } = stage({ failedAttempts: 3 });
    await login("alice", "wonderland", [], "192.0.2.7");
    assert.equal((await login("alice", "wonderland")).waited, false);
    for (let i = 0; i < 3; i++) await login("alice", `guess ${i}`);
    assert.equal((await login("alice", "wonderland")).error, null);
    clock.advance(3_600_000);
    for (let i = 0; i < 3; i++) await login("alice", `guess ${i}`);
    assert.equal((await login("alice", "wonderland")).error?.status, 429);
  });

  it("hears no more guesses of one address at once than it may fail", async () => {
    const { hasher, login } = stage({ failedAttempts: 3 });
    const asked: string[] = [];
    const answers: (() => void)[] = [];
    hasher.verify = (_hash, password) => {
      const text = Buffer.from(password).toString();
      asked.push(text);
      return new Promise((resolve) => answers.push(() => resolve(text === "wonderland")));
    };
    const logins = ["1", "wonderland", "wonderland", "2", "3", "4"].map((password) => login("alice", password));
    const other = login("alice", "5", [], "192.0.2.2");
    for (let done = 0; done < asked.length; done++) {
      answers[done]!();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(asked, ["1", "wonderland", "2", "5"]);
    assert.equal((await other).error?.status, 401);
    const statuses = (await Promise.all(logins)).map(({ error }) => error?.status);
    assert.deepEqual(statuses, [401, undefined, undefined, 401, 429, 429]);
    // What was right has cost nothing: there is one more.
    const last = login("alice", "6");
    answers.at(-1)!();
    assert.equal((await last).error?.status, 401);
    assert.equal((await login("alice", "7")).error?.status, 429);
  });

  it("counts a wrong password for each who waited for it, and none that was not verified", async () => {
    const { hasher, login, attempts } = stage({ failedAttempts: 3 });
    const held = Promise.withResolvers<boolean>();
    hasher.verify = () => held.promise;
    const logins = [login("alice", "x"), login("alice", "x"), login("alice", "x")];
    held.resolve(false);
    for (const { error } of await Promise.all(logins)) assert.equal(error?.status, 401);
    assert.equal((await login("alice", "x")).error?.status, 429);
    hasher.verify = () => Promise.reject(new Error("no memory"));
    await assert.rejects(login("alice", "y", [], "192.0.2.2"), /no memory/);
    assert.equal(attempts.blockedSeconds("192.0.2.2", 1), 0);
  });

  it("may count nothing, and then counts nothing for others either", async () => {
    const { login, attempts } = stage({ failedAttempts: "off" });
    for (let i = 0; i < 50; i++) assert.equal((await login("alice", `${i}`)).error?.status, 401);
    assert.equal((await login("alice", "7")).error?.status, 401);
    assert.equal(attempts.blockedSeconds("192.0.2.1", 1), 0);
  });

  it("does not count clients that have no address: one would lock out all behind a unix socket", async () => {
    const { login } = stage({ failedAttempts: 3 });
    for (let i = 0; i < 9; i++) assert.equal((await login("alice", `${i}`, [], "")).error?.status, 401);
    assert.equal((await login("alice", "wonderland", [], "")).error, null);
  });

  it("counts the failure of a client that has left, and lets it change nothing", async () => {
    const { attempts, hasher } = stage();
    const held = Promise.withResolvers<boolean>();
    hasher.verify = () => held.promise;
    const clock = new VirtualClock();
    const ports = { passwords: new PasswordChecks(hasher, clock), attempts, users: () => new Map() };
    const feature = createBasicAuthFeature(basicAuthOptions.parse({ users: USERS }), ports);
    const exchange = new StandInExchange({ fields: [["Authorization", basic("alice", "x")]] });
    const waiting = feature.request!(exchange);
    exchange.ended = true;
    held.resolve(false);
    await waiting;
    assert.ok(attempts.blockedSeconds("192.0.2.1", 1) > 0);
  });

  it("answers 503 while too many wait for a verification", async () => {
    const clock = new VirtualClock();
    const answers: (() => void)[] = [];
    const slow: PasswordHasher = { verify: () => new Promise((resolve) => answers.push(() => resolve(false))) };
    const ports = {
      passwords: new PasswordChecks(slow, clock),
      attempts: new FailedAttempts(clock),
      users: () => new Map(),
    };
    const feature = createBasicAuthFeature(basicAuthOptions.parse({ users: USERS }), ports);
    const waiting: unknown[] = [];
    for (let i = 0; i < 33; i++) {
      const fields = [["Authorization", basic("alice", `${i}`)]] as const;
      waiting.push(feature.request!(new StandInExchange({ fields, clientAddress: `198.51.100.${i}` })));
    }
    const exchange = new StandInExchange({ fields: [["Authorization", basic("alice", "wonderland")]] });
    assert.equal(feature.request!(exchange), undefined);
    const [error] = exchange.errors;
    assert.deepEqual([error?.status, error?.reason, error?.fields], [503, "verification_busy", [["Retry-After", "5"]]]);
    assert.equal(ports.attempts.blockedSeconds("192.0.2.1", 1), 0, "who was not heard has not failed");
    let done = 0;
    while (done < waiting.length) {
      answers[done++]?.();
      await waiting[done - 1];
    }
  });

  it("refuses options that say too much, too little, or hold a hash that is not safe", () => {
    const messages = (value: unknown) => basicAuthOptions.safeParse(value).error?.issues.map(({ message }) => message);
    assert.deepEqual(messages({}), ['needs "file" or "users"']);
    assert.deepEqual(messages({ file: "a", users: {} }), ['has "file" and "users": give one of them']);
    assert.match(messages({ users: { a: "$apr1$x$y" } })?.[0] ?? "", /^apr1 .*htpasswd -B/);
    assert.match(messages({ users: { a: "hunter2" } })?.[0] ?? "", /^this is no hash/);
    assert.ok(messages({ users: { a: ALICE }, realm: 'a"b' })?.[0]?.startsWith("expected a realm"));
    assert.ok(messages({ users: { a: ALICE }, userHeader: "host" }));
  });
});
