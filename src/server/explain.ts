/**
 * What would happen to a request, and why: the real admission, the real matchers, on an exchange that goes nowhere. Nothing
 * is opened, and no file but the configuration is needed. Features are named in their order and not run: what they do may
 * depend on more than the request's head.
 */
import type { Cache } from "../caching/cache.ts";
import { CacheCounts } from "../caching/counts.ts";
import type { Config, RouteConfig, ServerConfig } from "../config/config.ts";
import type { ProxyError } from "../core/errors.ts";
import type { RequestMessage } from "../core/message.ts";
import type { HttpClient, Kept, PasswordHasher, SessionStore } from "../core/ports.ts";
import type { HostNames } from "../forward/access.ts";
import { TunnelCounts } from "../forward/tunnel-counts.ts";
import { UserCounter } from "../forward/user-counts.ts";
import { FailedAttempts } from "../identity/failed-attempts.ts";
import { PasswordChecks } from "../identity/password-checks.ts";
import { admit } from "../pipeline/admission.ts";
import { type Answer, type ClientConnection, Exchange } from "../pipeline/exchange.ts";
import { Forks } from "../pipeline/forked.ts";
import { explainRoute } from "../pipeline/routing/explain.ts";
import type { MatchKey } from "../pipeline/routing/match.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import { parseAuthority } from "../semantics/uri.ts";
import { type CacheExplanation, explainCaches } from "./caches/explain.ts";
import { cacheScope } from "./caches/scope.ts";
import { type ComposedServer, composeServers } from "./compose.ts";
import { pacRouteName } from "./compose-pac.ts";
import { CredentialFiles } from "./credential-files.ts";
import { FeatureMakers } from "./features.ts";
import { clock, deadlines, random } from "./surroundings.ts";

export interface Explanation {
  readonly server: ServerConfig;
  /** Refused before any route was looked at; null: not. */
  readonly refused: ProxyError | null;
  /** The path that routes are matched with. */
  readonly path: string;
  /** The client, when a trusted proxy's word counts. */
  readonly client: string;
  /** Routes that did not match, in the order of the file, each with the first key that did not. */
  readonly passedOver: readonly { readonly route: RouteConfig; readonly key: MatchKey }[];
  /** null: none matched, which is answered with 404, or the PAC file's did. */
  readonly route: RouteConfig | null;
  /** The server's PAC file is the answer. */
  readonly isPac: boolean;
  /** Of the route. */
  readonly caches: readonly CacheExplanation[];
}

/** `client` is the address of the connection's other end. `serverName` must be the name of a server. */
export async function explainRequest(
  config: Config,
  serverName: string,
  request: RequestMessage,
  client: string,
): Promise<Explanation> {
  const composed = (await composeForInspection(config)).find((server) => server.config.name === serverName)!;
  const server = composed.config;
  const exchange = new ExplainedExchange(request, client);
  const refused = admit(exchange, composed.site);
  const facts = { server, refused, path: request.path, client: exchange.clientAddress };
  if (refused !== null) return { ...facts, passedOver: [], route: null, isPac: false, caches: [] };
  const { matched, passedOver } = explainRoute(composed.entries, exchange);
  const routeOf = (name: string): RouteConfig | null => server.routes.find((route) => route.name === name) ?? null;
  const route = matched === null ? null : routeOf(matched.name);
  return {
    ...facts,
    passedOver: passedOver.flatMap(({ route: { name }, key }) => {
      const route = routeOf(name);
      return route === null ? [] : [{ route, key }];
    }),
    route,
    isPac: matched?.name === pacRouteName(server.name),
    caches:
      route === null ? [] : explainCaches(exchange, route.use, (index) => cacheScope(route, index, config.upstreams)),
  };
}

/** The servers of a configuration with everything but connections. */
export async function composeForInspection(config: Config): Promise<readonly ComposedServer[]> {
  const features = {
    clock,
    random,
    deadlines,
    attempts: new FailedAttempts(clock),
    forward: { tunnels: TunnelCounts.ofOneThread(), users: UserCounter.ofOneThread() },
    passwords: new PasswordChecks(NO_HASHER, clock),
    files: CredentialFiles.unread,
    cache: () => NO_CACHE,
    sessions: () => NO_SESSIONS,
    fetchFor: () => NO_FETCH,
    kept: NOTHING_KEPT,
    cacheFacts: () => null,
    http: () => NO_CALLS,
  };
  const nowhere = {
    upstream: () => NOWHERE,
    forward: () => ({ destinations: NOWHERE, names: NO_NAMES, interception: null, isOwnAddress: () => false }),
    observer: () => null,
    forks: new Forks(),
    makers: await FeatureMakers.load(config),
    features,
    instance: "",
  };
  return composeServers(config, { clock, deadlines, ...nowhere });
}

/** The servers that listen where the request's URL points. */
export function serversAt(config: Config, request: RequestMessage): readonly ServerConfig[] {
  const port = parseAuthority(request.authority)?.port ?? (request.scheme === "https" ? 443 : 80);
  return config.servers.filter(({ listen }) =>
    listen.some(({ address, tls }) => {
      return address.kind === "tcp" && address.port === port && (tls !== null) === (request.scheme === "https");
    }),
  );
}

/** An exchange that is only looked at. */
export class ExplainedExchange extends Exchange {
  readonly routeName = null;

  constructor(request: RequestMessage, client: string) {
    const family = client.includes(":") ? 6 : 4;
    const connection: ClientConnection = {
      local: { family, address: family === 6 ? "::" : "0.0.0.0", port: 0 },
      remote: { family, address: client, port: 0 },
      tls: null,
    };
    super(connection, request, 0);
  }

  respond(_answer: Answer): boolean {
    return false;
  }

  wholeBody(_bytesMax: number): Promise<Buffer> {
    return Promise.resolve(Buffer.alloc(0));
  }

  informational(): void {}

  fork(): never {
    throw new Error("an exchange that is looked at sends nothing");
  }

  forkPoint(): never {
    throw new Error("an exchange that is looked at sends nothing");
  }

  fail(_error: ProxyError): void {}
}

/** Features are not run. */
const NO_HASHER: PasswordHasher = { verify: () => Promise.resolve(false) };
/** Nothing is asked of anybody. */
const NO_CALLS: HttpClient = {
  send() {
    throw new Error("a configuration that is looked at makes no calls");
  },
};

/** No name is resolved. */
const NO_NAMES: HostNames = { leadsTo: () => false };

/** Stands for every upstream: routes name one, and nothing is sent. */
const NOWHERE: Upstream = {
  name: "",
  lease: () => ({ cancel() {}, allowRetry: () => false }),
};

/** Stands for the web: nobody asks it either. */
const NOTHING_KEPT: Kept = (_kind, _options, make) => make();

const NO_FETCH = () => Promise.reject(new Error("nothing is fetched here"));

/** Stands for every cache: the feature holds one, and nobody asks it. */
const NO_CACHE: Cache = {
  name: "",
  objectBytesMax: 0,
  counts: CacheCounts.ofOneThread(),
  find: () => null,
  acquire: () => ({ cancel() {} }),
  refresh() {},
  invalidate: () => Promise.resolve(),
  invalidateTag: () => Promise.resolve(),
};

/** Stands for every store: features hold one, and nobody asks it. */
const NO_SESSIONS: SessionStore = {
  peek: () => null,
  get: () => Promise.resolve(null),
  put: () => Promise.resolve(),
  delete: () => Promise.resolve(false),
  async *list() {},
  close: () => Promise.resolve(),
};
