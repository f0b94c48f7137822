// Names by DNS: what is asked, in which cases an answer waits for the other family, how long one is believed, and what is never asked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type DnsScript, DnsServer } from "../../../test/support/dns-server.ts";
import { TestFolder } from "../../../test/support/folder.ts";
import type { ProxyError } from "../../core/errors.ts";
import {
  CONNECTION_ATTEMPT_DELAY_MS,
  DNS_NEGATIVE_TTL_MS,
  DNS_RESOLUTION_DELAY_MS,
  DNS_TTL_MAX_MS,
  DNS_TTL_MIN_MS,
} from "../../core/limits.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { NameCache } from "../dialing/name-cache.ts";
import { DnsLookup } from "./lookup.ts";
import { type DnsOptions, namesByDns } from "./names.ts";
import { LOOK_INTERVAL_MS } from "./watched-file.ts";

/** A server with a script, and names that ask it, on a virtual clock. */
class Stage {
  readonly clock = new VirtualClock();
  readonly server: DnsServer;
  readonly names: NameCache;
  readonly folder = new TestFolder();

  private constructor(server: DnsServer, options: DnsOptions, hosts: string) {
    this.server = server;
    this.names = namesByDns(this.clock, {
      servers: [server.address],
      // Questions are counted: a slow machine must not make them be asked twice.
      timeoutMs: 20_000,
      hostsPath: this.folder.write("hosts", hosts),
      prefersIpv6: () => true,
      ...options,
    });
  }

  static async open(script: DnsScript, options: DnsOptions = {}, hosts = ""): Promise<Stage> {
    return new Stage(await DnsServer.start(script), options, hosts);
  }

  /** The addresses, or the error. */
  ask(name: string): Promise<string[] | ProxyError> {
    return new Promise((resolve) => {
      this.names.resolve(name, {
        onResolved: (addresses) => resolve(addresses.map(({ address }) => address)),
        onUnresolved: resolve,
      });
    });
  }

  async failure(name: string): Promise<ProxyError> {
    const error = await this.ask(name);
    assert.ok(error instanceof Error, `${name} was resolved`);
    return error;
  }

  takeQuestions(): string[] {
    return this.server.questions.splice(0).sort();
  }

  /** Waits until a timer is due at this time. */
  async untilTimerAt(ms: number): Promise<void> {
    while (this.clock.nextDueMs !== ms) await nextTurn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.folder[Symbol.dispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

const both: DnsScript = (_name, type) =>
  type === "A" ? { addresses: ["192.0.2.1", "192.0.2.2"], ttl: 60 } : { addresses: ["2001:db8::1"], ttl: 30 };

/** A name with one IPv4 address. */
const ipv4Only =
  (ttl = 60): DnsScript =>
  (_name, type) =>
    type === "A" ? { addresses: ["192.0.2.1"], ttl } : {};

test("both families are asked at once, once for everyone who waits, and answered together", async () => {
  await using stage = await Stage.open(both);
  const answers = await Promise.all([stage.ask("a.example"), stage.ask("A.Example"), stage.ask("a.example")]);
  for (const answer of answers) assert.deepEqual(answer, ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(stage.takeQuestions(), ["A a.example", "AAAA a.example"]);
  assert.equal(stage.clock.pendingTimers, 0);
});

test("IPv4 goes first where this machine has no IPv6 address of the internet", async () => {
  await using stage = await Stage.open(both, { prefersIpv6: () => false });
  assert.deepEqual(await stage.ask("a.example"), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
});

test("an answer is believed for the shortest time that a record of it says", async (t) => {
  const cases: readonly [string, DnsScript, number][] = [
    ["one family's", both, 30_000],
    [
      "an alias's",
      (_name, type) =>
        type === "AAAA" ? {} : { addresses: ["192.0.2.1"], ttl: 60, alias: { name: "b.example", ttl: 20 } },
      20_000,
    ],
    ["none at all: the least", ipv4Only(0), DNS_TTL_MIN_MS],
    ["a year: the most", ipv4Only(31_536_000), DNS_TTL_MAX_MS],
  ];
  for (const [name, script, believedMs] of cases) {
    await t.test(name, async () => {
      await using stage = await Stage.open(script);
      const first = await stage.ask("a.example");
      assert.ok(Array.isArray(first));
      stage.takeQuestions();
      stage.clock.advance(believedMs - 1);
      assert.deepEqual(await stage.ask("a.example"), first);
      assert.deepEqual(stage.takeQuestions(), []);
      stage.clock.advance(1);
      assert.deepEqual(await stage.ask("a.example"), first);
      assert.deepEqual(stage.takeQuestions(), ["A a.example", "AAAA a.example"]);
    });
  }
});

test("the bounds are options", async () => {
  await using stage = await Stage.open(both, { ttl: { minMs: 5_000, maxMs: 7_000 } });
  await stage.ask("a.example");
  stage.clock.advance(6_999);
  await stage.ask("a.example");
  assert.equal(stage.takeQuestions().length, 2);
  stage.clock.advance(1);
  await stage.ask("a.example");
  assert.equal(stage.takeQuestions().length, 2);
});

test("a known answer is given within the call", async () => {
  await using stage = await Stage.open(both);
  await stage.ask("a.example");
  let given = 0;
  stage.names.resolve("a.example", { onResolved: () => given++, onUnresolved: assert.fail });
  assert.equal(given, 1);
});

test("one family has nothing or fails: the other one is the answer", async (t) => {
  const failures = [{}, { code: "SERVFAIL" }, { code: "NXDOMAIN" }, { code: "REFUSED" }] as const;
  for (const failing of ["A", "AAAA"] as const) {
    for (const failure of failures) {
      await t.test(`${failing}: ${"code" in failure ? failure.code : "nothing"}`, async () => {
        const address = failing === "A" ? "2001:db8::1" : "192.0.2.1";
        await using stage = await Stage.open((_name, type) => (type === failing ? failure : { addresses: [address] }));
        const answer = stage.ask("a.example");
        assert.deepEqual(await answer, [address]);
        assert.equal(stage.clock.pendingTimers, 0);
      });
    }
  }
});

test("a family that is late is not waited for long, and counts when it comes", async (t) => {
  for (const [late, delayMs, early, all] of [
    ["AAAA", DNS_RESOLUTION_DELAY_MS, ["192.0.2.1"], ["2001:db8::1", "192.0.2.1"]],
    ["A", CONNECTION_ATTEMPT_DELAY_MS, ["2001:db8::1"], ["2001:db8::1", "192.0.2.1"]],
  ] as const) {
    await t.test(late, async () => {
      const held = Promise.withResolvers<void>();
      await using stage = await Stage.open(async (_name, type) => {
        if (type === late) await held.promise;
        return { addresses: [type === "A" ? "192.0.2.1" : "2001:db8::1"] };
      });
      let isGiven = false;
      const answer = stage.ask("a.example").finally(() => {
        isGiven = true;
      });
      await stage.untilTimerAt(delayMs);
      stage.clock.advance(delayMs - 1);
      await nextTurn();
      assert.equal(isGiven, false);
      stage.clock.advance(1);
      assert.deepEqual(await answer, early);
      held.resolve();
      let now = await stage.ask("a.example");
      while (Array.isArray(now) && now.length < all.length) {
        await nextTurn();
        now = await stage.ask("a.example");
      }
      assert.deepEqual(now, all);
      assert.equal(stage.takeQuestions().length, 2, "nothing was asked for again");
      assert.equal(stage.clock.pendingTimers, 0);
    });
  }
});

test("what servers say when there is no answer", async (t) => {
  const cases: readonly [string, DnsScript, string, string][] = [
    ["no such name", () => ({ code: "NXDOMAIN" }), "dns_error", "the name is not known (ENOTFOUND)"],
    ["no address", () => ({}), "dns_error", "the name has no address (ENODATA)"],
    [
      "a server that fails for one family hides that there is nothing in the other",
      (_name, type) => (type === "A" ? {} : { code: "SERVFAIL" }),
      "dns_error",
      "the DNS server could not find the answer (ESERVFAIL)",
    ],
    ["refused", () => ({ code: "REFUSED" }), "dns_error", "the DNS server refuses to answer (EREFUSED)"],
    ["silence", () => null, "dns_timeout", "no DNS server answered in time (ETIMEOUT)"],
  ];
  for (const [name, script, type, words] of cases) {
    await t.test(name, async () => {
      await using stage = await Stage.open(script, { timeoutMs: 50, tries: 1 });
      const error = await stage.failure("a.example");
      assert.equal(error.type, type);
      assert.equal(error.message, `cannot resolve a.example: ${words}`);
      stage.takeQuestions();
      stage.clock.advance(DNS_NEGATIVE_TTL_MS - 1);
      assert.equal((await stage.failure("a.example")).message, error.message);
      assert.deepEqual(stage.takeQuestions(), [], "it is believed for a moment");
    });
  }
});

test("no server listens", async () => {
  await using stage = await Stage.open(both);
  const { address } = stage.server;
  const closed = await DnsServer.start(both);
  const unused = closed.address;
  await closed[Symbol.asyncDispose]();
  const names = namesByDns(stage.clock, { servers: [unused], tries: 1 });
  const error = await new Promise<ProxyError>((resolve) => {
    names.resolve("a.example", { onResolved: () => assert.fail(), onUnresolved: resolve });
  });
  assert.equal(error.type, "dns_error");
  assert.equal(error.message, "cannot resolve a.example: no DNS server could be asked (ECONNREFUSED)");
  const withSecond = namesByDns(stage.clock, { servers: [unused, address], prefersIpv6: () => false });
  await new Promise<void>((resolve, reject) => {
    withSecond.resolve("a.example", { onResolved: () => resolve(), onUnresolved: reject });
  });
  assert.throws(() => namesByDns(stage.clock, { servers: ["dns.example"] }), TypeError);
});

test("names of every form are asked as they are; a dot at the end is not sent", async () => {
  await using stage = await Stage.open(ipv4Only());
  for (const name of ["single", "_dmarc.a_b.example", "a.example.", "xn--bcher-kva.example", "1-2.example", "3com"]) {
    await stage.ask(name);
    const asked = name.replace(/\.$/, "");
    assert.deepEqual(
      stage.takeQuestions().map((question) => question.split(" ")[1]),
      [asked, asked],
    );
  }
});

test("what is no name is never asked for: no other name than the one that was judged", async () => {
  await using stage = await Stage.open(ipv4Only());
  const names = [
    ...["", ".", "..", "a..example", ".example", "a.example..", "a b.example", "a\0.example", "a\\.example", "a/b"],
    ...["bücher.example", "*.example", "a:80", "[::1]", "%61.example", "a\n.example", "a@b"],
    // Addresses in disguise.
    ...["127.1", "2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "127.0.0.1.", "a.1", "999.1.1.1"],
    ...[`${"a".repeat(64)}.example`, `${"a.".repeat(127)}example`],
  ];
  for (const name of names) {
    const error = await stage.failure(name);
    assert.equal(error.type, "dns_error");
    assert.match(error.message, /: no host can have this name \(EBADNAME\)$/);
  }
  assert.deepEqual(stage.takeQuestions(), []);
});

test("localhost and what is below it is this machine, whatever others say", async () => {
  await using stage = await Stage.open(ipv4Only(), {}, "192.0.2.7 localhost app.localhost");
  for (const name of ["localhost", "LocalHost.", "app.localhost", "a.b.localhost"]) {
    assert.deepEqual(await stage.ask(name), ["127.0.0.1", "::1"]);
  }
  assert.deepEqual(stage.takeQuestions(), []);
  await stage.ask("notlocalhost");
  assert.equal(stage.takeQuestions().length, 2);
});

test("a name of the hosts file is not asked for; changes of the file are seen, also by names that DNS has answered", async () => {
  const hosts = "10.0.0.1 db.internal DB2.internal # 10.0.0.2 other.internal\n10.0.0.3 db.internal\n";
  await using stage = await Stage.open(ipv4Only(3_600), {}, hosts);
  assert.deepEqual(await stage.ask("DB.internal."), ["10.0.0.1", "10.0.0.3"]);
  assert.deepEqual(await stage.ask("db2.internal"), ["10.0.0.1"]);
  assert.deepEqual(stage.takeQuestions(), []);
  assert.deepEqual(await stage.ask("other.internal"), ["192.0.2.1"]);
  const until = async (name: string, address: string): Promise<void> => {
    // Any name that is asked for has the file looked at, and nobody waits for that.
    for (let count = 0; ; count++) {
      await stage.ask(`unknown-${count}.internal`);
      if (String(await stage.ask(name)) === address) return;
    }
  };
  stage.folder.write("hosts", "10.0.0.9 other.internal\n");
  stage.clock.advance(LOOK_INTERVAL_MS - 1);
  await stage.ask("unknown.internal");
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.deepEqual(await stage.ask("other.internal"), ["192.0.2.1"], "it is not looked at all the time");
  stage.clock.advance(1);
  await until("other.internal", "10.0.0.9");
  stage.folder[Symbol.dispose]();
  stage.clock.advance(LOOK_INTERVAL_MS);
  await until("other.internal", "192.0.2.1");
});

test("IPv4 that DNS gives as IPv6 is IPv4", async () => {
  await using stage = await Stage.open((_name, type) => (type === "A" ? {} : { addresses: ["::ffff:127.0.0.1"] }));
  const resolved = await new Promise((resolve, reject) => {
    stage.names.resolve("a.example", { onResolved: resolve, onUnresolved: reject });
  });
  assert.deepEqual(resolved, [{ address: "127.0.0.1", family: 4 }]);
});

test("the servers are those of this machine when none is given: when these change, other answers may be right", async () => {
  using folder = new TestFolder();
  const resolvConfPath = folder.write("resolv.conf", "nameserver 127.0.0.1\n");
  const clock = new VirtualClock();
  // Each time of another length: two writes in one tick of the kernel's clock have the same time.
  for (const [servers, changes, text] of [
    [[], 1, "nameserver 127.0.0.13\n"],
    [["127.0.0.1"], 0, "nameserver 127.0.0.2\n"],
  ] as const) {
    const names = new DnsLookup(clock, { servers, hostsPath: folder.file("none"), resolvConfPath });
    let changed = 0;
    const told = Promise.withResolvers<void>();
    names.onChange = () => {
      changed++;
      told.resolve();
    };
    folder.write("resolv.conf", text);
    clock.advance(LOOK_INTERVAL_MS);
    await new Promise<void>((resolve) => names.lookup("localhost", () => resolve()));
    if (changes > 0) await told.promise;
    else for (let turn = 0; turn < 200; turn++) await nextTurn();
    assert.equal(changed, changes);
  }
});
