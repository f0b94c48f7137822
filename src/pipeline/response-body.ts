/**
 * The body of an answer that does not go straight from the upstream to the client: features transform it, or it is of our
 * own making. What comes in passes the hooks on the upstream's body, then those on the client's, the last feature of `use`
 * first, and leaves to the client. Made only for such answers.
 */
import { ProxyError } from "../core/errors.ts";
import type { AnswerSink, BodyProducer, BodySink, BodySource, ProducedBody } from "./body.ts";
import type { Hook } from "./chain.ts";
import type { Exchange } from "./exchange.ts";
import { guardedSource, guardedTransform, heed } from "./guard.ts";
import { SourceLink } from "./request-body.ts";

export class ResponseBody implements BodySource {
  readonly #onThrow: (error: ProxyError) => void;
  #sink: BodySink;
  #source: BodySource = this;
  /** What the transform that takes the body first pauses; null: there is none. */
  #link: SourceLink | null = null;
  /** Who gives the body; null until it is known. */
  #giver: BodySource | null = null;
  #produced: ProducedBody | null = null;
  /** The giver, also one that comes only now. */
  #paused = false;
  #isBeingMade = false;
  /** null: somebody may want it still. */
  #abandonedBy: ProxyError | null = null;

  /** `client` takes what leaves; `onThrow` is told what a transform or a producer throws. */
  constructor(client: BodySink, onThrow: (error: ProxyError) => void) {
    this.#sink = client;
    this.#onThrow = (error) => {
      if (this.#abandonedBy === null) onThrow(error);
    };
  }

  /** Nobody takes what leaves any more. */
  get isAbandoned(): boolean {
    return this.#abandonedBy !== null;
  }

  /** A feature wanted to see the body. */
  get isTransformed(): boolean {
    return this.#link !== null;
  }

  /** Where the body goes in. */
  get sink(): BodySink {
    return this.#sink;
  }

  /** What is paused when the client is slow. */
  get source(): BodySource {
    return this.#source;
  }

  /**
   * Asks the features for their transforms, from the client inwards: the first feature of `use` is the outermost. Those at
   * or behind `answeredBy` do not see the answer.
   */
  transform(
    exchange: Exchange,
    hooks: readonly Hook[] | null,
    phase: "responseBody" | "upstreamResponseBody",
    answeredBy: number,
  ): void {
    if (hooks === null || this.isAbandoned) return;
    this.#isBeingMade = true;
    try {
      for (const { feature, index } of hooks) {
        if (index >= answeredBy) continue;
        // The one before it has failed the exchange.
        if (this.isAbandoned) break;
        const link = new SourceLink(this);
        const made = feature[phase]!(exchange, this.#sink, link);
        const transform = guardedTransform(made, `${phase} of ${feature.name}`, this.#onThrow);
        if (transform === null) continue;
        if (this.#link === null) this.#source = transform;
        else this.#link.target = transform;
        this.#link = link;
        this.#sink = transform;
      }
    } finally {
      this.#isBeingMade = false;
    }
    if (this.#abandonedBy !== null) this.#sink.abort(this.#abandonedBy);
  }

  /** The upstream gives the body. */
  takeFrom(giver: BodySource): void {
    this.#giver = giver;
  }

  /** We give it ourselves, by a sink that leads here. */
  produce(producer: BodyProducer, sink: AnswerSink): void {
    const produced = producer(sink);
    this.#giver = guardedSource(produced, this.#onThrow);
    this.#produced = produced;
    // It may have written more than the client takes before there was something to pause.
    if (this.#paused) this.#giver.pause();
  }

  /** The exchange is over before the body is: everybody lets go of what they hold for it. */
  abandon(error: ProxyError): void {
    this.#abandonedBy = error;
    // What they throw now changes nothing any more.
    try {
      heed(this.#produced?.abort?.(error), this.#onThrow);
    } catch (thrown) {
      this.#onThrow(ProxyError.from(thrown));
    }
    // Whoever is being made is told when it is there.
    if (!this.#isBeingMade) this.#sink.abort(error);
  }

  pause(): void {
    this.#paused = true;
    this.#giver?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#giver?.resume();
  }
}
