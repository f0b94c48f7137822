/**
 * Copies of short ranges, of which a request makes about ten: heads, field lines, small bodies. A loop over four bytes at a
 * time costs a third of the call that copies a range, up to some hundred bytes (bench/micro/copy-bytes.ts).
 */

/** From here on the call is as fast. */
const LOOP_BYTES_MAX = 192;

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
  if (length < 4) {
    for (let index = start; index < end; index++) target[at++] = source[index]!;
    return at;
  }
  const shift = at - start;
  const last = end - 4;
  for (let index = start; index < last; index += 4)
    targetView.setInt32(index + shift, sourceView.getInt32(index, true), true);
  // The last four, perhaps some of them twice.
  targetView.setInt32(last + shift, sourceView.getInt32(last, true), true);
  return at + length;
}

/** A view of the memory of a buffer. */
export function viewOf(buffer: Uint8Array): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
