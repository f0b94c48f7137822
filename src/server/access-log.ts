/**
 * Which exchanges get a line in the access log, and the way there: a line is made when an exchange ends and handed to a
 * sink that writes batches. Failures are always written, of the others a share; a route may have a share of its own, or none.
 *
 * One log serves all configurations of a proxy, one after the other: exchanges that began before a reload write in the
 * format that they began with, to where the log goes now.
 */
import type { AccessLogConfig, ServerConfig } from "../config/config.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { ExchangeObserver } from "../pipeline/site.ts";
import { isDebugged } from "./access-debug.ts";
import { compileLineFormat, type LineFormat } from "./access-line.ts";
import { statusOf } from "./access-record.ts";
import { forwardRouteName } from "./compose-forward.ts";
import { pacRouteName } from "./compose-pac.ts";

/** Takes whole lines and writes them later. */
export interface LineSink {
  write(line: string): void;
}

export interface AccessLogSurroundings {
  readonly clock: Clock;
  readonly random: Random;
}

export class AccessLog {
  /** Where lines go; null: nowhere. */
  sink: LineSink | null = null;
  readonly #around: AccessLogSurroundings;

  constructor(around: AccessLogSurroundings) {
    this.#around = around;
  }

  /** Writes the exchanges of one server. */
  observer(config: AccessLogConfig, server: ServerConfig): ExchangeObserver {
    const around = { clock: this.#around.clock, serverName: server.name };
    const format = compileLineFormat(config, around);
    return new ServerAccessLog(this, format, sharesOf(config, server), this.#around.random);
  }
}

/** The share of exchanges that is written, 0 to 1; null: not even failures. */
type Share = number | null;

interface Shares {
  readonly ofRoutes: ReadonlyMap<string, Share>;
  /** Of exchanges that met no route. */
  readonly otherwise: Share;
}

function sharesOf(config: AccessLogConfig, server: ServerConfig): Shares {
  const shares = server.routes.map(({ name, accessLog }) => [name, accessLog.off ? null : accessLog.sample] as const);
  const ofRoutes = new Map(shares);
  if (server.forward !== null) {
    const { off, sample } = server.forward.accessLog;
    for (const name of [forwardRouteName(server.name), pacRouteName(server.name)]) {
      ofRoutes.set(name, off ? null : sample);
    }
  }
  return { ofRoutes, otherwise: config.sample };
}

class ServerAccessLog implements ExchangeObserver {
  readonly #log: AccessLog;
  readonly #format: LineFormat;
  readonly #shares: Shares;
  readonly #random: Random;

  constructor(log: AccessLog, format: LineFormat, shares: Shares, random: Random) {
    this.#log = log;
    this.#format = format;
    this.#shares = shares;
    this.#random = random;
  }

  onExchangeEnd(exchange: Exchange): void {
    const { sink } = this.#log;
    if (sink !== null && this.#isWanted(exchange)) sink.write(this.#format(exchange));
  }

  #isWanted(exchange: Exchange): boolean {
    const { routeName } = exchange;
    const share = routeName === null ? this.#shares.otherwise : (this.#shares.ofRoutes.get(routeName) ?? null);
    if (share === null || share === 1) return share === 1;
    if (isDebugged(exchange)) return true;
    return exchange.error !== null || statusOf(exchange) >= 500 || this.#random.next() < share;
  }
}
