/**
 * The whole pipeline on the simulated network: a site named "proxy:80" in front of an upstream "origin:80". Dialogue tests
 * say what the client and the origin send, and what must arrive.
 */
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { compileChain } from "../../src/pipeline/chain.ts";
import { Http1Driver } from "../../src/pipeline/drivers/http1.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Forks } from "../../src/pipeline/forked.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { ViaLines } from "../../src/pipeline/prepare.ts";
import type { ConnectionLimits, Handler, Route, RouteLimits, Site } from "../../src/pipeline/site.ts";
import type { UpstreamUse } from "../../src/pipeline/upstream.ts";
import { CidrSet } from "../../src/semantics/cidr.ts";
import { type Peer, type ScriptedOrigin, SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { type PoolOptions, UpstreamPool } from "../../src/upstreams/pool.ts";
import {
  reportOf,
  type ServerReport,
  ServerStates,
  type StatesPlace,
  statesBytes,
} from "../../src/upstreams/server-states.ts";

export interface StageOptions {
  readonly use?: readonly Feature[];
  readonly handler?: Handler;
  readonly limits?: Partial<RouteLimits>;
  readonly connectionLimits?: Partial<ConnectionLimits>;
  readonly upstreamUse?: Partial<UpstreamUse>;
  readonly pool?: Partial<Omit<PoolOptions, "servers">>;
  /** Authorities of the upstream's servers. */
  readonly servers?: readonly string[];
  readonly upgrade?: readonly string[];
  readonly via?: string | null;
  readonly trustedProxies?: readonly string[];
  readonly halfClose?: boolean;
  /** Default: every path. */
  readonly path?: string;
  readonly network?: ConstructorParameters<typeof SimulatedNetwork>[0];
}

/** What the observer noted of an exchange when it ended. */
export interface Ended {
  readonly method: string;
  readonly path: string;
  readonly status: number | null;
  readonly error: ProxyError | null;
  readonly attempts: number;
  readonly requestBodyBytes: number;
  readonly responseBodyBytes: number;
}

export interface Stage {
  readonly network: SimulatedNetwork;
  readonly origin: ScriptedOrigin;
  readonly pool: UpstreamPool;
  readonly driver: Http1Driver;
  readonly deadlines: DeadlineWheel;
  /** Requests of features' own that are under way. */
  readonly forks: Forks;
  /** Exchanges that ended, in order. */
  readonly ended: Ended[];
  /** What is known of the first server. */
  report(): ServerReport;
  /** A new client. */
  client(): Peer;
  /** Lets time pass. */
  passes(ms: number): void;
}

const LIMITS: RouteLimits = {
  bodyBytesMax: null,
  bodyTimeoutMs: 60_000,
  tunnelIdleMs: 3_600_000,
  tunnelLifetimeMs: null,
};
const CONNECTION_LIMITS: ConnectionLimits = {
  headBytesMax: 32 * 1024,
  requestLineBytesMax: 16 * 1024,
  fieldsMax: 128,
  headTimeoutMs: 10_000,
  idleTimeoutMs: 75_000,
};
const USE: UpstreamUse = { host: "preserve", responseTimeoutMs: 30_000, bodyTimeoutMs: 60_000, retriesMax: 2 };
const POOL = {
  name: "origin",
  balance: "round-robin",
  hashBy: { kind: "client" },
  connectTimeoutMs: 3_000,
  idleMs: 60_000,
  lifetimeMs: 3_600_000,
  connectionsMax: null,
  queueMax: 16,
  queueTimeoutMs: 5_000,
  retryBudgetShare: 0.2,
  retryBudgetMin: 10,
} as const;

/** Stages whose networks splice, or do not. */
export function stagesThat(splices: boolean): (options?: StageOptions) => Stage {
  return (options = {}) => createStage({ ...options, network: { splices, ...options.network } });
}

export function createStage(options: StageOptions = {}): Stage {
  const network = new SimulatedNetwork(options.network);
  const { clock } = network;
  const deadlines = new DeadlineWheel(clock);
  const servers = options.servers ?? ["origin:80"];
  const capacity = servers.length;
  const place: StatesPlace = { memory: new ArrayBuffer(statesBytes(capacity, 1)), capacity, first: 0 };
  const pool = new UpstreamPool(
    {
      ...POOL,
      ...options.pool,
      servers: servers.map((authority) => ({
        url: `http://${authority}`,
        scheme: "http" as const,
        host: authority.split(":")[0]!,
        port: Number(authority.split(":")[1]),
        authority,
        weight: 1,
        tls: null,
      })),
    },
    { dialer: network, clock, deadlines, random: new SeededRandom(1), states: () => new ServerStates(place, 0) },
  );
  const route: Route = {
    name: "web.routes[0]",
    chain: compileChain(options.use ?? []),
    upstream: options.handler === undefined ? pool : null,
    handler: options.handler ?? null,
    use: { ...USE, ...options.upstreamUse },
    upgrade: options.upgrade ?? ["websocket"],
    limits: { ...LIMITS, ...options.limits },
  };
  const ended: Ended[] = [];
  const forks = new Forks();
  const site: Site = {
    name: "web",
    forward: null,
    router: {
      find: (exchange) => (options.path === undefined || exchange.request.path === options.path ? route : null),
    },
    limits: { ...CONNECTION_LIMITS, ...options.connectionLimits },
    halfClose: options.halfClose ?? false,
    trustedProxies: options.trustedProxies === undefined ? null : CidrSet.parse(options.trustedProxies),
    via: options.via === undefined || options.via === null ? null : new ViaLines(options.via),
    observer: { onExchangeEnd: (exchange) => ended.push(note(exchange)) },
    forks,
    clock,
    deadlines,
  };
  const driver = new Http1Driver(site);
  network.listen("proxy:80", (connection) => driver.accept(connection));
  const origin = network.origin(servers[0]!);
  return {
    network,
    origin,
    pool,
    driver,
    deadlines,
    forks,
    ended,
    report: () => reportOf(place, 0, 1),
    client: () => network.connect("proxy:80"),
    passes: (ms) => {
      clock.advance(ms);
      network.run();
    },
  };
}

function note(exchange: Exchange): Ended {
  return {
    method: exchange.request.method,
    path: exchange.request.path,
    status: exchange.response?.status ?? null,
    error: exchange.error,
    attempts: exchange.attempts,
    requestBodyBytes: exchange.requestBodyBytes,
    responseBodyBytes: exchange.responseBodyBytes,
  };
}
