/**
 * What it costs to copy a short range of bytes, by the ways that there are. core/copy-bytes.ts is the loop over words.
 *
 *     node_modules/.bin/node bench/micro/copy-bytes.ts
 */
import { copyBytes, viewOf } from "../../src/core/copy-bytes.ts";

const target = Buffer.allocUnsafeSlow(1 << 20);
const source = Buffer.alloc(4096, "a");
const targetView = viewOf(target);
const sourceView = viewOf(source);

type Copy = (start: number, end: number, at: number) => void;

const WAYS: Readonly<Record<string, Copy>> = {
  "words (copyBytes)": (start, end, at) => void copyBytes(target, targetView, at, source, sourceView, start, end),
  "Buffer.copy": (start, end, at) => void source.copy(target, at, start, end),
  "set(subarray)": (start, end, at) => target.set(source.subarray(start, end), at),
  bytes: (start, end, at) => {
    for (let index = start; index < end; index++) target[at++] = source[index]!;
  },
};

const LENGTHS = [26, 41, 100, 200, 400, 700];
const CALLS = 1_000_000;
const ROUNDS = 5;

/** Nanoseconds a call, the best of several rounds. */
function measure(copy: Copy, length: number): number {
  let best = Number.POSITIVE_INFINITY;
  // The first round is for the compiler.
  for (let round = 0; round <= ROUNDS; round++) {
    const startedAt = process.hrtime.bigint();
    for (let call = 0, at = 0; call < CALLS; call++, at = at + 2 * length > target.length ? 0 : at + length) {
      copy(call & 7, (call & 7) + length, at);
    }
    const nanoseconds = Number(process.hrtime.bigint() - startedAt) / CALLS;
    if (round > 0) best = Math.min(best, nanoseconds);
  }
  return best;
}

console.log(`| bytes | ${Object.keys(WAYS).join(" | ")} |`);
console.log(`|---|${"---:|".repeat(Object.keys(WAYS).length)}`);
for (const length of LENGTHS) {
  const cells = Object.values(WAYS).map((copy) => measure(copy, length).toFixed(0));
  console.log(`| ${length} | ${cells.join(" | ")} |`);
}
