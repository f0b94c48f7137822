// A shared cache under random use, on a virtual clock: clients on several threads (cache-clients.ts) ask and leave; an origin
// (cache-origin.ts) answers and breaks off; operators purge; threads die; the disk is slow and fails. What each client gets is compared
// with what the origin has sent, and with what was purged before it asked.

import assert from "node:assert/strict";
import type { Cache, CachedAnswer, PurgePattern } from "../../src/caching/cache.ts";
import { HEAD_FLAGS } from "../../src/caching/cache.ts";
import type { LinkToKeeper, LinkToThread } from "../../src/caching/fills/protocol.ts";
import type { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import { decodeRecord } from "../../src/caching/keeping/record.ts";
import { diskBytes } from "../../src/caching/keeping/slots.ts";
import type { Link } from "../../src/caching/ports.ts";
import { diskError, MemoryCacheFolder } from "../../src/testing/cache-folder.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { requestOf } from "../support/cache-dialogue.ts";
import { CacheStage, localWakes } from "../support/cache-stage.ts";
import { Client, Reading } from "./cache-clients.ts";
import { CacheOrigin, LANGUAGES, OBJECT_BYTES_MAX, PLAIN, type Representation, TAGS, VARYING } from "./cache-origin.ts";

export interface CacheWeather {
  readonly originFaults: boolean;
  readonly purges: boolean;
  readonly deaths: boolean;
  readonly diskFaults: boolean;
}

const CLIENTS = 24;
const PURGES = 12;
const DEATHS = 3;
const PERIOD_MS = 3000;
/** In which everybody must have come to an end. */
const DRAINED_MS = 3_600_000;

interface Purge {
  readonly meets: (representation: Representation) => boolean;
  readonly called: number;
  readonly isSoft: boolean;
  /** For whom it is in force from when it was called; null: for nobody. */
  readonly by: Cache | null;
  /** When it returned: whoever asks behind that gets nothing that it meets. */
  returned: number;
}

export interface SimulatedThread {
  readonly cache: ThreadCache;
  readonly end: () => void;
  isDead: boolean;
}

/** In order, each message some time later; dead once a thread is. */
class SlowEnd<Outgoing, Incoming> implements Link<Outgoing, Incoming> {
  other: SlowEnd<Incoming, Outgoing> | null = null;
  onMessage: (message: Incoming) => void = () => {};
  isCut = false;
  readonly #later: (callback: () => void, notBeforeMs: number) => number;
  #lastMs = 0;

  constructor(later: (callback: () => void, notBeforeMs: number) => number) {
    this.#later = later;
  }

  send(message: Outgoing): void {
    const { other } = this;
    this.#lastMs = this.#later(() => {
      if (!this.isCut) other!.onMessage(message);
    }, this.#lastMs);
  }
}

export class CacheWorld {
  readonly random: SeededRandom;
  readonly weather: CacheWeather;
  readonly clock = new VirtualClock();
  folder: MemoryCacheFolder;
  stage!: CacheStage;
  readonly threads: SimulatedThread[] = [];
  readonly origin = new CacheOrigin(this);
  readonly #purges: Purge[] = [];
  #links: SlowEnd<never, never>[] = [];
  /** Events so far: what is later has a higher number. */
  now = 0;
  open = 0;
  #hasDied = false;
  readonly counts = { clients: 0, fetches: 0, hits: 0, whole: 0, broken: 0, passes: 0, pauses: 0 };

  constructor(seed: number, weather: CacheWeather) {
    this.random = new SeededRandom(seed);
    this.weather = weather;
    this.folder = new MemoryCacheFolder(this.clock);
  }

  async play(): Promise<CacheWorld["counts"]> {
    const { random, weather, folder, clock } = this;
    for (const operation of ["put", "keepBody", "append", "readBody", "writeFact", "remove"] as const) {
      if (random.chance(0.5)) folder.slowness[operation] = random.below(20);
    }
    await this.#open();
    for (let client = 0; client < CLIENTS; client++)
      this.later(PERIOD_MS, () => new Client(this, this.#thread()).look());
    if (weather.purges) for (let purge = 0; purge < PURGES; purge++) this.later(PERIOD_MS, () => this.#purge());
    if (weather.deaths) for (let death = 0; death < DEATHS; death++) this.later(PERIOD_MS, () => this.#kill());
    if (weather.diskFaults) this.later(PERIOD_MS, () => this.#failDisk());
    await this.#run(() => clock.now() > PERIOD_MS && this.open === 0);
    folder.fault = null;
    await this.#checkEnd();
    await this.#checkRestart();
    return this.counts;
  }

  /** Some time later, within so many milliseconds. */
  later(ms: number, act: () => void): void {
    this.open++;
    this.clock.after(this.random.below(ms), () => {
      this.now++;
      this.open--;
      act();
    });
  }

  async #open(): Promise<void> {
    const { random, clock } = this;
    const later = (callback: () => void): void => void clock.after(random.below(8), callback);
    const link = (callback: () => void, notBeforeMs: number): number => {
      const dueMs = Math.max(notBeforeMs, clock.now() + random.below(8));
      clock.after(dueMs - clock.now(), callback);
      return dueMs;
    };
    const opening = CacheStage.open({
      folder: this.folder,
      random,
      objectBytesMax: OBJECT_BYTES_MAX,
      hotBytesMax: random.chance(0.3) ? 0 : 10_000_000,
      stallMs: 60_000,
      wakes: localWakes(later),
      links: () => {
        const one: SlowEnd<never, never> = new SlowEnd(link);
        const two: SlowEnd<never, never> = new SlowEnd(link);
        one.other = two;
        two.other = one;
        this.#links = [one, two];
        return [one, two] as unknown as readonly [LinkToKeeper, LinkToThread];
      },
    });
    let isOpen = false;
    void opening.then((stage) => {
      this.stage = stage;
      isOpen = true;
    });
    await this.#run(() => isOpen);
    for (let thread = 0; thread < 3; thread++) this.#addThread();
  }

  #addThread(): void {
    const { cache, end } = this.stage.thread();
    const links = this.#links;
    this.threads.push({
      cache,
      isDead: false,
      end: () => {
        for (const link of links) link.isCut = true;
        end();
      },
    });
  }

  #thread(): SimulatedThread {
    return this.random.pick(this.threads.filter(({ isDead }) => !isDead));
  }

  #kill(): void {
    const thread = this.#thread();
    thread.isDead = true;
    this.#hasDied = true;
    thread.end();
    this.#addThread();
  }

  #failDisk(): void {
    const operations = [
      "put",
      "append",
      "createBody",
      "keepBody",
      "openBody",
      "readBody",
      "writeFact",
      "remove",
    ] as const;
    const failing = operations.filter(() => this.random.chance(0.4));
    this.folder.fault = (operation) => (failing.includes(operation as never) ? diskError("EIO", operation) : null);
    this.later(500, () => {
      this.folder.fault = null;
    });
  }

  #purge(): void {
    const { random } = this;
    const thread = this.#thread();
    const { cache } = thread;
    const key = random.pick([...PLAIN, ...VARYING]);
    const tag = random.pick(TAGS);
    const called = this.now;
    const settleWith = (what: Omit<Purge, "returned">, done: Promise<unknown>): void => {
      const purge = { ...what, returned: Number.POSITIVE_INFINITY };
      this.#purges.push(purge);
      this.open++;
      const settled = (): void => {
        this.open--;
        purge.returned = this.now++;
        new Client(this, this.#thread(), key).look();
      };
      // While the disk fails, an invalidation may promise nothing, and nothing is served. An operator's purge is in force whatever
      // it says.
      done.then(settled, purge.by === null ? settled : () => this.open--);
      this.now++;
      if (purge.by !== null) new Client(this, thread, key).look();
    };
    const ofKey = (one: Representation): boolean => one.key === key;
    const ofTag = (one: Representation): boolean => one.tags.includes(tag);
    const choice = random.below(4);
    if (choice === 0) settleWith({ meets: ofKey, called, isSoft: false, by: cache }, cache.invalidate(key));
    else if (choice === 1) settleWith({ meets: ofTag, called, isSoft: false, by: cache }, cache.invalidateTag(tag));
    else {
      const isSoft = choice === 2;
      const isOfTag = random.chance(0.3);
      const pattern: PurgePattern = isOfTag ? { kind: "tag", text: tag } : { kind: "url", text: key };
      const done = this.stage.keeper.purge(pattern, { soft: isSoft });
      settleWith({ meets: isOfTag ? ofTag : ofKey, called, isSoft, by: null }, done);
    }
  }

  /** The thread of a purge may have died: nobody waits for it then. */
  async #run(isOver: () => boolean): Promise<void> {
    const { clock } = this;
    const endMs = clock.now() + DRAINED_MS;
    for (;;) {
      await new Promise(setImmediate);
      if (isOver()) return;
      const due = clock.nextDueMs;
      if (due === null || due > endMs || (this.#hasDied && due > PERIOD_MS + 600_000)) {
        if (this.#hasDied || due === null) return;
        assert.fail(`${this.open} have not come to an end`);
      }
      clock.advanceTo(due);
    }
  }

  /** What was given to somebody who asked at `asked`. */
  checkGiven(answer: CachedAnswer, cache: Cache, key: string, language: string, asked: number): Representation {
    const representation = this.origin.representationOf(answer);
    assert.equal(representation.key, key, "the answer of another key");
    if (representation.language !== null) assert.equal(representation.language, language, "another variant");
    for (const { meets, called, isSoft, by, returned } of this.#purges) {
      if (asked <= (by === cache ? called : returned) || !meets(representation)) continue;
      const since = isSoft ? Math.max(representation.began, representation.validated) : representation.began;
      if (since >= called) continue;
      if (isSoft && (answer.head.flags & HEAD_FLAGS.purgedSoftly) !== 0) continue;
      assert.fail(`representation ${representation.number} was given after a purge that meets it`);
    }
    return representation;
  }

  async #checkEnd(): Promise<void> {
    // What is still being committed, and the scans behind purges.
    await this.#run(() => this.clock.now() > PERIOD_MS + 1_200_000);
    const { stage, folder } = this;
    for (const { cache, isDead } of this.threads) if (!isDead) assert.ok(cache.isIdle, "a thread is not idle");
    assert.equal(stage.broker.flights, 0, "fills that nobody ends");
    if (!this.#hasDied) assert.equal(folder.openFiles, 0, "files that are open");
    const bodies = new Set<number>();
    let bytes = 0;
    for (const record of folder.records.values()) {
      const decoded = decodeRecord(Buffer.from(record))!;
      const body = decoded.kind === "answer" && decoded.body.kind === "file" ? decoded.body : null;
      if (body !== null) bodies.add(body.body);
      bytes += diskBytes(record.length, body === null ? 0 : body.end - body.start);
    }
    for (const body of bodies) assert.ok(folder.bodies.includes(body), "a record without its body");
    // A thread may die before it hears that its file is nobody's, which is swept at the next start.
    const leftMax = this.#hasDied ? DEATHS : 0;
    if (!this.weather.diskFaults) assert.ok(folder.bodies.length <= bodies.size + leftMax, "bodies without a record");
    const stats = stage.keeper.stats();
    assert.equal(stats.entries, folder.records.size, "entries that are counted wrong");
    assert.equal(stats.bytes, bytes, "bytes that are counted wrong");
  }

  /** The process is killed: what the next one finds is what was sent whole, and was not purged. */
  async #checkRestart(): Promise<void> {
    for (const thread of this.threads) thread.isDead = true;
    this.threads.length = 0;
    this.folder = this.folder.crash();
    await this.#open();
    this.now++;
    const asked = ++this.now;
    for (const key of [...PLAIN, ...VARYING]) {
      for (const language of LANGUAGES) {
        const { cache } = this.threads[0]!;
        const answer = cache.find(key, requestOf([["Accept-Language", language]]));
        if (answer === null) continue;
        const representation = this.checkGiven(answer, cache, key, language, asked);
        assert.ok(representation.isWhole, "a torn body was stored");
        const reader = new Reading(this, representation, 0, representation.bytes.length, -1, false);
        reader.start(answer);
        await this.#run(() => reader.isOver);
        assert.equal(reader.outcome, "ended");
      }
    }
  }
}
