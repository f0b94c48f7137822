/**
 * Copies of short ranges, of which a request makes about ten: heads, field lines, small bodies. A loop over four bytes at a
 * time costs a third of the call that copies a range, up to some hundred bytes (bench/micro/copy-bytes.ts).
 */

/** From here on the call is as fast. */
export const LOOP_BYTES_MAX = 384;

/**
 * Copies `source[start, end)` to `target` at `at` and returns the offset behind it. The views cover the same memory as their
 * buffers, from the same offset; the two ranges do not overlap; the caller has made room.
 */
export function copyBytes(
  target: Uint8Array,
  targetView: DataView,
  at: number,
  source: Uint8Array,
  sourceView: DataView,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length > LOOP_BYTES_MAX) {
    target.set(source.subarray(start, end), at);
    return at + length;
  }
  const shift = at - start;
  if (length >= 8) {
    const last = end - 8;
    // The compiler moves words here; no BigInt is ever made.
    for (let index = start; index < last; index += 8) {
      targetView.setBigUint64(index + shift, sourceView.getBigUint64(index, true), true);
    }
    // The last eight, perhaps some of them twice.
    targetView.setBigUint64(last + shift, sourceView.getBigUint64(last, true), true);
  } else for (let index = start; index < end; index++) target[index + shift] = source[index]!;
  return at + length;
}

/** A view of the memory of a buffer. */
export function viewOf(buffer: Uint8Array): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
