/** Sizes as people write them, such as 64KiB: the units are powers of 1024. */

const SIZE = /^(\d{1,16})(B|KiB|MiB|GiB|TiB)?$/;
const BYTES_OF_UNIT: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes of "64KiB" or "65536", or null. */
export function parseSize(text: string): number | null {
  const match = SIZE.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (BYTES_OF_UNIT[match[2] ?? "B"] ?? 0);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** "64KiB" of 65536: the largest unit that gives a whole number. */
export function formatSize(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const size = BYTES_OF_UNIT[unit] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}`;
}
