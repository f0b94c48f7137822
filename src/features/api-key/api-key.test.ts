import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StandInExchange, type StandInRequest } from "../../../test/support/stand-in-exchange.ts";
import { keyDigest } from "../../identity/api-keys.ts";
import { FailedAttempts } from "../../identity/failed-attempts.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { createApiKeyFeature } from "./index.ts";
import { apiKeyOptions } from "./options.ts";

const KEY = "hgk_abc/def+ghi=";
const KEYS = [
  { name: "ci", sha256: keyDigest(KEY) },
  { name: "Bürø", sha256: keyDigest("other").toUpperCase() },
];

function stage(options: Readonly<Record<string, unknown>> = {}) {
  const clock = new VirtualClock();
  const attempts = new FailedAttempts(clock);
  const parsed = apiKeyOptions.parse({ keys: KEYS, ...options });
  const feature = createApiKeyFeature(parsed, { attempts, keys: () => new Map() });
  const ask = (request: StandInRequest) => {
    const exchange = new StandInExchange(request);
    assert.equal(feature.request!(exchange), undefined);
    const error = exchange.errors[0] ?? null;
    return { exchange, error, outcome: error === null ? exchange.identity?.subject : error.reason };
  };
  return { ask, clock, attempts };
}

describe("apiKey", () => {
  it("takes a key from its field, and tells the upstream whose it is in place of the key", () => {
    const { ask } = stage({ nameHeader: "x-client" });
    const { exchange, outcome } = ask({
      fields: [
        ["X-API-Key", KEY],
        ["X_Client", "root"],
        ["Accept", "*/*"],
      ],
    });
    assert.equal(outcome, "ci");
    assert.deepEqual(exchange.identity, { subject: "ci", by: "apiKey" });
    assert.deepEqual(exchange.requestLines, [
      ["Accept", "*/*"],
      ["x-client", "ci"],
    ]);
  });

  it("tells names beyond ASCII as UTF-8", () => {
    const { exchange } = stage({ nameHeader: "x-client" }).ask({ fields: [["x-api-key", "other"]] });
    assert.equal(Buffer.from(exchange.request.fields.get("x-client")!, "latin1").toString(), "Bürø");
  });

  it("takes a key from Authorization", () => {
    const { ask } = stage({ from: "bearer" });
    const { exchange, outcome } = ask({ fields: [["Authorization", `bearer ${KEY}`]] });
    assert.deepEqual([outcome, exchange.requestLines], ["ci", []]);
    assert.equal(ask({ fields: [["Authorization", "Basic YTpi"]] }).outcome, "credentials_missing");
    assert.equal(ask({ fields: [["x-api-key", KEY]] }).outcome, "credentials_missing");
  });

  it("takes a key out of the query, and leaves all else there byte for byte", () => {
    const { ask } = stage({ from: "query:api_key" });
    const encoded = encodeURIComponent(KEY);
    for (const [target, left] of [
      [`/a?b=%41%2f&api_key=${encoded}&c=+&&d`, "/a?b=%41%2f&c=+&&d"],
      [`/a?api%5Fkey=${encoded}`, "/a"],
      [`/a%2Fb?x&api_key=${encoded}`, "/a%2Fb?x"],
    ] as const) {
      const { exchange, outcome } = ask({ target });
      assert.deepEqual([outcome, exchange.request.target], ["ci", left]);
    }
  });

  it("hands the key on when it is told to", () => {
    const { ask } = stage({ from: ["header:x-api-key", "query:k", "bearer"], forward: true });
    const target = `/a?k=${encodeURIComponent(KEY)}`;
    assert.equal(ask({ target }).exchange.request.target, target);
    assert.deepEqual(ask({ fields: [["X-Api-Key", KEY]] }).exchange.requestLines, [["X-Api-Key", KEY]]);
  });

  it("takes one key from one of several places, and no two", () => {
    const { ask } = stage({ from: ["header:x-api-key", "bearer", "query:k"] });
    const bearer = ["Authorization", `Bearer ${KEY}`] as const;
    const header = ["x-api-key", KEY] as const;
    const target = `/?k=${encodeURIComponent(KEY)}`;
    for (const request of [{ fields: [bearer] }, { fields: [header] }, { target }])
      assert.equal(ask(request).outcome, "ci");
    for (const request of [
      { fields: [bearer, header] },
      { fields: [header], target },
      { fields: [header, header] },
      { fields: [header, ["X_Api_Key", KEY] as const] },
      { fields: [["x.api_key", "another one"] as const, header] },
      { fields: [["X_API_KEY", KEY] as const] },
      { fields: [bearer, bearer] },
      { target: `${target}&k=x` },
      { fields: [["x-api-key", ""] as const] },
      { fields: [["x-api-key", `${KEY} ${KEY}`] as const] },
      { fields: [["x-api-key", "k".repeat(1025)] as const] },
      { target: "/?k" },
      { target: "/?k=%00" },
      { fields: [["Authorization", "Bearer"] as const] },
    ]) {
      assert.equal(ask(request).outcome, "credentials_malformed", JSON.stringify(request));
    }
    // Of another scheme it is somebody else's.
    const basic = ask({ fields: [["Authorization", "Basic YTpi"], header] });
    assert.deepEqual([basic.outcome, basic.exchange.requestLines], ["ci", [["Authorization", "Basic YTpi"]]]);
  });

  it("answers several keys with 400 where Bearer is spoken, and one in a wrong form as an unknown one", () => {
    const { ask } = stage({ from: ["bearer", "header:x-api-key"] });
    const answer = (fields: StandInRequest["fields"] & object) => {
      const { error } = ask({ fields });
      return [error?.status, error?.fields];
    };
    const bearer = ["Authorization", `Bearer ${KEY}`] as const;
    const invalidRequest = 'Bearer realm="restricted", error="invalid_request", ApiKey realm="restricted"';
    assert.deepEqual(answer([bearer, ["x-api-key", KEY]]), [400, [["WWW-Authenticate", invalidRequest]]]);
    assert.deepEqual(answer([bearer, bearer]), [400, [["WWW-Authenticate", invalidRequest]]]);
    assert.deepEqual(answer([["x-api-key", `${KEY} ${KEY}`]]), answer([["x-api-key", "no"]]));
    const fields = [["x-api-key", KEY] as const, ["x-api-key", KEY] as const];
    assert.equal(stage({ from: "header:x-api-key" }).ask({ fields }).error?.status, 401);
  });

  it("refuses what it does not know, with a challenge", () => {
    for (const [from, missing, unknown] of [
      ["header:x-api-key", 'ApiKey realm="restricted"', 'ApiKey realm="restricted"'],
      ["bearer", 'Bearer realm="restricted"', 'Bearer realm="restricted", error="invalid_token"'],
      [
        ["bearer", "header:x-api-key", "query:k"],
        'Bearer realm="restricted", ApiKey realm="restricted"',
        'Bearer realm="restricted", error="invalid_token", ApiKey realm="restricted"',
      ],
    ] as const) {
      const { ask } = stage({ from });
      const fields = [from === "header:x-api-key" ? ["x-api-key", "no"] : ["Authorization", "Bearer no"]] as const;
      for (const [given, reason, challenge] of [
        [[], "credentials_missing", missing],
        [fields, "key_unknown", unknown],
      ] as const) {
        const { error, exchange } = ask({ fields: given as StandInRequest["fields"] & object });
        assert.deepEqual([error?.status, error?.reason, exchange.identity], [401, reason, null]);
        assert.deepEqual(error?.fields, [["WWW-Authenticate", challenge]]);
      }
    }
  });

  it("hears no more of an address that guesses, but of a key that was good from there", () => {
    const { ask, clock } = stage({ failedAttempts: 2 });
    const send = (key: string, clientAddress = "192.0.2.1") => ask({ fields: [["x-api-key", key]], clientAddress });
    const guess = (key: string) => send(key).outcome;
    assert.equal(ask({}).outcome, "credentials_missing");
    assert.equal(guess(KEY), "ci");
    assert.equal(send("other", "192.0.2.2").outcome, "Bürø");
    assert.deepEqual([guess("1"), guess("2"), guess("3")], ["key_unknown", "key_unknown", "too_many_failures"]);
    assert.equal(guess(KEY), "ci");
    // Word for word the answer of an unknown one, as often as it asks.
    const [wrong, good] = [send("3"), send("other")];
    assert.equal(good.exchange.identity, null);
    assert.deepEqual([good.error?.status, good.error?.message], [429, wrong.error?.message]);
    assert.deepEqual(good.error?.fields, wrong.error?.fields);
    assert.equal(guess("other"), "too_many_failures");
    assert.equal(send("other", "192.0.2.2").outcome, "Bürø");
    clock.advance(60_000);
    assert.equal(guess("4"), "key_unknown");
    assert.equal(guess("other"), "Bürø");
  });

  it("may count nothing, and counts no client without an address", () => {
    const off = stage({ failedAttempts: "off" });
    const some = stage({ failedAttempts: 2 });
    for (let i = 0; i < 9; i++) {
      assert.equal(off.ask({ fields: [["x-api-key", `${i}`]] }).outcome, "key_unknown");
      assert.equal(some.ask({ fields: [["x-api-key", `${i}`]], clientAddress: "" }).outcome, "key_unknown");
    }
    assert.equal(off.attempts.blockedSeconds("192.0.2.1", 1), 0);
  });

  it("refuses options that cannot be meant", () => {
    const messages = (value: unknown) => apiKeyOptions.safeParse(value).error?.issues.map(({ message }) => message);
    const [first] = KEYS;
    assert.deepEqual(messages({}), ['needs "file" or "keys"']);
    assert.deepEqual(messages({ file: "a", keys: KEYS }), ['has "file" and "keys": give one of them']);
    assert.deepEqual(messages({ keys: [first, { ...first, name: "x" }] }), ["another name has this key"]);
    assert.deepEqual(messages({ keys: [first, { name: "ci", sha256: keyDigest("x") }] }), [
      "another key has this name",
    ]);
    assert.match(messages({ keys: [{ name: "ci", sha256: KEY }] })?.[0] ?? "", /^a key is stored as its SHA-256/);
    for (const from of ["x-api-key", "header:authorization", "header:cookie", "header:", "query:", "cookie:a"]) {
      assert.ok(messages({ keys: KEYS, from }), from);
    }
  });
});
