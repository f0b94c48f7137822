/**
 * Why a commit of the books failed, as the system says it. The library rejects each write with an error that says nothing, and tells
 * the reason by a promise of its own, which nobody else may leave unheard.
 */
import { getSystemErrorName } from "node:util";

interface CommitFailure extends Error {
  readonly commitError?: Promise<never>;
}

/** What the library adds to the system's words: pages and positions. */
const DETAIL = /: Attempting .*/s;

export async function reasonOfCommit(failure: unknown): Promise<Error> {
  const { commitError } = failure as CommitFailure;
  if (commitError === undefined) return failure as Error;
  let reason: Error & { readonly code?: unknown } = failure as Error;
  commitError.catch((error: Error) => {
    reason = error;
  });
  // It comes in this turn, if it comes at all.
  await new Promise(setImmediate);
  const message = reason.message.replace(DETAIL, "");
  const error = new Error(message, { cause: failure });
  return typeof reason.code === "number" && reason.code > 0
    ? Object.assign(error, { code: getSystemErrorName(-reason.code) })
    : error;
}
