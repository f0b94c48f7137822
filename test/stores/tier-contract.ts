// What machines that share a cache must get from what is between them, in memory and on Redis: one suite for both.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { TIER_LOG_MAX } from "../../src/caching/tier/ports.ts";
import type { Clock } from "../../src/core/ports.ts";
import { ageOf } from "../../src/semantics/caching/answer-head.ts";
import { Asked, headOf, requestOf, settle } from "../support/cache-dialogue.ts";
import {
  asked,
  bodyOf,
  comesTo,
  confirm,
  done,
  fill,
  join,
  OTHER,
  PURGE,
  type TierUnderTest,
  URL,
} from "./tier-machines.ts";

/** Most of them wait for leases and presences to end: on servers so many do that at the same time. */
const AT_ONCE = 6;
/** Each of them waits for a second at most. */
const ATTEMPTS_MAX = 30;

export interface ContractOptions {
  readonly skip?: string | false;
  /** Those too in which leases and presences end. */
  readonly waits?: boolean;
}

/** `isShort`: its times are, since the test waits for them to end; otherwise none ends, however busy the machine is. */
export function tierContract(
  name: string,
  make: (isShort: boolean) => Promise<TierUnderTest>,
  { skip = false, waits = true }: ContractOptions = {},
): void {
  describe(`${name}:`, { concurrency: AT_ONCE, skip }, () => {
    suite((what, run, { isShort } = LONG) => {
      if (!isShort || waits) test(`${name}: ${what}`, async (t) => run(await make(isShort), t));
    });
  });
}

type Run = (tier: TierUnderTest, t: TestContext) => Promise<void>;

const SHORT = { isShort: true };
const LONG = { isShort: false };

function suite(it: (what: string, run: Run, options?: { readonly isShort: boolean }) => void): void {
  for (const length of [0, 5, 3 * 1024 * 1024 + 7]) {
    it(`what one machine has fetched, the other does not fetch: ${length} bytes`, async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      const body = Buffer.alloc(length, "0123456789");
      await fill(tier, a, URL, body);
      assert.deepEqual(await comesTo(tier, b, URL), body);
    });
  }

  it("what is taken was asked for when the other machine did: a reload is not answered by it", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    const nowMs = tier.clock.wallMs();
    const times = { requestedMs: nowMs - 60_000, receivedMs: nowMs - 50_000, initialAgeMs: 70_000 };
    await fill(tier, a, URL, Buffer.from("text"), times);
    await comesTo(tier, b, URL);
    const { head } = b.cache.find(URL, requestOf())!;
    assert.ok(head.requestedMs <= tier.clock.wallMs() - 60_000, `${tier.clock.wallMs() - head.requestedMs} ms ago`);
    assert.ok(ageOf(head, tier.clock.wallMs()) >= 120_000);
  });

  it("more than a few are given at once", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    const urls = Array.from({ length: 50 }, (_, index) => `${URL}/${index}`);
    await Promise.all(urls.map((url) => fill(tier, a, url, Buffer.from(url))));
    for (const url of urls) assert.equal(String(await comesTo(tier, b, url)), url);
    assert.equal(a.stage.tier!.stats().given.answers, urls.length);
  });

  it("variants are told apart, and found by who does not know yet that there are any", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    const [english, german] = ["en", "de"].map((language) => requestOf([["Accept-Language", language]]));
    await fill(tier, a, URL, Buffer.from("hello"), { vary: ["accept-language"] }, english);
    assert.equal(String(await comesTo(tier, b, URL, english)), "hello");
    const other = await asked(tier, b, URL, german);
    assert.deepEqual(other.outcomes, ["fill"]);
    other.fill!.release("failed", 0);
  });

  it("what is not fresh any more is not taken from others", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("old"), { freshMs: 0 });
    await fill(tier, b, URL, Buffer.from("new"));
  });

  it("a purge returns when nobody finds it any more, and nobody gets it from the others", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("bad"), { tags: ["x"] });
    await fill(tier, a, OTHER, Buffer.from("good"));
    await comesTo(tier, b, URL);
    await comesTo(tier, b, OTHER);
    let isDone = false;
    const purged = b.stage.tier!.purge({ kind: "tag", text: "x" }, { soft: false }).finally(() => {
      isDone = true;
    });
    await tier.until(() => isDone);
    assert.equal(a.cache.find(URL, requestOf()), null);
    assert.equal(b.cache.find(URL, requestOf()), null);
    assert.ok(a.cache.find(OTHER, requestOf()));
    assert.ok((await purged).entries <= 1);
    const c = await join(tier, t, "c");
    assert.equal(String(await comesTo(tier, c, OTHER)), "good");
    assert.deepEqual((await asked(tier, c, URL)).outcomes, ["fill"]);
  });

  it("what was being fetched when it was purged is not given to others", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    const { fill: late } = await asked(tier, a, URL);
    let isDone = false;
    const purged = b.stage.tier!.purge(PURGE, { soft: false }).finally(() => {
      isDone = true;
    });
    await tier.until(() => isDone);
    await purged;
    late!.begin(headOf(3, { receivedMs: tier.clock.wallMs() }));
    late!.write(Buffer.from("bad"), 0, 3);
    late!.end();
    await settle();
    await fill(tier, a, OTHER, Buffer.from("good"));
    await comesTo(tier, b, OTHER);
    assert.deepEqual((await asked(tier, b, URL)).outcomes, ["fill"]);
  });

  it("what an unsafe method invalidates goes on all machines", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("before"));
    await comesTo(tier, b, URL);
    void b.cache.invalidate(URL);
    await tier.until(() => a.cache.find(URL, requestOf()) === null);
  });

  it(
    "a machine that was cut off finds nothing until it has replayed the log, and delays nobody for long",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      for (const key of [URL, OTHER]) {
        await fill(tier, a, key, Buffer.from("text"));
        await comesTo(tier, b, key);
      }
      b.way.isCut = true;
      let isDone = false;
      const purged = a.stage.tier!.purge(PURGE, { soft: false }).finally(() => {
        // By then it has no lease.
        assert.equal(b.cache.find(URL, requestOf()), null);
        assert.equal(b.cache.find(OTHER, requestOf()), null);
        isDone = true;
      });
      assert.ok(b.cache.find(URL, requestOf()));
      await tier.until(() => isDone);
      await purged;
      assert.deepEqual((await asked(tier, b, OTHER)).outcomes, ["pass: off"]);
      b.way.isCut = false;
      await tier.until(() => b.stage.tier!.isServing);
      assert.equal(b.cache.find(URL, requestOf()), null);
      assert.ok(b.cache.find(OTHER, requestOf()));
    },
    SHORT,
  );

  it(
    "who misses more than the log holds forgets everything",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      await fill(tier, a, URL, Buffer.from("text"));
      await comesTo(tier, b, URL);
      b.way.isCut = true;
      await tier.until(() => !b.stage.tier!.isServing);
      for (let count = 0; count <= TIER_LOG_MAX; count++) {
        await a.way.append(a.way.generation, `none.${count}`, '{"key":"http://host/none"}');
      }
      b.way.isCut = false;
      await tier.until(() => b.stage.tier!.isServing);
      assert.equal(b.cache.find(URL, requestOf()), null);
    },
    SHORT,
  );

  it("when the log is lost, everything is forgotten by all", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("text"));
    await comesTo(tier, b, URL);
    await tier.lose();
    await tier.until(() => a.cache.find(URL, requestOf()) === null && b.cache.find(URL, requestOf()) === null);
    await tier.until(() => a.stage.tier!.isServing && b.stage.tier!.isServing);
    await fill(tier, a, URL, Buffer.from("new"));
    assert.equal(String(await comesTo(tier, b, URL)), "new");
  });

  it(
    "a purge behind the loss of the log waits for leases that it knows nothing of",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      await fill(tier, a, URL, Buffer.from("text"));
      await comesTo(tier, b, URL);
      // It does not learn of the loss, and has a moment left.
      b.way.isCut = true;
      await tier.lose();
      await tier.until(() => a.cache.find(URL, requestOf()) === null);
      await tier.until(() => a.stage.tier!.isServing);
      let isDone = false;
      const purged = a.stage.tier!.purge(PURGE, { soft: false }).finally(() => {
        assert.equal(b.cache.find(URL, requestOf()), null);
        isDone = true;
      });
      await tier.until(() => isDone);
      await purged;
    },
    SHORT,
  );

  it(
    "what a machine purges while it is cut off reaches the others when it is back",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      await fill(tier, a, URL, Buffer.from("text"));
      b.way.isCut = true;
      await tier.until(() => !b.stage.tier!.isServing);
      await assert.rejects(b.stage.tier!.purge(PURGE, { soft: false }), /in force on this machine.*cannot be told now/);
      b.way.isCut = false;
      await tier.until(() => a.cache.find(URL, requestOf()) === null);
    },
    SHORT,
  );

  for (const length of [5, 300_000]) {
    it(`what one machine's origin has confirmed is fresh for the others, without its body: ${length} bytes`, async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      const body = Buffer.alloc(length, "0123456789");
      const old = { initialAgeMs: 3_000_000, vary: ["accept-language"] };
      const request = requestOf([["Accept-Language", "en"]]);
      await fill(tier, a, URL, body, old, request);
      await comesTo(tier, b, URL, request);
      const bodies = [a.way.bodies, b.way.bodies];
      await confirm(tier, a, URL, { tags: ["new"] }, request);
      await tier.until(() => a.stage.tier!.stats().given.answers === 2);
      const stored = b.cache.find(URL, request)!;
      assert.deepEqual(stored.head.tags, []);
      // Who waits for too long fetches itself: on a busy machine it may take some attempts.
      for (let attempt = 1, outcome = ""; outcome !== "stored"; attempt++) {
        const asking = Asked.of(b.cache, URL, request, stored);
        await tier.until(() => asking.outcomes.length > 0);
        outcome = asking.outcomes[0]!;
        assert.ok(outcome === "stored" || (outcome === "fill" && attempt < ATTEMPTS_MAX), `${outcome} ${attempt}`);
        asking.fill?.release("failed", 0);
      }
      const renewed = b.cache.find(URL, request)!;
      assert.deepEqual(renewed.head.tags, ["new"]);
      assert.ok(renewed.head.initialAgeMs < 3_000_000);
      assert.deepEqual(await bodyOf(tier, renewed), body);
      assert.deepEqual([a.way.bodies, b.way.bodies], bodies);
      // What is here is as new as what the others have: nothing is gained by looking again.
      const again = Asked.of(b.cache, URL, request, renewed);
      await tier.until(() => again.outcomes.length > 0);
      assert.deepEqual(again.outcomes, ["fill"]);
      again.fill!.release("failed", 0);
    });
  }

  it("what was confirmed and is not there any more is given whole", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    a.way.losesPuts = true;
    await fill(tier, a, URL, Buffer.from("text"));
    a.way.losesPuts = false;
    await confirm(tier, a, URL, {});
    assert.equal(String(await comesTo(tier, b, URL)), "text");
  });

  for (const hours of [-2, 2]) {
    it(`ages do not depend on clocks: one that is ${hours} hours off`, async (tier, t) => {
      const a = await join(tier, t, "a");
      const other = { ...clockOf(tier.clock), wallMs: () => tier.clock.wallMs() + hours * 3_600_000 };
      const b = await join(tier, t, "b", other);
      await fill(tier, a, URL, Buffer.from("text"), { initialAgeMs: 3_000_000 });
      assert.equal(String(await comesTo(tier, b, URL)), "text");
      const { initialAgeMs, receivedMs } = b.cache.find(URL, requestOf())!.head;
      const ageMs = initialAgeMs + other.wallMs() - receivedMs;
      assert.ok(ageMs >= 3_000_000 && ageMs < 3_600_000, `${ageMs}`);
    });
  }

  it(
    "each machine counts what it gave and took, and says whether it takes part",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      const body = Buffer.alloc(100_000, "x");
      await fill(tier, a, URL, body);
      await comesTo(tier, b, URL);
      const none = { answers: 0, bytes: 0 };
      const one = { answers: 1, bytes: body.length };
      // How often the server was slow is the machine's business.
      const { since, late: _, ...giver } = a.stage.tier!.stats();
      assert.ok(Math.abs(Date.parse(since) - tier.clock.wallMs()) < 60_000);
      assert.deepEqual(giver, {
        cutOff: null,
        taken: none,
        given: one,
        errors: 0,
        lastError: null,
        behind: 0,
        owed: 0,
      });
      assert.deepEqual([b.stage.tier!.stats().taken, b.stage.tier!.stats().given], [one, none]);
      b.way.isCut = true;
      await tier.until(() => !b.stage.tier!.isServing);
      assert.equal(b.stage.tier!.stats().cutOff, "cut");
      await assert.rejects(b.stage.tier!.purge(PURGE, { soft: false }));
      assert.equal(b.stage.tier!.stats().owed, 1);
    },
    SHORT,
  );

  it("a purge is looked for once on the machine whose it is", async (tier, t) => {
    const a = await join(tier, t, "a");
    await fill(tier, a, URL, Buffer.from("text"));
    const { books } = a.stage.keeper.keeping.around;
    let scans = 0;
    const scan = books.scan.bind(books);
    books.scan = (...scanned) => {
      scans++;
      return scan(...scanned);
    };
    assert.deepEqual(await done(tier, a.stage.tier!.purge(PURGE, { soft: false })), { entries: 1 });
    await settle();
    assert.equal(scans, 1);
  });

  it(
    "when the log is lost, a purge still waits for machines that nobody knows of any more",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      await fill(tier, a, URL, Buffer.from("text"));
      a.way.isCut = true;
      await tier.lose();
      const purged = b.stage.tier!.purge(PURGE, { soft: false });
      await done(tier, purged);
      assert.equal(a.cache.find(URL, requestOf()), null);
    },
    SHORT,
  );

  it(
    "a purge that is under way when the log is lost is one of the next log",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      await fill(tier, a, URL, Buffer.from("text"));
      a.way.isCut = true;
      const purged = b.stage.tier!.purge(PURGE, { soft: false });
      let looks = 0;
      await tier.until(() => looks++ > 3);
      await tier.lose();
      await done(tier, purged);
      assert.equal(a.cache.find(URL, requestOf()), null);
      a.way.isCut = false;
      await tier.until(() => a.stage.tier!.isServing);
      assert.equal(a.cache.find(URL, requestOf()), null);
    },
    SHORT,
  );

  it(
    "purges that a server has not seen that takes over are not lost to who was away meanwhile",
    async (tier, t) => {
      const [a, b, c] = [await join(tier, t, "a"), await join(tier, t, "b"), await join(tier, t, "c")];
      await fill(tier, a, URL, Buffer.from("bad"));
      await comesTo(tier, c, URL);
      c.way.isCut = true;
      await tier.until(() => !c.stage.tier!.isServing);
      const takeOver = await tier.remember();
      await done(tier, b.stage.tier!.purge(PURGE, { soft: false }));
      await takeOver();
      c.way.isCut = false;
      await tier.until(() => c.stage.tier!.isServing);
      assert.equal(c.cache.find(URL, requestOf()), null);
    },
    SHORT,
  );

  it(
    "logs that have branched off each other are told apart, though they are of one length",
    async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      for (const key of [URL, OTHER]) await fill(tier, a, key, Buffer.from("bad"));
      const takeOver = await tier.remember();
      await done(tier, b.stage.tier!.purge({ kind: "url", text: "http://host/none" }, { soft: false }));
      a.way.isCut = b.way.isCut = true;
      await takeOver();
      b.way.isCut = false;
      await done(tier, b.stage.tier!.purge(PURGE, { soft: false }));
      assert.equal(a.cache.find(URL, requestOf()), null);
      a.way.isCut = false;
      await tier.until(() => a.stage.tier!.isServing);
      assert.equal(a.cache.find(URL, requestOf()), null);
      // What was given to the others before is judged by the log that it knew.
      const d = await join(tier, t, "d");
      assert.deepEqual((await asked(tier, d, URL)).outcomes, ["fill"]);
    },
    SHORT,
  );
}

function clockOf(clock: Clock): Clock {
  return { now: () => clock.now(), wallMs: () => clock.wallMs(), after: (ms, callback) => clock.after(ms, callback) };
}
