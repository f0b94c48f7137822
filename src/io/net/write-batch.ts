/**
 * What the connections of a transport have written and not yet handed to Node: bytes side by side in one slab, and the
 * list of the connections that must be flushed. Everything written while an event of a socket is handled leaves when the
 * handler returns, as one write a connection, or earlier when it fills a slab; everything written elsewhere leaves in the
 * next tick, which is the same turn of the loop.
 *
 * The slab is reused at once when the kernel has taken all of it, which is the rule on plain sockets. What Node holds on
 * to lies below the slab's `floor` and is not written again until Node has let go of it; a slab that is used up waits aside
 * for that, and serves again. It decides where bytes are kept; it never looks at them.
 */
import { viewOf } from "../../core/copy-bytes.ts";
import type { WriteRoom } from "../../core/ports.ts";
import { freshRoom } from "../../core/write-room.ts";

/** Holds the largest chunk that is read from a socket (64 KiB) with room for a head, or chunk framing, around it. */
const SLAB_BYTES = 128 * 1024;
/** A single write above this gets memory of its own, so that the slab stays small enough for the processor's cache. */
export const SLAB_WRITE_BYTES_MAX = 64 * 1024;

/** Slabs that wait to be used again: as many as a few fast downloads fill while Node writes. */
const SPARE_MAX = 8;

/**
 * The views of a slab's first bytes that are kept, by length, up to this one: most writes are such, the lengths of heads recur, and
 * a new view costs a small request one part in twenty. All of them together are as large as a slab.
 */
const KEPT_PART_BYTES_MAX = 1024;

/** Memory in which connections write side by side, and who still needs it. */
export class Slab implements WriteRoom {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly view: DataView = viewOf(this.bytes);
  /** Where what was reserved last begins. */
  start = 0;
  /** Members with pending bytes in it. */
  pending = 0;
  /** Members of whose bytes Node holds some, and who will say when it has let go. */
  kept = 0;
  /** Node may still read what lies below. */
  floor = 0;
  /** Node holds bytes in it of which nobody will say when they were taken: only the garbage collector can tell. */
  lost = false;
  readonly #parts: (Buffer | null)[] = new Array(KEPT_PART_BYTES_MAX + 1).fill(null);

  /** `bytes[start, end)` */
  part(start: number, end: number): Buffer {
    if (start > 0 || end > KEPT_PART_BYTES_MAX) return this.bytes.subarray(start, end);
    this.#parts[end] ??= this.bytes.subarray(0, end);
    return this.#parts[end];
  }
}

/** A connection, as the batch sees it. */
export interface BatchMember {
  /** Hands what is pending to Node. Never throws and never calls a handler. */
  flush(): void;
}

export class WriteBatch {
  /** Where pending bytes are. A member keeps its own reference: a new slab may come while its bytes are in the old one. */
  slab = new Slab();
  /** What was reserved last. */
  room: WriteRoom = this.slab;
  /** The first free byte of the slab. */
  position = 0;
  /** The member whose pending bytes end at `position`: it alone can append to them. */
  tail: BatchMember | null = null;
  /** What was written from last. */
  #source: Uint8Array = this.slab.bytes;
  #sourceView: DataView = this.slab.view;
  readonly #spare: Slab[] = [];
  #dirty: (BatchMember | null)[] = [];
  #dirtyCount = 0;
  #depth = 0;
  #scheduled = false;
  readonly #onTick = (): void => {
    this.#scheduled = false;
    this.#flushAll();
  };

  /** A view of what is written from. */
  viewOfSource(bytes: Uint8Array): DataView {
    if (bytes !== this.#source) {
      this.#source = bytes;
      this.#sourceView = viewOf(bytes);
    }
    return this.#sourceView;
  }

  /** Makes `member` the tail, with room for `length` bytes at `position`. At most SLAB_WRITE_BYTES_MAX. */
  open(member: BatchMember, length: number): void {
    this.#makeRoom(length);
    this.slab.pending++;
    this.tail = member;
  }

  /** What is used of this is opened, or appended, by one and the same member before anything else is done here. */
  reserve(bytesMax: number): WriteRoom {
    this.#makeRoom(bytesMax);
    const { slab } = this;
    slab.start = this.position;
    this.room = slab;
    return slab;
  }

  /** Room for more than a slab is for. */
  reserveFresh(bytesMax: number): WriteRoom {
    this.room = freshRoom(bytesMax);
    return this.room;
  }

  #makeRoom(length: number): void {
    if (this.hasRoom(length)) return;
    // One event that writes to hundreds of connections, such as a piece of a download that all of them follow, would otherwise fill
    // slab after slab, and each would be garbage behind it.
    this.#flushAll();
    if (this.hasRoom(length)) return;
    const usedUp = this.slab;
    this.slab = this.#spare.pop() ?? new Slab();
    this.position = 0;
    this.settle(usedUp);
  }

  /** Whether the tail can append `length` bytes to what it has. */
  hasRoom(length: number): boolean {
    return SLAB_BYTES - this.position >= length;
  }

  /** A member has no pending bytes any more; `held` says that Node still reads those that ended at `end`. */
  release(slab: Slab, end: number, held: boolean): void {
    slab.pending--;
    if (held && end > slab.floor) slab.floor = end;
    this.settle(slab);
  }

  /** Finds out what of a slab is free, after somebody has let go of it. */
  settle(slab: Slab): void {
    if (slab.pending > 0) return;
    const isFree = slab.kept === 0 && !slab.lost;
    if (isFree) slab.floor = 0;
    if (slab === this.slab) {
      this.position = slab.floor;
      this.tail = null;
    } else if (isFree && this.#spare.length < SPARE_MAX) this.#spare.push(slab);
  }

  /** `member` has to be flushed: when the current event's handler returns, or in the next tick. */
  add(member: BatchMember): void {
    this.#dirty[this.#dirtyCount++] = member;
    if (this.#depth > 0 || this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#onTick);
  }

  /** Around every call of a handler. */
  enter(): void {
    this.#depth++;
  }

  leave(): void {
    if (--this.#depth === 0 && this.#dirtyCount > 0) this.#flushAll();
  }

  #flushAll(): void {
    const dirty = this.#dirty;
    for (let index = 0; index < this.#dirtyCount; index++) {
      const member = dirty[index]!;
      dirty[index] = null;
      member.flush();
    }
    this.#dirtyCount = 0;
  }
}
