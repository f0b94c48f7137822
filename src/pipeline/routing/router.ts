/**
 * Finds the first route that matches among any number of them. Hosts and paths, which large configurations differ in,
 * are found by hash; a candidate keeps its place in the configuration, and the one with the lowest place wins, so the
 * order of the file decides exactly as if every route were tried in turn.
 *
 *     host -> exact | suffixes of it, longest first | any       each leads to
 *     path -> exact | prefixes of it, by segments   | any       each leads to candidates in the order of the file
 *
 * The other keys are tried on the candidates. What no route asks for is never made: without hosts no host, without
 * paths no path. The work of one lookup is bounded by the longest host and path of the configuration, not by the
 * request's.
 */
import type { Route, Router } from "../site.ts";
import { type Condition, otherConditions, type RoutedRequest, type RouteMatch, routedHost } from "./match.ts";

export interface RouteEntry {
  /** null: every request. */
  readonly match: RouteMatch | null;
  readonly route: Route;
}

/** A route whose host and path have been found: the rest of its conditions decides. */
interface Candidate {
  readonly position: number;
  readonly route: Route;
  readonly conditions: readonly Condition[];
}

/** @throws RangeError or SyntaxError when a network or a regular expression is invalid. */
export function compileRouter(entries: readonly RouteEntry[]): Router {
  const index = new HostIndex();
  for (const [position, { match, route }] of entries.entries()) {
    const conditions = match === null ? [] : otherConditions(match);
    const hosts = match?.host ?? null;
    const paths = match?.path ?? null;
    const takesAll = hosts === null && paths === null && conditions.length === 0;
    if (takesAll && position === 0) return { find: () => route };
    index.add(hosts, paths, { position, route, conditions });
    // What stands behind a route that takes everything is never reached.
    if (takesAll) break;
  }
  return index;
}

class HostIndex implements Router {
  readonly #any = new PathIndex();
  readonly #exact = new Map<string, PathIndex>();
  /** By the name behind "*.". */
  readonly #suffixes = new Map<string, PathIndex>();
  #suffixLengthMax = 0;

  add(hosts: readonly string[] | null, paths: readonly string[] | null, candidate: Candidate): void {
    if (hosts === null) this.#any.add(paths, candidate);
    for (const host of hosts ?? []) {
      if (host.startsWith("*.")) {
        const suffix = host.slice(2);
        this.#suffixLengthMax = Math.max(this.#suffixLengthMax, suffix.length);
        indexOf(this.#suffixes, suffix).add(paths, candidate);
      } else indexOf(this.#exact, host).add(paths, candidate);
    }
  }

  find(subject: RoutedRequest): Route | null {
    let best: Candidate | null = null;
    if (this.#exact.size > 0 || this.#suffixes.size > 0) best = this.#firstOfHost(subject);
    best = this.#any.first(subject, best);
    return best === null ? null : best.route;
  }

  #firstOfHost(subject: RoutedRequest): Candidate | null {
    const host = routedHost(subject.request);
    let best = this.#exact.get(host)?.first(subject, null) ?? null;
    if (this.#suffixes.size === 0) return best;
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      if (host.length - dot - 1 > this.#suffixLengthMax) continue;
      const paths = this.#suffixes.get(host.slice(dot + 1));
      if (paths !== undefined) best = paths.first(subject, best);
    }
    return best;
  }
}

function indexOf(map: Map<string, PathIndex>, host: string): PathIndex {
  let index = map.get(host);
  if (index === undefined) {
    index = new PathIndex();
    map.set(host, index);
  }
  return index;
}

type CandidatesByPath = Map<string, Candidate[]>;

class PathIndex {
  readonly #any: Candidate[] = [];
  #exact: CandidatesByPath | null = null;
  /** By what stands before the last slash of "/jmap/*"; "" for "/*". */
  #prefixes: CandidatesByPath | null = null;
  #prefixLengthMax = 0;

  add(paths: readonly string[] | null, candidate: Candidate): void {
    if (paths === null) {
      this.#any.push(candidate);
      return;
    }
    for (const path of paths) {
      if (path.endsWith("/*")) {
        const prefix = path.slice(0, -2);
        this.#prefixLengthMax = Math.max(this.#prefixLengthMax, prefix.length);
        this.#prefixes ??= new Map();
        push(this.#prefixes, prefix, candidate);
      } else {
        this.#exact ??= new Map();
        push(this.#exact, path, candidate);
      }
    }
  }

  /** The candidate with the lowest position that matches; `best` when none comes before it. */
  first(subject: RoutedRequest, best: Candidate | null): Candidate | null {
    if (this.#exact !== null) best = earlier(this.#exact.get(subject.request.path), subject, best);
    if (this.#prefixes !== null) best = this.#firstOfPrefix(this.#prefixes, subject, best);
    return earlier(this.#any, subject, best);
  }

  #firstOfPrefix(prefixes: CandidatesByPath, subject: RoutedRequest, best: Candidate | null): Candidate | null {
    const { path } = subject.request;
    // "*", the target of OPTIONS for the server as a whole, has no prefix.
    if (!path.startsWith("/")) return best;
    for (let slash = 0; slash >= 0 && slash <= this.#prefixLengthMax; slash = path.indexOf("/", slash + 1)) {
      best = earlier(prefixes.get(path.slice(0, slash)), subject, best);
    }
    return path.length <= this.#prefixLengthMax ? earlier(prefixes.get(path), subject, best) : best;
  }
}

function push(map: CandidatesByPath, path: string, candidate: Candidate): void {
  const list = map.get(path);
  if (list === undefined) map.set(path, [candidate]);
  else list.push(candidate);
}

/** The first of the list, which is in the order of the file, that matches and comes before `best`. */
function earlier(list: Candidate[] | undefined, subject: RoutedRequest, best: Candidate | null): Candidate | null {
  if (list === undefined) return best;
  for (const candidate of list) {
    if (best !== null && candidate.position >= best.position) return best;
    if (holdsAll(candidate.conditions, subject)) return candidate;
  }
  return best;
}

function holdsAll(conditions: readonly Condition[], subject: RoutedRequest): boolean {
  for (const condition of conditions) {
    if (!condition.holds(subject)) return false;
  }
  return true;
}
