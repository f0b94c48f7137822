// Names to addresses: asked once, believed for a time, and what happens while the resolver fails or hangs.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxyError } from "../../core/errors.ts";
import { DNS_NEGATIVE_TTL_MS, DNS_TIMEOUT_MS, DNS_TTL_MAX_MS, DNS_TTL_MIN_MS, DNS_TTL_MS } from "../../core/limits.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { type LookupCallback, NameCache, type ResolvedAddress, systemLookup } from "./name-cache.ts";

const A: ResolvedAddress = { address: "10.0.0.1", family: 4 };
const B: ResolvedAddress = { address: "10.0.0.2", family: 4 };

/** A resolver that answers when the test says so. */
class ScriptedResolver {
  readonly clock = new VirtualClock();
  readonly questions: { readonly name: string; readonly answer: LookupCallback }[] = [];
  readonly cache = new NameCache(this.clock, (name, answer) => this.questions.push({ name, answer }));
  readonly results: (string | ProxyError)[] = [];

  ask(name: string) {
    return this.cache.resolve(name, {
      onResolved: (addresses) => this.results.push(addresses.map(({ address }) => address).join(",")),
      onUnresolved: (error) => this.results.push(error),
    });
  }

  answer(...addresses: ResolvedAddress[]): void {
    this.questions.shift()!.answer(null, addresses);
  }

  fail(code: string): void {
    this.questions.shift()!.answer(Object.assign(new Error(`getaddrinfo ${code}`), { code }), []);
  }

  takeResults(): (string | ProxyError)[] {
    return this.results.splice(0);
  }
}

function assertError(result: string | ProxyError | undefined, type: string, message: string): void {
  assert.ok(typeof result === "object");
  assert.equal(result.type, type);
  assert.equal(result.message, message);
}

test("a name is asked for once, however many wait, in whatever case", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("db.internal");
  resolver.ask("DB.Internal");
  resolver.ask("other.internal");
  assert.deepEqual(
    resolver.questions.map(({ name }) => name),
    ["db.internal", "other.internal"],
  );
  resolver.answer(A, B);
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1,10.0.0.2", "10.0.0.1,10.0.0.2"]);
  assert.equal(resolver.clock.pendingTimers, 1, "only the other one still waits");
});

test("an answer is believed for its time, then asked for again", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.answer(A);
  resolver.clock.advance(DNS_TTL_MS - 1);
  resolver.ask("a");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1"]);
  assert.equal(resolver.questions.length, 0);
  resolver.clock.advance(1);
  resolver.ask("a");
  assert.deepEqual(resolver.takeResults(), []);
  resolver.answer(B);
  assert.deepEqual(resolver.takeResults(), ["10.0.0.2"]);
});

test("an answer that says its time is believed for it, within bounds", () => {
  const resolver = new ScriptedResolver();
  for (const [ttlMs, believedMs] of [
    [0, DNS_TTL_MIN_MS],
    [-1, DNS_TTL_MIN_MS],
    [5_000, 5_000],
    [DNS_TTL_MAX_MS + 1, DNS_TTL_MAX_MS],
    [Number.POSITIVE_INFINITY, DNS_TTL_MAX_MS],
  ] as const) {
    resolver.ask("a");
    resolver.questions.shift()!.answer(null, [A], ttlMs);
    resolver.clock.advance(believedMs - 1);
    resolver.ask("a");
    assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1"]);
    assert.equal(resolver.questions.length, 0);
    resolver.clock.advance(1);
  }
  resolver.ask("a");
  assert.equal(resolver.questions.length, 1);
});

test("the time for which an expired answer serves on begins when it expires", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.questions.shift()!.answer(null, [A], DNS_TTL_MAX_MS);
  resolver.clock.advance(DNS_TTL_MAX_MS + 3_600_000 - 1);
  resolver.ask("a");
  resolver.fail("ESERVFAIL");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1"]);
});

test("a second answer to one question adds to the first; one to an older question is not news", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  const { answer } = resolver.questions.shift()!;
  answer(null, [A], 5_000);
  answer(null, [A, B], 5_000);
  resolver.ask("a");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1,10.0.0.2"]);
  resolver.clock.advance(5_000);
  resolver.ask("a");
  answer(null, [A], 5_000);
  assert.deepEqual(resolver.takeResults(), []);
  resolver.answer(B);
  resolver.ask("a");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.2", "10.0.0.2"]);
});

test("what is forgotten is asked for again, and who waits gets the answer to its own question", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.answer(A);
  resolver.ask("b");
  resolver.cache.flush();
  resolver.ask("a");
  resolver.ask("b");
  assert.deepEqual(
    resolver.questions.map(({ name }) => name),
    ["b", "a", "b"],
  );
  resolver.answer(A);
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1"]);
  resolver.answer(B);
  resolver.answer(B);
  resolver.ask("b");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.2", "10.0.0.2", "10.0.0.2"]);
});

test("IPv4 written as IPv6 is given as IPv4", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.answer({ address: "::ffff:127.0.0.1", family: 6 }, { address: "::ffff:7f00:2", family: 6 }, B);
  assert.deepEqual(resolver.takeResults(), ["127.0.0.1,127.0.0.2,10.0.0.2"]);
});

test("a failure is believed for a shorter time", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("nowhere");
  resolver.fail("ENOTFOUND");
  resolver.clock.advance(DNS_NEGATIVE_TTL_MS - 1);
  resolver.ask("nowhere");
  assert.equal(resolver.questions.length, 0);
  for (const result of resolver.takeResults()) {
    assertError(result, "dns_error", "cannot resolve nowhere: the name is not known (ENOTFOUND)");
  }
  resolver.clock.advance(1);
  resolver.ask("nowhere");
  assert.equal(resolver.questions.length, 1);
});

test("a name without an address, a resolver without an answer, an unheard-of error", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.answer();
  resolver.ask("b");
  resolver.fail("EAI_AGAIN");
  resolver.ask("c");
  resolver.fail("EAI_WHATEVER");
  const [a, b, c] = resolver.takeResults();
  assertError(a, "dns_error", "cannot resolve a: the name has no address");
  assertError(b, "dns_error", "cannot resolve b: the resolver gave no answer (EAI_AGAIN)");
  assertError(c, "dns_error", "cannot resolve c: getaddrinfo EAI_WHATEVER (EAI_WHATEVER)");
});

test("while resolving fails, the last answer serves, but not for ever", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.answer(A);
  resolver.clock.advance(DNS_TTL_MS);
  resolver.ask("a");
  resolver.fail("EAI_AGAIN");
  resolver.ask("a");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1", "10.0.0.1"]);
  resolver.clock.advance(3_600_000);
  resolver.ask("a");
  resolver.fail("EAI_AGAIN");
  assertError(resolver.takeResults()[0], "dns_error", "cannot resolve a: the resolver gave no answer (EAI_AGAIN)");
});

test("that there is no address any more is believed soon, and is no failure until then", () => {
  for (const answerNothing of [
    (resolver: ScriptedResolver) => resolver.fail("ENOTFOUND"),
    (resolver: ScriptedResolver) => resolver.fail("ENODATA"),
    (resolver: ScriptedResolver) => resolver.answer(),
  ]) {
    const resolver = new ScriptedResolver();
    resolver.ask("a");
    resolver.answer(A);
    resolver.clock.advance(DNS_TTL_MS);
    resolver.ask("a");
    answerNothing(resolver);
    assert.deepEqual(resolver.takeResults(), ["10.0.0.1", "10.0.0.1"]);
    resolver.clock.advance(30_000);
    resolver.ask("a");
    resolver.fail("EAI_AGAIN");
    assertError(resolver.takeResults()[0], "dns_error", "cannot resolve a: the resolver gave no answer (EAI_AGAIN)");
    resolver.clock.advance(1_000);
    resolver.ask("a");
    resolver.answer(B);
    assert.deepEqual(resolver.takeResults(), ["10.0.0.2"]);
    resolver.clock.advance(DNS_TTL_MS + 60_000);
    resolver.ask("a");
    resolver.fail("EAI_AGAIN");
    assert.deepEqual(resolver.takeResults(), ["10.0.0.2"]);
  }
});

test("an expired answer serves when a fresh one takes long, which is taken when it comes", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.answer(A);
  resolver.clock.advance(DNS_TTL_MS);
  resolver.takeResults();
  resolver.ask("a");
  resolver.clock.advance(499);
  assert.deepEqual(resolver.takeResults(), []);
  resolver.clock.advance(1);
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1"]);
  resolver.answer(B);
  assert.deepEqual(resolver.takeResults(), []);
  resolver.ask("a");
  assert.deepEqual(resolver.takeResults(), ["10.0.0.2"]);
});

test("a resolver that hangs: those who wait are told in time, and it is not asked twice", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("a");
  resolver.clock.advance(DNS_TIMEOUT_MS);
  assertError(resolver.takeResults()[0], "dns_timeout", "cannot resolve a: no answer within 5000 ms");
  resolver.ask("a");
  assert.equal(resolver.questions.length, 1);
  resolver.answer(A);
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1"]);
});

test("who has cancelled is not told, and its timer is gone", () => {
  const resolver = new ScriptedResolver();
  const first = resolver.ask("a");
  resolver.ask("a");
  first.cancel();
  first.cancel();
  resolver.answer(A);
  assert.deepEqual(resolver.takeResults(), ["10.0.0.1"]);
  assert.equal(resolver.clock.pendingTimers, 0);
  resolver.ask("a").cancel();
});

test("the names that are remembered are bounded, and the least recently used goes first", () => {
  const resolver = new ScriptedResolver();
  for (let index = 0; index < 4_096; index++) {
    resolver.ask(`host-${index}`);
    resolver.answer(A);
  }
  resolver.ask("host-0");
  resolver.ask("one-more");
  assert.equal(resolver.questions.length, 1);
  resolver.answer(A);
  resolver.ask("host-0");
  assert.equal(resolver.questions.length, 0);
  resolver.ask("host-1");
  assert.equal(resolver.questions.length, 1);
});

test("the system's resolver knows the hosts file; what cannot be asked for is an error", async () => {
  const lookup = (name: string) =>
    new Promise<readonly ResolvedAddress[]>((resolve, reject) => {
      systemLookup(name, (error, addresses) => (error === null ? resolve(addresses) : reject(error)));
    });
  const addresses = await lookup("localhost");
  assert.ok(addresses.some(({ address }) => address === "127.0.0.1" || address === "::1"));
  await assert.rejects(lookup("a\0b"));
});

test("of an answer with thousands of addresses a few of each family are kept", () => {
  const resolver = new ScriptedResolver();
  resolver.ask("many.example");
  const four = Array.from({ length: 4_000 }, (_, index): ResolvedAddress => {
    return { address: `45.0.${index >> 8}.${index & 255}`, family: 4 };
  });
  resolver.answer(...four, { address: "2a00::1", family: 6 });
  const [kept] = resolver.takeResults() as string[];
  assert.deepEqual(kept!.split(","), [...four.slice(0, 16).map(({ address }) => address), "2a00::1"]);
});
