/**
 * Requests as caches meet them, made by generators from seeds: the same on every machine. An object is a number; its size belongs to
 * it. Sizes of caches are shares of the bytes of all different objects in a trace, so a trace says by itself how large they are.
 */
import { SeededRandom } from "../../src/testing/seeded-random.ts";

export interface Trace {
  readonly name: string;
  /** What it stands for. */
  readonly about: string;
  /** Objects in the order of requests. */
  readonly objects: Uint32Array;
  /** By object; at least 1. */
  readonly bytes: Float64Array;
}

interface Recipe {
  readonly name: string;
  readonly about: string;
  readonly make: (requests: number, random: SeededRandom) => Trace["objects"];
  readonly size?: (random: SeededRandom) => number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Pages, scripts and pictures: a logarithmic normal distribution around 12 KiB with a long tail. */
function webBytes(random: SeededRandom): number {
  return clamp(Math.exp(Math.log(12 * KIB) + 1.6 * normal(random)), KIB, GIB);
}

/** What a build farm downloads: packages, some archives, a few images of whole systems, up to 10 GiB. */
function buildBytes(random: SeededRandom): number {
  const kind = random.next();
  if (kind < 0.6) return clamp(Math.exp(Math.log(40 * KIB) + 1.2 * normal(random)), KIB, 10 * MIB);
  if (kind < 0.97) return clamp(Math.exp(Math.log(4 * MIB) + 1.4 * normal(random)), 100 * KIB, GIB);
  return clamp(Math.exp(Math.log(600 * MIB) + normal(random)), 100 * MIB, 10 * GIB);
}

const RECIPES: readonly Recipe[] = [
  { name: "zipf-0.7", about: "independent requests, hardly skewed", make: (count, random) => zipf(count, random, 0.7) },
  { name: "zipf-0.9", about: "independent requests, as on the web", make: (count, random) => zipf(count, random, 0.9) },
  { name: "zipf-1.1", about: "independent requests, very skewed", make: (count, random) => zipf(count, random, 1.1) },
  {
    name: "zipf-web",
    about: "Zipf 0.9, sizes of the web",
    make: (count, random) => zipf(count, random, 0.9),
    size: webBytes,
  },
  {
    name: "zipf-build",
    about: "Zipf 0.8, packages and images of 1 KiB to 10 GiB",
    make: (count, random) => zipf(count, random, 0.8),
    size: buildBytes,
  },
  {
    name: "one-hit",
    about: "Zipf 0.9, and as many objects that are asked for once",
    make: (count, random) => mix(count, random, zipf(count, random, 0.9), 0.5, ascending(count)),
  },
  {
    name: "scans",
    about: "Zipf 0.9, interrupted by scans of a tenth of all objects",
    make: (count, random) => interrupted(count, zipf(count, random, 0.9), Math.ceil(count / 20), Math.ceil(count / 50)),
  },
  {
    name: "loop",
    about: "the same objects in the same order, again and again",
    make: (count) => cycle(count, Math.ceil(count / 12)),
  },
  {
    name: "loop-zipf",
    about: "half a loop, half Zipf 0.9",
    make: (count, random) => mix(count, random, zipf(count, random, 0.9), 0.5, cycle(count, Math.ceil(count / 12))),
  },
  {
    name: "shifting",
    about: "Zipf 1.0 whose favourites are others after each tenth",
    make: (count, random) => shifting(count, random, 1, 10),
  },
  {
    name: "recent",
    about: "what was asked for lately is asked for again, and seldom later",
    make: (count, random) => recent(count, random),
  },
  {
    name: "build-farm",
    about: "jobs that fetch their lists of packages, a hundred at once; a few new versions with each",
    make: (count, random) => buildFarm(count, random),
    size: buildBytes,
  },
];

export const TRACE_NAMES: readonly string[] = RECIPES.map(({ name }) => name);

export function makeTrace(name: string, requests: number, seed: number): Trace {
  const recipe = RECIPES.find((other) => other.name === name);
  if (recipe === undefined) throw new RangeError(`there is no trace ${name}; there are ${TRACE_NAMES.join(", ")}`);
  const objects = recipe.make(requests, new SeededRandom(seed));
  let highest = 0;
  for (const object of objects) highest = Math.max(highest, object);
  const bytes = new Float64Array(highest + 1);
  const random = new SeededRandom(seed + 1);
  for (let object = 0; object < bytes.length; object++) bytes[object] = Math.ceil(recipe.size?.(random) ?? 4 * KIB);
  return { name, about: recipe.about, objects, bytes };
}

/** Of all different objects together. */
export function footprintOf({ objects, bytes }: Trace): number {
  const isSeen = new Uint8Array(bytes.length);
  let sum = 0;
  for (const object of objects) {
    if (isSeen[object] === 1) continue;
    isSeen[object] = 1;
    sum += bytes[object]!;
  }
  return sum;
}

/** A fifth as many objects as requests; the sizes of objects do not depend on their ranks. */
function zipf(count: number, random: SeededRandom, skew: number): Uint32Array {
  const draw = zipfDraw(Math.ceil(count / 5), skew, random);
  return Uint32Array.from({ length: count }, draw);
}

/** Ranks from 0, by looking up the sums of their chances. */
function zipfDraw(objects: number, skew: number, random: SeededRandom): () => number {
  const sums = new Float64Array(objects);
  let sum = 0;
  for (let rank = 0; rank < objects; rank++) {
    sum += (rank + 1) ** -skew;
    sums[rank] = sum;
  }
  return () => {
    const wanted = random.next() * sum;
    let low = 0;
    let high = objects - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

function ascending(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, index) => index);
}

function cycle(count: number, length: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, index) => index % length);
}

/** Of the second, whose objects are others than those of the first, this share; each in its own order. */
function mix(count: number, random: SeededRandom, first: Uint32Array, share: number, second: Uint32Array): Uint32Array {
  const base = first.reduce((highest, object) => Math.max(highest, object), 0) + 1;
  let nextFirst = 0;
  let nextSecond = 0;
  return Uint32Array.from({ length: count }, () =>
    random.next() < share ? base + second[nextSecond++]! : first[nextFirst++]!,
  );
}

/** After each `every` requests, `length` objects that nobody asks for again. */
function interrupted(count: number, usual: Uint32Array, every: number, length: number): Uint32Array {
  let fresh = usual.reduce((highest, object) => Math.max(highest, object), 0) + 1;
  let next = 0;
  return Uint32Array.from({ length: count }, (_, index) =>
    index % (every + length) < every ? usual[next++]! : fresh++,
  );
}

function shifting(count: number, random: SeededRandom, skew: number, times: number): Uint32Array {
  const objects = Math.ceil(count / 5);
  const draw = zipfDraw(objects, skew, random);
  return Uint32Array.from({ length: count }, (_, index) => {
    const shift = Math.floor((index * times) / count);
    // A step that has no divisor in common with most numbers of objects.
    return (draw() + shift * 7919) % objects;
  });
}

/** Half are new; the others were asked for some requests ago: mostly few, which a logarithmic distribution says. */
function recent(count: number, random: SeededRandom): Uint32Array {
  const objects = new Uint32Array(count);
  let fresh = 0;
  for (let index = 0; index < count; index++) {
    const back = Math.floor(Math.exp(random.next() * Math.log(count / 4)));
    objects[index] = random.next() < 0.5 || back > index ? fresh++ : objects[index - back]!;
  }
  return objects;
}

/** Forty lists; a job takes one, and some jobs run side by side. Of each list, a few packages have a new version at each run. */
function buildFarm(count: number, random: SeededRandom): Uint32Array {
  const packages = Math.ceil(count / 20);
  const length = Math.max(10, Math.ceil(count / 800));
  const draw = zipfDraw(packages, 0.6, random);
  const lists = Array.from({ length: 40 }, () => Uint32Array.from({ length }, draw));
  const which = zipfDraw(lists.length, 0.8, random);
  let fresh = packages;
  const begin = () => ({ list: lists[which()]!, at: 0 });
  const jobs = Array.from({ length: 8 }, begin);
  return Uint32Array.from({ length: count }, () => {
    const index = random.below(jobs.length);
    const job = jobs[index]!;
    if (random.next() < 0.01) job.list[job.at] = fresh++;
    const object = job.list[job.at++]!;
    if (job.at === job.list.length) jobs[index] = begin();
    return object;
  });
}

function normal(random: SeededRandom): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
