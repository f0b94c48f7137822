// A proxy with a cache under random use: clients that ask for all of it, for parts, with conditions, and leave; an origin that changes,
// breaks off and fails; requests that change things. Whatever happens, an answer is of one version, a part is where it says, what is
// cut is seen to be cut, and what was changed before a request began is not what it gets.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Peer } from "../../src/testing/dialogue.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { type Asked, answerOf, CachingProxy, gotOf } from "../support/caching-proxy.ts";
import { replayHint, seed } from "../support/seed.ts";

const RUNS = 30;
const STEPS = 120;
const TARGETS = ["/small", "/medium", "/large"] as const;
type Target = (typeof TARGETS)[number];
const LENGTHS: Readonly<Record<Target, number>> = { "/small": 300, "/medium": 40_000, "/large": 180_000 };

/** No two places of a version, and no two versions, have the same bytes. */
const bodies = new Map<string, string>();
function bodyOf(target: Target, version: number): string {
  const key = `${target} ${version}`;
  let body = bodies.get(key);
  if (body === undefined) {
    let text = "";
    for (let line = 0; text.length < LENGTHS[target]; line++) text += `${target} ${version} ${line}\n`;
    body = text.slice(0, LENGTHS[target]);
    bodies.set(key, body);
  }
  return body;
}

interface Asking {
  readonly client: Peer;
  readonly target: Target;
  readonly method: string;
  /** Versions below it were obsolete when it began. */
  readonly versionMin: number;
  readonly etag: string | null;
}

class Run {
  readonly proxy: CachingProxy;
  readonly random: SeededRandom;
  readonly versions: Record<Target, number> = { "/small": 1, "/medium": 1, "/large": 1 };
  /** What every request that begins now must not be older than. */
  readonly obsolete: Record<Target, number> = { "/small": 1, "/medium": 1, "/large": 1 };
  readonly asking: Asking[] = [];
  isCalm = false;
  checked = 0;

  constructor(proxy: CachingProxy, random: SeededRandom) {
    this.proxy = proxy;
    this.random = random;
    proxy.answer = (asked) => this.#answer(asked);
  }

  #answer({ target, method, get, server }: Asked): string | null {
    const place = target as Target;
    if (method === "POST") return answerOf(204, {});
    if (!this.isCalm && this.random.chance(0.06)) return answerOf(503, {}, "not now");
    const version = this.versions[place];
    const body = bodyOf(place, version);
    const etag = `"${version}"`;
    const said = { "Cache-Control": "max-age=5, stale-if-error=20", ETag: etag };
    if (get("if-none-match") === etag) return answerOf(304, said);
    const range = /^bytes=(\d+)-(\d*)$/.exec(get("range") ?? "");
    const isRanged = range !== null && (get("if-range") ?? etag) === etag && Number(range[1]) < body.length;
    const start = isRanged ? Number(range[1]) : 0;
    const end = isRanged && range[2] !== "" ? Math.min(Number(range[2]) + 1, body.length) : body.length;
    const part = { "Content-Range": `bytes ${start}-${end - 1}/${body.length}` };
    const bytes = method === "HEAD" ? "" : body.slice(start, end);
    const text = isRanged ? answerOf(206, { ...said, ...part }, bytes) : answerOf(200, said, bytes);
    if (method === "HEAD") return text.replace("Content-Length: 0", `Content-Length: ${body.length}`);
    if (this.isCalm || !this.random.chance(0.1)) return text;
    server.sends(text.slice(0, this.random.between(1, text.length - 1))).ends();
    return null;
  }

  async step(): Promise<void> {
    const { random, proxy } = this;
    const target = random.pick(TARGETS);
    switch (random.between(0, 9)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#ask(target);
      case 4: {
        const [asking] = this.asking.splice(random.between(0, Math.max(this.asking.length - 1, 0)), 1);
        asking?.client.closes();
        return;
      }
      case 5:
        this.asking.at(-1)?.client.stopsReading();
        return;
      case 6:
        return proxy.passes(random.between(0, 4) * 1000);
      case 7:
        this.versions[target]++;
        if (random.chance(0.5)) {
          const { status } = await proxy.fetch(target, { method: "POST", body: "x" });
          if (status === 204) this.obsolete[target] = this.versions[target];
        }
        return;
      default:
        return proxy.settle();
    }
  }

  #ask(target: Target): void {
    const { random, versions, obsolete } = this;
    const fields: Record<string, string> = {};
    const start = random.between(0, LENGTHS[target] - 1);
    if (random.chance(0.4))
      fields.Range = `bytes=${start}-${random.chance(0.3) ? "" : start + random.between(0, 5_000)}`;
    else if (random.chance(0.2)) fields.Range = `bytes=0-${random.chance(0.5) ? "" : "99"}`;
    else if (random.chance(0.3)) fields["If-None-Match"] = `"${versions[target]}"`;
    if (random.chance(0.1)) fields["Cache-Control"] = "no-cache";
    const method = random.chance(0.1) ? "HEAD" : "GET";
    const client = this.proxy.client(target, { method, fields });
    this.asking.push({ client, target, method, versionMin: obsolete[target], etag: fields["If-None-Match"] ?? null });
  }

  /** Nothing goes wrong any more, and everybody reads to the end. */
  async calm(): Promise<void> {
    this.isCalm = true;
    for (const { client } of this.asking) if (!client.closed) client.readsOn();
    await this.proxy.passes(60_000);
    for (const asking of this.asking) this.#check(asking);
  }

  #check({ client, target, method, versionMin, etag }: Asking): void {
    // What was queued goes with a connection that is cut, perhaps all of it.
    if (client.unread === "" && client.reset) return;
    const got = gotOf(client, method);
    assert.ok(got.isWhole || client.reset, `neither whole nor cut: ${got.status} ${got.body.length}`);
    if (got.status >= 500) return;
    this.checked++;
    const version = Number(/^"(\d+)"$/.exec(got.get("etag") ?? "")?.[1]);
    assert.ok(version >= versionMin, `version ${version} of ${target} after ${versionMin} had replaced it`);
    if (got.status === 304) return assert.equal(got.get("etag"), etag);
    if (method === "HEAD") return;
    const body = bodyOf(target, version);
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(got.get("content-range") ?? "");
    assert.equal(got.status, range === null ? 200 : 206);
    const whole = range === null ? body : body.slice(Number(range[1]), Number(range[2]) + 1);
    if (range !== null) assert.equal(Number(range[3]), body.length);
    assert.ok(got.isWhole ? got.body === whole : whole.startsWith(got.body), `another body: ${target} ${version}`);
  }
}

describe("a proxy with a cache, used at random", () => {
  it("gives no answer that is mixed, short, misplaced or obsolete", async () => {
    let checked = 0;
    for (let number = 0; number < RUNS; number++) {
      const random = new SeededRandom(seed + number);
      const proxy = await CachingProxy.open({ stage: { upstreamUse: { retriesMax: 0 } } });
      const run = new Run(proxy, random);
      try {
        for (let step = 0; step < STEPS; step++) await run.step();
        await run.calm();
      } catch (error) {
        throw new Error(`run ${number}, ${replayHint}`, { cause: error });
      }
      checked += run.checked;
      await proxy.close();
      assert.equal(proxy.stage.forks.size, 0);
    }
    assert.ok(checked > RUNS * 10, `${checked} answers were looked at`);
  });
});
