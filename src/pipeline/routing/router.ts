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

/**
 * Candidates in the order of the file. A list of links, and not an array: of thousands of them, nearly all have one, and what a
 * request looks at is not in the processor's cache.
 */
interface Link extends Candidate {
  readonly next: Link | null;
}

/** One for all routes that ask for nothing else. */
const NO_CONDITIONS: readonly Condition[] = [];

/** @throws RangeError or SyntaxError when a network or a regular expression is invalid. */
export function compileRouter(entries: readonly RouteEntry[]): Router {
  const candidates = entries.map(({ match, route }, position): Candidate => {
    const conditions = match === null ? NO_CONDITIONS : otherConditions(match);
    return { position, route, conditions: conditions.length === 0 ? NO_CONDITIONS : conditions };
  });
  const takesAll = ({ match }: RouteEntry, position: number) =>
    (match === null || (match.host === null && match.path === null)) &&
    candidates[position]!.conditions === NO_CONDITIONS;
  // What stands behind a route that takes everything is never reached.
  const last = entries.findIndex(takesAll);
  if (last === 0) return { find: () => entries[0]!.route };
  const index = new HostIndex();
  // The last first: each is linked in front of those behind it.
  for (let position = last < 0 ? entries.length - 1 : last; position >= 0; position--) {
    const { match } = entries[position]!;
    index.add(match?.host ?? null, match?.path ?? null, candidates[position]!);
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

type LinksByPath = Map<string, Link>;

class PathIndex {
  #any: Link | null = null;
  #exact: LinksByPath | null = null;
  /** By what stands before the last slash of "/jmap/*"; "" for "/*". */
  #prefixes: LinksByPath | null = null;
  #prefixLengthMax = 0;

  add(paths: readonly string[] | null, candidate: Candidate): void {
    if (paths === null) {
      this.#any = { ...candidate, next: this.#any };
      return;
    }
    for (const path of paths) {
      if (path.endsWith("/*")) {
        const prefix = path.slice(0, -2);
        this.#prefixLengthMax = Math.max(this.#prefixLengthMax, prefix.length);
        this.#prefixes ??= new Map();
        prepend(this.#prefixes, prefix, candidate);
      } else {
        this.#exact ??= new Map();
        prepend(this.#exact, path, candidate);
      }
    }
  }

  /** The candidate with the lowest position that matches; `best` when none comes before it. */
  first(subject: RoutedRequest, best: Candidate | null): Candidate | null {
    if (this.#exact !== null) best = earlier(this.#exact.get(subject.request.path), subject, best);
    if (this.#prefixes !== null) best = this.#firstOfPrefix(this.#prefixes, subject, best);
    return earlier(this.#any, subject, best);
  }

  #firstOfPrefix(prefixes: LinksByPath, subject: RoutedRequest, best: Candidate | null): Candidate | null {
    const { path } = subject.request;
    // "*", the target of OPTIONS for the server as a whole, has no prefix.
    if (!path.startsWith("/")) return best;
    for (let slash = 0; slash >= 0 && slash <= this.#prefixLengthMax; slash = path.indexOf("/", slash + 1)) {
      best = earlier(prefixes.get(path.slice(0, slash)), subject, best);
    }
    return path.length <= this.#prefixLengthMax ? earlier(prefixes.get(path), subject, best) : best;
  }
}

function prepend(map: LinksByPath, path: string, candidate: Candidate): void {
  map.set(path, { ...candidate, next: map.get(path) ?? null });
}

/** The first of the list that matches and comes before `best`. */
function earlier(list: Link | null | undefined, subject: RoutedRequest, best: Candidate | null): Candidate | null {
  for (let link = list ?? null; link !== null; link = link.next) {
    if (best !== null && link.position >= best.position) return best;
    if (holdsAll(link.conditions, subject)) return link;
  }
  return best;
}

function holdsAll(conditions: readonly Condition[], subject: RoutedRequest): boolean {
  for (const condition of conditions) {
    if (!condition.holds(subject)) return false;
  }
  return true;
}
