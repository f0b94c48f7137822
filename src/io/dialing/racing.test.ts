// Address racing, RFC 8305: which address is tried when, who wins, and what is said when all fail.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ScriptedConnecting, v4, v6 } from "../../../test/support/scripted-connecting.ts";
import { ProxyError } from "../../core/errors.ts";
import { CONNECTION_ATTEMPT_DELAY_MS } from "../../core/limits.ts";
import { interleave } from "./dial.ts";
import type { ResolvedAddress } from "./name-cache.ts";

/** Nothing is left of a dial that has ended. */
function assertOver(race: ScriptedConnecting): void {
  assert.equal(race.attempts, 0);
  assert.equal(race.clock.pendingTimers, 0);
}

test("families take turns, beginning with the one that the system prefers", () => {
  const mixed = interleave([v6("::a"), v6("::b"), v6("::c"), v4("10.0.0.1"), v4("10.0.0.2")]);
  assert.deepEqual(
    mixed.map(({ address }) => address),
    ["::a", "10.0.0.1", "::b", "10.0.0.2", "::c"],
  );
  assert.deepEqual(interleave([v4("10.0.0.1")]), [v4("10.0.0.1")]);
  assert.deepEqual(interleave([v4("10.0.0.1"), v4("10.0.0.2")]), [v4("10.0.0.1"), v4("10.0.0.2")]);
});

test("each address has a head start; the first that connects wins, the others are dropped", () => {
  const race = new ScriptedConnecting([v6("::dead"), v4("10.0.0.9"), v4("10.0.0.1")]);
  race.dial();
  assert.deepEqual(race.tried, ["::dead"]);
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1);
  assert.deepEqual(race.tried, ["::dead"]);
  race.clock.advance(1);
  assert.deepEqual(race.tried, ["::dead", "10.0.0.9"]);
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS);
  assert.deepEqual(race.tried, ["::dead", "10.0.0.9", "10.0.0.1"]);
  assert.equal(race.attempts, 3);
  race.connect("10.0.0.1");
  assert.ok(race.outcome !== null && !(race.outcome instanceof ProxyError));
  assert.deepEqual(race.cancelled, ["::dead", "10.0.0.9"]);
  assertOver(race);
});

test("an early address still wins when a later one was begun", () => {
  const race = new ScriptedConnecting([v6("::1"), v4("10.0.0.9"), v4("10.0.0.8")]);
  race.dial();
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS);
  race.connect("::1");
  assert.ok(race.outcome !== null && !(race.outcome instanceof ProxyError));
  assert.deepEqual(race.cancelled, ["10.0.0.9"]);
  assertOver(race);
  race.clock.advance(10_000);
  assert.deepEqual(race.tried, ["::1", "10.0.0.9"], "nobody is tried after the end");
});

test("an address that fails gives way to the next one at once, which gets a whole head start", () => {
  const race = new ScriptedConnecting([v6("::dead"), v4("10.0.0.9"), v4("10.0.0.1")]);
  race.dial();
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1);
  race.fail("::dead", "ENETUNREACH");
  assert.deepEqual(race.tried, ["::dead", "10.0.0.9"]);
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1);
  assert.deepEqual(race.tried, ["::dead", "10.0.0.9"]);
  race.fail("10.0.0.9", "ECONNREFUSED");
  assert.deepEqual(race.tried, ["::dead", "10.0.0.9", "10.0.0.1"]);
  race.connect("10.0.0.1");
  assert.ok(race.outcome !== null && !(race.outcome instanceof ProxyError));
  assertOver(race);
});

test("all addresses fail: one error with every reason, named after the one that tells most", async () => {
  const race = new ScriptedConnecting([v6("::dead"), v4("10.0.0.8"), v4("10.0.0.9")]);
  race.dial();
  race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS);
  race.fail("10.0.0.8", "ECONNREFUSED");
  race.fail("10.0.0.9", "EHOSTUNREACH");
  assert.equal(race.outcome, null);
  race.fail("::dead", "ENETUNREACH");
  const error = await race.failure();
  assert.equal(error.type, "connection_refused");
  assert.equal(
    error.message,
    "cannot connect to many.example:80 at 10.0.0.8: connection refused, nothing accepts connections there (ECONNREFUSED); " +
      "cannot connect to many.example:80 at 10.0.0.9: no route to the host (EHOSTUNREACH); " +
      "cannot connect to many.example:80 at ::dead: the network is unreachable (ENETUNREACH)",
  );
  assert.ok(error.cause instanceof AggregateError);
  assert.equal(error.cause.errors.length, 3);
  assertOver(race);
});

test("no address answers in time: a time-out that also tells what failed before", async () => {
  const race = new ScriptedConnecting([v4("10.0.0.8"), v4("10.0.0.9")]);
  race.dial();
  race.fail("10.0.0.8", "ECONNREFUSED");
  race.clock.advance(3_000);
  const error = await race.failure();
  assert.equal(error.type, "connection_timeout");
  assert.match(
    error.message,
    /^cannot connect to many\.example:80: no answer within 3000 ms \(.*10\.0\.0\.8: connection refused.*\)$/,
  );
  assert.deepEqual(race.cancelled, ["10.0.0.9"]);
  assertOver(race);
});

test("a socket that connected to itself is a refused connection, and the next address is tried", () => {
  const race = new ScriptedConnecting([v4("10.0.0.8"), v4("10.0.0.9")]);
  race.dial({ port: 50_000 });
  race.connect("10.0.0.8", { family: 4, address: "10.0.0.8", port: 50_000 });
  assert.deepEqual(race.discarded, ["10.0.0.8"]);
  assert.deepEqual(race.tried, ["10.0.0.8", "10.0.0.9"]);
  race.connect("10.0.0.9", { family: 4, address: "10.0.0.9", port: 50_001 });
  assert.ok(race.outcome !== null && !(race.outcome instanceof ProxyError));
  assertOver(race);
});

describe("a family that is late", () => {
  /** A race that has begun with one family. `rest` tells what there is in all. */
  function begun(...part: readonly ResolvedAddress[]) {
    let rest: (...all: readonly ResolvedAddress[]) => void = () => assert.fail();
    const race = new ScriptedConnecting((_name, callback) => {
      callback(null, part, 60_000, true);
      rest = (...all) => callback(null, all, 60_000);
    });
    race.dial();
    return { race, rest: (...all: readonly ResolvedAddress[]) => rest(...all) };
  }

  test("is waited for when the other one leads nowhere", () => {
    const { race, rest } = begun(v6("::dead"));
    race.fail("::dead", "ENETUNREACH");
    rest(v6("::dead"), v4("10.0.0.1"));
    assert.deepEqual(race.tried, ["::dead", "10.0.0.1"]);
    race.connect("10.0.0.1");
    assert.ok(race.outcome !== null && !(race.outcome instanceof ProxyError));
    assertOver(race);
  });

  test("joins the race, with its head start", () => {
    const { race, rest } = begun(v6("::slow"));
    rest(v6("::slow"), v4("10.0.0.1"));
    race.clock.advance(CONNECTION_ATTEMPT_DELAY_MS - 1);
    assert.deepEqual(race.tried, ["::slow"]);
    race.clock.advance(1);
    assert.deepEqual(race.tried, ["::slow", "10.0.0.1"]);
    race.connect("10.0.0.1");
    assert.deepEqual(race.cancelled, ["::slow"]);
    assertOver(race);
  });

  test("is not waited for by who is connected, and has given up", () => {
    const { race, rest } = begun(v6("::1"));
    race.connect("::1");
    assertOver(race);
    rest(v6("::1"), v4("10.0.0.1"));
    assert.deepEqual(race.tried, ["::1"]);
  });

  test("has nothing: what failed is told", async () => {
    const { race, rest } = begun(v4("10.0.0.1"));
    race.fail("10.0.0.1", "ECONNREFUSED");
    rest(v4("10.0.0.1"));
    assert.equal((await race.failure()).type, "connection_refused");
    assertOver(race);
  });
});
