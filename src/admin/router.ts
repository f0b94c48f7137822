/**
 * Operations, and which of them a request means. An operation is an exact path and a method; what else it needs stands in the
 * query or in the JSON of the body. `GET /` lists them all with their sentences.
 */
import { Refusal } from "./refusal.ts";

export interface AdminRequest {
  readonly query: URLSearchParams;
  /** The JSON of the body; null when there is none. */
  readonly body: unknown;
}

export interface Operation {
  /** GET only tells, POST changes something. */
  readonly method: "GET" | "POST";
  readonly path: string;
  /** What it does, for a person. */
  readonly sentence: string;
  /** The JSON of the answer; a Refusal may be thrown. A Farewell ends the process. */
  run(request: AdminRequest): unknown;
}

/** The answer of an operation that ends the process: `begin` is called when it has left. */
export class Farewell {
  readonly body: unknown;
  readonly begin: () => void;

  constructor(body: unknown, begin: () => void) {
    this.body = body;
    this.begin = begin;
  }
}

export class Router {
  readonly #paths = new Map<string, Operation[]>();

  constructor(operations: readonly Operation[]) {
    const list: Operation = {
      method: "GET",
      path: "/",
      sentence: "Lists the operations.",
      run: () => ({ operations: all.map(({ method, path, sentence }) => ({ method, path, sentence })) }),
    };
    const all = [list, ...operations];
    for (const operation of all) {
      const { method, path } = operation;
      const there = this.#paths.get(path) ?? [];
      if (there.some((other) => other.method === method)) throw new Error(`two operations for ${method} ${path}`);
      this.#paths.set(path, [...there, operation]);
    }
  }

  /** HEAD finds what GET does. Throws a Refusal: 404, or 405 with the methods that are there. */
  find(method: string, path: string): Operation {
    const there = this.#paths.get(path);
    if (there === undefined) throw new Refusal(404, `there is no ${path} here; GET / lists what there is`);
    const wanted = method === "HEAD" ? "GET" : method;
    const operation = there.find((candidate) => candidate.method === wanted);
    if (operation !== undefined) return operation;
    const allowed = there.flatMap((candidate) => (candidate.method === "GET" ? ["GET", "HEAD"] : [candidate.method]));
    throw new MethodNotAllowed(method, path, allowed);
  }
}

export class MethodNotAllowed extends Refusal {
  readonly allowed: readonly string[];

  constructor(method: string, path: string, allowed: readonly string[]) {
    super(405, `${path} is not for ${method}, but for ${allowed.join(" and ")}`);
    this.name = "MethodNotAllowed";
    this.allowed = allowed;
  }
}
