// A feature that sends requests of its own, and what it was told of their answers: for tests of forks.
import type { ProxyError } from "../../src/core/errors.ts";
import type { FieldBlock } from "../../src/core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../../src/core/message.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Fork, ForkHandler, ForkPoint } from "../../src/pipeline/fork.ts";
import type { Feature, Waiting } from "../../src/pipeline/phases.ts";

/** What a fork has told, in words: "head 200", "body hello", "end". */
export class ForkRecord implements ForkHandler {
  readonly events: string[] = [];
  response: ResponseMessage | null = null;
  isForwarded = false;
  error: ProxyError | null = null;
  /** Called with each event, when it has been noted. */
  onEvent: ((event: string) => void) | null = null;

  onInformational(response: ResponseMessage): void {
    this.#note(`informational ${response.status} ${response.fields.get("link")}`);
  }

  onHead(response: ResponseMessage, isForwarded: boolean): void {
    this.response = response;
    this.isForwarded = isForwarded;
    this.#note(`head ${response.status}`);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#note(`body ${bytes.toString("latin1", start, end)}`);
  }

  onEnd(trailers: FieldBlock | null): void {
    const lines = [...(trailers?.entries() ?? [])].map((line) => ` ${line.join("=")}`);
    this.#note(`end${lines.join("")}`);
  }

  onFailed(error: ProxyError): void {
    this.error = error;
    this.#note(`failed ${error.type}`);
  }

  #note(event: string): void {
    this.events.push(event);
    this.onEvent?.(event);
  }

  /** The events since this was asked last. */
  take(): string[] {
    return this.events.splice(0);
  }
}

/** Forks every request, and answers it with 204 at once unless `waits`. */
export class ForkingFeature implements Feature {
  readonly name = "forking";
  readonly records: ForkRecord[] = [];
  readonly forks: Fork[] = [];
  readonly exchanges: Exchange[] = [];
  point: ForkPoint | null = null;
  /** What is changed of the request before it is sent. */
  prepare: (request: RequestMessage) => void = () => {};
  /** What is done instead of answering. */
  waits: ((exchange: Exchange, record: ForkRecord) => Waiting) | null = null;
  /** Told of each record before its fork begins. */
  onRecord: (record: ForkRecord) => void = () => {};

  request(exchange: Exchange): Waiting {
    this.exchanges.push(exchange);
    this.point = exchange.forkPoint();
    const request = exchange.request.copyWithoutBody();
    this.prepare(request);
    const record = new ForkRecord();
    this.records.push(record);
    this.onRecord(record);
    this.forks.push(exchange.fork(request, record));
    if (this.waits !== null) return this.waits(exchange, record);
    exchange.respond({ status: 204 });
  }

  get record(): ForkRecord {
    return this.records.at(-1)!;
  }

  get fork(): Fork {
    return this.forks.at(-1)!;
  }
}
