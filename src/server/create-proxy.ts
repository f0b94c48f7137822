/**
 * The proxy as a part of somebody's program: it listens by itself, or serves what another server hands over, or both. It
 * handles no signal, never ends the process, and writes what has gone wrong in it, and no more unless `log` asks for it.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type net from "node:net";
import type { Duplex } from "node:stream";
import type { Config } from "../config/config.ts";
import { NodeHttpDriver } from "../pipeline/drivers/node-http.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import type { Listening } from "./listening-url.ts";
import { type HeadgateConfig, parseProgramConfig, type SingleServerConfig } from "./program-config.ts";
import { ProxyServer } from "./proxy.ts";
import { openStandardErrorLog, type StandardErrorLog } from "./standard-error.ts";

export interface CreateProxyOptions {
  /** Where relative paths of files begin; by default the current folder. */
  readonly folder?: string;
}

/** What frameworks pass besides; called only when the proxy itself cannot serve anything. */
type Next = (error?: unknown) => void;

/**
 * Makes a proxy in this process. Nothing is opened before `listen`, or before a request is handed over.
 * @throws ConfigError when the configuration is wrong, with everything that is wrong with it.
 */
export function createProxy(
  config: HeadgateConfig | SingleServerConfig,
  options: CreateProxyOptions = {},
): EmbeddedProxy {
  const folder = options.folder ?? process.cwd();
  return new EmbeddedProxy(parseProgramConfig(config, folder), folder);
}

export class EmbeddedProxy {
  readonly #folder: string;
  readonly #output: StandardErrorLog;
  readonly #proxy: ProxyServer;
  readonly #mounted: NodeHttpDriver;
  /** A configuration is in use. */
  #ready: Promise<void>;
  #isReady = false;
  #config: Config;

  constructor(config: Config, folder: string) {
    this.#folder = folder;
    this.#config = config;
    this.#output = openStandardErrorLog(config.log.level);
    this.#proxy = new ProxyServer(this.#output.log, { transport: config.transport });
    const adopt = (socket: Duplex) => this.#proxy.transport.adopt(socket as net.Socket);
    this.#mounted = new NodeHttpDriver(() => this.#proxy.site!, adopt);
    this.#ready = this.#proxy.load(config).then(() => {
      this.#isReady = true;
    });
    // Whoever uses the proxy is told; until somebody does, a file that cannot be read is no fault of the process.
    this.#ready.catch(() => {});
  }

  /**
   * Begins to listen on all addresses of the configuration; rejects, listening on none, when one cannot be had (SetupError).
   * Resolves with where it listens.
   */
  async listen(): Promise<readonly Listening[]> {
    await this.#ready;
    if (this.#config.servers.every(({ listen }) => listen.length === 0)) {
      throw new Error('the configuration has no "listen": there is nowhere to listen on');
    }
    await this.#proxy.listen();
    return this.#proxy.listening;
  }

  /** Where it listens; empty before `listen`. */
  get listening(): readonly Listening[] {
    return this.#proxy.listening;
  }

  /**
   * Takes another configuration into use, whole. Connections that the change does not concern go on. Rejects with a ConfigError or
   * a SetupError, and then nothing has changed. In place of a first one that could not be had, it is the first.
   */
  async reload(config: HeadgateConfig | SingleServerConfig): Promise<void> {
    const parsed = parseProgramConfig(config, this.#folder);
    await this.#proxy.load(parsed);
    this.#config = parsed;
    this.#isReady = true;
    this.#ready = Promise.resolve();
  }

  /**
   * Stops listening, lets exchanges end for `timeoutMs` at most (by default the configuration's `drainTimeout`; 0: at once),
   * and closes every connection. One that rests between two requests has a second of that time to ask once more. What was handed over by
   * another server is cut: close that one first.
   */
  async close({ timeoutMs }: { readonly timeoutMs?: number } = {}): Promise<void> {
    await this.#mounted.destroy();
    await this.#proxy.close(timeoutMs ?? this.#config.drainTimeoutMs);
    await this.#output.close();
  }

  /** `await using proxy = createProxy(...)`: closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Serves a request of another server, by the routes of the configuration's first server: `app.use(proxy.handle)`. Mount it
   * before anything that reads bodies.
   */
  readonly handle = (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    next?: Next,
  ): void => {
    if (this.#isReady) {
      this.#mounted.handle(request, response);
      return;
    }
    const serve = (): void => this.#mounted.handle(request, response);
    this.#ready.then(serve).catch((error: unknown) => {
      if (next !== undefined) next(error);
      else response.destroy(error as Error);
    });
  };

  /** Serves what a server's "upgrade" event gives: `server.on("upgrade", proxy.handleUpgrade)`. */
  readonly handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (this.#isReady) {
      this.#mounted.handleUpgrade(request, socket, head);
      return;
    }
    // Nobody else listens meanwhile, and an error that nobody listens to ends the process.
    socket.on("error", () => {});
    this.#ready.then(() => this.#mounted.handleUpgrade(request, socket, head)).catch(() => socket.destroy());
  };

  /** An upstream of the configuration, for a plugin's `selectUpstream`; null when none has the name. Ask for it each time. */
  upstream(name: string): Upstream | null {
    return this.#proxy.upstream(name);
  }
}
