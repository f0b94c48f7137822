/** A configuration that is wrong in itself, with everything that is wrong with it. */
import { type ConfigProblem, formatProblem } from "../config/problems.ts";

export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}
