// A shared cache under random use, on a virtual clock: clients on several threads ask, read at their own pace and leave; an origin
// answers, breaks off and takes its time; operators purge; threads die; the disk is slow and fails. What each client gets is compared
// with what the origin has sent, and with what was purged before it asked.

import assert from "node:assert/strict";
import type { Cache, CachedAnswer, Fill, PurgePattern } from "../../src/caching/cache.ts";
import { HEAD_FLAGS } from "../../src/caching/cache.ts";
import type { LinkToKeeper, LinkToThread } from "../../src/caching/fills/protocol.ts";
import type { ThreadCache } from "../../src/caching/fills/thread-cache.ts";
import { decodeRecord } from "../../src/caching/keeping/record.ts";
import { diskBytes } from "../../src/caching/keeping/slots.ts";
import type { Link } from "../../src/caching/ports.ts";
import { ProxyError } from "../../src/core/errors.ts";
import { EncodedLines } from "../../src/core/fields.ts";
import type { AnswerSink, ProducedBody } from "../../src/pipeline/body.ts";
import { diskError, MemoryCacheFolder } from "../../src/testing/cache-folder.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { headOf, requestOf } from "../support/cache-dialogue.ts";
import { CacheStage, localWakes } from "../support/cache-stage.ts";

export interface CacheWeather {
  readonly originFaults: boolean;
  readonly purges: boolean;
  readonly deaths: boolean;
  readonly diskFaults: boolean;
}

const PLAIN = ["http://a.test/one", "http://a.test/two"];
const VARYING = ["http://b.test/vary"];
const LANGUAGES = ["en", "de"];
const TAGS = ["red", "green"];
const CLIENTS = 24;
const PURGES = 12;
const DEATHS = 3;
const PERIOD_MS = 3000;
/** In which everybody must have come to an end. */
const DRAINED_MS = 3_600_000;
/** What is longer has a file; what is longer than the last is never stored. */
const LENGTHS = [0, 1, 500, 500, 5000, 64 * 1024, 64 * 1024 + 1, 150_000, 400_000];
const OBJECT_BYTES_MAX = 300_000;
/** Now and then one that is more than may be in memory. */
const LONG_BYTES = 2_500_000;
const LEFT = new ProxyError("connection_terminated", "the client has left");
const BROKEN = new ProxyError("connection_terminated", "the origin broke off");

/** What an origin has sent once, and nobody else ever. */
interface Representation {
  readonly number: number;
  readonly key: string;
  readonly language: string | null;
  readonly tags: readonly string[];
  readonly bytes: Buffer;
  /** When its fetch began, in the order of events. */
  readonly began: number;
  /** When it was validated last. */
  validated: number;
  isWhole: boolean;
}

interface Purge {
  readonly meets: (representation: Representation) => boolean;
  readonly called: number;
  readonly isSoft: boolean;
  /** For whom it is in force from when it was called; null: for nobody. */
  readonly by: Cache | null;
  /** When it returned: whoever asks behind that gets nothing that it meets. */
  returned: number;
}

/** A body on its way from the origin. */
interface Sending {
  readonly fill: Fill;
  readonly thread: SimulatedThread;
  readonly representation: Representation;
  readonly isLengthTold: boolean;
  at: number;
  readonly over: () => void;
  isOver: boolean;
}

interface SimulatedThread {
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
  readonly representations: Representation[] = [];
  readonly #purges: Purge[] = [];
  /** Fetches that are under way, by what they are for. */
  readonly #fetching = new Map<string, number>();
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
    for (let client = 0; client < CLIENTS; client++) this.#in(PERIOD_MS, () => new Client(this, this.#thread()).look());
    if (weather.purges) for (let purge = 0; purge < PURGES; purge++) this.#in(PERIOD_MS, () => this.#purge());
    if (weather.deaths) for (let death = 0; death < DEATHS; death++) this.#in(PERIOD_MS, () => this.#kill());
    if (weather.diskFaults) this.#in(PERIOD_MS, () => this.#failDisk());
    await this.#run(() => clock.now() > PERIOD_MS && this.open === 0);
    folder.fault = null;
    await this.#checkEnd();
    await this.#checkRestart();
    return this.counts;
  }

  /** Some time later, within so many milliseconds. */
  #in(ms: number, act: () => void): void {
    this.open++;
    this.clock.after(this.random.below(ms), () => {
      this.now++;
      this.open--;
      act();
    });
  }

  later(ms: number, act: () => void): void {
    this.#in(ms, act);
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
    this.#in(500, () => {
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
    const representation = this.#representationOf(answer);
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

  #representationOf({ head }: CachedAnswer): Representation {
    const field = /^X-Number: (\d+)\r\n/.exec(head.fields.bytes.toString("latin1"));
    return this.representations[Number(field?.[1])]!;
  }

  /** The origin is asked, for a fill. `onAnswer`: what the one who began it reads. */
  fetch(
    fill: Fill,
    thread: SimulatedThread,
    key: string,
    language: string,
    found: CachedAnswer | null,
    onAnswer: (answer: CachedAnswer | null) => void,
  ): void {
    const { random, weather } = this;
    this.counts.fetches++;
    const began = this.now;
    const varies = VARYING.includes(key);
    const what = varies ? `${key} ${language}` : key;
    const others = this.#fetching.get(what) ?? 0;
    const isCalm = !weather.purges && !weather.deaths && !weather.diskFaults && !weather.originFaults;
    if (isCalm) assert.equal(others, 0, `two fetches of ${what} at a time`);
    this.#fetching.set(what, others + 1);
    const over = (): void => void this.#fetching.set(what, this.#fetching.get(what)! - 1);
    this.#in(60, () => {
      if (thread.isDead) return over();
      if (weather.originFaults && random.chance(0.15)) {
        over();
        fill.release(random.chance(0.5) ? "uncacheable" : "failed", random.below(200));
        return onAnswer(null);
      }
      if (found !== null && random.chance(0.5)) {
        over();
        const representation = this.#representationOf(found);
        // Who asked earlier, and hears later, takes nothing back.
        representation.validated = Math.max(representation.validated, began);
        fill.refresh(found, { ...found.head, flags: 0 });
        return onAnswer(null);
      }
      const length = random.pick(isCalm ? LENGTHS.slice(0, -1) : LENGTHS);
      const bytes = this.#newBytes(!isCalm && random.chance(0.02) ? LONG_BYTES : length);
      const representation: Representation = {
        number: this.representations.length,
        key,
        language: varies ? language : null,
        tags: TAGS.filter(() => random.chance(0.3)),
        bytes,
        began,
        validated: began,
        isWhole: false,
      };
      this.representations.push(representation);
      const head = headOf(random.chance(0.5) ? bytes.length : -1, {
        fields: new EncodedLines([["X-Number", `${representation.number}`]]),
        tags: representation.tags,
        vary: varies ? ["accept-language"] : [],
      });
      const sending: Sending = {
        fill,
        thread,
        representation,
        isLengthTold: head.bodyBytes >= 0,
        at: 0,
        over,
        isOver: false,
      };
      const isGivenUp = random.chance(0.5);
      fill.onUnwanted = () => {
        if (isGivenUp && this.#stop(sending)) fill.fail(BROKEN);
      };
      onAnswer(fill.begin(head));
      this.#send(sending);
    });
  }

  /** Nothing more is sent; false: that was so already. */
  #stop(sending: Sending): boolean {
    if (sending.isOver) return false;
    sending.isOver = true;
    sending.over();
    return true;
  }

  #newBytes(length: number): Buffer {
    const number = this.representations.length;
    // No part of it is like another part of it, or of another one.
    const pattern = Buffer.allocUnsafe(7919);
    for (let at = 0; at < pattern.length; at++) pattern[at] = (at * 7 + (at >> 8) * 31 + number * 131) & 255;
    return Buffer.alloc(length, pattern);
  }

  #send(sending: Sending): void {
    const { random, weather } = this;
    const { fill, representation, thread, isLengthTold } = sending;
    const { bytes } = representation;
    this.#in(30, () => {
      if (thread.isDead) this.#stop(sending);
      if (sending.isOver) return;
      if (weather.originFaults && random.chance(0.05)) {
        this.#stop(sending);
        // A length that was told shows that something is missing.
        if (isLengthTold && sending.at < bytes.length && random.chance(0.5)) return fill.end();
        return random.chance(0.5) ? fill.fail(BROKEN) : fill.release("failed", 0);
      }
      if (sending.at === bytes.length) {
        this.#stop(sending);
        representation.isWhole = true;
        return fill.end();
      }
      assert.equal(fill.writtenBytes, sending.at);
      const piece = random.chance(0.3) ? 200 : Math.max(120_000, bytes.length / 8);
      const next = Math.min(bytes.length, sending.at + 1 + random.below(piece));
      const { at } = sending;
      sending.at = next;
      fill.write(bytes, at, next);
      if (sending.isOver) return;
      if (!fill.isFull) return this.#send(sending);
      this.open++;
      this.counts.pauses++;
      fill.onDrain = () => {
        fill.onDrain = null;
        this.open--;
        this.#send(sending);
      };
    });
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

/** Reads a range, at its own pace, and compares each byte. */
class Reading implements AnswerSink {
  readonly #world: CacheWorld;
  readonly #representation: Representation;
  readonly #start: number;
  readonly #length: number;
  readonly #end: number;
  readonly #isWild: boolean;
  #given = 0;
  #produced: ProducedBody | null = null;
  #isPaused = false;
  outcome: "" | "ended" | "aborted" | "left" = "";

  /** Of `length` bytes from `start` on; `end` as it is asked for. */
  constructor(
    world: CacheWorld,
    representation: Representation,
    start: number,
    length: number,
    end: number,
    isWild: boolean,
  ) {
    this.#world = world;
    this.#representation = representation;
    this.#start = start;
    this.#length = length;
    this.#end = end;
    this.#isWild = isWild;
  }

  get isOver(): boolean {
    return this.outcome !== "";
  }

  start(answer: CachedAnswer): void {
    this.#world.open++;
    this.#produced = answer.body.produce(this, this.#start, this.#end);
    if (this.#isPaused) this.#produced.pause();
  }

  write(bytes: Buffer, start: number, end: number): void {
    assert.equal(this.outcome, "", "a write behind the end");
    assert.ok(end > start);
    this.#compare(this.#given, bytes.subarray(start, end));
    this.#given += end - start;
    this.#mayChange();
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    assert.equal(this.outcome, "", "a file behind the end");
    const { random } = this.#world;
    if (random.chance(0.3)) return false;
    const given = this.#given;
    this.#given += length;
    this.#world.later(40, () => {
      // The kernel reads it when it has room, also when nobody waits any more.
      const bytes = this.#world.folder.readDescriptor(descriptor, offset, length);
      this.#compare(given, bytes);
      onSent();
    });
    this.#mayChange();
    return true;
  }

  end(): void {
    assert.equal(this.outcome, "", "a second end");
    assert.equal(this.#given, this.#length, "an answer that is short looks complete");
    assert.ok(this.#end >= 0 || this.#representation.isWhole, "what was not sent whole looks complete");
    this.#over("ended");
    this.#world.counts.whole++;
  }

  abort(): void {
    assert.equal(this.outcome, "", "a second end");
    this.#over("aborted");
    this.#world.counts.broken++;
  }

  #over(outcome: Reading["outcome"]): void {
    this.outcome = outcome;
    this.#world.open--;
  }

  #compare(given: number, bytes: Buffer): void {
    const from = this.#start + given;
    const expected = this.#representation.bytes.subarray(from, from + bytes.length);
    assert.ok(expected.equals(bytes), "bytes of another representation");
  }

  #mayChange(): void {
    if (!this.#isWild) return;
    const { random } = this.#world;
    if (random.chance(0.04)) {
      this.#world.later(20, () => {
        if (this.isOver) return;
        this.#over("left");
        this.#produced?.abort?.(LEFT);
      });
    }
    if (this.#isPaused || random.chance(0.6)) return;
    this.#isPaused = true;
    this.#produced?.pause();
    this.#world.later(random.chance(0.1) ? 3000 : 50, () => {
      this.#isPaused = false;
      if (!this.isOver) this.#produced!.resume();
    });
  }
}

/** Asks until there is something to read, or a reason to go without the cache. */
class Client {
  readonly #world: CacheWorld;
  readonly #thread: SimulatedThread;
  readonly #key: string;
  readonly #language: string;
  readonly #isPicky: boolean;
  #looks = 0;
  #outcomes = 0;

  constructor(world: CacheWorld, thread: SimulatedThread, key: string | null = null) {
    const { random } = world;
    this.#world = world;
    this.#thread = thread;
    this.#key = key ?? random.pick([...PLAIN, ...VARYING]);
    this.#language = random.pick(LANGUAGES);
    this.#isPicky = random.chance(0.3);
    world.counts.clients++;
  }

  look(): void {
    const world = this.#world;
    const { cache, isDead } = this.#thread;
    if (isDead) return;
    const asked = ++world.now;
    const request = requestOf([["Accept-Language", this.#language]]);
    const found = cache.find(this.#key, request);
    if (found !== null) world.checkGiven(found, cache, this.#key, this.#language, asked);
    const isGood = found !== null && !(this.#isPicky && this.#looks === 0);
    if (isGood) {
      world.counts.hits++;
      return this.#read(found, asked);
    }
    assert.ok(++this.#looks < 30, "looks again and again");
    this.#outcomes = 0;
    world.open++;
    let isWaiting = true;
    const settle = (act: () => void): void => {
      assert.equal(++this.#outcomes, 1, "a second outcome");
      assert.ok(isWaiting, "an outcome behind the cancellation");
      isWaiting = false;
      world.open--;
      world.now++;
      if (!this.#thread.isDead) act();
    };
    const pending = cache.acquire(this.#key, request, found, {
      onFill: (fill) =>
        settle(() =>
          world.fetch(fill, this.#thread, this.#key, this.#language, found, (answer) => {
            if (answer !== null && world.random.chance(0.8)) this.#read(answer, asked);
          }),
        ),
      onAnswer: (answer) => settle(() => this.#read(answer, asked)),
      onStored: () => settle(() => this.look()),
      onPass: () => settle(() => world.counts.passes++),
    });
    const leavesMs = world.random.chance(0.1) ? world.random.below(60) : null;
    if (leavesMs !== null) {
      world.later(60, () => {
        if (!isWaiting || this.#thread.isDead) return;
        isWaiting = false;
        world.open--;
        pending.cancel();
      });
    }
  }

  #read(answer: CachedAnswer, asked: number): void {
    const world = this.#world;
    const { random } = world;
    const representation = world.checkGiven(answer, this.#thread.cache, this.#key, this.#language, asked);
    const { length } = representation.bytes;
    const isPart = random.chance(0.3) && answer.body.bytes >= 0 && length > 1;
    const start = isPart ? random.below(length - 1) : 0;
    const end = isPart ? start + 1 + random.below(length - start) : -1;
    new Reading(world, representation, start, (isPart ? end : length) - start, end, true).start(answer);
  }
}
