import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import { hmacToken, secondsFrom } from "../../../test/support/tokens.ts";
import type { Kept, SessionStore } from "../../core/ports.ts";
import { KeyRing, seal } from "../../identity/envelope.ts";
import { FailedAttempts } from "../../identity/failed-attempts.ts";
import { refusal } from "../../identity/refusal.ts";
import { MemorySessionStore } from "../../testing/session-store.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { createCredentialsFeature } from "./index.ts";
import { credentialsOptions } from "./options.ts";

const SECRET = "the secret of the tests, long enough";
const KEY = "42".repeat(32);
const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: KEY }]);

class Door {
  readonly clock = new VirtualClock();
  readonly store = new MemorySessionStore(this.clock);
  readonly attempts = new FailedAttempts(this.clock);
  readonly #feature;

  constructor(options: Record<string, unknown> = {}, store: SessionStore = this.store) {
    const { token = {}, ...others } = options;
    const parsed = credentialsOptions.parse({
      token: { cookie: "session", algorithm: "HS256", key: SECRET, ...(token as object) },
      session: { store: "logins" },
      decrypt: { key: KEY },
      ...others,
    });
    const fetchFor = () => () => Promise.reject(new Error("nothing is fetched"));
    const kept: Kept = (_kind, _options, make) => make();
    const { clock, attempts } = this;
    this.#feature = createCredentialsFeature(parsed, { clock, attempts, fetchFor, kept, store });
  }

  token(claims: object = {}, secret = SECRET): string {
    return hmacToken({ sub: "alice", sid: "s1", exp: secondsFrom(this.clock, 3600), ...claims }, secret);
  }

  async put(key: string, credentials: string, ttlMs: number | null = null): Promise<void> {
    await this.store.put(key, JSON.stringify({ v: 1, credentials: seal(ring, credentials, key) }), ttlMs);
  }

  /** A request in which the token stands in the cookie; whether its hook waited. */
  send(token: string | null, fields: readonly Line[] = [], clientAddress = "192.0.2.1") {
    const cookie: Line[] = token === null ? [] : [["Cookie", `a=1; session=${token}; b=2`]];
    const exchange = new StandInExchange({ fields: [...cookie, ...fields], clientAddress });
    const waiting = this.#feature.request!(exchange);
    return { exchange, waiting };
  }

  async sent(
    token: string | null,
    fields: readonly Line[] = [],
    clientAddress = "192.0.2.1",
  ): Promise<StandInExchange> {
    const { exchange, waiting } = this.send(token, fields, clientAddress);
    await waiting;
    return exchange;
  }

  /** The status and reason of a refusal; null: it passed. */
  async refused(token: string | null, fields: readonly Line[] = [], address?: string): Promise<string | null> {
    const { errors } = await this.sent(token, fields, address);
    assert.ok(errors.length <= 1);
    return errors[0] === undefined ? null : `${errors[0].status} ${errors[0].reason}`;
  }
}

const basic = (pair: string): Line => ["Authorization", `Basic ${Buffer.from(pair).toString("base64")}`];

describe("a request with the token of a session", () => {
  it("gets the session's credentials, and loses its token", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret");
    const { exchange, waiting } = door.send(door.token(), [["X-Other", "1"]]);
    assert.equal(waiting, undefined, "nothing had to wait");
    assert.deepEqual(exchange.errors, []);
    assert.deepEqual(exchange.requestLines, [["X-Other", "1"], ["Cookie", "a=1; b=2"], basic("alice:secret")]);
    assert.deepEqual(exchange.identity, { subject: "alice", by: "credentials" });
  });

  it("keeps its token where that is asked for", async () => {
    const door = new Door({ token: { forward: true } });
    await door.put("s1", "alice:secret");
    const token = door.token();
    const { requestLines } = await door.sent(token);
    assert.deepEqual(requestLines, [["Cookie", `a=1; session=${token}; b=2`], basic("alice:secret")]);
  });

  it("loses what it sent in the injected fields, whatever the outcome of a spelling", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret");
    const fields: Line[] = [
      ["authorization", "Basic cm9vdDpyb290"],
      ["AUTHORIZATION", "Bearer x"],
    ];
    assert.deepEqual((await door.sent(door.token(), fields)).requestLines, [
      ["Cookie", "a=1; b=2"],
      basic("alice:secret"),
    ]);
    const other = new Door({ inject: { headers: { "x-api-key": "key" } } });
    await other.put("s1", '{"key":"k1"}');
    const spoofed: Line[] = [
      ["X-Api-Key", "root"],
      ["x_api_key", "root"],
      ["Authorization", "Basic eA=="],
    ];
    assert.deepEqual((await other.sent(other.token(), spoofed)).requestLines, [
      ["Authorization", "Basic eA=="],
      ["Cookie", "a=1; b=2"],
      ["x-api-key", "k1"],
    ]);
  });

  it("waits for a store that must be asked, many at a time", async () => {
    const door = new Door();
    door.store.knowsAtOnce = false;
    await door.put("s1", "alice:secret");
    await door.put("s2", "bob:secret");
    const sent = [door.send(door.token()), door.send(door.token({ sid: "s2", sub: "bob" }))];
    assert.equal(door.store.gets, 2, "both were asked for before any answer");
    for (const { waiting } of sent) assert.ok(waiting instanceof Promise);
    await Promise.all(sent.map(({ waiting }) => waiting));
    assert.deepEqual(
      sent.map(({ exchange }) => exchange.requestLines.at(-1)),
      [basic("alice:secret"), basic("bob:secret")],
    );
  });

  it("by Bearer is overwritten by the credentials", async () => {
    const door = new Door({ token: { cookie: undefined, bearer: true } });
    await door.put("s1", "alice:secret");
    const { requestLines } = await door.sent(null, [["Authorization", `Bearer ${door.token()}`]]);
    assert.deepEqual(requestLines, [basic("alice:secret")]);
  });

  it("gets the credentials of its record as it is now", async () => {
    const door = new Door();
    const token = door.token();
    await door.put("s1", "alice:one");
    assert.deepEqual((await door.sent(token)).requestLines.at(-1), basic("alice:one"));
    await door.put("s1", "alice:two");
    assert.deepEqual((await door.sent(token)).requestLines.at(-1), basic("alice:two"));
    await door.put("s2", "bob:three");
    assert.deepEqual((await door.sent(door.token({ sid: "s2" }))).requestLines.at(-1), basic("bob:three"));
    assert.deepEqual((await door.sent(token)).requestLines.at(-1), basic("alice:two"));
  });
});

it("a request as hyper-auth-proxy takes it passes as it is", async () => {
  const token = { cookie: "Authorization", algorithm: "HS512", key: "testsecretpourlestests" };
  const door = new Door({ token, decrypt: "off" });
  await door.store.put("sid-1", JSON.stringify({ credentials: "YWxpY2U6c2VjcmV0\n" }), null);
  const claims = { sub: "alice", sid: "sid-1", iat: 1, exp: secondsFrom(door.clock, 60) };
  const jwt = hmacToken(claims, token.key, "HS512");
  for (const text of [jwt, `"${jwt}"`]) {
    const cookie: Line = ["Cookie", `Authorization=${Buffer.from(text).toString("base64")}`];
    assert.deepEqual((await door.sent(null, [cookie])).requestLines, [basic("alice:secret")]);
  }
});

describe("a request is refused", () => {
  it("without a token, with a challenge and no error", async () => {
    const door = new Door({ realm: "mail" });
    const { errors } = await door.sent(null);
    assert.equal(errors[0]?.status, 401);
    assert.deepEqual(errors[0]?.fields, [["WWW-Authenticate", 'Bearer realm="mail"']]);
  });

  it("with the same answer whether the token is forged or the session unknown", async () => {
    const door = new Door();
    const unknown = (await door.sent(door.token())).errors[0]!;
    const forged = (await door.sent(door.token({}, `${SECRET}!`))).errors[0]!;
    assert.deepEqual([unknown.reason, forged.reason], ["session_unknown", "token_signature_invalid"]);
    for (const error of [unknown, forged]) {
      assert.equal(error.status, 401);
      assert.equal(error.type, "http_request_denied");
      assert.deepEqual(error.fields, [["WWW-Authenticate", 'Bearer realm="restricted", error="invalid_token"']]);
    }
  });

  it("from the moment the session is deleted", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret");
    const token = door.token();
    assert.equal(await door.refused(token), null);
    await door.store.delete("s1");
    assert.equal(await door.refused(token), "401 session_unknown");
    await door.put("s1", "alice:again");
    assert.equal(await door.refused(token), null);
  });

  it("from the moment the token or the session expires, however well both are known", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret", 5000);
    await door.put("s2", "alice:secret");
    const [short, long] = [door.token({ exp: secondsFrom(door.clock, 10), sid: "s2" }), door.token()];
    assert.deepEqual([await door.refused(short), await door.refused(long)], [null, null]);
    door.clock.advance(4999);
    assert.deepEqual([await door.refused(short), await door.refused(long)], [null, null]);
    door.clock.advance(1);
    assert.deepEqual([await door.refused(short), await door.refused(long)], [null, "401 session_unknown"]);
    door.clock.advance(5000);
    assert.equal(await door.refused(short), "401 token_expired");
  });

  it("although the store still holds a record that has expired", async () => {
    const record = { value: JSON.stringify({ v: 1, credentials: seal(ring, "a:b", "s1") }), expiresMs: 1000 };
    const forgetful = { peek: () => record } as unknown as SessionStore;
    const door = new Door({}, forgetful);
    assert.equal(await door.refused(door.token()), null);
    door.clock.advance(1000);
    assert.equal(await door.refused(door.token()), "401 session_unknown");
  });

  it("when the token expires while the store is asked", async () => {
    const door = new Door();
    door.store.knowsAtOnce = false;
    await door.put("s1", "alice:secret");
    const { exchange, waiting } = door.send(door.token({ exp: secondsFrom(door.clock, 1) }));
    door.clock.advance(1000);
    await waiting;
    assert.equal(exchange.errors[0]?.reason, "token_expired");
    assert.equal(
      exchange.requestLines.some(([name]) => name === "Authorization"),
      false,
    );
  });

  it("with 503 while the store is away", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret");
    door.store.unavailable = refusal("store", "store_unavailable");
    const { errors } = await door.sent(door.token());
    assert.equal(errors[0]?.status, 503);
    assert.ok(errors[0]?.fields?.some(([name, value]) => name === "Retry-After" && Number(value) > 0));
    assert.equal(errors[0]?.cause, door.store.unavailable);
    door.store.unavailable = null;
    assert.equal(await door.refused(door.token()), null);
  });

  it("when the record cannot be decrypted, or was copied from another session", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret");
    const stolen = door.store.peek("s1")!.value;
    await door.store.put("mallory", stolen, null);
    assert.equal(await door.refused(door.token({ sid: "mallory" })), "401 session_unreadable");
    await door.store.put("s1", "{}", null);
    assert.equal(await door.refused(door.token()), "401 session_unreadable");
  });

  it("when the token lacks the claim of the key", async () => {
    const door = new Door();
    assert.equal(await door.refused(door.token({ sid: undefined })), "401 token_claim_missing");
    assert.equal(await door.refused(door.token({ sid: "a\nb" })), "401 token_claim_refused");
  });

  it("with two cookies of the token's name", async () => {
    const door = new Door();
    await door.put("s1", "alice:secret");
    const token = door.token();
    assert.equal(await door.refused(token, [["Cookie", `session=${token}`]]), "400 credentials_malformed");
  });

  it("and nothing is done for an exchange that ended meanwhile", async () => {
    const door = new Door();
    door.store.knowsAtOnce = false;
    await door.put("s1", "alice:secret");
    const { exchange, waiting } = door.send(door.token());
    exchange.ended = true;
    await waiting;
    assert.deepEqual(exchange.errors, []);
    assert.equal(exchange.identity, null);
    assert.ok(!exchange.requestLines.some(([name]) => name === "Authorization"));
  });

  it("as a fault of ours when the store breaks its contract", async () => {
    const broken = {
      peek: () => undefined,
      get: () => Promise.reject(new TypeError("bug")),
    } as unknown as SessionStore;
    const door = new Door({}, broken);
    await assert.rejects(door.sent(door.token()), TypeError);
  });
});

describe("the limiter", () => {
  it("blocks an address after forged tokens, but not those whose token is known", async () => {
    const door = new Door({ failedAttempts: 3 });
    await door.put("s1", "alice:secret");
    const known = door.token();
    assert.equal(await door.refused(known), null);
    for (let count = 0; count < 3; count++) {
      assert.equal(await door.refused(door.token({ n: count }, `${SECRET}!`)), "401 token_signature_invalid");
    }
    assert.equal(await door.refused(door.token({ n: 9 }, `${SECRET}!`)), "429 too_many_failures");
    assert.equal(
      await door.refused(door.token({ n: 9 })),
      "429 too_many_failures",
      "a good token that nobody knows yet",
    );
    assert.equal(await door.refused(known), null);
    assert.equal(await door.refused(door.token({ n: 9 }), [], "192.0.2.2"), null);
    door.clock.advance(60_000);
    assert.equal(await door.refused(door.token({ n: 9 })), null);
  });

  it("counts one forged token each time, and neither expired ones nor ended sessions", async () => {
    const door = new Door({ failedAttempts: 2 });
    for (let count = 0; count < 5; count++) {
      assert.equal(await door.refused(door.token({ exp: 1 })), "401 token_expired");
      assert.equal(await door.refused(door.token()), "401 session_unknown");
      assert.equal(await door.refused(null), "401 credentials_missing");
    }
    const forged = door.token({}, `${SECRET}!`);
    for (let count = 0; count < 2; count++) assert.equal(await door.refused(forged), "401 token_signature_invalid");
    assert.equal(await door.refused(forged), "429 too_many_failures");
  });

  it("counts no client without an address: one would lock out all behind a unix socket", async () => {
    const door = new Door({ failedAttempts: 2 });
    const forged = door.token({}, `${SECRET}!`);
    for (let count = 0; count < 5; count++) {
      assert.equal(await door.refused(forged, [], ""), "401 token_signature_invalid");
    }
  });

  it("can be off", async () => {
    const door = new Door({ failedAttempts: "off" });
    for (let count = 0; count < 50; count++) {
      assert.equal(await door.refused(door.token({ n: count }, `${SECRET}!`)), "401 token_signature_invalid");
    }
  });
});
