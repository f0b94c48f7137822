/**
 * Which variant of one key requests have got that said the very same, byte for byte, in the fields by which its answers vary. A hit is
 * compared with what was remembered, so that nothing is normalised and nothing is made; only what nobody has said before is. Since
 * what is normal is made of these bytes and of nothing else, the same bytes mean the same variant.
 *
 * Bounded for each key in number and bytes: who asks with endless spellings of a variant pushes others out, who then cost what they
 * cost before.
 */
import { FIELD_OTHER, fieldIdOf } from "../../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE, ROW_VALUE_END } from "../../core/fields.ts";

/** Browsers that matter send some five values of Accept-Encoding, and each is compared until one is equal. */
export const SPELLINGS_MAX = 8;
/** Of all values of one request: most of what varies is short, and a long cookie is seldom sent twice by two. */
export const SPELLING_BYTES_MAX = 512;
/** Lines and names of one request. */
const PARTS_MAX = 128;
/** Stands behind the lines of each name. */
const END_OF_NAME = -1;
/** Of an object, an array and two views. */
const SPELLING_BYTES = 300;

export interface Spelling {
  /** Of entry-id.ts. */
  readonly variant: string;
  /** The key under which hot memory has the answer. */
  readonly hotKey: string;
  /** Lengths of all lines, END_OF_NAME behind those of each name. */
  readonly lengths: Int32Array;
  /** All lines, one behind the other. */
  readonly bytes: Uint8Array;
}

// What the request says that is looked at: there is one at a time.
const starts = new Int32Array(PARTS_MAX);
const lengths = new Int32Array(PARTS_MAX);

export class KnownVariants {
  readonly #names: readonly string[];
  readonly #ids: readonly number[];
  readonly #spellings: Spelling[] = [];
  #oldest = 0;

  /** Lower-case, of the vary record. */
  constructor(names: readonly string[]) {
    this.#names = names;
    this.#ids = names.map(fieldIdOf);
  }

  find(request: FieldBlock): Spelling | null {
    const spellings = this.#spellings;
    if (spellings.length === 0) return null;
    const parts = this.#read(request);
    const { bytes } = request;
    for (let index = 0; index < spellings.length; index++) {
      const spelling = spellings[index]!;
      if (hasLengths(spelling.lengths, parts) && hasBytes(spelling.bytes, bytes, parts)) return spelling;
    }
    return null;
  }

  /** What it did not find. Returns how many bytes of memory that takes more. */
  remember(request: FieldBlock, variant: string, hotKey: string): number {
    const parts = this.#read(request);
    if (parts < 0) return 0;
    let length = 0;
    for (let part = 0; part < parts; part++) length += Math.max(lengths[part]!, 0);
    if (length > SPELLING_BYTES_MAX) return 0;
    const said = new Uint8Array(length);
    for (let part = 0, at = 0; part < parts; part++) {
      if (lengths[part] === END_OF_NAME) continue;
      said.set(request.bytes.subarray(starts[part]!, starts[part]! + lengths[part]!), at);
      at += lengths[part]!;
    }
    const spelling = { variant, hotKey, lengths: lengths.slice(0, parts), bytes: said };
    const isFull = this.#spellings.length === SPELLINGS_MAX;
    const place = isFull ? this.#oldest : this.#spellings.length;
    const before = isFull ? memoryOf(this.#spellings[place]!) : 0;
    this.#spellings[place] = spelling;
    if (isFull) this.#oldest = (place + 1) % SPELLINGS_MAX;
    return memoryOf(spelling) - before;
  }

  /** Where the request says it, into `starts` and `lengths`. Returns how many parts that are; -1: too many. */
  #read(request: FieldBlock): number {
    const { table } = request;
    let parts = 0;
    for (let index = 0; index < this.#ids.length; index++) {
      for (let row = this.#rowOf(request, index, 0); row >= 0; row = this.#rowOf(request, index, row + 1)) {
        if (parts === PARTS_MAX) return -1;
        const start = table[row * ROW + ROW_VALUE]!;
        starts[parts] = start;
        lengths[parts++] = table[row * ROW + ROW_VALUE_END]! - start;
      }
      if (parts === PARTS_MAX) return -1;
      lengths[parts++] = END_OF_NAME;
    }
    return parts;
  }

  #rowOf(request: FieldBlock, index: number, from: number): number {
    const id = this.#ids[index]!;
    return id === FIELD_OTHER ? request.rowOf(this.#names[index]!, from) : request.rowOfId(id, from);
  }
}

function hasLengths(known: Int32Array, parts: number): boolean {
  if (known.length !== parts) return false;
  for (let part = 0; part < parts; part++) if (known[part] !== lengths[part]) return false;
  return true;
}

function hasBytes(known: Uint8Array, bytes: Uint8Array, parts: number): boolean {
  for (let part = 0, at = 0; part < parts; part++) {
    const length = lengths[part]!;
    const start = starts[part]!;
    for (let i = 0; i < length; i++, at++) if (known[at] !== bytes[start + i]) return false;
  }
  return true;
}

function memoryOf({ variant, hotKey, lengths, bytes }: Spelling): number {
  return 2 * (variant.length + hotKey.length) + lengths.byteLength + bytes.byteLength + SPELLING_BYTES;
}
