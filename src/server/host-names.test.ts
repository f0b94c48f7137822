// Whether a host leads to an address: by what its name resolves to, or by what it says itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../core/errors.ts";
import { SystemClock } from "../io/clock.ts";
import { type LookupCallback, NameCache } from "../io/dialing/name-cache.ts";
import { systemErrorOf } from "../io/failures.ts";
import { ResolvedHosts } from "./host-names.ts";

class Names {
  readonly asked: string[] = [];
  readonly waiting: LookupCallback[] = [];
  readonly hosts = new ResolvedHosts(
    new NameCache(new SystemClock(), (name, callback) => {
      this.asked.push(name);
      this.waiting.push(callback);
    }),
  );

  answer(...addresses: readonly { readonly address: string; readonly family: 4 | 6 }[]): void {
    this.waiting.shift()!(null, addresses, 60_000);
  }
}

test("a name leads to each of its addresses, however they are written", async () => {
  const names = new Names();
  const first = names.hosts.leadsTo("a.example", "2001:db8::1");
  assert.ok(first instanceof Promise);
  names.answer({ address: "192.0.2.1", family: 4 }, { address: "2001:DB8:0::1", family: 6 });
  assert.equal(await first, true);
  assert.equal(names.hosts.leadsTo("a.example", "192.0.2.1"), true, "without waiting");
  assert.equal(names.hosts.leadsTo("a.example", "::ffff:192.0.2.1"), true);
  assert.equal(names.hosts.leadsTo("a.example", "192.0.2.2"), false);
  assert.deepEqual(names.asked, ["a.example"]);
});

test("a part of the answer says where a name leads, and not where it does not", async () => {
  const names = new Names();
  const [ipv4, ipv6] = [
    { address: "192.0.2.1", family: 4 },
    { address: "2001:db8::1", family: 6 },
  ] as const;
  const answers = ["192.0.2.1", "2001:db8::1", "2001:db8::2"].map((address) =>
    names.hosts.leadsTo("a.example", address),
  );
  const answer = names.waiting.shift()!;
  answer(null, [ipv4], 60_000, true);
  assert.equal(await answers[0], true);
  const meanwhile = names.hosts.leadsTo("a.example", "2001:db8::1");
  answer(null, [ipv4, ipv6], 60_000);
  assert.deepEqual(await Promise.all([...answers, meanwhile]), [true, true, false, true]);
});

test("of a name that cannot be resolved nobody can say where it leads", async () => {
  const names = new Names();
  const first = names.hosts.leadsTo("a.example", "192.0.2.1");
  names.waiting.shift()!(systemErrorOf("ESERVFAIL"), []);
  for (const answer of [await first, names.hosts.leadsTo("a.example", "192.0.2.1")]) {
    assert.ok(answer instanceof ProxyError);
    assert.deepEqual([answer.type, (answer.cause as { code?: string }).code], ["dns_error", "ESERVFAIL"]);
  }
});

test("a name that does not exist leads nowhere, and all who wait are told", async () => {
  const names = new Names();
  const answers = [names.hosts.leadsTo("a.example", "192.0.2.1"), names.hosts.leadsTo("a.example", "192.0.2.2")];
  names.waiting.shift()!(systemErrorOf("ENOTFOUND"), []);
  assert.deepEqual(await Promise.all(answers), [false, false]);
  assert.equal(names.hosts.leadsTo("a.example", "192.0.2.1"), false);
  assert.equal(names.asked.length, 1);
});

test("an address leads to itself, and is not asked for", () => {
  const names = new Names();
  assert.equal(names.hosts.leadsTo("192.0.2.1", "192.0.2.1"), true);
  assert.equal(names.hosts.leadsTo("2001:db8::1", "2001:db8:0:0::1"), true);
  assert.equal(names.hosts.leadsTo("192.0.2.1", "192.0.2.2"), false);
  assert.deepEqual(names.asked, []);
});
