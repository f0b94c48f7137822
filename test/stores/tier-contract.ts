// What machines that share a cache must get from what is between them, in memory and on Redis: one suite for both.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AnswerHead, CachedAnswer } from "../../src/caching/cache.ts";
import type { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import type { EntryId } from "../../src/caching/ports.ts";
import type { TierTimes } from "../../src/caching/tier/member.ts";
import { type LoggedText, TIER_LOG_MAX, type TierPosition, type TierStore } from "../../src/caching/tier/ports.ts";
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
  [Symbol.asyncDispose](): Promise<void>;
}

/** One machine's way, that can be cut. */
class Severable implements TierStore {
  onChange: () => void = () => {};
  readonly #inner: TierStore;
  #isCut = false;

  constructor(inner: TierStore) {
    this.#inner = inner;
    inner.onChange = () => {
      if (!this.#isCut) this.onChange();
    };
  }

  set isCut(isCut: boolean) {
    this.#isCut = isCut;
    if (!isCut) this.onChange();
  }

  start(): void {
    this.#inner.start();
  }

  get(id: EntryId): Promise<readonly Buffer[] | null> {
    return this.#way().then((inner) => inner.get(id));
  }

  put(id: EntryId, parts: readonly Buffer[], ttlMs: number): Promise<void> {
    return this.#way().then((inner) => inner.put(id, parts, ttlMs));
  }

  append(text: string): Promise<number> {
    return this.#way().then((inner) => inner.append(text));
  }

  renew(machine: string, applied: number, ttlMs: number): Promise<TierPosition> {
    return this.#way().then((inner) => inner.renew(machine, applied, ttlMs));
  }

  read(after: number): Promise<readonly LoggedText[]> {
    return this.#way().then((inner) => inner.read(after));
  }

  machines(): Promise<ReadonlyMap<string, number>> {
    return this.#way().then((inner) => inner.machines());
  }

  leave(machine: string): Promise<void> {
    return this.#way().then((inner) => inner.leave(machine));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #way(): Promise<TierStore> {
    if (this.#isCut) throw new Error("cut");
    return this.#inner;
  }
}

interface Machine {
  readonly stage: CacheStage;
  readonly cache: ThreadCache;
  readonly way: Severable;
}

const URL = "http://host/a";
const OTHER = "http://host/b";
const PURGE = { kind: "url", text: URL } as const;

/** A machine that takes part. */
async function join(tier: TierUnderTest, t: TestContext, machine: string): Promise<Machine> {
  const way = new Severable(tier.open());
  const { clock, times } = tier;
  const stage = await CacheStage.open({ tier: { store: way, machine, clock, times } });
  t.after(() => stage.close());
  await tier.until(() => stage.tier!.isServing);
  return { stage, cache: stage.thread().cache, way };
}

async function asked(tier: TierUnderTest, { cache }: Machine, key: string, request = requestOf()): Promise<Asked> {
  const asking = Asked.of(cache, key, request);
  await tier.until(() => asking.outcomes.length > 0);
  return asking;
}

async function fill(
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

async function bodyOf(tier: TierUnderTest, answer: CachedAnswer): Promise<Buffer> {
  const taker = Taker.of(answer);
  await tier.until(() => taker.outcome !== "");
  assert.equal(taker.outcome, "ended");
  return taker.taken;
}

/** Asked again and again: it reaches others behind its commit. */
async function comesTo(tier: TierUnderTest, machine: Machine, key: string, request = requestOf()): Promise<Buffer> {
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

export function tierContract(name: string, make: () => Promise<TierUnderTest>, skip: string | false = false): void {
  const it = (what: string, run: (tier: TierUnderTest, t: TestContext) => Promise<void>): void => {
    test(`${name}: ${what}`, { skip }, async (t) => {
      const tier = await make();
      t.after(() => tier[Symbol.asyncDispose]());
      await run(tier, t);
    });
  };

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
    for (let count = 0; count <= TIER_LOG_MAX; count++) await a.way.append('{"key":"http://host/none"}');
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

  it("a purge behind the loss of the log waits for leases that it knows nothing of", async (tier, t) => {
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
  });

  it("what a machine purges while it is cut off reaches the others when it is back", async (tier, t) => {
    const [a, b] = [await join(tier, t, "a"), await join(tier, t, "b")];
    await fill(tier, a, URL, Buffer.from("text"));
    b.way.isCut = true;
    await tier.until(() => !b.stage.tier!.isServing);
    await assert.rejects(b.stage.tier!.purge(PURGE, { soft: false }), /in force on this machine.*cannot be told now/);
    b.way.isCut = false;
    await tier.until(() => a.cache.find(URL, requestOf()) === null);
  });
}
