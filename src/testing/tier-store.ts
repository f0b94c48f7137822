/**
 * What machines share, in memory: one for all, and for each machine its own way to it. Presence and answers end by the clock that the
 * test moves.
 */
import type { EntryId } from "../caching/ports.ts";
import { type LoggedText, TIER_LOG_MAX, type TierPosition, type TierStore } from "../caching/tier/ports.ts";
import type { Clock } from "../core/ports.ts";

export class MemoryTier {
  readonly clock: Clock;
  generation = "1";
  last = 0;
  log: LoggedText[] = [];
  readonly answers = new Map<EntryId, { readonly parts: readonly Buffer[]; readonly untilMs: number }>();
  readonly present = new Map<string, { readonly applied: number; readonly untilMs: number }>();
  readonly stores = new Set<MemoryTierStore>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** A machine's way to it. */
  open(): MemoryTierStore {
    const store = new MemoryTierStore(this);
    this.stores.add(store);
    return store;
  }

  /** All that it had is lost. */
  lose(): void {
    this.generation = `${Number(this.generation) + 1}`;
    this.last = 0;
    this.log = [];
    this.answers.clear();
    this.present.clear();
    this.changed();
  }

  changed(): void {
    for (const store of this.stores) queueMicrotask(store.onChange);
  }
}

export class MemoryTierStore implements TierStore {
  onChange: () => void = () => {};
  readonly #tier: MemoryTier;

  constructor(tier: MemoryTier) {
    this.#tier = tier;
  }

  start(): void {}

  async get(id: EntryId): Promise<readonly Buffer[] | null> {
    const answer = this.#tier.answers.get(id);
    return answer === undefined || answer.untilMs <= this.#tier.clock.now() ? null : answer.parts;
  }

  async put(id: EntryId, parts: readonly Buffer[], ttlMs: number): Promise<void> {
    const copies = parts.map((part) => Buffer.from(part));
    this.#tier.answers.set(id, { parts: copies, untilMs: this.#tier.clock.now() + ttlMs });
  }

  async append(text: string): Promise<number> {
    const number = ++this.#tier.last;
    this.#tier.log.push({ number, text });
    this.#tier.log.splice(0, this.#tier.log.length - TIER_LOG_MAX);
    this.#tier.changed();
    return number;
  }

  async renew(machine: string, applied: number, ttlMs: number): Promise<TierPosition> {
    const tier = this.#tier;
    const hasMoved = tier.present.get(machine)?.applied !== applied;
    tier.present.set(machine, { applied, untilMs: tier.clock.now() + ttlMs });
    if (hasMoved) tier.changed();
    return { generation: tier.generation, last: tier.last };
  }

  async read(after: number): Promise<readonly LoggedText[]> {
    // Some at a time, as a server gives them.
    return this.#tier.log.filter(({ number }) => number > after).slice(0, 100);
  }

  async machines(): Promise<ReadonlyMap<string, number>> {
    const { present, clock } = this.#tier;
    return new Map(
      [...present].filter(([, { untilMs }]) => untilMs > clock.now()).map(([name, { applied }]) => [name, applied]),
    );
  }

  async leave(machine: string): Promise<void> {
    this.#tier.present.delete(machine);
    this.#tier.changed();
  }

  async close(): Promise<void> {
    this.#tier.stores.delete(this);
  }
}
