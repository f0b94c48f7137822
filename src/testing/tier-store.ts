/**
 * What machines share, in memory: one for all, and for each machine its own way to it. Presence and answers end by the clock that the
 * test moves.
 */
import type { EntryId } from "../caching/ports.ts";
import {
  type LoggedText,
  type SharedBytes,
  TIER_LOG_MAX,
  type TierMachines,
  type TierPosition,
  type TierReport,
  type TierStore,
} from "../caching/tier/ports.ts";
import type { Clock } from "../core/ports.ts";

interface SharedInMemory {
  readonly head: Buffer;
  readonly body: string;
  readonly blocks: readonly Buffer[];
  readonly untilMs: number;
}

export class MemoryTier {
  readonly clock: Clock;
  log: LoggedText[] = [];
  readonly answers = new Map<EntryId, SharedInMemory>();
  readonly present = new Map<string, { readonly applied: number; readonly untilMs: number }>();
  readonly stores = new Set<MemoryTierStore>();
  #generations = 0;
  /** null: all was lost, and nobody has come since. */
  #position: TierPosition | null = null;
  #isServerNew = true;
  #youngUntilMs = 0;

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
    this.#position = null;
    this.answers.clear();
    this.#restarted();
  }

  /** What it gives brings log and machines back as they are now, on another server. */
  remember(): () => void {
    const position = this.#position;
    const log = [...this.log];
    const present = [...this.present];
    return () => {
      this.#position = position;
      this.log = log;
      this.present.clear();
      for (const [name, presence] of present) this.present.set(name, presence);
      this.#restarted();
    };
  }

  /** Its server is the same for long. */
  grow(): void {
    this.#youngUntilMs = this.clock.now();
  }

  /** The log as it is; it begins anew where there is none. */
  position(presenceMs: number): TierPosition {
    if (this.#position === null) {
      this.#position = { generation: `${++this.#generations}`, number: 0, id: "" };
      this.log = [];
      this.present.clear();
    }
    this.isYoung(presenceMs);
    return this.#position;
  }

  get generation(): string {
    return this.#position?.generation ?? "";
  }

  isYoung(presenceMs: number): boolean {
    if (this.#isServerNew) this.#youngUntilMs = this.clock.now() + presenceMs;
    this.#isServerNew = false;
    return this.#youngUntilMs > this.clock.now();
  }

  append(id: string, text: string): number {
    const before = this.#position!;
    if (before.id === id) return before.number;
    const number = before.number + 1;
    this.log.push({ number, id, before: before.id, text });
    this.log.splice(0, this.log.length - TIER_LOG_MAX);
    this.#position = { ...before, number, id };
    for (const store of this.stores) queueMicrotask(store.onLog);
    return number;
  }

  #restarted(): void {
    this.#isServerNew = true;
    for (const store of this.stores) queueMicrotask(store.onLog);
  }
}

export class MemoryTierStore implements TierStore {
  onLog: () => void = () => {};
  onMachines: () => void = () => {};
  readonly #tier: MemoryTier;

  constructor(tier: MemoryTier) {
    this.#tier = tier;
  }

  start(): void {}

  async get(id: EntryId): Promise<SharedBytes | null> {
    const answer = this.#answer(id);
    if (answer === null) return null;
    const { head, blocks, untilMs } = answer;
    return { head, small: blocks.length === 1 ? blocks[0]! : null, restMs: untilMs - this.#tier.clock.now() };
  }

  async blocks(id: EntryId, count: number): Promise<readonly Buffer[] | null> {
    const blocks = this.#answer(id)?.blocks ?? [];
    return blocks.length < count ? null : blocks.slice(0, count);
  }

  async put(id: EntryId, head: Buffer, body: string, blocks: readonly Buffer[], ttlMs: number): Promise<void> {
    const [copy, ...copies] = [head, ...blocks].map((part) => Buffer.from(part));
    this.#tier.answers.set(id, { head: copy!, body, blocks: copies, untilMs: this.#tier.clock.now() + ttlMs });
  }

  async confirm(id: EntryId, head: Buffer, body: string, ttlMs: number): Promise<boolean> {
    const answer = this.#answer(id);
    if (answer?.body !== body) return false;
    this.#tier.answers.set(id, { ...answer, head: Buffer.from(head), untilMs: this.#tier.clock.now() + ttlMs });
    return true;
  }

  async append(generation: string, id: string, text: string): Promise<number | null> {
    return generation === this.#tier.generation ? this.#tier.append(id, text) : null;
  }

  async report(machine: string, at: TierPosition | null, presenceMs: number): Promise<TierReport> {
    const tier = this.#tier;
    const position = tier.position(presenceMs);
    const applied = at !== null && this.#isOfLog(at, position) ? at.number : -1;
    const hasMoved = tier.present.get(machine)?.applied !== applied;
    tier.present.set(machine, { applied, untilMs: tier.clock.now() + presenceMs });
    if (hasMoved) for (const store of tier.stores) queueMicrotask(store.onMachines);
    return { position, isYoung: tier.isYoung(presenceMs) };
  }

  async read(after: number): Promise<readonly LoggedText[]> {
    // Some at a time, as a server gives them.
    return this.#tier.log.filter(({ number }) => number > after).slice(0, 100);
  }

  async machines(presenceMs: number): Promise<TierMachines | null> {
    const { present, clock, generation } = this.#tier;
    if (generation === "") return null;
    const there = [...present.values()].filter(({ untilMs }) => untilMs > clock.now());
    return { generation, isYoung: this.#tier.isYoung(presenceMs), applied: there.map(({ applied }) => applied) };
  }

  async leave(machine: string): Promise<void> {
    this.#tier.present.delete(machine);
    for (const store of this.#tier.stores) queueMicrotask(store.onMachines);
  }

  async close(): Promise<void> {
    this.#tier.stores.delete(this);
  }

  #answer(id: EntryId): SharedInMemory | null {
    const answer = this.#tier.answers.get(id);
    return answer === undefined || answer.untilMs <= this.#tier.clock.now() ? null : answer;
  }

  #isOfLog(at: TierPosition, position: TierPosition): boolean {
    if (at.generation !== position.generation) return false;
    if (at.number === 0 || at.number === position.number) return at.number === 0 || at.id === position.id;
    return this.#tier.log.some(({ number, id }) => number === at.number && id === at.id);
  }
}
