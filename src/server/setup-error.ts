/**
 * A configuration that is right in itself and asks for what this machine cannot give: a port that is taken, a key that
 * cannot be read. It says where in the configuration that is, so that whoever knows the file can point at the line.
 */

export interface SetupProblem {
  /** The keys and indexes that lead to the field, such as ["servers", "web", "listen", 0]. */
  readonly path: readonly (string | number)[];
  /** A sentence for the operator. */
  readonly message: string;
}

export class SetupError extends Error {
  readonly problems: readonly SetupProblem[];

  constructor(problems: readonly SetupProblem[], cause?: unknown) {
    super(problems.map((problem) => problem.message).join("\n"), cause === undefined ? undefined : { cause });
    this.name = "SetupError";
    this.problems = problems;
  }
}
