// Addresses that may not be connected to: of a name, whatever it resolves to this time, and of a host that is an address.
// Nothing is tried that was refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ScriptedConnecting, v4, v6 } from "../../../test/support/scripted-connecting.ts";
import { ProxyError } from "../../core/errors.ts";
import { CONNECTION_ATTEMPT_DELAY_MS, DNS_TTL_MS } from "../../core/limits.ts";
import type { AddressFilter } from "../../core/ports.ts";
import type { ResolvedAddress } from "./name-cache.ts";

/** Admits what begins so, and notes what it was asked. */
class Admitting implements AddressFilter {
  readonly asked: string[] = [];
  readonly refusals: ProxyError[] = [];
  readonly #start: string;

  constructor(start: string) {
    this.#start = start;
  }

  refusalOf(address: string): ProxyError | null {
    this.asked.push(address);
    if (address.startsWith(this.#start)) return null;
    const refusal = new ProxyError("destination_ip_prohibited", `${address} is not admitted`);
    this.refusals.push(refusal);
    return refusal;
  }
}

async function assertRefused(dialing: ScriptedConnecting, filter: Admitting): Promise<void> {
  const error = await dialing.failure();
  assert.equal(error, filter.refusals[0], "the first refusal, as the filter gave it");
  assert.equal(error.retryable, false);
  assert.deepEqual(dialing.tried, []);
  assert.equal(dialing.attempts, 0);
  assert.equal(dialing.clock.pendingTimers, 0);
}

test("a literal is asked about, in whatever form, and refused in a later turn", async (t) => {
  for (const [host, asked] of [
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "::1"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::FFFF:7f00:1", "127.0.0.1"],
    ["0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"],
    ["0000::ffff:7f00:0001", "127.0.0.1"],
    ["::ffff:0:127.0.0.1", "::ffff:0:127.0.0.1"],
    ["fe80::1%eth0", "fe80::1"],
  ] as const) {
    await t.test(host, async () => {
      const filter = new Admitting("203.");
      const dialing = new ScriptedConnecting();
      dialing.dial({ host, addresses: filter });
      assert.equal(dialing.outcome, null, "never within the call");
      await assertRefused(dialing, filter);
      assert.deepEqual(filter.asked, [asked]);
    });
  }
});

test("a literal that is admitted is dialled, IPv4 as IPv4", () => {
  const dialing = new ScriptedConnecting();
  dialing.dial({ host: "::ffff:203.0.113.1", addresses: new Admitting("203.") });
  assert.deepEqual(dialing.tried, ["203.0.113.1"]);
});

test("a refused dial can be cancelled before it is told", async () => {
  const dialing = new ScriptedConnecting([v4("127.0.0.1")]);
  for (const host of ["127.0.0.1", "many.example"]) {
    dialing.dial({ host, addresses: new Admitting("203.") }).cancel();
    await nextTurn();
    assert.equal(dialing.outcome, null);
    assert.equal(dialing.clock.pendingTimers, 0);
  }
});

test("every address of a name is refused: the first refusal is the error", async () => {
  const filter = new Admitting("203.");
  const dialing = new ScriptedConnecting([v6("::1"), v4("127.0.0.1"), v4("10.0.0.1")]);
  dialing.dial({ addresses: filter });
  assert.equal(dialing.outcome, null, "never within the call");
  await assertRefused(dialing, filter);
  assert.deepEqual(filter.asked, ["::1", "127.0.0.1", "10.0.0.1"]);
});

test("of a mixed answer only what is admitted is tried, also when that fails", async (t) => {
  const mixed = [v6("::1"), v4("127.0.0.1"), v4("203.0.113.1"), v4("10.0.0.1"), v4("203.0.113.2")];
  await t.test("it connects", () => {
    const dialing = new ScriptedConnecting(mixed);
    dialing.dial({ addresses: new Admitting("203.") });
    assert.deepEqual(dialing.tried, ["203.0.113.1"]);
    dialing.clock.advance(CONNECTION_ATTEMPT_DELAY_MS);
    dialing.connect("203.0.113.2");
    assert.ok(dialing.outcome !== null && !(dialing.outcome instanceof ProxyError));
    assert.deepEqual(dialing.tried, ["203.0.113.1", "203.0.113.2"]);
  });
  await t.test("it fails", async () => {
    const dialing = new ScriptedConnecting(mixed);
    dialing.dial({ addresses: new Admitting("203.") });
    dialing.fail("203.0.113.1", "ECONNREFUSED");
    dialing.fail("203.0.113.2", "ECONNREFUSED");
    assert.equal((await dialing.failure()).type, "connection_refused");
    assert.deepEqual(dialing.tried, ["203.0.113.1", "203.0.113.2"]);
  });
});

test("what is known of a name is refused, and more may come: it is waited for, and decides", async () => {
  for (const late of [v6("203::1"), null]) {
    let rest: () => void = assert.fail;
    const known = v4("127.0.0.1");
    const dialing = new ScriptedConnecting((_name, callback) => {
      callback(null, [known], 60_000, true);
      rest = () => callback(null, late === null ? [known] : [known, late], 60_000);
    });
    const filter = new Admitting("203:");
    dialing.dial({ addresses: filter });
    await nextTurn();
    assert.equal(dialing.outcome, null);
    rest();
    if (late === null) await assertRefused(dialing, filter);
    else assert.deepEqual(dialing.tried, ["203::1"]);
  }
});

test("IPv4 that a server gives as IPv6 is judged, and dialled, as IPv4", async () => {
  const filter = new Admitting("203.");
  const dialing = new ScriptedConnecting([v6("::ffff:127.0.0.1"), v6("::ffff:cb00:7101")]);
  dialing.dial({ addresses: filter });
  assert.deepEqual(filter.asked, ["127.0.0.1", "203.0.113.1"]);
  assert.deepEqual(dialing.tried, ["203.0.113.1"]);
});

test("a name that resolved to an admitted address resolves to another one: refused at the second dial", async () => {
  const answers: ResolvedAddress[][] = [[v4("203.0.113.1")], [v4("127.0.0.1")]];
  const dialing = new ScriptedConnecting((_name, callback) => callback(null, answers.shift()!));
  const filter = new Admitting("203.");
  dialing.dial({ addresses: filter });
  dialing.connect("203.0.113.1");
  assert.ok(dialing.outcome !== null && !(dialing.outcome instanceof ProxyError));
  dialing.outcome = null;
  dialing.tried.length = 0;
  dialing.clock.advance(DNS_TTL_MS);
  dialing.dial({ addresses: filter });
  await assertRefused(dialing, filter);
});

test("an address that is known already is judged for each dial by its own filter", async () => {
  const dialing = new ScriptedConnecting([v4("10.0.0.1")]);
  dialing.dial({ addresses: new Admitting("10.") });
  dialing.connect("10.0.0.1");
  dialing.outcome = null;
  dialing.tried.length = 0;
  const filter = new Admitting("203.");
  dialing.dial({ addresses: filter });
  await assertRefused(dialing, filter);
});

test("a unix socket is not asked about: only a configuration names one", () => {
  const filter = new Admitting("203.");
  const dialing = new ScriptedConnecting();
  dialing.dial({ host: "/run/app.sock", port: 0, addresses: filter });
  assert.deepEqual(dialing.tried, ["/run/app.sock"]);
  assert.deepEqual(filter.asked, []);
});
