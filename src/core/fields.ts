/**
 * A header or trailer section as the proxy keeps it: the bytes as they came, and a table of offsets into them. Nothing
 * becomes a string until somebody asks; what is forwarded unchanged is copied as ranges of bytes.
 *
 * A change never moves bytes: removing marks a row of the table, appending writes behind the last field. So a section
 * always reads in its final order, and encoding it is copying the runs between removed rows.
 *
 * Bytes and table come from a pool and go back when the exchange ends; a block that was released reads as empty, so that
 * a plugin that kept a reference sees nothing of another request.
 */
import { copyBytes, viewOf } from "./copy-bytes.ts";
import { FIELD_OTHER, fieldIdAt, fieldIdOf, LOWER } from "./field-names.ts";
import { latin1At, putLatin1 } from "./latin1.ts";

/** Ints of one row: number of the name (or REMOVED), then offsets of name and value. */
export const ROW = 5;
export const ROW_ID = 0;
export const ROW_NAME = 1;
export const ROW_NAME_END = 2;
export const ROW_VALUE = 3;
export const ROW_VALUE_END = 4;
/** The id of a row that was removed. */
export const REMOVED = -1;

const BYTES_INITIAL = 4096;
const ROWS_INITIAL = 64;
/** Storage that had to grow beyond this is left to the garbage collector: one large head must not stay for ever. */
const BYTES_POOLED_MAX = 16 * 1024;
/** Storages kept for reuse in a thread: about 1.3 MiB. */
const POOL_MAX = 256;

/** The memory of one section: a table for the parser to fill, and room for the bytes. */
export class FieldStorage {
  bytes: Buffer;
  /** The same memory as `bytes`, to read and write four at a time. */
  view: DataView;
  table: Int32Array;

  constructor(bytesLength = BYTES_INITIAL, rows = ROWS_INITIAL) {
    // One piece for both: each piece has an overhead, which counts where there are thousands of small ones.
    const tableAt = (bytesLength + 3) & ~3;
    const memory = new ArrayBuffer(tableAt + rows * ROW * Int32Array.BYTES_PER_ELEMENT);
    this.bytes = Buffer.from(memory, 0, bytesLength);
    this.view = new DataView(memory, 0, bytesLength);
    this.table = new Int32Array(memory, tableAt, rows * ROW);
  }

  /** Room for `bytesNeeded` bytes, keeping the first `used`. */
  growBytes(bytesNeeded: number, used: number): void {
    if (bytesNeeded <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(bytesNeeded, this.bytes.length * 2));
    if (used > 0) this.bytes.copy(larger, 0, 0, used);
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }

  /** Room for one more row. */
  growTable(): void {
    const larger = new Int32Array(this.table.length * 2);
    larger.set(this.table);
    this.table = larger;
  }
}

const pool: FieldStorage[] = [];

export function acquireStorage(): FieldStorage {
  return pool.pop() ?? new FieldStorage();
}

export function releaseStorage(storage: FieldStorage): void {
  const { length } = storage.bytes;
  if (pool.length < POOL_MAX && length >= BYTES_INITIAL && length <= BYTES_POOLED_MAX) pool.push(storage);
}

/** Storages that wait for reuse: tests count with it what was not given back. */
export function pooledStorages(): number {
  return pool.length;
}

/** token = 1*tchar (RFC 9110, section 5.6.2) */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** field-value without the controls that could end or split a line (RFC 9110, section 5.5). */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** One field section: lookups by name without case, changes, and ranges of bytes for who encodes it. */
export class FieldBlock {
  /** null when empty or released. */
  #storage: FieldStorage | null = null;
  #count = 0;
  /** Offset of the first field: behind the start line, where there is one. */
  #start = 0;
  /** Offset behind the last field's line ending. */
  #end = 0;
  /** Bit `1 << id` is set when a field with that number (below 32) is or was there: most look-ups end here. */
  #seen = 0;

  /**
   * Takes over a storage that a parser filled: `count` rows, whose lines are `bytes[start, end)`, each ending in CRLF;
   * `seen` has bit `1 << id` for every number below 32 among them.
   */
  adopt(storage: FieldStorage, count: number, start: number, end: number, seen: number): void {
    this.#storage = storage;
    this.#seen = seen;
    this.#count = count;
    this.#start = start;
    this.#end = end;
  }

  /** Gives the memory back; from now on the block is empty. Idempotent. */
  release(): void {
    const storage = this.#storage;
    if (storage === null) return;
    this.#storage = null;
    this.#count = this.#start = this.#end = this.#seen = 0;
    releaseStorage(storage);
  }

  /**
   * Moves to memory of its own size and gives back what it had: for a section that is kept for hours, such as that of a
   * tunnel, which is read once more at the end.
   */
  compact(): void {
    const from = this.#storage;
    if (from === null) return;
    const bytesLength = this.#end;
    const tableLength = this.#count * ROW;
    // Growing doubles: nothing would stay nothing.
    const small = new FieldStorage(Math.max(bytesLength, 1), Math.max(this.#count, 1));
    from.bytes.copy(small.bytes, 0, 0, bytesLength);
    small.table.set(from.table.subarray(0, tableLength));
    this.#storage = small;
    releaseStorage(from);
  }

  /** Rows, removed ones included. */
  get rowCount(): number {
    return this.#count;
  }

  /** The bytes that rows point into. Valid until the next change or release. */
  get bytes(): Buffer {
    return this.#storage === null ? EMPTY : this.#storage.bytes;
  }

  /** A view of `bytes`. Valid as long as they are. */
  get view(): DataView {
    return this.#storage === null ? EMPTY_VIEW : this.#storage.view;
  }

  /** ROW ints a row; see the ROW_ constants. Valid until the next change or release. */
  get table(): Int32Array {
    return this.#storage === null ? EMPTY_TABLE : this.#storage.table;
  }

  /** Offset of the first field line. */
  get start(): number {
    return this.#start;
  }

  /** Offset behind the last field line. */
  get end(): number {
    return this.#end;
  }

  /** The first row of the field with this number at or after `from`; -1 when there is none. */
  rowOfId(id: number, from = 0): number {
    if (id < 32 && (this.#seen & (1 << id)) === 0) return -1;
    const table = this.table;
    for (let row = from, at = from * ROW; row < this.#count; row++, at += ROW) {
      if (table[at] === id) return row;
    }
    return -1;
  }

  /** The first row of the field with this name (lower case) at or after `from`; -1 when there is none. */
  rowOf(lowerName: string, from = 0): number {
    const id = fieldIdOf(lowerName);
    if (id !== FIELD_OTHER) return this.rowOfId(id, from);
    const { bytes, table } = this;
    const length = lowerName.length;
    next: for (let row = from, at = from * ROW; row < this.#count; row++, at += ROW) {
      if (table[at] !== FIELD_OTHER) continue;
      const name = table[at + ROW_NAME]!;
      if (table[at + ROW_NAME_END]! - name !== length) continue;
      for (let i = 0; i < length; i++) {
        if (LOWER[bytes[name + i]!] !== lowerName.charCodeAt(i)) continue next;
      }
      return row;
    }
    return -1;
  }

  /** Whether there is a field with one of these numbers, both ends included. */
  hasIdBetween(first: number, last: number): boolean {
    const table = this.table;
    for (let row = 0, at = 0; row < this.#count; row++, at += ROW) {
      if (table[at]! >= first && table[at]! <= last) return true;
    }
    return false;
  }

  isRemoved(row: number): boolean {
    return this.table[row * ROW] === REMOVED;
  }

  nameAt(row: number): string {
    const at = row * ROW;
    return latin1At(this.bytes, this.table[at + ROW_NAME]!, this.table[at + ROW_NAME_END]!);
  }

  valueAt(row: number): string {
    const at = row * ROW;
    return latin1At(this.bytes, this.table[at + ROW_VALUE]!, this.table[at + ROW_VALUE_END]!);
  }

  removeRow(row: number): void {
    this.table[row * ROW] = REMOVED;
  }

  has(name: string): boolean {
    return this.rowOf(name.toLowerCase()) >= 0;
  }

  /**
   * The value of a field, null when it is absent. Several lines are joined as RFC 9110 section 5.3 says (Cookie with "; ",
   * RFC 9113 section 8.2.3); Set-Cookie cannot be joined: use `getAll`.
   */
  get(name: string): string | null {
    const lower = name.toLowerCase();
    let row = this.rowOf(lower);
    if (row < 0) return null;
    let value = this.valueAt(row);
    const separator = lower === "cookie" ? "; " : ", ";
    for (row = this.rowOf(lower, row + 1); row >= 0; row = this.rowOf(lower, row + 1)) {
      value += separator + this.valueAt(row);
    }
    return value;
  }

  /** The values of all lines of a field, in order. */
  getAll(name: string): string[] {
    const lower = name.toLowerCase();
    const values: string[] = [];
    for (let row = this.rowOf(lower); row >= 0; row = this.rowOf(lower, row + 1)) values.push(this.valueAt(row));
    return values;
  }

  /** Every field line, as it was spelled, in order. */
  *entries(): IterableIterator<[name: string, value: string]> {
    for (let row = 0; row < this.#count; row++) {
      if (!this.isRemoved(row)) yield [this.nameAt(row), this.valueAt(row)];
    }
  }

  /** Removes every line of a field; true when there was one. */
  delete(name: string): boolean {
    const lower = name.toLowerCase();
    let removed = false;
    for (let row = this.rowOf(lower); row >= 0; row = this.rowOf(lower, row + 1)) {
      this.removeRow(row);
      removed = true;
    }
    return removed;
  }

  /** Removes every line of the field with this number; true when there was one. */
  deleteId(id: number): boolean {
    let removed = false;
    for (let row = this.rowOfId(id); row >= 0; row = this.rowOfId(id, row + 1)) {
      this.removeRow(row);
      removed = true;
    }
    return removed;
  }

  /** Replaces all lines of a field by one at the end. Throws TypeError like `append`. */
  set(name: string, value: string): void {
    assertField(name, value);
    this.delete(name);
    this.#push(name, value);
  }

  /**
   * Adds a line at the end.
   * @throws TypeError when the name is no token or the value could end the line: a caller that passes on what came from
   *   outside must have checked it.
   */
  append(name: string, value: string): void {
    assertField(name, value);
    this.#push(name, value);
  }

  /** `append` for the proxy's own fields, whose name and value are known to be valid: no check. */
  appendTrusted(name: string, value: string): void {
    this.#push(name, value);
  }

  #push(name: string, value: string): void {
    let storage = this.#storage;
    if (storage === null) {
      storage = this.#storage = acquireStorage();
      this.#count = this.#start = this.#end = this.#seen = 0;
    }
    const at = this.#count * ROW;
    if (at === storage.table.length) storage.growTable();
    const nameStart = this.#end;
    const valueStart = nameStart + name.length + 2;
    const lineEnd = valueStart + value.length + 2;
    storage.growBytes(lineEnd, nameStart);
    const { bytes, table } = storage;
    putLatin1(bytes, nameStart, name);
    bytes[valueStart - 2] = 0x3a;
    bytes[valueStart - 1] = 0x20;
    putLatin1(bytes, valueStart, value);
    bytes[lineEnd - 2] = 0x0d;
    bytes[lineEnd - 1] = 0x0a;
    const id = fieldIdAt(bytes, nameStart, valueStart - 2);
    if (id < 32) this.#seen |= 1 << id;
    table[at + ROW_ID] = id;
    table[at + ROW_NAME] = nameStart;
    table[at + ROW_NAME_END] = valueStart - 2;
    table[at + ROW_VALUE] = valueStart;
    table[at + ROW_VALUE_END] = lineEnd - 2;
    this.#count++;
    this.#end = lineEnd;
  }

  /** Adds lines that were encoded before: what is the same for every request of a connection is encoded once. */
  appendEncoded(lines: EncodedLines): void {
    let storage = this.#storage;
    if (storage === null) {
      storage = this.#storage = acquireStorage();
      this.#count = this.#start = this.#end = this.#seen = 0;
    }
    const shift = this.#end;
    storage.growBytes(shift + lines.bytes.length, shift);
    copyBytes(storage.bytes, storage.view, shift, lines.bytes, lines.view, 0, lines.bytes.length);
    const rows = lines.rows;
    let at = this.#count * ROW;
    while (at + rows.length > storage.table.length) storage.growTable();
    const table = storage.table;
    for (let i = 0; i < rows.length; i += ROW, at += ROW) {
      table[at] = rows[i]!;
      table[at + 1] = rows[i + 1]! + shift;
      table[at + 2] = rows[i + 2]! + shift;
      table[at + 3] = rows[i + 3]! + shift;
      table[at + 4] = rows[i + 4]! + shift;
    }
    this.#seen |= lines.seen;
    this.#count += rows.length / ROW;
    this.#end = shift + lines.bytes.length;
  }

  /** Adds a line whose value is `bytes[start, end)` of this section in lower case, such as that of Host. */
  appendLowerCase(name: EncodedName, start: number, end: number): void {
    const storage = this.#storage!;
    const at = this.#count * ROW;
    if (at === storage.table.length) storage.growTable();
    const nameStart = this.#end;
    const valueStart = nameStart + name.bytes.length;
    const valueEnd = valueStart + end - start;
    storage.growBytes(valueEnd + 2, nameStart);
    const { bytes, table } = storage;
    copyBytes(bytes, storage.view, nameStart, name.bytes, name.view, 0, name.bytes.length);
    for (let from = start, to = valueStart; from < end; from++, to++) bytes[to] = LOWER[bytes[from]!]!;
    bytes[valueEnd] = 0x0d;
    bytes[valueEnd + 1] = 0x0a;
    if (name.id < 32) this.#seen |= 1 << name.id;
    table[at + ROW_ID] = name.id;
    table[at + ROW_NAME] = nameStart;
    table[at + ROW_NAME_END] = valueStart - 2;
    table[at + ROW_VALUE] = valueStart;
    table[at + ROW_VALUE_END] = valueEnd;
    this.#count++;
    this.#end = valueEnd + 2;
  }

  /** Replaces a line by one at the end whose value lacks `bytes[start, end)`; what is left of it stays byte for byte. */
  cutValue(row: number, start: number, end: number): void {
    const storage = this.#storage!;
    const from = row * ROW;
    const nameStart = storage.table[from + ROW_NAME]!;
    const oldEnd = storage.table[from + ROW_VALUE_END]!;
    const at = this.#count * ROW;
    if (at === storage.table.length) storage.growTable();
    const lineStart = this.#end;
    const valueEnd = lineStart + oldEnd - nameStart - (end - start);
    storage.growBytes(valueEnd + 2, lineStart);
    const { bytes, table, view } = storage;
    const shift = lineStart - nameStart;
    copyBytes(bytes, view, copyBytes(bytes, view, lineStart, bytes, view, nameStart, start), bytes, view, end, oldEnd);
    bytes[valueEnd] = 0x0d;
    bytes[valueEnd + 1] = 0x0a;
    table[at + ROW_ID] = table[from + ROW_ID]!;
    table[at + ROW_NAME] = lineStart;
    table[at + ROW_NAME_END] = table[from + ROW_NAME_END]! + shift;
    table[at + ROW_VALUE] = table[from + ROW_VALUE]! + shift;
    table[at + ROW_VALUE_END] = valueEnd;
    table[from] = REMOVED;
    this.#count++;
    this.#end = valueEnd + 2;
  }

  /**
   * Copies the lines that were not removed to `target`, of which `view` is a view, and returns the offset behind them. The
   * caller has made room for `end` bytes. `withStartLine` copies what stands before the first field too.
   */
  encode(target: Buffer, view: DataView, offset: number, withStartLine = false): number {
    const storage = this.#storage;
    if (storage === null) return offset;
    const { bytes, table, view: own } = storage;
    let run = withStartLine ? 0 : -1;
    for (let row = 0, at = 0; row < this.#count; row++, at += ROW) {
      if (table[at] === REMOVED) {
        if (run >= 0) {
          offset = copyBytes(target, view, offset, bytes, own, run, table[at + ROW_NAME]!);
          run = -1;
        }
      } else if (run < 0) run = table[at + ROW_NAME]!;
    }
    return run < 0 ? offset : copyBytes(target, view, offset, bytes, own, run, this.#end);
  }

  /** A new block with the same rows, removed ones included, in memory of its own. */
  static copyOf(source: FieldBlock): FieldBlock {
    const copy = new FieldBlock();
    const from = source.#storage;
    if (from === null) return copy;
    const storage = acquireStorage();
    storage.growBytes(source.#end, 0);
    // What stands before the first field too: a start line that may be passed on as it came.
    copyBytes(storage.bytes, storage.view, 0, from.bytes, from.view, 0, source.#end);
    while (storage.table.length < source.#count * ROW) storage.growTable();
    for (let i = 0; i < source.#count * ROW; i++) storage.table[i] = from.table[i]!;
    copy.adopt(storage, source.#count, source.#start, source.#end, source.#seen);
    return copy;
  }

  /** A new block with the given lines. Throws TypeError like `append`. */
  static from(fields: Iterable<readonly [name: string, value: string]>): FieldBlock {
    const block = new FieldBlock();
    for (const [name, value] of fields) block.append(name, value);
    return block;
  }
}

/** A field's name and what stands between it and the value, encoded once. */
export class EncodedName {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly id: number;

  /** Throws TypeError on an invalid name. */
  constructor(name: string) {
    assertField(name, "");
    this.bytes = Buffer.from(`${name}: `, "latin1");
    this.view = viewOf(this.bytes);
    this.id = fieldIdOf(name.toLowerCase());
  }
}

/** Field lines that are appended often, encoded once. */
export class EncodedLines {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly rows: Int32Array;
  readonly seen: number;

  /** Throws TypeError on an invalid name or value. */
  constructor(fields: Iterable<readonly [name: string, value: string]> | FieldLines) {
    if (fields instanceof FieldLines) {
      this.bytes = fields.bytes;
      this.rows = fields.rows;
    } else {
      const block = FieldBlock.from(fields);
      this.bytes = Buffer.from(block.bytes.subarray(0, block.end));
      this.rows = block.table.slice(0, block.rowCount * ROW);
      block.release();
    }
    this.view = viewOf(this.bytes);
    let seen = 0;
    for (let at = 0; at < this.rows.length; at += ROW) if (this.rows[at]! < 32) seen |= 1 << this.rows[at]!;
    this.seen = seen;
  }

  /**
   * Of lines that were written by us, such as the `bytes` of others, each "name: value" with CRLF behind it; the bytes are kept,
   * not copied. null: they are not that.
   */
  static parse(bytes: Buffer): EncodedLines | null {
    let count = 0;
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) count++;
    const rows = new Int32Array(count * ROW);
    let start = 0;
    for (let row = 0; row < rows.length; row += ROW) {
      let at = start;
      while (IS_TOKEN_BYTE[bytes[at]!] === 1) at++;
      if (at === start || bytes[at] !== COLON || bytes[at + 1] !== SPACE) return null;
      rows[row + ROW_ID] = fieldIdAt(bytes, start, at);
      rows[row + ROW_NAME] = start;
      rows[row + ROW_NAME_END] = at;
      at += 2;
      rows[row + ROW_VALUE] = at;
      while (IS_VALUE_BYTE[bytes[at]!] === 1) at++;
      rows[row + ROW_VALUE_END] = at;
      if (bytes[at] !== CR || bytes[at + 1] !== LF) return null;
      start = at + 2;
    }
    return start === bytes.length ? new EncodedLines(new FieldLines(bytes, rows)) : null;
  }

  /** The first line of the field with this name (lower case) at or after `from`, as its place in `rows`; -1: there is none. */
  rowOf(lowerName: string, from = 0): number {
    const id = fieldIdOf(lowerName);
    if (id !== FIELD_OTHER && id < 32 && (this.seen & (1 << id)) === 0) return -1;
    const { bytes, rows } = this;
    for (let at = from; at < rows.length; at += ROW) {
      if (rows[at] !== id) continue;
      if (id !== FIELD_OTHER || isNameAt(bytes, rows[at + ROW_NAME]!, rows[at + ROW_NAME_END]!, lowerName)) return at;
    }
    return -1;
  }

  /** The value of a field (its name in lower case), null when it is absent; several lines are joined. */
  get(lowerName: string): string | null {
    let value: string | null = null;
    for (let at = this.rowOf(lowerName); at >= 0; at = this.rowOf(lowerName, at + ROW)) {
      const line = latin1At(this.bytes, this.rows[at + ROW_VALUE]!, this.rows[at + ROW_VALUE_END]!);
      value = value === null ? line : `${value}, ${line}`;
    }
    return value;
  }

  /** Every line, as it was spelled, in order. */
  *entries(): IterableIterator<[name: string, value: string]> {
    const { bytes, rows } = this;
    for (let at = 0; at < rows.length; at += ROW) {
      yield [
        latin1At(bytes, rows[at + ROW_NAME]!, rows[at + ROW_NAME_END]!),
        latin1At(bytes, rows[at + ROW_VALUE]!, rows[at + ROW_VALUE_END]!),
      ];
    }
  }
}

function isNameAt(bytes: Uint8Array, start: number, end: number, lowerName: string): boolean {
  if (end - start !== lowerName.length) return false;
  for (let i = start; i < end; i++) if (LOWER[bytes[i]!] !== lowerName.charCodeAt(i - start)) return false;
  return true;
}

/** Lines with their rows, found already. */
class FieldLines {
  readonly bytes: Buffer;
  readonly rows: Int32Array;

  constructor(bytes: Buffer, rows: Int32Array) {
    this.bytes = bytes;
    this.rows = rows;
  }
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const IS_TOKEN_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => (TOKEN.test(String.fromCharCode(byte)) ? 1 : 0));
const IS_VALUE_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => (VALUE.test(String.fromCharCode(byte)) ? 1 : 0));
const EMPTY = Buffer.alloc(0);
const EMPTY_VIEW = viewOf(EMPTY);
const EMPTY_TABLE = new Int32Array(0);

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

function assertField(name: string, value: string): void {
  if (!isToken(name)) throw new TypeError(`invalid field name ${JSON.stringify(name)}`);
  if (!VALUE.test(value)) throw new TypeError(`invalid value of field ${name}`);
}
