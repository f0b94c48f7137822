/**
 * Which node of a cluster has which slot, and a node of the caller's kind for each master. It decides whom to ask, and when the table
 * is old: when a node says that a key has moved, or is away.
 *
 * A node that is away takes its own keys with it and no others. Replicas are not asked: they may be behind.
 */
import type { Clock } from "../../core/ports.ts";
import { failureOf, type Redirect, RedisFailure } from "./failure.ts";
import type { RedisAddress } from "./link.ts";
import { SLOTS, slotOf } from "./slots.ts";

/** The table is not asked for more often, whatever happens. */
const REFRESH_MS_MIN = 500;
/** A key may be on its way once, or twice when the table was old as well. */
const REDIRECTS_MAX = 4;

export type TcpAddress = Extract<RedisAddress, { host: string }>;

/** What the table needs of a node. */
export interface ClusterNode {
  readonly isReady: boolean;
  start(): void;
  /** Commands as they are, answered with text. */
  send(...commands: readonly string[][]): Promise<unknown[]>;
  close(): Promise<void>;
}

export interface ClusterSurroundings<N extends ClusterNode> {
  readonly clock: Clock;
  /** `isForTable`: it is asked where the others are, told of to nobody, and closed again. */
  open(address: TcpAddress, isForTable: boolean): N;
  /** Nobody can say which node has what; and somebody can again. */
  onAway(failure: RedisFailure): void;
  onBack(): void;
  /** What is rejected with; the nodes' own errors are a RedisFailure, or have one as their cause. */
  unavailable(cause: RedisFailure): Error;
}

export class ClusterTable<N extends ClusterNode> {
  readonly #seeds: readonly TcpAddress[];
  readonly #around: ClusterSurroundings<N>;
  /** By "host:port". */
  #nodes = new Map<string, N>();
  readonly #slots: (N | null)[] = new Array<N | null>(SLOTS).fill(null);
  #refreshing: Promise<void> | null = null;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  /** Why nobody could say which node has what; null: somebody could. */
  #failure: Error | null = null;
  #isClosed = false;

  constructor(seeds: readonly RedisAddress[], around: ClusterSurroundings<N>) {
    this.#seeds = seeds.filter((seed): seed is TcpAddress => "host" in seed);
    this.#around = around;
  }

  start(): void {
    this.refresh().catch(() => {});
  }

  /** The node that has the key, as far as is known. */
  nodeOf(key: string): N | null {
    return this.#slots[slotOf(key)] ?? null;
  }

  get nodes(): readonly N[] {
    return [...this.#nodes.values()];
  }

  /** Asks the node that has the key, and those that it sends us to. `isAsking`: it is about to get the key from another one. */
  async on<T>(key: string, ask: (node: N, isAsking: boolean) => Promise<T>): Promise<T> {
    const slot = slotOf(key);
    if (this.#slots[slot] === null) await this.refresh();
    let node = this.#slots[slot] ?? null;
    if (node === null) throw this.#around.unavailable(new RedisFailure("no node of the cluster has the key's slot"));
    let isAsking = false;
    for (let count = 0; ; count++) {
      try {
        return await ask(node, isAsking);
      } catch (error) {
        const redirect: Redirect | null = redirectIn(error);
        // Once it is closed, nobody would close the node that it is sent to.
        if (redirect === null || count === REDIRECTS_MAX || this.#isClosed) {
          if (!node.isReady) this.refresh().catch(() => {});
          throw error;
        }
        isAsking = redirect.kind === "ASK";
        const host: string = redirect.host === "" ? this.#hostOf(node) : redirect.host;
        node = this.#node({ host, port: redirect.port });
        if (isAsking) continue;
        this.#slots[slot] = node;
        this.refresh().catch(() => {});
      }
    }
  }

  /** Rejects with what a store that cannot be asked rejects with. */
  refresh(): Promise<void> {
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

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#slots.fill(null);
    const { nodes } = this;
    this.#nodes.clear();
    await Promise.all(nodes.map((node) => node.close()));
  }

  async #discover(): Promise<void> {
    const { open, onAway, onBack } = this.#around;
    const seeds = this.#seeds.map((seed) => [seed, open(seed, true)] as const);
    const known = [...this.#nodes].filter(([, node]) => node.isReady);
    const asked = [...known.map(([text, node]) => [addressOf(text), node] as const), ...seeds];
    try {
      const answers = asked.map(async ([address, node]) => {
        const [answer] = await node.send(["CLUSTER", "SLOTS"]);
        return { host: address.host, answer };
      });
      const { host, answer } = await Promise.any(answers);
      if (!this.#isClosed) this.#adopt(answer, host);
      if (this.#failure !== null) onBack();
      this.#failure = null;
    } catch (error) {
      const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
      const failure = first instanceof Error ? first : new Error("no node of the cluster can be asked");
      if (this.#failure === null && !this.#isClosed) onAway(failureOf(failure.cause ?? failure));
      this.#failure = failure;
      throw failure;
    } finally {
      for (const [, node] of seeds) void node.close();
    }
  }

  /** Takes the table that a node gave (CLUSTER SLOTS): ranges with their master first. */
  #adopt(answer: unknown, askedHost: string): void {
    const used = new Map<string, N>();
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

  #node(address: TcpAddress): N {
    const text = textOf(address);
    let node = this.#nodes.get(text);
    if (node === undefined) {
      node = this.#around.open(address, false);
      this.#nodes.set(text, node);
    }
    return node;
  }

  #hostOf(node: N): string {
    for (const [text, known] of this.#nodes) if (known === node) return addressOf(text).host;
    return this.#seeds[0]!.host;
  }
}

function redirectIn(error: unknown): Redirect | null {
  if (error instanceof RedisFailure) return error.redirect;
  return error instanceof Error && error.cause instanceof RedisFailure ? error.cause.redirect : null;
}

function textOf({ host, port }: TcpAddress): string {
  return `${host}:${port}`;
}

function addressOf(text: string): TcpAddress {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}
