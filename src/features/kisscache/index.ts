/**
 * kisscache's interface over the shared cache: a request names in its query, or in its path, the URL of a download, and gets it from
 * the cache or through it. Two features stand around those of the forward proxy: the entrance turns the request into one for the
 * origin, which then meets the forward proxy's rules and the cache like one that its client had sent there; the exit stands behind
 * the cache, on the way to the origin alone.
 *
 * What becomes of a wish:
 * - `ttl`, or the option of that name, is how old a kept download may be: it goes to the cache as max-age of the request (RFC 9111
 *   section 5.2.1.1). What the origin says of freshness does not count, as with kisscache; only answers of 200 are kept.
 * - The fields that are to be passed go to the origin, and are part of what tells downloads apart.
 * - Over the quota the cache is asked for what it has (only-if-cached), and its 504 becomes kisscache's 507.
 * - A redirect leads back to this interface, so that what it leads to meets the same rules and the same cache.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { ResponseMessage } from "../../core/message.ts";
import type { Clock } from "../../core/ports.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { contentDisposition, keepRequestFields, keepResponseFields } from "./fields.ts";
import type { KisscacheOptions } from "./options.ts";
import { PASSED_FIELD } from "./passed-field.ts";
import { type StoreFacts, statusOf } from "./status.ts";
import { type Download, redirected, wishOf } from "./wish.ts";

export interface KisscachePorts {
  readonly clock: Clock;
  /** What is known of the cache; null: not yet. */
  facts(): StoreFacts | null;
  /**
   * Makes the request one for the URL, as if a client of the forward proxy had sent it; `user` is who that is. Says why it cannot be.
   */
  sendElsewhere(exchange: Exchange, url: string, user: Identity | null): ProxyError | null;
}

export interface KisscacheFeatures {
  /** Before those of the forward proxy. */
  readonly entrance: Feature;
  /** Behind the cache. */
  readonly exit: Feature;
}

export function createKisscache(options: KisscacheOptions, ports: KisscachePorts): KisscacheFeatures {
  return { entrance: new Entrance(options, ports), exit: new Exit() };
}

/** What an origin is told of who downloads: the same for all, so that all may have the same. */
const USER_AGENT = "headgate";

const TEXT = [["Content-Type", "text/plain; charset=utf-8"]] as const;
const FRESH_TEXT = [...TEXT, ["Cache-Control", "no-store"]] as const;
const FRESH_JSON = [
  ["Content-Type", "application/json"],
  ["Cache-Control", "no-store"],
] as const;

const HELP = `Downloads through a shared cache.

GET /api/v1/fetch?url=URL[&ttl=10d][&passheaders=NAME,NAME]
GET /api/v1/fetch/NAME?url=URL
GET /URL, percent-encoded whole
GET /api/v1/health/
GET /api/v1/status/
`;

interface Wanted {
  readonly download: Download;
  /** The cache was asked for what it has and for nothing more. */
  readonly isOverQuota: boolean;
}

class Entrance implements Feature {
  readonly name = "kisscache";
  readonly #options: KisscacheOptions;
  readonly #ports: KisscachePorts;

  constructor(options: KisscacheOptions, ports: KisscachePorts) {
    this.#options = options;
    this.#ports = ports;
  }

  request(exchange: Exchange): void {
    const { request } = exchange;
    if (request.method !== "GET" && request.method !== "HEAD") {
      exchange.respond({ status: 405, fields: [["Allow", "GET, HEAD"], ...TEXT], body: "GET or HEAD\n" });
      return;
    }
    const wish = wishOf(request.path, request.query);
    switch (wish.kind) {
      case "download":
        return this.#download(exchange, wish.download);
      case "wrong":
        exchange.respond({ status: 400, fields: TEXT, body: wish.message });
        return;
      case "unknown":
        exchange.respond({ status: 404, fields: TEXT, body: HELP });
        return;
      case "help":
        exchange.respond({ status: 200, fields: TEXT, body: HELP });
        return;
      case "health":
        exchange.respond({ status: 200, fields: FRESH_TEXT, body: "ok" });
        return;
      case "status":
        exchange.respond({ status: 200, fields: FRESH_JSON, body: this.#status(exchange) });
    }
  }

  #download(exchange: Exchange, download: Download): void {
    const { request } = exchange;
    if (request.bodyBytes !== 0) {
      exchange.respond({ status: 400, fields: TEXT, body: "a download is asked for without a body" });
      return;
    }
    keepRequestFields(request.fields, download.passHeaders ?? this.#options.passHeaders);
    // Who proved who he is to us is a user of the forward proxy; the origin's answer is the same for all of them.
    const user = exchange.identity;
    exchange.identity = null;
    const refused = this.#ports.sendElsewhere(exchange, download.url.href, user);
    if (refused !== null) return exchange.fail(refused);
    const isOverQuota = this.#isOverQuota();
    const seconds = download.ttl?.seconds ?? Math.floor(this.#options.ttl / 1000);
    request.fields.set("Cache-Control", `max-age=${seconds}${isOverQuota ? ", only-if-cached" : ""}`);
    request.fields.set("User-Agent", USER_AGENT);
    request.fields.set("Accept-Encoding", "identity");
    exchange.passesTrailers = false;
    exchange.locals.set(this, { download, isOverQuota } satisfies Wanted);
  }

  response(exchange: Exchange, response: ResponseMessage): void {
    const wanted = exchange.locals.get(this) as Wanted | undefined;
    // What is ours says for itself what it is.
    if (wanted === undefined || exchange.error !== null) return;
    const { fields, status } = response;
    keepResponseFields(fields);
    fields.set("X-Content-Type-Options", "nosniff");
    if (status >= 300 && status < 400 && status !== 304) this.#lead(response, wanted.download);
    else if (status < 400) fields.set("Content-Disposition", contentDisposition(wanted.download.name));
  }

  /** The cache has been asked for nothing but what it has, and does not have it. */
  proxyError(exchange: Exchange, error: ProxyError): void {
    const wanted = exchange.locals.get(this) as Wanted | undefined;
    if (wanted?.isOverQuota === true && error.status === 504) {
      exchange.respond({ status: 507, fields: FRESH_TEXT, body: "the cache holds as much as it may, and not this\n" });
    }
  }

  /** Where a redirect leads cannot be fetched by us, or what it says is no URL: then it leads nowhere. */
  #lead({ fields }: ResponseMessage, download: Download): void {
    const location = fields.get("location");
    if (location === null) return;
    const target = redirected(download, location);
    if (target === null) fields.delete("location");
    else fields.set("Location", target);
  }

  #isOverQuota(): boolean {
    const { quota } = this.#options;
    return quota !== null && (this.#ports.facts()?.bytes ?? 0) >= quota;
  }

  #status({ request }: Exchange): string {
    const { clock } = this.#ports;
    const instance = `${request.scheme}://${request.authority}/`;
    return JSON.stringify(statusOf(this.#ports.facts(), this.#options.quota, instance, clock.wallMs()));
  }
}

/** What the cache and the entrance have said to each other is nothing that the origin has to know, and the other way round. */
class Exit implements Feature {
  readonly name = "kisscache";

  request({ request: { fields } }: Exchange): void {
    fields.delete(PASSED_FIELD);
    fields.delete("cache-control");
  }

  /** A download is as old as it has been here, as with kisscache. */
  upstreamResponse(_exchange: Exchange, { fields }: ResponseMessage): void {
    fields.delete("age");
    fields.delete("date");
  }
}
