/**
 * Memory that threads share and that one of them counts in: in cache lines of its own, or threads that count in one line take it from each
 * other with every request.
 */

/** Two cache lines, as many as a processor may fetch at once. */
export const LINES_BYTES = 128;

/** So many cells, and further ones up to the end of their lines. */
export function wholeLines(cells: number, cellBytes: number): number {
  return (Math.ceil((cells * cellBytes) / LINES_BYTES) * LINES_BYTES) / cellBytes;
}
