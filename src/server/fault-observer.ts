/**
 * Counts exchanges, and tells the application log of those that failed by a bug, ours or a plugin's, with its stack: the
 * access log has the exchange, and nobody looks for stacks there. Everything else that can go wrong with an exchange is the
 * access log's alone.
 */
import type { ProxyError } from "../core/errors.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { ExchangeObserver } from "../pipeline/site.ts";
import type { AppLog } from "./app-log.ts";
import type { RepeatedFaults } from "./repeated-faults.ts";
import type { Counters } from "./threads/counters.ts";

export class FaultObserver implements ExchangeObserver {
  readonly #log: AppLog;
  readonly #faults: RepeatedFaults;
  readonly #counters: Counters;
  readonly #next: ExchangeObserver | null;

  /** `next` is told of every exchange. */
  constructor(log: AppLog, faults: RepeatedFaults, counters: Counters, next: ExchangeObserver | null) {
    this.#log = log;
    this.#faults = faults;
    this.#counters = counters;
    this.#next = next;
  }

  onExchangeEnd(exchange: Exchange): void {
    const { error } = exchange;
    this.#counters.countRequest();
    if (error !== null && error.type === "proxy_internal_error") {
      this.#report(exchange, error, "an exchange failed by a fault of the proxy or of a plugin");
    }
    this.#next?.onExchangeEnd(exchange);
  }

  onLateFault(exchange: Exchange, error: ProxyError): void {
    this.#report(exchange, error, "a hook of a plugin failed behind the end of its exchange");
  }

  #report({ routeName }: Exchange, error: ProxyError, message: string): void {
    this.#counters.countFault();
    const route = routeName ?? "no route";
    const err = error.cause instanceof Error ? error.cause : error;
    this.#faults.report(`exchanges of ${route} ${placeOf(err)}`, (details) => {
      try {
        this.#log.error({ err, route, ...details }, message);
      } catch {
        // What a plugin has thrown throws by itself when it is looked at.
        this.#log.error({ route, ...details }, `${message}: ${error.message}`);
      }
    });
  }
}

/** The line of code that has thrown: another one is another fault. No part of the message, which may be a client's. */
function placeOf(error: Error): string {
  try {
    const { stack = "", message } = error;
    const at = stack.indexOf(message);
    return at < 0 ? "" : (stack.slice(at + message.length).split("\n", 2)[1] ?? "");
  } catch {
    return "";
  }
}
