/** What is wrong with a file that a configuration names, and what becomes of it. */
import { SetupError, type SetupProblem } from "./setup-error.ts";

export interface FileProblem extends SetupProblem {
  /** The paths of what cannot be used for it: a certificate and its key go together. */
  readonly files: readonly string[];
  /** What they held when they were read before is used on. */
  readonly isKept: boolean;
}

/** Throws a SetupError when there are problems and not all of those files are kept. */
export function unlessKept(problems: readonly FileProblem[]): void {
  if (problems.some(({ isKept }) => !isKept)) throw new SetupError(problems);
}
