// What threads know of servers together, by two of them that share a memory.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { closeStatesColumn, reportOf, ServerStates, type StatesPlace, statesBytes } from "./server-states.ts";

const COLUMNS = 2;
const CAPACITY = 5;
const WALL_MS = Date.UTC(2026, 0, 2);

let place: StatesPlace;
let one: ServerStates;
let other: ServerStates;

beforeEach(() => {
  place = { memory: new SharedArrayBuffer(statesBytes(CAPACITY, COLUMNS)), capacity: CAPACITY, first: 2 };
  one = new ServerStates(place, 0);
  other = new ServerStates(place, 1);
});

describe("a server that could not be reached", () => {
  it("is avoided by all for 2 s, and then tried by one request, for twice as long each time up to 30 s", () => {
    one.wasNotReached(1, "connection_refused", 1_000, WALL_MS);
    assert.deepEqual(
      [0, 1, 2].map((server) => other.isAvoided(server, 2_999)),
      [false, true, false],
    );
    const pauses = [];
    let now = 1_000;
    for (let i = 0; i < 6; i++) {
      const since = now;
      while (other.isAvoided(1, now)) now += 1_000;
      pauses.push((now - since) / 1_000);
      other.beginsDial(1, now);
      assert.ok(one.isAvoided(1, now), "nobody else tries it");
      other.wasNotReached(1, "connection_refused", now, WALL_MS);
    }
    assert.deepEqual(pauses, [2, 4, 8, 16, 30, 30]);
  });

  it("is tried by others too when whoever tries it is not heard of any more", () => {
    one.wasNotReached(0, "connection_timeout", 0, WALL_MS);
    one.beginsDial(0, 2_000);
    assert.deepEqual(
      [5_999, 6_000].map((now) => other.isAvoided(0, now)),
      [true, false],
    );
  });

  it("is avoided for 2 s again after it was reached", () => {
    for (const now of [0, 10_000, 20_000]) {
      one.beginsDial(0, now);
      one.wasNotReached(0, "connection_refused", now, WALL_MS);
    }
    other.wasReached(0);
    assert.equal(one.isAvoided(0, 20_000), false);
    one.wasNotReached(0, "connection_refused", 21_000, WALL_MS);
    assert.deepEqual(
      [22_999, 23_000].map((now) => other.isAvoided(0, now)),
      [true, false],
    );
  });

  it("is told once by all, and once that it is back", () => {
    assert.equal(one.wasReached(0), false, "it was not away");
    assert.equal(one.wasNotReached(0, "connection_refused", 5, WALL_MS), true);
    assert.equal(other.wasNotReached(0, "connection_refused", 6, WALL_MS), false);
    assert.equal(other.wasReached(0), true);
    assert.equal(one.wasReached(0), false);
  });

  it("that comes and goes is told every 10 s, and never that it is back only", () => {
    const told = [];
    for (let now = 1_000; now <= 25_000; now += 1_000) {
      if (one.wasNotReached(0, "connection_refused", now, WALL_MS)) told.push(`away ${now / 1_000}`);
      if (one.wasReached(0)) told.push(`back ${now / 1_000}`);
    }
    assert.deepEqual(told, ["away 1", "back 1", "away 11", "back 11", "away 21", "back 21"]);
  });

  it("that stays away soon after it was told to be back is told later", () => {
    one.wasNotReached(0, "connection_refused", 1_000, WALL_MS);
    one.wasReached(0);
    assert.equal(one.wasNotReached(0, "connection_refused", 2_000, WALL_MS), false);
    assert.equal(one.wasNotReached(0, "connection_refused", 11_000, WALL_MS), true);
  });
});

it("a server that fails its checks is avoided until they pass", () => {
  one.failsChecks(0, WALL_MS);
  assert.deepEqual([other.isAvoided(0, 1e9), other.isAvoided(1, 1e9)], [true, false]);
  assert.equal(other.wasReached(0), false, "a connection is no check");
  assert.equal(other.isAvoided(0, 1e9), true);
  one.wasNotReached(0, "connection_refused", 1e9, WALL_MS);
  one.passesChecks(0);
  assert.equal(other.isAvoided(0, 1e9), false);
});

describe("a server that closes new connections without an answer", () => {
  const close = (now: number): boolean => one.didNotAnswer(1, "connection_terminated", now, WALL_MS);

  it("is avoided from the third in a row on, until it answers: that it takes connections is not enough", () => {
    assert.deepEqual([close(0), close(0), other.isAvoided(1, 0), close(0)], [false, false, false, true]);
    assert.ok(other.isAvoided(1, 1_999));
    other.beginsDial(1, 2_000);
    assert.equal(other.wasReached(1), false);
    close(2_000);
    assert.deepEqual(
      [5_999, 6_000].map((now) => other.isAvoided(1, now)),
      [true, false],
    );
    assert.equal(other.answered(1), true);
    assert.ok(!one.isAvoided(1, 2_000));
    assert.equal(other.answered(1), false);
  });

  it("and answers others in between is not", () => {
    for (let i = 0; i < 10; i++) {
      close(i);
      close(i);
      assert.equal(other.answered(1), false);
      assert.ok(!one.isAvoided(1, i));
    }
  });

  it("is used again when its checks pass", () => {
    for (let i = 0; i < 3; i++) close(i);
    assert.equal(one.passesChecks(1), true);
    close(10);
    assert.ok(!one.isAvoided(1, 10));
  });
});

describe("the report", () => {
  const UP = {
    lostSinceMs: null,
    reason: null,
    failingSinceMs: null,
    connections: 0,
    requests: 0,
    failures: 0,
    badAnswers: 0,
  };

  it("has the sums of all threads, of each server its own", () => {
    for (const states of [one, other, other]) states.countConnection(2, 1);
    other.countConnection(2, -1);
    one.countRequest(0);
    other.countRequest(0);
    assert.deepEqual(reportOf(place, 0, COLUMNS), { ...UP, requests: 2 });
    assert.deepEqual(reportOf(place, 1, COLUMNS), UP);
    assert.deepEqual(reportOf(place, 2, COLUMNS), { ...UP, connections: 2 });
  });

  it("says since when a server is away, and why it was the last time", () => {
    one.wasNotReached(0, "connection_refused", 0, WALL_MS);
    other.wasNotReached(0, "connection_timeout", 5_000, WALL_MS + 5_000);
    const lost = { ...UP, lostSinceMs: WALL_MS, reason: "connection_timeout", failures: 2 };
    assert.deepEqual(reportOf(place, 0, COLUMNS), lost);
    one.failsChecks(1, WALL_MS);
    assert.deepEqual(reportOf(place, 1, COLUMNS), { ...UP, failingSinceMs: WALL_MS });
    one.wasReached(0);
    assert.deepEqual(reportOf(place, 0, COLUMNS), { ...UP, failures: 2 });
  });

  it("loses the connections of a thread that is gone, and nothing else", () => {
    for (const states of [one, other]) {
      states.countConnection(0, 1);
      states.countRequest(0);
    }
    closeStatesColumn(place, 1);
    assert.deepEqual(reportOf(place, 0, COLUMNS), { ...UP, connections: 1, requests: 2 });
  });

  it("keeps upstreams apart that share a memory", () => {
    const neighbour = { ...place, first: 0 };
    one.countRequest(0);
    one.wasNotReached(0, "dns_error", 0, WALL_MS);
    const states = new ServerStates(neighbour, 1);
    states.countConnection(1, 1);
    assert.deepEqual(reportOf(neighbour, 0, COLUMNS), UP);
    assert.deepEqual(reportOf(neighbour, 1, COLUMNS), { ...UP, connections: 1 });
    assert.deepEqual(reportOf(place, 0, COLUMNS).connections, 0);
  });
});
