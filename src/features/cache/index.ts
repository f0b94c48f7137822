/**
 * The feature `cache`: a shared cache in front of where a route, or a client of the forward proxy, goes. This file decides what
 * becomes of a request at once: a fresh answer is given, a stale one too where that is allowed, what is no matter of the cache passes,
 * and everything else waits as a Visit. The rules of HTTP are those of semantics/caching, what is stored is a Cache of caching/.
 *
 * A hit makes a key, a look-up and an answer: no promise, no closure, and nothing is parsed of a request that says nothing about it.
 */
import type { Cache, CachedAnswer } from "../../caching/cache.ts";
import type { DeadlineWheel } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import { FIELD_AUTHORIZATION, fieldIdOf } from "../../core/field-names.ts";
import type { ResponseMessage } from "../../core/message.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { CacheNote, Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature, Waiting } from "../../pipeline/phases.ts";
import { ageOf } from "../../semantics/caching/answer-head.ts";
import {
  NO_REQUEST_DIRECTIVES,
  type RequestDirectives,
  requestDirectives,
} from "../../semantics/caching/cache-control.ts";
import type { ForwardReason } from "../../semantics/caching/cache-status.ts";
import { isSafe } from "../../semantics/caching/invalidation.ts";
import { mayReuse } from "../../semantics/caching/reuse.ts";
import { authenticatesConnection } from "../../semantics/connection-auth.ts";
import { hasForwarded } from "../../semantics/forwarded.ts";
import { normalisePath } from "../../semantics/uri.ts";
import { isBypassed } from "./bypass.ts";
import type { CacheContext } from "./context.ts";
import { AnswerGiver, isWhole } from "./give.ts";
import { ToldIdentities } from "./identities.ts";
import { authorityOf, CacheKeys, urlOf } from "./keys.ts";
import type { CacheOptions } from "./options.ts";
import { hasOverride } from "./overrides.ts";
import { onPassedAnswer, PassNote } from "./passing.ts";
import type { RequestReason } from "./reasons.ts";
import { Refresh } from "./refresh.ts";
import { AnswerRules } from "./rules.ts";
import { HitLines, statusOf } from "./status.ts";
import { templateOf } from "./template.ts";
import { UseCounts } from "./uses.ts";
import { rangeAim, Visit, type VisitFacts } from "./visit.ts";

const FIELD_CACHE_CONTROL = fieldIdOf("cache-control");
const FIELD_PRAGMA = fieldIdOf("pragma");

const HIT: CacheNote = { outcome: "hit", reason: null };
const STALE: CacheNote = { outcome: "stale", reason: null };

export interface CachePorts {
  readonly cache: Cache;
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly random: Random;
  /**
   * Tells apart what one URL leads to on different routes: equal texts where it leads to the same. Made of where the route goes and of
   * the features behind the cache, which change requests and answers.
   */
  readonly scope: string;
}

export function createCacheFeature(options: CacheOptions, ports: CachePorts): Feature {
  return new CacheFeature(options, ports);
}

class CacheFeature implements Feature {
  readonly name = "cache";
  readonly #options: CacheOptions;
  readonly #context: CacheContext;
  readonly #answersHead: boolean;
  readonly #keyHasAuthorization: boolean;
  readonly #told: ToldIdentities;
  readonly #uses: UseCounts | null;
  /** Requests that wait. */
  readonly #visits = new Map<Exchange, Visit>();
  /** Keys of what is fetched anew in the background, or is about to be. */
  readonly #refreshed = new Set<string>();

  constructor(options: CacheOptions, { cache, clock, deadlines, random, scope }: CachePorts) {
    this.#options = options;
    this.#answersHead = options.methods.includes("HEAD");
    this.#keyHasAuthorization = options.key.headers.includes("authorization");
    this.#told = new ToldIdentities(options.key.headers);
    this.#uses = options.minUses > 1 ? new UseCounts() : null;
    this.#context = {
      options,
      cache,
      clock,
      deadlines,
      keys: new CacheKeys(options.key, scope),
      rules: new AnswerRules(options),
      giver: new AnswerGiver(random),
      hitLines: new HitLines(options.statusHeader),
      reuseRules: { honoursRequest: options.clientControl },
      objectBytesMax: Math.min(options.maxObject, cache.objectBytesMax),
      invalidate: (key) => void cache.invalidate(key).catch(() => {}),
    };
  }

  request(exchange: Exchange): Waiting {
    const { request } = exchange;
    const { method, fields } = request;
    const isHead = method === "HEAD";
    if (method !== "GET" && !(isHead && this.#answersHead)) return this.#passMethod(exchange, method);
    const refused = reasonOf(exchange);
    if (refused !== null) return pass(exchange, refused);
    const { bypass } = this.#options;
    if (bypass.length > 0 && isBypassed(bypass, exchange, pathOf(exchange))) return pass(exchange, "bypass");
    const { cache, keys, clock, giver, hitLines, reuseRules } = this.#context;
    const key = keys.of(exchange);
    if (key === null) return pass(exchange, request.authority === "" ? "no-host" : "key-too-long");
    const saysNothing = fields.rowOfId(FIELD_CACHE_CONTROL) < 0 && fields.rowOfId(FIELD_PRAGMA) < 0;
    const directives = saysNothing ? NO_REQUEST_DIRECTIVES : requestDirectives(fields);
    if (directives.noStore) return pass(exchange, "request-no-store");
    const found = cache.find(key, fields);
    if (found === null) return this.#miss(exchange, key, directives);

    const ageMs = ageOf(found.head, clock.wallMs());
    const reuse = mayReuse(found.head, ageMs, directives, reuseRules, false);
    let forward: ForwardReason = "stale";
    switch (reuse) {
      case "fresh":
      case "stale-accepted":
      case "stale-while-revalidate": {
        const given = giver.give(exchange, found, hitLines.of(ageMs, found.head.freshMs));
        if (given === "given") {
          exchange.cache = reuse === "fresh" ? HIT : STALE;
          if (reuse === "stale-while-revalidate") this.#refresh(exchange, key, found);
          return;
        }
        if (directives.onlyIfCached) return this.#refuse(exchange);
        if (given === "ask-origin") return pass(exchange, "condition");
        if (given === "unreadable") return this.#miss(exchange, key, directives);
        forward = "partial";
        break;
      }
      case "unavailable":
        return this.#refuse(exchange);
      case "validate-asked":
        forward = "request";
    }
    return this.#visit(exchange, { ...this.#facts(exchange, key, directives), seen: found, forward });
  }

  /** Nothing is there. */
  #miss(exchange: Exchange, key: string, directives: RequestDirectives): Waiting {
    if (directives.onlyIfCached) return this.#refuse(exchange);
    if (this.#uses !== null && this.#uses.count(key) < this.#options.minUses) return pass(exchange, "uses", "miss");
    return this.#visit(exchange, { ...this.#facts(exchange, key, directives), seen: null, forward: "miss" });
  }

  #facts(exchange: Exchange, key: string, directives: RequestDirectives): Omit<VisitFacts, "seen" | "forward"> {
    return { key, path: pathOf(exchange), directives, isIdentified: this.#isIdentified(exchange) };
  }

  #visit(exchange: Exchange, facts: VisitFacts): Waiting {
    const { request } = exchange;
    const { fields } = request;
    const { key, path, isIdentified, seen, forward } = facts;
    if (request.method === "HEAD") {
      // The answer to HEAD is no answer to GET: it passes, and what is there is compared with it.
      const requestedMs = this.#context.clock.wallMs();
      const isComparable = seen !== null && isAsOthersAsk(exchange, key);
      const head = isComparable ? { key, path, stored: seen, isIdentified, requestedMs } : null;
      exchange.cache = new PassNote("head", forward, null, head);
      return;
    }
    // Such credentials are for a connection; a fork has none that is its client's.
    if (authenticatesConnection(fields)) return pass(exchange, "authorization", forward);
    if (hasOverride(fields)) return pass(exchange, "override", forward);
    if (!URL.canParse(urlOf(key))) return pass(exchange, "no-host", forward);
    const visit = new Visit(this.#context, exchange, facts);
    const waiting = visit.begin();
    if (!visit.isOver) this.#visits.set(exchange, visit);
    return waiting;
  }

  response(exchange: Exchange, response: ResponseMessage): Waiting {
    const note = exchange.cache;
    if (note instanceof PassNote) return onPassedAnswer(this.#context, exchange, response, note);
  }

  log(exchange: Exchange): void {
    const { cache } = exchange;
    if (cache !== null) this.#context.cache.counts.count(cache.outcome, exchange.responseBodyBytes);
    if (this.#visits.size === 0) return;
    const visit = this.#visits.get(exchange);
    if (visit === undefined) return;
    this.#visits.delete(exchange);
    visit.leave();
  }

  /** What changes something makes obsolete what is stored of it. */
  #passMethod(exchange: Exchange, method: string): void {
    if (method === "CONNECT") return;
    const isUnverified = exchange.forward?.isHostVerified === false;
    const key = isSafe(method) || isUnverified ? null : this.#context.keys.of(exchange);
    const changed = key !== null && URL.canParse(urlOf(key)) ? key : null;
    exchange.cache = new PassNote("method", "method", changed);
  }

  #refuse(exchange: Exchange): void {
    exchange.cache = { outcome: "pass", reason: "only-if-cached" };
    const { statusHeader } = this.#options;
    exchange.fail(
      new ProxyError("http_request_error", "the client wants nothing but what is stored", {
        status: 504,
        reason: "only_if_cached",
        fields: statusHeader ? [["Cache-Status", statusOf({ detail: "only-if-cached" })]] : [],
      }),
    );
  }

  #refresh(exchange: Exchange, key: string, seen: CachedAnswer): void {
    if (this.#refreshed.has(key)) return;
    const { fields } = exchange.request;
    if (hasOverride(fields) || authenticatesConnection(fields)) return;
    // Of what is there in part, no more is fetched than the client asks for.
    const aim = isWhole(seen.body) ? "validation" : rangeAim(fields);
    if (aim === null) return;
    this.#refreshed.add(key);
    const job = {
      key,
      url: urlOf(key),
      path: pathOf(exchange),
      aim,
      seen,
      directives: NO_REQUEST_DIRECTIVES,
      isIdentified: this.#isIdentified(exchange),
      template: templateOf(exchange, key),
      point: exchange.forkPoint(),
    } as const;
    new Refresh(this.#context, job, () => this.#refreshed.delete(key)).begin();
  }

  /** The request says who asks, and the key does not: RFC 9111 section 3.5. */
  #isIdentified({ request: { fields }, identity, forward }: Exchange): boolean {
    if (identity !== null && !(this.#options.key.identity && tellsApart(identity))) return true;
    if (!this.#keyHasAuthorization && fields.rowOfId(FIELD_AUTHORIZATION) >= 0) return true;
    return this.#told.areIn(fields, forward !== null);
  }
}

/** Whether all that was proved names somebody. */
function tellsApart({ isShared, besides }: Identity): boolean {
  return isShared !== true && (besides === undefined || tellsApart(besides));
}

function pass(exchange: Exchange, reason: RequestReason, forward: ForwardReason = "bypass"): void {
  exchange.cache = new PassNote(reason, forward);
}

/** Why a GET or HEAD is no matter of the cache; null: it is. */
function reasonOf({ request, forward }: Exchange): RequestReason | null {
  if (request.upgrade !== null) return "upgrade";
  if (request.bodyBytes !== 0) return "request-body";
  return forward !== null && !forward.isHostVerified ? "host-unverified" : null;
}

/** What is answered to it says something of the key's URL: it goes as it came, and nothing in it leads somewhere else. */
function isAsOthersAsk({ request: { fields }, forward }: Exchange, key: string): boolean {
  if (fields.get("host") !== authorityOf(key)) return false;
  if (hasOverride(fields) || authenticatesConnection(fields)) return false;
  // A fork of it is sent without these, see templateOf.
  return forward === null || !hasForwarded(fields);
}

/** As rules and conditions know it: normalised, also where it is sent on as it came. */
function pathOf({ request, forward }: Exchange): string {
  return forward === null ? request.path : (normalisePath(request.path) ?? request.path);
}
