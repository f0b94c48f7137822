/**
 * What is there when a process starts: every record's fixed part is read once, so that the keeper knows its slots and sizes and can
 * begin to evict; then files that belong to no record are removed. It takes its time in pieces; meanwhile all is served and stored
 * as ever. When what is there was used last comes from a fact that is written now and then, and at the end.
 */
import type { BodyId, EntryId } from "../ports.ts";
import type { SharedCache } from "../shared.ts";
import type { Keeping } from "./keeping.ts";
import { summariseRecord } from "./record.ts";

/** Slots that one fact tells of: 20 KiB, so that few uses cost little to write. */
const USES_OF_FACT = 4096;
const USE_BYTES = 5;

/** Of a million bodies, each has four thousand. */
const BODY_GROUPS = 256;

/** Slots that are put in order in one turn: some milliseconds. */
const QUEUED_AT_ONCE = 32_768;

export function usesFactName(index: number): string {
  return `uses/${index}`;
}

/** Last use (u32 seconds) and frequency (u8) of the slots of one fact. */
export function encodeUses(shared: SharedCache, index: number): Buffer {
  const bytes = Buffer.alloc(USES_OF_FACT * USE_BYTES);
  for (let at = 0, slot = index * USES_OF_FACT; at < bytes.length && slot < shared.slots; at += USE_BYTES, slot++) {
    bytes.writeUInt32LE(shared.usedSecondsOf(slot), at);
    bytes[at + 4] = shared.frequencyOf(slot);
  }
  return bytes;
}

/** Writes the uses of slots that were used since it did so last. */
export class UsesWriter {
  readonly #keeping: Keeping;
  /** The sum of the last uses of each fact's slots, as it was written. */
  readonly #written: number[] = [];

  constructor(keeping: Keeping) {
    this.#keeping = keeping;
  }

  /** Rejects when the disk fails. */
  async write(): Promise<void> {
    const { shared, books } = this.#keeping.around;
    for (let index = 0; index * USES_OF_FACT < this.#keeping.slots.end; index++) {
      let sum = 0;
      const end = Math.min((index + 1) * USES_OF_FACT, shared.slots);
      for (let slot = index * USES_OF_FACT; slot < end; slot++) sum += shared.usedSecondsOf(slot);
      if (this.#written[index] === sum) continue;
      await books.writeFact(usesFactName(index), encodeUses(shared, index));
      this.#written[index] = sum;
    }
  }
}

interface Indexed {
  /** Slots, in no order. */
  readonly slots: number[];
  readonly bodies: BodySet;
}

/**
 * Bodies that have records: in groups, each of which is put in order when it is asked about. A million at once would hold this thread up
 * for a seventh of a second. The groups are those in which io/cache has files and asks about them.
 */
export class BodySet {
  readonly #groups: BodyId[][] = Array.from({ length: BODY_GROUPS }, () => []);
  readonly #sorted: Float64Array[] = [];

  /** Before anything is asked. */
  add(body: BodyId): void {
    this.#groups[body % BODY_GROUPS]!.push(body);
  }

  has(body: BodyId): boolean {
    const group = body % BODY_GROUPS;
    this.#sorted[group] ??= Float64Array.from(this.#groups[group]!).sort();
    return isAmong(this.#sorted[group], body);
  }
}

/** Resolves when all is known and what does not belong is gone. Rejects when the records cannot be read. */
export async function indexRecords(keeping: Keeping, turn: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const found = await readRecords(keeping, signal);
  if (signal.aborted) return;
  await queueForEviction(keeping, found.slots, turn, signal);
  if (signal.aborted) return;
  keeping.slots.finishIndex();
  const isKept = (body: BodyId): boolean => body >= keeping.firstNumber || found.bodies.has(body);
  await keeping.around.books.sweepBodies(isKept, signal);
}

async function readRecords(keeping: Keeping, signal: AbortSignal): Promise<Indexed> {
  const { books, shared } = keeping.around;
  const found: Indexed = { slots: [], bodies: new BodySet() };
  const uses: (Buffer | null)[] = [];
  const each = (id: EntryId, bytes: Buffer): void | Promise<void> => {
    const summary = summariseRecord(bytes);
    if (summary === null) return keeping.dropDamaged(id).then(() => {});
    const { slot, version, body } = summary;
    if (body !== 0) found.bodies.add(body);
    // Of this run: who wrote it has counted it, or will.
    if (version >= keeping.firstNumber) return;
    // Shared memory has become smaller, or two say the same of themselves.
    if (slot >= shared.slots || (keeping.slots.isTaken(slot) && !keeping.slots.isOf(slot, id))) {
      return keeping.drop(id, version, "size").then(() => {});
    }
    keeping.index(id, summary);
    found.slots.push(slot);
    const index = Math.floor(slot / USES_OF_FACT);
    if (uses[index] === undefined) uses[index] = books.readFact(usesFactName(index));
    const at = (slot % USES_OF_FACT) * USE_BYTES;
    const fact = uses[index];
    const usedSeconds = fact?.readUInt32LE(at) ?? 0;
    shared.restore(slot, Math.max(usedSeconds, Math.floor(summary.receivedMs / 1000)), fact?.[at + 4] ?? 0);
  };
  await books.scan(each, signal);
  return found;
}

/**
 * In the order of their last use, as if they had been stored then. Sorted by its lower half and then by its upper one, each time by
 * counting: that can be left and gone on with, and a million of them do not hold this thread up.
 */
async function queueForEviction(
  keeping: Keeping,
  slots: readonly number[],
  turn: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { shared, policy } = keeping.around;
  const inPieces = async (act: (index: number) => void): Promise<void> => {
    for (let index = 0; index < slots.length && !signal.aborted; index++) {
      act(index);
      if (index % QUEUED_AT_ONCE === QUEUED_AT_ONCE - 1) await turn();
    }
  };
  // Copied: it goes on being used meanwhile.
  const used = new Uint32Array(slots.length);
  let order = new Uint32Array(slots.length);
  await inPieces((index) => {
    used[index] = shared.usedSecondsOf(slots[index]!);
    order[index] = index;
  });
  for (const shift of [0, 16]) {
    const halfOf = (index: number): number => (used[index]! >>> shift) & 0xffff;
    const ends = new Uint32Array(0x10000);
    await inPieces((index) => {
      ends[halfOf(index)]!++;
    });
    for (let half = 1; half < ends.length; half++) ends[half]! += ends[half - 1]!;
    const sorted = new Uint32Array(slots.length);
    const before = order;
    // From the end, so that equal ones stay in their order.
    await inPieces((index) => {
      const which = before[before.length - 1 - index]!;
      sorted[--ends[halfOf(which)]!] = which;
    });
    order = sorted;
  }
  await inPieces((index) => {
    const slot = slots[order[index]!]!;
    if (keeping.slots.isTaken(slot)) policy.add(slot, keeping.slots.bytesOf(slot), keeping.slots.hashOf(slot));
  });
}

function isAmong(sorted: Float64Array, number: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < number) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === number;
}
