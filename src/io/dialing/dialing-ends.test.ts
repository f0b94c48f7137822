// How a dial ends: by its deadline, by cancellation at every stage, by an objection of the transport; once, and with
// nothing left of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ScriptedConnecting, v4 } from "../../../test/support/scripted-connecting.ts";
import { ProxyError } from "../../core/errors.ts";
import type { LookupCallback } from "./name-cache.ts";

const LITERAL = { host: "10.0.0.1", port: 80, timeoutMs: 1_000 };

function assertOver(dialing: ScriptedConnecting): void {
  assert.equal(dialing.attempts, 0);
  assert.equal(dialing.clock.pendingTimers, 0);
}

test("the deadline covers every stage", async (t) => {
  await t.test("resolving", async () => {
    const dialing = new ScriptedConnecting(() => {});
    dialing.dial({ timeoutMs: 1_000 });
    dialing.clock.advance(999);
    assert.equal(dialing.outcome, null);
    dialing.clock.advance(1);
    const error = await dialing.failure();
    assert.equal(error.type, "dns_timeout");
    assert.equal(error.message, "cannot connect to many.example:80: the name was not resolved within 1000 ms");
    assertOver(dialing);
  });
  await t.test("connecting", async () => {
    const dialing = new ScriptedConnecting();
    dialing.dial(LITERAL);
    assert.equal(dialing.attempts, 1);
    dialing.clock.advance(1_000);
    const error = await dialing.failure();
    assert.equal(error.type, "connection_timeout");
    assert.equal(error.message, "cannot connect to 10.0.0.1:80: no answer within 1000 ms");
    assert.deepEqual(dialing.cancelled, ["10.0.0.1"]);
    assertOver(dialing);
  });
  await t.test("completing", async () => {
    const dialing = new ScriptedConnecting();
    dialing.waitsToComplete = true;
    dialing.dial(LITERAL);
    dialing.clock.advance(600);
    dialing.connect("10.0.0.1");
    assert.equal(dialing.attempts, 1);
    dialing.clock.advance(399);
    assert.equal(dialing.outcome, null);
    dialing.clock.advance(1);
    const error = await dialing.failure();
    assert.equal(error.type, "connection_timeout");
    assert.equal(error.message, "TLS handshake with 10.0.0.1:80: not finished within 1000 ms");
    assert.deepEqual(dialing.cancelled, ["handshake with 10.0.0.1"]);
    assertOver(dialing);
  });
});

test("a dial can be cancelled at every stage, and nothing is told after it", async (t) => {
  await t.test("resolving", () => {
    const answers: LookupCallback[] = [];
    const dialing = new ScriptedConnecting((_name, callback) => answers.push(callback));
    const pending = dialing.dial();
    pending.cancel();
    pending.cancel();
    answers[0]!(null, [v4("10.0.0.1")]);
    assert.deepEqual(dialing.tried, []);
    assertOver(dialing);
  });
  await t.test("with an error that waits to be told", async () => {
    const dialing = new ScriptedConnecting((_name, callback) => callback(new Error("at once"), []));
    const pending = dialing.dial();
    assert.equal(dialing.outcome, null, "never within the call");
    pending.cancel();
    await nextTurn();
    assert.equal(dialing.outcome, null);
    assertOver(dialing);
  });
  await t.test("connecting", () => {
    const dialing = new ScriptedConnecting([v4("10.0.0.1"), v4("10.0.0.2")]);
    const pending = dialing.dial();
    dialing.clock.advance(250);
    pending.cancel();
    assert.deepEqual(dialing.cancelled, ["10.0.0.1", "10.0.0.2"]);
    dialing.clock.advance(10_000);
    assert.equal(dialing.outcome, null);
    assertOver(dialing);
  });
  await t.test("completing", () => {
    const dialing = new ScriptedConnecting();
    dialing.waitsToComplete = true;
    const pending = dialing.dial(LITERAL);
    dialing.connect("10.0.0.1");
    pending.cancel();
    pending.cancel();
    assert.deepEqual(dialing.cancelled, ["handshake with 10.0.0.1"]);
    assert.equal(dialing.outcome, null);
    assertOver(dialing);
  });
  await t.test("within its own handler, and after it: nothing happens", () => {
    const dialing = new ScriptedConnecting();
    const pending = dialing.dial(LITERAL, () => pending.cancel());
    dialing.connect("10.0.0.1");
    pending.cancel();
    assert.ok(dialing.outcome !== null && !(dialing.outcome instanceof ProxyError));
    assert.equal(dialing.connection.closedWith, undefined);
    assert.deepEqual(dialing.cancelled, []);
    assertOver(dialing);
  });
});

test("what follows the connect fails: the dial does", async () => {
  const dialing = new ScriptedConnecting();
  dialing.waitsToComplete = true;
  dialing.dial(LITERAL);
  dialing.connect("10.0.0.1");
  const refused = new ProxyError("tls_certificate_error", "expired");
  dialing.finish(refused);
  assert.equal(await dialing.failure(), refused);
  assertOver(dialing);
});

test("a target that the transport objects to: told in a later turn, and nothing was tried", async () => {
  const dialing = new ScriptedConnecting();
  dialing.objection = new ProxyError("proxy_configuration_error", "no such key");
  dialing.dial(LITERAL);
  assert.equal(dialing.outcome, null);
  assert.equal(await dialing.failure(), dialing.objection);
  assert.deepEqual(dialing.tried, []);
  assertOver(dialing);
});

test("who dialled throws: it is reported, and the connection is closed", () => {
  const bug = new Error("bug");
  const dialing = new ScriptedConnecting();
  dialing.dial(LITERAL, () => {
    throw bug;
  });
  dialing.connect("10.0.0.1");
  assert.deepEqual(dialing.faults, [bug]);
  assert.equal(dialing.connection.closedWith?.cause, bug);
  assertOver(dialing);
});

test("who dialled throws when told of the failure: it is reported", () => {
  const dialing = new ScriptedConnecting();
  dialing.dial(LITERAL, () => {
    throw new Error("bug");
  });
  dialing.fail("10.0.0.1", "ECONNREFUSED");
  assert.equal(dialing.faults.length, 1);
  assertOver(dialing);
});

test("a unix socket is dialled by its path, and never taken for one that connected to itself", () => {
  const dialing = new ScriptedConnecting();
  dialing.dial({ host: "/run/app.sock", port: 0 });
  assert.deepEqual(dialing.tried, ["/run/app.sock"]);
  dialing.connect("/run/app.sock", { family: 0, address: "", port: 0 });
  assert.ok(dialing.outcome !== null && !(dialing.outcome instanceof ProxyError));
  assertOver(dialing);
});
