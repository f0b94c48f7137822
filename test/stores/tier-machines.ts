// The machines of a test that share a cache, each with its own way to what is between them, and what they do.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { AnswerHead, CachedAnswer } from "../../src/caching/cache.ts";
import type { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import type { EntryId } from "../../src/caching/ports.ts";
import type { TierTimes } from "../../src/caching/tier/member.ts";
import type {
  LoggedText,
  SharedBytes,
  TierMachines,
  TierPosition,
  TierReport,
  TierStore,
} from "../../src/caching/tier/ports.ts";
import type { Clock } from "../../src/core/ports.ts";
import { Asked, headOf, requestOf, Taker } from "../support/cache-dialogue.ts";
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
export class Severable implements TierStore {
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

export async function asked(
  tier: TierUnderTest,
  { cache }: Machine,
  key: string,
  request = requestOf(),
): Promise<Asked> {
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
export async function confirm(
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
  asking.fill!.refresh(
    stored,
    headOf(bodyBytes, { receivedMs: tier.clock.wallMs(), vary: stored.head.vary, ...changes }),
  );
  await tier.until(() => machine.cache.find(key, request)?.version !== stored.version);
}

export async function bodyOf(tier: TierUnderTest, answer: CachedAnswer): Promise<Buffer> {
  const taker = Taker.of(answer);
  await tier.until(() => taker.outcome !== "");
  assert.equal(taker.outcome, "ended");
  return taker.taken;
}

/** Asked again and again: it reaches others behind its commit. */
export async function comesTo(
  tier: TierUnderTest,
  machine: Machine,
  key: string,
  request = requestOf(),
): Promise<Buffer> {
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
