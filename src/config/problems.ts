/**
 * Problems of a configuration as a person reads them: one line each, with the place in the file, the path of the field, a
 * plain sentence, and the nearest known name where there is one.
 */

export interface ConfigProblem {
  readonly file: string;
  /** From 1; null where there is no text to point into: a program's own object. */
  readonly line: number | null;
  readonly column: number | null;
  /** "servers.web.routes[0].proxi"; "" for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** What was probably meant, or null. */
  readonly suggestion: string | null;
}

/** A problem before it has its place: where it is by the keys and indexes that lead to it. */
export interface Finding {
  readonly path: Path;
  /** Where to point: at the key, at the value, or at the block in which a field is missing. */
  readonly at: "key" | "value" | "block";
  readonly message: string;
  readonly suggestion?: string | null;
  /** The place itself, as an offset into the text, where the path does not lead to it: mistakes of syntax, a key's double. */
  readonly offset?: number;
  /** Fields of which one is missing: a misspelled one of them is the whole mistake. */
  readonly missing?: readonly Path[];
  /** Fields that are to be written in place of this one: that they are missing goes without saying. */
  readonly instead?: readonly Path[];
}

export type Path = readonly (string | number)[];

/** `headgate.yaml:12:7: servers.web.routes[0].proxi: unknown field; did you mean "proxy"?` */
export function formatProblem(problem: ConfigProblem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  const hint = problem.suggestion === null ? "" : `; did you mean ${JSON.stringify(problem.suggestion)}?`;
  return `${place}: ${path}${problem.message}${hint}`;
}

export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === "" ? step : `.${step}`;
  }
  return text;
}

/** "a", "a or b", "a, b or c" */
export function joinOr(words: readonly string[]): string {
  if (words.length <= 1) return words.join("");
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/**
 * The known name that was probably meant: equal but for case, hyphens and underscores, the beginning of the other, or
 * within a few edits (a third of the length, at least one). null when none is near.
 */
export function nearest(word: string, known: readonly string[]): string | null {
  const plain = (text: string) => text.toLowerCase().replace(/[-_\s]/g, "");
  const same = known.find((name) => plain(name) === plain(word));
  if (same !== undefined) return same;
  const begun = known.find((name) => beginsWith(plain(name), plain(word)) || beginsWith(plain(word), plain(name)));
  if (begun !== undefined) return begun;
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(Math.max(word.length, 3) / 3)) + 1;
  for (const name of known) {
    const distance = editDistance(plain(word), plain(name), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

function beginsWith(text: string, beginning: string): boolean {
  return beginning.length >= 4 && text.startsWith(beginning);
}

/** Edits (insert, delete, replace, swap of neighbours) from one word to another; at most `bound`. */
function editDistance(from: string, to: string, bound: number): number {
  if (Math.abs(from.length - to.length) >= bound) return bound;
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        (last[column] ?? bound) + 1,
        (current[column - 1] ?? bound) + 1,
        (last[column - 1] ?? bound) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) cost = Math.min(cost, (beforeLast[column - 2] ?? bound) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return Math.min(last[to.length] ?? bound, bound);
}
