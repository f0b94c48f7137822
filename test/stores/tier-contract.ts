// What machines that share a cache must get from what is between them, in memory and on Redis: one suite for both.

import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { AnswerHead, CachedAnswer } from "../../src/caching/cache.ts";
import type { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import type { EntryId } from "../../src/caching/ports.ts";
import type { TierTimes } from "../../src/caching/tier/member.ts";
import {
  type LoggedText,
  type SharedBytes,
  TIER_LOG_MAX,
  type TierMachines,
  type TierPosition,
  type TierReport,
  type TierStore,
} from "../../src/caching/tier/ports.ts";
import type { Clock } from "../../src/core/ports.ts";
import { Asked, headOf, requestOf, settle, Taker } from "../support/cache-dialogue.ts";
import { CacheStage } from "../support/cache-stage.ts";

/** What is between the machines of one test. */
export interface TierUnderTest {
  readonly clock: Clock;
  readonly times: TierTimes;
  /** One machine's way to it. */
  open(): TierStore;
  /** Lets time pass until it holds. */
  until(holds: () => boolean): Promise<void>;
  /** All that it has is lost. */
  lose(): Promise<void>;
  /** What it calls brings back log and machines as they are now, on another server: it had not seen what came in between. */
  remember(): Promise<() => Promise<void>>;
  /** Its server is the same for long. */
  grow(): Promise<void>;
}

/** One machine's way, that can be cut. */
class Severable implements TierStore {
  onLog: () => void = () => {};
  onMachines: () => void = () => {};
  readonly #inner: TierStore;
  #isCut = false;
  /** Gifts vanish. */
  losesPuts = false;
  /** Bodies that went this way. */
  bodies = 0;
  generation = "";

  constructor(inner: TierStore) {
    this.#inner = inner;
    inner.onLog = () => {
      if (!this.#isCut) this.onLog();
    };
    inner.onMachines = () => {
      if (!this.#isCut) this.onMachines();
    };
  }

  set isCut(isCut: boolean) {
    this.#isCut = isCut;
    if (!isCut) this.onLog();
  }

  start(): void {
    this.#inner.start();
  }

  async get(id: EntryId): Promise<SharedBytes | null> {
    return (await this.#way()).get(id);
  }

  async blocks(id: EntryId, count: number): Promise<readonly Buffer[] | null> {
    this.bodies++;
    return (await this.#way()).blocks(id, count);
  }

  async put(...put: Parameters<TierStore["put"]>): Promise<void> {
    this.bodies++;
    if (!this.losesPuts) await (await this.#way()).put(...put);
  }

  async confirm(...confirm: Parameters<TierStore["confirm"]>): Promise<boolean> {
    return (await this.#way()).confirm(...confirm);
  }

  async append(generation: string, id: string, text: string): Promise<number | null> {
    return (await this.#way()).append(generation, id, text);
  }

  async report(machine: string, at: TierPosition | null, presenceMs: number): Promise<TierReport> {
    const there = await (await this.#way()).report(machine, at, presenceMs);
    this.generation = there.position.generation;
    return there;
  }

  async read(after: number): Promise<readonly LoggedText[]> {
    return (await this.#way()).read(after);
  }

  async machines(presenceMs: number): Promise<TierMachines | null> {
    return (await this.#way()).machines(presenceMs);
  }

  async leave(machine: string): Promise<void> {
    await (await this.#way()).leave(machine);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #way(): Promise<TierStore> {
    if (this.#isCut) throw new Error("cut");
    return this.#inner;
  }
}

export interface Machine {
  readonly stage: CacheStage;
  readonly cache: ThreadCache;
  readonly way: Severable;
}

export const URL = "http://host/a";
export const OTHER = "http://host/b";
export const PURGE = { kind: "url", text: URL } as const;

/** A machine that takes part. */
export async function join(
  tier: TierUnderTest,
  t: TestContext,
  machine: string,
  clock = tier.clock,
  inner = tier.open(),
): Promise<Machine> {
  const way = new Severable(inner);
  const { times } = tier;
  const stage = await CacheStage.open({ tier: { store: way, machine, clock, times } });
  t.after(() => stage.close());
  await tier.until(() => stage.tier!.isServing);
  await tier.grow();
  return { stage, cache: stage.thread().cache, way };
}

export async function asked(tier: TierUnderTest, { cache }: Machine, key: string, request = requestOf()): Promise<Asked> {
  const asking = Asked.of(cache, key, request);
  await tier.until(() => asking.outcomes.length > 0);
  return asking;
}

export async function fill(
  tier: TierUnderTest,
  machine: Machine,
  key: string,
  body: Buffer,
  changes: Partial<AnswerHead> = {},
  request = requestOf(),
): Promise<void> {
  const asking = await asked(tier, machine, key, request);
  assert.deepEqual(asking.outcomes, ["fill"]);
  asking.fill!.begin(headOf(body.length, { receivedMs: tier.clock.wallMs(), ...changes }));
  asking.fill!.write(body, 0, body.length);
  asking.fill!.end();
  await tier.until(() => machine.cache.find(key, request) !== null);
}

/** The origin has said of what is stored that it is good still. */
async function confirm(
  tier: TierUnderTest,
  machine: Machine,
  key: string,
  changes: Partial<AnswerHead>,
  request = requestOf(),
): Promise<void> {
  const stored = machine.cache.find(key, request);
  assert.ok(stored);
  const asking = Asked.of(machine.cache, key, request, stored);
  await tier.until(() => asking.outcomes.length > 0);
  assert.deepEqual(asking.outcomes, ["fill"]);
  const { bodyBytes } = stored.head;
  asking.fill!.refresh(stored, headOf(bodyBytes, { receivedMs: tier.clock.wallMs(), vary: stored.head.vary, ...changes }));
  await tier.until(() => machine.cache.find(key, request)?.version !== stored.version);
}

async function bodyOf(tier: TierUnderTest, answer: CachedAnswer): Promise<Buffer> {
  const taker = Taker.of(answer);
  await tier.until(() => taker.outcome !== "");
  assert.equal(taker.outcome, "ended");
  return taker.taken;
}

/** Asked again and again: it reaches others behind its commit. */
export async function comesTo(tier: TierUnderTest, machine: Machine, key: string, request = requestOf()): Promise<Buffer> {
  for (;;) {
    const asking = await asked(tier, machine, key, request);
    const [outcome] = asking.outcomes;
    if (outcome === "stored") break;
    assert.equal(outcome, "fill");
    asking.fill!.release("failed", 0);
    let looks = 0;
    await tier.until(() => looks++ > 0);
  }
  const answer = machine.cache.find(key, request);
  assert.ok(answer);
  return bodyOf(tier, answer);
}

/** Most of them wait for leases and presences to end: on servers so many do that at the same time. */
const AT_ONCE = 6;

export function tierContract(name: string, make: () => Promise<TierUnderTest>, skip: string | false = false): void {
  describe(`${name}:`, { concurrency: AT_ONCE, skip }, () => {
    suite((what, run) => {
      test(`${name}: ${what}`, async (t) => run(await make(), t));
    });
  });
}

function suite(it: (what: string, run: (tier: TierUnderTest, t: TestContext) => Promise<void>) => void): void {

  for (const length of [0, 5, 3 * 1024 * 1024 + 7]) {
    it(`what one machine has fetched, the other does not fetch: ${length} bytes`, async (tier, t) => {
      const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
      const body = Buffer.alloc(length, "0123456789");
      await fill(tier, a, URL, body);
      assert.deepEqual(await comesTo(tier, b, URL), body);
    });
  }

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

  it("a machine that was cut off finds nothing until it has replayed the log, and delays nobody for long", async (tier, t) => {
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
  });

  it("who misses more than the log holds forgets everything", async (tier, t) => {
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
  });

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

  it("what a machine purges while it is cut off reaches the others when it is back", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("text"));
    b.way.isCut = true;
    await tier.until(() => !b.stage.tier!.isServing);
    await assert.rejects(b.stage.tier!.purge(PURGE, { soft: false }), /cannot be told now/);
    b.way.isCut = false;
    await tier.until(() => a.cache.find(URL, requestOf()) === null);
  });

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
      const asking = Asked.of(b.cache, URL, request, stored);
      await tier.until(() => asking.outcomes.length > 0);
      assert.deepEqual(asking.outcomes, ["stored"]);
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

  it("each machine counts what it gave and took, and says whether it takes part", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    const body = Buffer.alloc(100_000, "x");
    await fill(tier, a, URL, body);
    await comesTo(tier, b, URL);
    const none = { answers: 0, bytes: 0 };
    const one = { answers: 1, bytes: body.length };
    const { since, ...giver } = a.stage.tier!.stats();
    assert.ok(Math.abs(Date.parse(since) - tier.clock.wallMs()) < 60_000);
    assert.deepEqual(giver, { cutOff: null, taken: none, given: one, errors: 0, late: 0, behind: 0, owed: 0 });
    assert.deepEqual([b.stage.tier!.stats().taken, b.stage.tier!.stats().given], [one, none]);
    b.way.isCut = true;
    await tier.until(() => !b.stage.tier!.isServing);
    assert.equal(b.stage.tier!.stats().cutOff, "cut");
    await assert.rejects(b.stage.tier!.purge(PURGE, { soft: false }));
    assert.equal(b.stage.tier!.stats().owed, 1);
  });

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

  it("when the log is lost, a purge still waits for machines that nobody knows of any more", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("text"));
    a.way.isCut = true;
    await tier.lose();
    const purged = b.stage.tier!.purge(PURGE, { soft: false });
    await done(tier, purged);
    assert.equal(a.cache.find(URL, requestOf()), null);
  });

  it("a purge that is under way when the log is lost is one of the next log", async (tier, t) => {
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
  });

  it("purges that a server has not seen that takes over are not lost to who was away meanwhile", async (tier, t) => {
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
  });

  it("logs that have branched off each other are told apart, though they are of one length", async (tier, t) => {
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
  });
}

/** With time passing. */
export async function done<T>(tier: TierUnderTest, promise: Promise<T>): Promise<T> {
  let isDone = false;
  const settled = promise.finally(() => {
    isDone = true;
  });
  settled.catch(() => {});
  await tier.until(() => isDone);
  return settled;
}

function clockOf(clock: Clock): Clock {
  return { now: () => clock.now(), wallMs: () => clock.wallMs(), after: (ms, callback) => clock.after(ms, callback) };
}
