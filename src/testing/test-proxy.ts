/**
 * A proxy on a simulated network, for tests of plugins: the real pipeline, the real HTTP/1.1 codec and the real pool, with
 * one route. A test plays the client and the origin, and every byte between them can be looked at.
 *
 *     const proxy = createTestProxy({ use: [myPlugin] });
 *     const client = proxy.connect().sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
 *     const server = proxy.origin.accepts();
 *     assert.equal(server.receivesHead().get("x-user"), "alice");
 *     server.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
 *     client.receives(/\r\n\r\nhi$/);
 *
 * A plugin whose hooks wait for promises needs `await proxy.network.settle()` before what it does can be seen.
 */
import { DeadlineWheel } from "../core/deadlines.ts";
import type { ProxyError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import { compileChain } from "../pipeline/chain.ts";
import { Http1Driver } from "../pipeline/drivers/http1.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { Forks } from "../pipeline/forked.ts";
import type { Feature } from "../pipeline/phases.ts";
import { ViaLines } from "../pipeline/prepare.ts";
import type { Handler, Route, RouteLimits, Site } from "../pipeline/site.ts";
import type { UpstreamUse } from "../pipeline/upstream.ts";
import { UpstreamPool } from "../upstreams/pool.ts";
import { placeOf } from "./addresses.ts";
import type { Peer, ScriptedOrigin } from "./dialogue.ts";
import { type ConnectOptions, SimulatedNetwork } from "./network.ts";
import { SeededRandom } from "./seeded-random.ts";

export interface TestProxyOptions {
  /** Features and plugins, in the order of `use`. */
  readonly use?: readonly Feature[];
  /** Answers instead of the origin, as a route's own handler does. */
  readonly handler?: Handler;
  /** Default: a new one without latency, first come first served. */
  readonly network?: SimulatedNetwork;
  /** Protocols that a client may switch to. Default: websocket. */
  readonly upgrade?: readonly string[];
  /** Our name in Via. Default: none, so that dialogues stay short. */
  readonly via?: string;
  /** Default: the defaults of the configuration. */
  readonly limits?: Partial<RouteLimits>;
  readonly toUpstream?: Partial<UpstreamUse>;
  /** Connections to the origin at most. Default: no limit. */
  readonly connectionsMax?: number;
  /** What a plugin has thrown, or the proxy itself: its exchange failed by that. Default: to standard error, with the stack. */
  readonly onFault?: (error: Error) => void;
}

const PROXY = "proxy:80";
const ORIGIN = "origin:80";

export class TestProxy {
  readonly network: SimulatedNetwork;
  /** What the proxy forwards to; it listens from the start. */
  readonly origin: ScriptedOrigin;
  /** Exchanges that are over, in the order in which they ended. Their fields are released: they read as empty. */
  readonly ended: Exchange[] = [];
  readonly #deadlines: DeadlineWheel;
  readonly #pool: UpstreamPool;
  readonly #driver: Http1Driver;
  readonly #forks = new Forks();

  constructor(options: TestProxyOptions) {
    this.network = options.network ?? new SimulatedNetwork();
    this.origin = this.network.origin(ORIGIN);
    this.#deadlines = new DeadlineWheel(this.network.clock);
    this.#pool = this.#newPool(options.connectionsMax ?? null);
    this.#driver = new Http1Driver(this.#newSite(options));
    this.network.listen(PROXY, (connection) => this.#driver.accept(connection));
  }

  #newPool(connectionsMax: number | null): UpstreamPool {
    const { host, port } = placeOf(ORIGIN);
    const server = {
      url: `http://${ORIGIN}`,
      scheme: "http" as const,
      host,
      port,
      authority: ORIGIN,
      weight: 1,
      tls: null,
    };
    return new UpstreamPool(
      {
        name: "origin",
        servers: [server],
        balance: "round-robin",
        hashBy: { kind: "client" },
        connectTimeoutMs: limits.CONNECT_TIMEOUT_MS,
        idleMs: limits.POOL_IDLE_MS,
        lifetimeMs: limits.POOL_LIFETIME_MS,
        connectionsMax,
        queueMax: limits.QUEUE_LENGTH_MAX,
        queueTimeoutMs: limits.QUEUE_TIMEOUT_MS,
        retryBudgetShare: limits.RETRY_BUDGET_SHARE,
        retryBudgetMin: limits.RETRY_BUDGET_MIN,
      },
      {
        dialer: this.network,
        clock: this.network.clock,
        deadlines: this.#deadlines,
        random: this.network.random ?? new SeededRandom(1),
      },
    );
  }

  #newRoute(options: TestProxyOptions): Route {
    return {
      name: "test.routes[0]",
      chain: compileChain(options.use ?? []),
      upstream: options.handler === undefined ? this.#pool : null,
      handler: options.handler ?? null,
      use: {
        host: "preserve",
        responseTimeoutMs: limits.RESPONSE_TIMEOUT_MS,
        bodyTimeoutMs: limits.BODY_PROGRESS_TIMEOUT_MS,
        retriesMax: limits.RETRIES_MAX,
        ...options.toUpstream,
      },
      upgrade: options.upgrade ?? ["websocket"],
      limits: {
        bodyBytesMax: null,
        bodyTimeoutMs: limits.BODY_PROGRESS_TIMEOUT_MS,
        tunnelIdleMs: limits.TUNNEL_IDLE_MS,
        tunnelLifetimeMs: null,
        ...options.limits,
      },
    };
  }

  #newSite(options: TestProxyOptions): Site {
    const route = this.#newRoute(options);
    const via = options.via ?? null;
    const onFault = options.onFault ?? ((error) => console.error(error));
    const tell = (error: ProxyError): void => onFault(error.cause instanceof Error ? error.cause : error);
    const onExchangeEnd = (exchange: Exchange): void => {
      if (exchange.error?.type === "proxy_internal_error") tell(exchange.error);
      this.ended.push(exchange);
    };
    return {
      name: "test",
      forward: null,
      router: { find: () => route },
      limits: {
        headBytesMax: limits.HEAD_BYTES_MAX,
        requestLineBytesMax: limits.REQUEST_LINE_BYTES_MAX,
        fieldsMax: limits.FIELDS_MAX,
        headTimeoutMs: limits.HEAD_TIMEOUT_MS,
        idleTimeoutMs: limits.IDLE_TIMEOUT_MS,
      },
      halfClose: false,
      trustedProxies: null,
      via: via === null ? null : new ViaLines(via),
      observer: { onExchangeEnd, onLateFault: (_, error) => tell(error) },
      forks: this.#forks,
      clock: this.network.clock,
      deadlines: this.#deadlines,
    };
  }

  /** A client that the test plays. */
  connect(options?: ConnectOptions): Peer {
    return this.network.connect(PROXY, options);
  }

  /** Stops as on SIGTERM: idle connections close now, busy ones behind their answers. */
  drain(): void {
    this.#driver.drain();
    this.#pool.close();
  }

  /**
   * Drains, closes what the test left open, lets every deadline pass, and says in words what is left all the same; empty
   * when nothing is. For the end of a test.
   */
  finish(): string[] {
    this.drain();
    this.network.run();
    this.#driver.destroy();
    this.#forks.destroy();
    this.#pool.destroy();
    this.network.runUntilIdle();
    const left: string[] = [];
    if (this.#driver.size > 0) left.push(`${this.#driver.size} client connections`);
    if (this.#forks.size > 0) left.push(`${this.#forks.size} forked requests`);
    if (this.#pool.connections > 0) left.push(`${this.#pool.connections} upstream connections`);
    if (this.#pool.waiting > 0) left.push(`${this.#pool.waiting} requests that wait for a connection`);
    if (this.#deadlines.size > 0) left.push(`${this.#deadlines.size} deadlines`);
    return left;
  }
}

export function createTestProxy(options: TestProxyOptions = {}): TestProxy {
  return new TestProxy(options);
}
