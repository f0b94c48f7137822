// A proxy with a cache on the simulated network, with the cache's keeper in the same thread and its disk in memory. The origin is a
// function from requests to answers, or the test's own hand; clients fetch one thing each, or are the test's own, too.

import { afterEach } from "node:test";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import { createCacheFeature } from "../../src/features/cache/index.ts";
import { type CacheOptions, cacheOptions } from "../../src/features/cache/options.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import type { Peer, ReceivedHead } from "../../src/testing/dialogue.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { CacheStage, type CacheStageOptions } from "./cache-stage.ts";
import { createStage, type Stage, type StageOptions } from "./stage.ts";

/** What a client got. */
export interface Got {
  readonly status: number;
  readonly body: string;
  /** null: it has not come whole. */
  readonly isWhole: boolean;
  get(name: string): string | null;
  readonly cacheStatus: string | null;
  readonly names: readonly string[];
}

/** What the origin was asked. */
export interface Asked extends ReceivedHead {
  readonly method: string;
  readonly target: string;
  /** The connection that it came on. */
  readonly server: Peer;
}

export interface CachingProxyOptions {
  readonly cache?: Record<string, unknown>;
  readonly scope?: string;
  /** Features before and behind the cache. */
  readonly front?: readonly Feature[];
  readonly behind?: readonly Feature[];
  readonly stage?: Omit<StageOptions, "use" | "network">;
  readonly store?: CacheStageOptions;
}

export interface FetchOptions {
  readonly method?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly host?: string;
  readonly body?: string;
}

/** What has happened to an exchange, when it is over. */
export interface Noted {
  readonly outcome: string | null;
  readonly reason: string | null;
}

export class CachingProxy {
  readonly stage: Stage;
  readonly store: CacheStage;
  readonly clock: VirtualClock;
  readonly feature: Feature;
  readonly cache: ReturnType<CacheStage["thread"]>["cache"];
  readonly #deadlines: DeadlineWheel;
  /** The whole answer to a request, with its head; null: it is left to the test, on `asked.server`. */
  answer: (asked: Asked) => string | null = () => null;
  /** All that the origin was asked. */
  readonly asked: Asked[] = [];
  readonly noted: Noted[] = [];
  readonly #servers: Peer[] = [];

  private constructor(options: CachingProxyOptions, store: CacheStage) {
    this.store = store;
    this.clock = store.clock;
    this.#deadlines = new DeadlineWheel(this.clock);
    this.cache = store.thread().cache;
    const parsed: CacheOptions = cacheOptions.parse(options.cache ?? {});
    this.feature = createCacheFeature(parsed, {
      cache: this.cache,
      clock: this.clock,
      deadlines: this.#deadlines,
      random: new SeededRandom(7),
      scope: options.scope ?? "",
    });
    const noting: Feature = { name: "noting", log: (exchange) => void this.noted.push(noteOf(exchange)) };
    this.stage = createStage({
      ...options.stage,
      use: [noting, ...(options.front ?? []), this.feature, ...(options.behind ?? [])],
      network: { clock: this.clock, files: { read: (...range) => readOrNull(store, range) } },
    });
  }

  static async open(options: CachingProxyOptions = {}): Promise<CachingProxy> {
    const store = await CacheStage.open({ clock: new VirtualClock(), ...options.store });
    await store.keeper.indexed;
    return new CachingProxy(options, store);
  }

  /** Runs all that can happen without time passing; the origin answers. */
  async settle(): Promise<void> {
    const { network, origin } = this.stage;
    for (;;) {
      await network.settle();
      while (origin.acceptedCount > this.#servers.length) this.#servers.push(origin.accepts());
      let hasAnswered = false;
      for (const server of this.#servers) {
        while (!server.closed && server.unread.includes("\r\n\r\n")) {
          hasAnswered = true;
          this.#take(server);
        }
      }
      if (!hasAnswered) return;
    }
  }

  #take(server: Peer): void {
    const head = server.receivesHead();
    const length = Number(head.get("content-length") ?? 0);
    if (length > 0) server.receivesFirst(server.unread.slice(0, length));
    const [method = "", target = ""] = head.startLine.split(" ");
    const asked: Asked = { ...head, get: head.get, method, target, server };
    this.asked.push(asked);
    const answer = this.answer(asked);
    if (answer !== null) server.sends(answer);
  }

  async passes(ms: number): Promise<void> {
    await this.settle();
    // Second by second: what falls due is answered in its own time.
    for (let left = ms; left > 0; left -= 1000) {
      this.stage.network.advance(Math.min(left, 1000));
      await this.settle();
    }
  }

  client(target: string, { method = "GET", fields = {}, host = "a.example", body = "" }: FetchOptions = {}): Peer {
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
    return this.stage
      .client()
      .sends(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${length}${lines.join("")}\r\n${body}`);
  }

  async fetch(target: string, options: FetchOptions = {}): Promise<Got> {
    const client = this.client(target, options);
    await this.settle();
    return gotOf(client, options.method ?? "GET");
  }

  /** Everything is over, and nothing is left behind. */
  async close(): Promise<void> {
    const { driver, pool, network, forks } = this.stage;
    driver.drain();
    pool.close();
    network.run();
    driver.destroy();
    forks.destroy();
    pool.destroy();
    await network.settle();
    await this.store.close();
  }
}

function readOrNull(store: CacheStage, range: [descriptor: number, offset: number, length: number]): Buffer | null {
  try {
    return store.folder.readDescriptor(...range);
  } catch {
    return null;
  }
}

function noteOf({ cache }: Exchange): Noted {
  return { outcome: cache?.outcome ?? null, reason: cache?.reason ?? null };
}

/** What has arrived at a client: one answer, its interim ones left out. */
export function gotOf(client: Peer, method = "GET"): Got {
  let text = client.takes().toString("latin1");
  for (;;) {
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) throw new Error(`no whole head: ${JSON.stringify(text)}`);
    const [startLine = "", ...lines] = text.slice(0, end).split("\r\n");
    text = text.slice(end + 4);
    const status = Number(startLine.split(" ")[1]);
    if (status < 200) continue;
    const fields = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
    const get = (name: string): string | null => {
      const values = fields.filter(([field]) => field!.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
      return values.length === 0 ? null : values.join(", ");
    };
    const hasBody = method !== "HEAD" && status !== 204 && status !== 304;
    const { body, isWhole } = hasBody ? bodyOf(text, get) : { body: "", isWhole: text === "" };
    return { status, body, isWhole, get, cacheStatus: get("cache-status"), names: fields.map(([name]) => name!) };
  }
}

function bodyOf(text: string, get: (name: string) => string | null): { body: string; isWhole: boolean } {
  const length = get("content-length");
  if (length !== null) return { body: text, isWhole: text.length === Number(length) };
  let body = "";
  for (let rest = text; ; ) {
    const line = rest.indexOf("\r\n");
    if (line < 0) return { body, isWhole: false };
    const size = Number.parseInt(rest.slice(0, line), 16);
    if (size === 0) return { body, isWhole: true };
    body += rest.slice(line + 2, line + 2 + size);
    rest = rest.slice(line + 2 + size + 2);
  }
}

/** The text of an answer; its length is that of its body. */
export function answerOf(status: number, fields: Readonly<Record<string, string>>, body = ""): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = status === 304 || status === 204 ? "" : `Content-Length: ${body.length}\r\n`;
  return `HTTP/1.1 ${status} X\r\n${length}${lines.join("")}\r\n${body}`;
}

/** Opens proxies that are closed behind each test. */
export function cachingProxies(): (options?: CachingProxyOptions) => Promise<CachingProxy> {
  let opened: CachingProxy[] = [];
  afterEach(async () => {
    const closing = opened;
    opened = [];
    for (const proxy of closing) await proxy.close();
  });
  return async (options) => {
    const proxy = await CachingProxy.open(options);
    opened.push(proxy);
    return proxy;
  };
}
