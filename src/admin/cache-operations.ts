/**
 * What may be asked of the caches, and what may be done to them. It reads what is asked out of a query or a JSON body, and says
 * what was wrong with it; what a cache makes of it is the cache's own matter.
 */
import type { ListOrder } from "../caching/operating.ts";
import type { CacheAnswer, CacheControl } from "../server/caches/control.ts";
import { Refusal } from "./refusal.ts";
import type { Operation } from "./router.ts";

/** Entries that are listed unless somebody asks for more: some screens. */
const LISTED_DEFAULT = 100;
/** More is a file to be searched by other means, and some MiB of JSON in memory. */
export const LISTED_MAX = 10_000;

const ORDERS = ["size", "age", "uses", "expires"] as const satisfies readonly ListOrder[];
const KINDS = ["url", "prefix", "host", "wildcard", "tag"] as const;

const REFUSED = { "no pattern": 400, "no such cache": 404, failed: 503 } as const;

/** What a purge promises, in the answer to each. */
const HARD = "no request that begins from now on gets what was purged, on any worker";
const SOFT =
  "what was met is stale on every worker: it is validated before it is given, or given as stale where that is allowed";

export function cacheOperations(caches: CacheControl): readonly Operation[] {
  return [
    {
      method: "GET",
      path: "/cache/stats",
      sentence: "Says of each cache what it holds, how requests were served from it, and what went and why.",
      run: () => ({ caches: caches.stats() }),
    },
    {
      method: "GET",
      path: "/cache/list",
      sentence: "Lists what is stored. Query: cache=NAME, search=TEXT of the URL, sort=size|age|uses|expires, limit=N.",
      run: async ({ query }) => {
        const order = ORDERS.find((one) => one === (query.get("sort") ?? "size"));
        if (order === undefined) throw new Refusal(400, `sort is one of ${ORDERS.join(", ")}`);
        const limit = Number(query.get("limit") ?? LISTED_DEFAULT);
        if (!Number.isInteger(limit) || limit < 1 || limit > LISTED_MAX) {
          throw new Refusal(400, `limit is a number from 1 to ${LISTED_MAX}`);
        }
        const asked = { search: query.get("search") ?? "", order, limit };
        return answered(await caches.list(query.get("cache"), asked));
      },
    },
    {
      method: "POST",
      path: "/cache/purge",
      sentence:
        'Purges what matches one of url, prefix, host, wildcard and tag, in all caches or in one: {"prefix": "https://a.example/pool/", "soft": false, "cache": NAME}. In force on all workers when it answers.',
      run: async ({ body }) => {
        const { cache, soft, ...rest } = fieldsOf(body, ["cache", "soft", ...KINDS]);
        const [given, ...others] = Object.entries(rest);
        if (given === undefined || others.length > 0) throw new Refusal(400, `needs one of ${KINDS.join(", ")}`);
        const [kind, text] = given;
        if (typeof text !== "string") throw new Refusal(400, `${kind} must be text`);
        if (soft !== undefined && typeof soft !== "boolean") throw new Refusal(400, "soft is true or false");
        const isSoft = soft === true;
        const outcome = answered(await caches.purge(nameOf(cache), { kind, text }, isSoft));
        const entries = outcome.caches.reduce((sum, one) => sum + one.entries, 0);
        return { entries, ...outcome, promise: isSoft ? SOFT : HARD };
      },
    },
    {
      method: "POST",
      path: "/cache/verify",
      sentence: 'Reads all that is stored and compares it with its checksums; what is damaged goes: {"cache": NAME}.',
      run: async ({ body }) => {
        const { cache } = fieldsOf(body, ["cache"]);
        return answered(await caches.verify(nameOf(cache)));
      },
    },
  ];
}

function answered<T>(answer: CacheAnswer<T>): { readonly caches: readonly (T & { readonly name: string })[] } {
  if (!answer.ok) throw new Refusal(REFUSED[answer.why], answer.reason);
  return { caches: answer.caches };
}

/** Throws a Refusal when a field is none of these: a misspelled one would be taken for left out. */
function fieldsOf(body: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (body === null) return {};
  if (typeof body !== "object" || Array.isArray(body)) throw new Refusal(400, "the body must be a JSON object");
  const unknown = Object.keys(body).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Refusal(400, `unknown field ${JSON.stringify(unknown)}; there is ${known.join(", ")}`);
  return body as Readonly<Record<string, unknown>>;
}

function nameOf(cache: unknown): string | null {
  if (cache === undefined || cache === null) return null;
  if (typeof cache !== "string") throw new Refusal(400, "cache is the name of a cache");
  return cache;
}
