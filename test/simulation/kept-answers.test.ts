// Thousands of random interleavings of storing, refreshing, removing, purging, evicting, failing disks and killed processes, on a clock
// that the test moves. Whatever they are: what is found is whole and newer than whatever was confirmed to be gone, a confirmed answer
// that nothing has removed is found, and in the end the books add up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { S3Fifo } from "../../src/caching/eviction/s3-fifo.ts";
import { entryIdOf, urlOfKey, variantOf } from "../../src/caching/keeping/entry-id.ts";
import { isMet, purgeTarget } from "../../src/caching/keeping/purge-patterns.ts";
import { type AnswerRecord, decodeRecord } from "../../src/caching/keeping/record.ts";
import { diskBytes } from "../../src/caching/keeping/slots.ts";
import type { SharedCache } from "../../src/caching/shared.ts";
import { type CacheOperation, diskError, MemoryCacheFolder } from "../../src/testing/cache-folder.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { headOf, settle } from "../support/cache-dialogue.ts";
import { KeepingStage } from "../support/keeping-stage.ts";
import { seed } from "../support/seed.ts";

const RUNS = 15;
const STEPS = 150;
const KEYS = 12;
const TAGS = ["red", "green", "blue"] as const;
const FAULTS: readonly CacheOperation[] = [
  "put",
  "remove",
  "writeFact",
  "keepBody",
  "removeBody",
  "createBody",
  "append",
];

const keyOf = (index: number): string => `https://host${index % 3}/${index}`;

/** What is known to be true of a key. */
interface Known {
  /** Numbers up to here are gone: it was confirmed. */
  gone: number;
}

class World {
  readonly random: SeededRandom;
  readonly known: Known[] = Array.from({ length: KEYS }, () => ({ gone: 0 }));
  stage!: KeepingStage;
  policy!: S3Fifo;
  readonly #bytesMax: number;
  #number = 0;
  #under: Promise<unknown>[] = [];

  constructor(random: SeededRandom) {
    this.random = random;
    this.#bytesMax = random.pick([2 ** 30, 40 * 1024]);
  }

  async open(folder = new MemoryCacheFolder(new VirtualClock())): Promise<void> {
    const policy = (shared: SharedCache): S3Fifo => {
      this.policy = new S3Fifo(shared);
      return this.policy;
    };
    this.stage = await KeepingStage.open({ folder, bytesMax: this.#bytesMax, slots: 65_536, policy });
  }

  step(): void {
    const { random, stage } = this;
    const index = random.below(KEYS);
    const number = ++this.#number;
    switch (random.below(10)) {
      case 0:
        return this.#start(this.#invalidate(index, number));
      case 1:
        return this.#start(this.#purge(index, number));
      case 2: {
        const { keeping } = stage;
        const id = entryIdOf(keyOf(index), "");
        const version = keeping.currentVersion(id);
        if (random.chance(0.5)) return this.#start(keeping.drop(id, version, "damaged"));
        const record = stage.found(keyOf(index))?.record;
        if (record?.kind !== "answer") return;
        return this.#start(keeping.refresh(id, record.version, record.head, keeping.mark()));
      }
      case 3:
        for (const operation of FAULTS) stage.folder.slowness[operation] = random.chance(0.3) ? random.below(50) : 0;
        return;
      case 4: {
        const failing = random.chance(0.2) ? random.pick(FAULTS) : null;
        stage.folder.fault = (operation) => (operation === failing ? diskError("EIO", "failing") : null);
        return;
      }
      default:
        return this.#start(this.#keep(index, number));
    }
  }

  async #keep(index: number, number: number): Promise<void> {
    const { random, stage } = this;
    const key = keyOf(index);
    const since = stage.keeping.mark();
    const isLarge = random.chance(0.3);
    const text = `${key} ${number};`.repeat(isLarge ? 200 : 1);
    const tags = [`n${number}`, random.pick(TAGS)];
    const vary = random.chance(0.3) ? { names: ["accept"], values: [random.pick(["a", "b"])] } : null;
    if (!isLarge) return void (await stage.keep(key, text, { tags, vary, since }));
    let body: Awaited<ReturnType<KeepingStage["writeBody"]>>;
    try {
      body = await stage.writeBody(Buffer.from(text));
    } catch {
      // Who writes it gives it up; what is left of it is swept.
      return;
    }
    await stage.keep(key, "", { head: headOf(text.length, { tags }), body, vary, since });
  }

  async #invalidate(index: number, number: number): Promise<void> {
    const { stage } = this;
    await stage.keeping.invalidate(keyOf(index));
    // A process that was killed has confirmed nothing more.
    if (stage.folder.isCrashed) return;
    this.known[index]!.gone = Math.max(this.known[index]!.gone, number);
  }

  async #purge(index: number, number: number): Promise<void> {
    const url = urlOfKey(keyOf(index));
    const pattern = this.random.pick([
      { kind: "url", text: url },
      { kind: "wildcard", text: `*/${index}` },
      { kind: "host", text: `host${index % 3}` },
    ] as const);
    const { stage } = this;
    // While the disk fails nobody knows how much it is; in force it is all the same.
    await stage.keeper.purge(pattern, { soft: false }).catch((error: Error) => {
      assert.match(error.message, /is in force|nothing is found/);
    });
    if (stage.folder.isCrashed) return;
    for (let other = 0; other < KEYS; other++) {
      if (isMet(pattern, purgeTarget(keyOf(other), [])))
        this.known[other]!.gone = Math.max(this.known[other]!.gone, number);
    }
  }

  #start(promise: Promise<unknown>): void {
    this.#under.push(promise);
  }

  /** Every thread's view, at any time. */
  look(): void {
    for (let index = 0; index < KEYS; index++) {
      const key = keyOf(index);
      const found = this.stage.found(key)?.record;
      const records: (AnswerRecord | undefined)[] = [];
      if (found?.kind === "answer") records.push(found);
      else if (found?.kind === "vary") {
        for (const value of ["a", "b"]) {
          const variant = this.stage.reader.read(entryIdOf(key, variantOf(found.generation, [value])))?.record;
          if (variant?.kind === "answer") records.push(variant);
        }
      }
      for (const record of records) {
        const number = Number(record!.head.tags[0]!.slice(1));
        assert.equal(record!.key, key);
        assert.ok(number > this.known[index]!.gone, `${key}: ${number} was gone by ${this.known[index]!.gone}`);
        if (record!.body.kind === "inline") assert.equal(record!.body.bytes.toString(), `${key} ${number};`);
        else assert.equal(record!.body.end, `${key} ${number};`.length * 200);
      }
    }
  }

  /** The process is killed; what was under way is nobody's. */
  async crash(): Promise<void> {
    this.#under = [];
    await this.open(this.stage.folder.crash());
  }

  /** The disk works again, and all that was begun comes to its end. */
  async quiet(): Promise<void> {
    const { stage } = this;
    stage.folder.fault = null;
    for (const operation of FAULTS) stage.folder.slowness[operation] = 0;
    for (let step = 0; step < 150; step++) {
      await settle(40);
      stage.clock.advance(10_000);
    }
    await Promise.all(this.#under);
    this.#under = [];
    await stage.keeper.indexed;
    await stage.keeping.settled();
    await settle();
  }

  addUp(): void {
    const { stage, policy } = this;
    let bytes = 0;
    const bodies = new Set<number>();
    const slots = new Set<number>();
    for (const record of stage.folder.records.values()) {
      const decoded = decodeRecord(record)!;
      const file = decoded.kind === "answer" && decoded.body.kind === "file" ? decoded.body : null;
      bytes += diskBytes(record.length, file === null ? 0 : file.end - file.start);
      if (file !== null) bodies.add(file.body);
      assert.ok(!slots.has(decoded.slot), `slot ${decoded.slot} twice`);
      slots.add(decoded.slot);
    }
    const stats = stage.keeper.stats();
    assert.deepEqual([stats.entries, stats.bytes], [slots.size, bytes], "entries and bytes");
    assert.deepEqual([policy.entries, policy.bytes], [slots.size, bytes], "what may be evicted");
    assert.ok(bytes <= stage.keeping.limits.bytesMax, "the limit");
    assert.deepEqual(stats.trouble, null);
    for (const body of bodies) assert.ok(stage.folder.bodies.includes(body), `the file of body ${body}`);
    assert.equal(stage.folder.openFiles, 0);
  }
}

async function run(runSeed: number): Promise<void> {
  const world = new World(new SeededRandom(runSeed));
  await world.open();
  for (let step = 0; step < STEPS; step++) {
    world.step();
    await settle(world.random.below(6));
    if (world.random.chance(0.3)) world.stage.clock.advance(world.random.below(30_000));
    world.look();
    if (world.random.chance(0.01)) await world.crash();
    if (!world.random.chance(0.02)) continue;
    await world.quiet();
    world.look();
    world.addUp();
  }
  await world.quiet();
  world.addUp();
  // Whatever went wrong on the way, nothing is left behind that the next start does not remove.
  await world.crash();
  await world.quiet();
  world.look();
  world.addUp();
  const files = [...world.stage.folder.records.values()].filter((record) => {
    const decoded = decodeRecord(record)!;
    return decoded.kind === "answer" && decoded.body.kind === "file";
  });
  assert.equal(world.stage.folder.bodies.length, files.length, "files");
}

test(`what is kept adds up, and what is gone stays gone, in ${RUNS} random runs`, async () => {
  for (let index = 0; index < RUNS; index++) {
    const runSeed = seed + index;
    try {
      await run(runSeed);
    } catch (error) {
      throw new Error(`with HEADGATE_SEED=${runSeed}`, { cause: error });
    }
  }
});
