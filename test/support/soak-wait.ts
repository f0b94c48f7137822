// Waiting that ends: a test whose condition never comes true fails with a sentence and cleans up, where one that hangs until its
// timeout does not.

import { setTimeout as after } from "node:timers/promises";

/** Between two looks at what only the system knows, or counts alone tell: nothing says when they change. */
export const LOOK_MS = 5;
const WAIT_MS_MAX = 30_000;

/** Looks until `isDone`; rejects after half a minute, with what `tell` says of it then. */
export async function untilTrue(isDone: () => boolean, tell: () => string): Promise<void> {
  const giveUpMs = performance.now() + WAIT_MS_MAX;
  while (!isDone()) {
    if (performance.now() > giveUpMs) throw new Error(`after ${WAIT_MS_MAX / 1000} s: ${tell()}`);
    await after(LOOK_MS);
  }
}

/** The promise, or a rejection after half a minute. */
export async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const late = new AbortController();
  const tooLate = after(WAIT_MS_MAX, null, { signal: late.signal }).then(() => {
    throw new Error(`after ${WAIT_MS_MAX / 1000} s: ${what}`);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    late.abort();
    tooLate.catch(() => {});
  }
}
