// Seeded random runs of machines that share a cache: they ask, purge, are cut off and come back, while what is between them loses its
// data, or goes on as it was some time ago. Nothing is found on any machine that was purged before it was asked for.
// HEADGATE_SEED=n plays the run that failed again.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PurgePattern } from "../../src/caching/cache.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { MemoryTier } from "../../src/testing/tier-store.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Severable } from "../stores/tier-machines.ts";
import { Asked, headOf, requestOf, settle } from "../support/cache-dialogue.ts";
import { CacheStage } from "../support/cache-stage.ts";
import { seed } from "../support/seed.ts";

// HEADGATE_RUNS=n plays more of them.
const RUNS = Number(process.env.HEADGATE_RUNS ?? 4);
const STEPS = 60;
const MACHINES = ["a", "b", "c"];
const URLS = ["http://host/a", "http://host/b", "http://other/c"];
const TICK_MS = 250;

interface Machine {
  readonly way: Severable;
  readonly stage: CacheStage;
  readonly cache: ReturnType<CacheStage["thread"]>["cache"];
}

class World {
  readonly sums = { found: 0, stored: 0, fetched: 0, passed: 0, purged: 0, untold: 0, losses: 0, takeOvers: 0 };
  readonly #random: SeededRandom;
  readonly #clock = new VirtualClock();
  readonly #tier = new MemoryTier(this.#clock);
  readonly #machines: Machine[] = [];
  /** What the origin has now: a number that grows. */
  #representation = 1;
  /** By URL: what is older must not be found any more, anywhere. */
  readonly #oldest = new Map<string, number>();
  #takeOver: (() => void) | null = null;

  constructor(seedOfRun: number) {
    this.#random = new SeededRandom(seedOfRun);
  }

  async play(): Promise<void> {
    for (const machine of MACHINES) {
      const way = new Severable(this.#tier.open());
      const stage = await CacheStage.open({ clock: this.#clock, tier: { store: way, machine } });
      this.#machines.push({ way, stage, cache: stage.thread().cache });
    }
    for (let step = 0; step < STEPS; step++) await this.#step();
    await this.#pass(12_000);
    for (const { stage, way } of this.#machines) {
      way.isCut = false;
      await stage.close();
    }
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const machine = random.pick(this.#machines);
    const chance = random.next();
    if (chance < 0.5) for (const url of URLS) this.#ask(random.pick(this.#machines), url);
    else if (chance < 0.7) this.#purge(machine, random.pick(URLS));
    else if (chance < 0.8) machine.way.isCut = random.chance(0.5);
    else if (chance < 0.83) this.#lose();
    else if (chance < 0.9) this.#takeOver = this.#tier.generation === "" ? null : this.#tier.remember();
    else if (chance < 0.97) return this.#goBack();
    await this.#pass(random.pick([0, 250, 250, 1000, 4000, 12_000]));
  }

  #ask({ cache }: Machine, url: string): void {
    const { sums } = this;
    const found = cache.find(url, requestOf());
    if (found !== null) {
      // As if it were not good enough: the origin confirms it, which others may hear.
      if (this.#random.chance(0.7)) return;
    }
    const asked = Asked.of(cache, url, requestOf(), found);
    asked.onOutcome = () => {
      const { fill, outcomes } = asked;
      if (outcomes[0] === "stored") sums.stored++;
      if (fill === null) return void sums.passed++;
      sums.fetched++;
      const head = { receivedMs: this.#clock.wallMs(), initialAgeMs: this.#random.below(2) * 10_000 };
      const tag = found?.head.tags[0];
      // What is here is what the origin has: it has not changed since.
      if (found !== null && tag === `${this.#representation}`)
        return fill.refresh(found, headOf(4, { ...head, tags: [tag] }));
      const fetched = this.#representation;
      fill.begin(headOf(4, { ...head, tags: [`${fetched}`] }));
      const finish = (): void => {
        fill.write(Buffer.from("text"), 0, 4);
        fill.end();
      };
      this.#clock.after(this.#random.pick([0, 500, 3000]), finish);
    };
  }

  #purge({ stage }: Machine, url: string): void {
    const now = ++this.#representation;
    const pattern: PurgePattern = this.#random.pick([
      { kind: "url", text: url },
      { kind: "prefix", text: url.slice(0, 11) },
    ]);
    const met = URLS.filter((one) => one.startsWith(pattern.text));
    stage.tier!.purge(pattern, { soft: false }).then(
      () => {
        this.sums.purged++;
        for (const one of met) this.#oldest.set(one, Math.max(now, this.#oldest.get(one) ?? 0));
      },
      () => {
        this.sums.untold++;
      },
    );
  }

  #lose(): void {
    this.sums.losses++;
    this.#takeOver = null;
    this.#tier.lose();
  }

  /** Those who know what was lost by that are there, for as long as the log is young. */
  async #goBack(): Promise<void> {
    if (this.#takeOver === null) return;
    this.sums.takeOvers++;
    this.#takeOver();
    this.#takeOver = null;
    for (const { way } of this.#machines) way.isCut = false;
    await this.#pass(12_000);
  }

  async #pass(ms: number): Promise<void> {
    await settle();
    this.#check();
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      this.#clock.advance(TICK_MS);
      await settle();
      this.#check();
    }
  }

  #check(): void {
    for (const { cache } of this.#machines) {
      for (const url of URLS) {
        const [tag] = cache.find(url, requestOf())?.head.tags ?? [];
        if (tag === undefined) continue;
        this.sums.found++;
        assert.ok(Number(tag) >= (this.#oldest.get(url) ?? 0), `${url} is found, which was purged`);
      }
    }
  }
}

test("machines that share a cache, under random use", async (t) => {
  const sums = { found: 0, stored: 0, fetched: 0, passed: 0, purged: 0, untold: 0, losses: 0, takeOvers: 0 };
  for (let run = 0; run < RUNS; run++) {
    const world = new World(seed + run);
    try {
      await world.play();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`HEADGATE_SEED=${seed + run} plays this run again: ${message}`, { cause: error });
    }
    for (const count of Object.keys(sums) as (keyof typeof sums)[]) sums[count] += world.sums[count];
  }
  t.diagnostic(JSON.stringify(sums));
  for (const what of ["found", "fetched", "purged"] as const) assert.ok(sums[what] > 0, `${what}: nothing`);
});
