/**
 * The stored answers as the keeper counts them: each has a slot, a small number that stands in its record; here are its id and how
 * much of the disk it takes, in typed arrays: 28 bytes an answer. A slot is given to another answer only when the removal of the one
 * that had it was committed.
 *
 * While what is there is still being indexed, nobody knows which of the lower slots are taken: new answers get slots from the mark
 * on, below which all slots are that were ever given. The mark is a fact, written ahead.
 */
import type { CacheBooks, EntryId } from "../ports.ts";

/** Sizes are counted in these, so that sums are exact and an array of integers holds up to 2 TiB each. */
const UNIT_BYTES = 512;
/** What records above this take is counted in pages: LMDB gives them pages of their own. */
const PAGE_BYTES = 4096;
const RECORD_IN_PAGE_MAX = 2000;
/** How far the mark is moved: one more commit for so many new slots. */
const MARK_STEP = 16_384;
const SLOTS_FIRST = 1024;
const MARK_FACT = "slots";

/** What an answer takes on the disk: its record, and its file. */
export function diskBytes(recordBytes: number, fileBytes: number): number {
  const record =
    recordBytes <= RECORD_IN_PAGE_MAX ? roundUp(recordBytes, UNIT_BYTES) : roundUp(recordBytes, PAGE_BYTES);
  return record + roundUp(fileBytes, PAGE_BYTES);
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** Is told whenever the sums change. */
export interface TotalsTold {
  tellTotals(entries: number, bytes: number): void;
}

export class SlotTable {
  readonly #books: CacheBooks;
  readonly #slotsMax: number;
  readonly #told: TotalsTold | null;
  /** Four words a slot. */
  #ids = new Uint32Array(SLOTS_FIRST * 4);
  /** In units; 0: the slot is free. */
  #units = new Uint32Array(SLOTS_FIRST);
  /** A stack of free slots. */
  #free = new Uint32Array(SLOTS_FIRST);
  #freeCount = 0;
  /** The lowest slot that was never given since the start of this run. */
  #next = 0;
  #mark = 0;
  /** Slots from here on were given in this run. */
  readonly #firstNew: number;
  #isIndexed = false;
  #moving: Promise<void> | null = null;
  #entries = 0;
  #unitsTotal = 0;

  /** `slotsMax`: how many shared memory has room for. */
  constructor(books: CacheBooks, slotsMax: number, told: TotalsTold | null = null) {
    this.#books = books;
    this.#told = told;
    this.#slotsMax = slotsMax;
    const fact = books.readFact(MARK_FACT);
    // Without the mark, or with a damaged one, nobody knows what was given: as if all were.
    this.#mark = fact === null ? 0 : fact.length === 4 ? Math.min(fact.readUInt32LE(0), slotsMax) : slotsMax;
    this.#firstNew = this.#next = this.#mark;
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#unitsTotal * UNIT_BYTES;
  }

  /** One above the highest slot that anything may have. */
  get end(): number {
    return this.#next;
  }

  isTaken(slot: number): boolean {
    return slot < this.#units.length && this.#units[slot]! > 0;
  }

  idOf(slot: number): EntryId {
    let id = "";
    for (let word = 0; word < 4; word++) id += this.#ids[slot * 4 + word]!.toString(16).padStart(8, "0");
    return id;
  }

  /** `hashOf` its id, without making that. */
  hashOf(slot: number): number {
    return ((this.#ids[slot * 4]! << 12) | (this.#ids[slot * 4 + 1]! >>> 20)) >>> 0;
  }

  isOf(slot: number, id: EntryId): boolean {
    if (!this.isTaken(slot)) return false;
    for (let word = 0; word < 4; word++) if (this.#ids[slot * 4 + word] !== wordOf(id, word)) return false;
    return true;
  }

  bytesOf(slot: number): number {
    return slot < this.#units.length ? this.#units[slot]! * UNIT_BYTES : 0;
  }

  /** A slot that is nobody's; -1: there is none. It is free still until `set`. Rejects when the mark cannot be written. */
  async reserve(): Promise<number> {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    while (this.#next === this.#mark) {
      if (this.#mark === this.#slotsMax) return -1;
      await this.#moveMark();
      // Somebody may have freed one, or have taken all the new ones, meanwhile.
      if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    }
    return this.#next++;
  }

  /** A reserved slot that was not used after all. */
  giveBack(slot: number): void {
    if (this.#freeCount === this.#free.length) this.#free = doubled(this.#free);
    this.#free[this.#freeCount++] = slot;
  }

  /** An answer has the slot, or another size. */
  set(slot: number, id: EntryId, bytes: number): void {
    while (slot >= this.#units.length) {
      this.#units = doubled(this.#units);
      this.#ids = doubled(this.#ids);
    }
    if (this.#units[slot] === 0) this.#entries++;
    const units = Math.max(1, Math.ceil(bytes / UNIT_BYTES));
    this.#unitsTotal += units - this.#units[slot]!;
    this.#units[slot] = units;
    for (let word = 0; word < 4; word++) this.#ids[slot * 4 + word] = wordOf(id, word);
    this.#told?.tellTotals(this.#entries, this.bytes);
  }

  /** The answer is gone from the books. */
  free(slot: number): void {
    if (!this.isTaken(slot)) return;
    this.#entries--;
    this.#unitsTotal -= this.#units[slot]!;
    this.#units[slot] = 0;
    this.#told?.tellTotals(this.#entries, this.bytes);
    // Until all is indexed, free ones are found by looking at all of them, at the end.
    if (this.#isIndexed || slot >= this.#firstNew) this.giveBack(slot);
  }

  /** All that was there is set: what is not, is free. */
  finishIndex(): void {
    this.#isIndexed = true;
    for (let slot = this.#firstNew - 1; slot >= 0; slot--) if (!this.isTaken(slot)) this.giveBack(slot);
  }

  #moveMark(): Promise<void> {
    this.#moving ??= this.#writeMark(Math.min(this.#mark + MARK_STEP, this.#slotsMax)).finally(() => {
      this.#moving = null;
    });
    return this.#moving;
  }

  async #writeMark(mark: number): Promise<void> {
    const fact = Buffer.alloc(4);
    fact.writeUInt32LE(mark, 0);
    await this.#books.writeFact(MARK_FACT, fact);
    this.#mark = mark;
  }
}

/** Eight hexadecimal digits, which parseInt would want as a text of their own. */
function wordOf(id: EntryId, word: number): number {
  let bits = 0;
  for (let at = word * 8; at < word * 8 + 8; at++) {
    const code = id.charCodeAt(at);
    bits = (bits << 4) | (code < LETTER_A ? code - DIGIT_0 : code - LETTER_A + 10);
  }
  return bits >>> 0;
}

const DIGIT_0 = 0x30;
const LETTER_A = 0x61;

function doubled(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}
