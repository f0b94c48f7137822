/**
 * The sessions of a cluster: a node for each master, each with its own link and its own answers, and the table that says which of
 * them has which key. It decides whom to ask, and when the table is old: when a node says that a key has moved, or is away.
 *
 * A node that is away takes its own keys with it and no others. Replicas are not asked: they may be behind.
 */
import type { SessionRecord, SessionStore } from "../../core/ports.ts";
import { failureOf, type Redirect, RedisFailure } from "./failure.ts";
import type { RedisAddress } from "./link.ts";
import { type NodeOptions, RedisNode, type RedisSurroundings } from "./node.ts";
import { SLOTS, slotOf } from "./slots.ts";

/** The table is not asked for more often, whatever happens. */
const REFRESH_MS_MIN = 500;
/** A key may be on its way once, or twice when the table was old as well. */
const REDIRECTS_MAX = 4;
const SILENT_OBSERVER = { onAway() {}, onBack() {}, onUntracked() {} };

type TcpAddress = Extract<RedisAddress, { host: string }>;

export class RedisCluster implements SessionStore {
  readonly #seeds: readonly TcpAddress[];
  readonly #options: NodeOptions;
  readonly #around: RedisSurroundings;
  /** By "host:port". */
  #nodes = new Map<string, RedisNode>();
  readonly #slots: (RedisNode | null)[] = new Array<RedisNode | null>(SLOTS).fill(null);
  #refreshing: Promise<void> | null = null;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  /** Why nobody could say which node has what; null: somebody could. */
  #failure: Error | null = null;
  #isClosed = false;

  /** `options` are those of each node; where it is and how many answers it keeps is decided here. */
  constructor(seeds: readonly RedisAddress[], options: NodeOptions, around: RedisSurroundings) {
    this.#seeds = seeds.filter((seed): seed is TcpAddress => "host" in seed);
    this.#options = options;
    this.#around = around;
  }

  start(): void {
    this.#refresh().catch(() => {});
  }

  peek(key: string): SessionRecord | null | undefined {
    return this.#slots[slotOf(key)]?.peek(key);
  }

  get(key: string): Promise<SessionRecord | null> {
    return this.#on(key, (node, isAsking) => node.get(key, isAsking));
  }

  put(key: string, value: string, ttlMs: number | null): Promise<void> {
    return this.#on(key, (node, isAsking) => node.put(key, value, ttlMs, isAsking));
  }

  delete(key: string): Promise<boolean> {
    return this.#on(key, (node, isAsking) => node.delete(key, isAsking));
  }

  async *list(prefix: string): AsyncIterable<{ readonly key: string; readonly ttlMs: number | null }> {
    if (this.#nodes.size === 0) await this.#refresh();
    for (const node of [...this.#nodes.values()]) yield* node.list(prefix);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#slots.fill(null);
    const nodes = [...this.#nodes.values()];
    this.#nodes.clear();
    await Promise.all(nodes.map((node) => node.close()));
  }

  /** Asks the node that has the key, and those that it sends us to. */
  async #on<T>(key: string, ask: (node: RedisNode, isAsking: boolean) => Promise<T>): Promise<T> {
    const slot = slotOf(key);
    if (this.#slots[slot] === null) await this.#refresh();
    let node = this.#slots[slot] ?? null;
    if (node === null) throw this.#around.unavailable(new RedisFailure("no node of the cluster has the key's slot"));
    let isAsking = false;
    for (let count = 0; ; count++) {
      try {
        return await ask(node, isAsking);
      } catch (error) {
        const failure: unknown = error instanceof Error ? error.cause : null;
        const redirect: Redirect | null = failure instanceof RedisFailure ? failure.redirect : null;
        if (redirect === null || count === REDIRECTS_MAX) {
          if (!node.isReady) this.#refresh().catch(() => {});
          throw error;
        }
        isAsking = redirect.kind === "ASK";
        const host: string = redirect.host === "" ? this.#hostOf(node) : redirect.host;
        node = this.#node({ host, port: redirect.port });
        if (isAsking) continue;
        this.#slots[slot] = node;
        this.#refresh().catch(() => {});
      }
    }
  }

  /** Rejects with what a store that cannot be asked rejects with. */
  #refresh(): Promise<void> {
    if (this.#isClosed) return Promise.reject(this.#around.unavailable(new RedisFailure("the store is closed")));
    if (this.#refreshing !== null) return this.#refreshing;
    const { clock } = this.#around;
    if (clock.now() - this.#refreshedMs < REFRESH_MS_MIN) {
      return this.#failure === null ? Promise.resolve() : Promise.reject(this.#failure);
    }
    this.#refreshing = this.#discover().finally(() => {
      this.#refreshing = null;
      this.#refreshedMs = clock.now();
    });
    return this.#refreshing;
  }

  async #discover(): Promise<void> {
    const seeds = this.#seeds.map((seed) => [seed, new RedisNode(this.#optionsFor(seed), this.#silent)] as const);
    const known = [...this.#nodes].filter(([, node]) => node.isReady);
    const asked = [...known.map(([text, node]) => [addressOf(text), node] as const), ...seeds];
    try {
      const answers = asked.map(async ([address, node]) => {
        const [answer] = await node.send(["CLUSTER", "SLOTS"]);
        return { host: address.host, answer };
      });
      const { host, answer } = await Promise.any(answers);
      if (!this.#isClosed) this.#adopt(answer, host);
      if (this.#failure !== null) this.#around.observer.onBack();
      this.#failure = null;
    } catch (error) {
      const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
      const failure = first instanceof Error ? first : new Error("no node of the cluster can be asked");
      if (this.#failure === null && !this.#isClosed) this.#around.observer.onAway(failureOf(failure.cause ?? failure));
      this.#failure = failure;
      throw failure;
    } finally {
      for (const [, node] of seeds) void node.close();
    }
  }

  /** Takes the table that a node gave (CLUSTER SLOTS): ranges with their master first. */
  #adopt(answer: unknown, askedHost: string): void {
    const used = new Map<string, RedisNode>();
    this.#slots.fill(null);
    for (const [from, to, master] of answer as [number, number, [string | null, number]][]) {
      const address = { host: master[0] || askedHost, port: master[1] };
      const node = this.#node(address);
      used.set(textOf(address), node);
      this.#slots.fill(node, from, to + 1);
    }
    for (const [text, node] of this.#nodes) if (!used.has(text)) void node.close();
    this.#nodes = used;
    for (const node of used.values()) node.start();
  }

  #node(address: TcpAddress): RedisNode {
    const text = textOf(address);
    let node = this.#nodes.get(text);
    if (node === undefined) {
      node = new RedisNode(this.#optionsFor(address), this.#around);
      this.#nodes.set(text, node);
    }
    return node;
  }

  #hostOf(node: RedisNode): string {
    for (const [text, known] of this.#nodes) if (known === node) return addressOf(text).host;
    return this.#seeds[0]!.host;
  }

  #optionsFor(address: TcpAddress): NodeOptions {
    return { ...this.#options, address: () => Promise.resolve(address) };
  }

  get #silent(): RedisSurroundings {
    return { ...this.#around, observer: SILENT_OBSERVER };
  }
}

function textOf({ host, port }: TcpAddress): string {
  return `${host}:${port}`;
}

function addressOf(text: string): TcpAddress {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}
