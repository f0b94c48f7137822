// Features that a run puts in front of the proxy's own work: they change nothing that a peer can see, but make the exchange
// take the long way: hooks that wait, bodies that pass through transforms, answers of the proxy's own.

import { ProxyError } from "../../src/core/errors.ts";
import { type BodySink, type BodySource, PassThrough } from "../../src/pipeline/body.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { patternOf } from "./plan.ts";
import type { World } from "./world.ts";

/** Hooks that sometimes wait: for promises alone, or for time to pass. */
export function waitingFeature(world: World): Feature {
  const wait = (): Promise<void> | undefined => {
    if (world.random.chance(0.5)) return undefined;
    if (world.random.chance(0.5)) return Promise.resolve();
    return new Promise((resolve) => world.later(world.random.below(200), resolve));
  };
  return {
    name: "waiting",
    request: wait,
    selectUpstream: wait,
    upstreamRequest: wait,
    upstreamResponse: wait,
    response: wait,
  };
}

/** Keeps back what it gets until there is enough of it, or the end. */
class Hoarder extends PassThrough {
  #kept = Buffer.alloc(0);
  readonly #bytesMax: number;

  constructor(next: BodySink, source: BodySource, bytesMax: number) {
    super(next, source);
    this.#bytesMax = bytesMax;
  }

  override write(bytes: Buffer, start: number, end: number): void {
    this.#kept = Buffer.concat([this.#kept, bytes.subarray(start, end)]);
    if (this.#kept.length > this.#bytesMax) this.#pass();
  }

  override end(): void {
    if (this.#kept.length > 0) this.#pass();
    super.end();
  }

  #pass(): void {
    const kept = this.#kept;
    this.#kept = Buffer.alloc(0);
    super.write(kept, 0, kept.length);
    kept.fill("!");
  }
}

/** Transforms in all four places, each for some of the bodies only. */
export function transformingFeature(world: World): Feature {
  const transform = (next: BodySink, source: BodySource) => {
    if (world.random.chance(0.3)) return null;
    if (world.random.chance(0.5)) return new PassThrough(next, source);
    return new Hoarder(next, source, world.random.below(3000));
  };
  return {
    name: "transforming",
    requestBody: (_exchange, next, source) => transform(next, source),
    upstreamResponseBody: (_exchange, next, source) => transform(next, source),
    responseBody: (_exchange, next, source) => transform(next, source),
  };
}

/** A feature with every hook there is, each of which throws now and then. */
export function throwingFeature(world: World): Feature {
  const { random } = world;
  const mayThrow = (): void => {
    if (random.chance(0.02)) throw new Error("a bug of a plugin");
  };
  const mayReject = (): Promise<void> | undefined => {
    mayThrow();
    return random.chance(0.02) ? Promise.reject(new Error("a bug of a plugin")) : undefined;
  };
  class Throwing extends PassThrough {
    override write(bytes: Buffer, start: number, end: number): void {
      mayThrow();
      super.write(bytes, start, end);
    }
    override end(): void {
      mayThrow();
      super.end();
    }
  }
  const transform = (_exchange: Exchange, next: BodySink, source: BodySource) => {
    mayThrow();
    return random.chance(0.5) ? new Throwing(next, source) : null;
  };
  return {
    name: "throwing",
    request(exchange) {
      if (random.chance(0.02)) exchange.fail(new ProxyError("proxy_internal_error", "a plugin refuses"));
      return mayReject();
    },
    requestBody: transform,
    selectUpstream: mayReject,
    upstreamConnected: mayThrow,
    upstreamRequest: mayReject,
    upstreamInformational() {
      mayThrow();
      return true;
    },
    upstreamResponse: mayReject,
    upstreamResponseBody: transform,
    response: mayReject,
    responseBody: transform,
    trailers: mayThrow,
    upgrade: mayThrow,
    connectError: mayThrow,
    proxyError: mayThrow,
    log: mayThrow,
  };
}

/** Bodies of more than this are given piece by piece. */
const LARGE_BYTES = 10_000;

/** Answers some requests itself, as the plan says that the origin would, so that clients cannot tell. */
export function answeringFeature(world: World): Feature {
  return {
    name: "answering",
    request(exchange) {
      const plan = world.planOf(Number(exchange.request.fields.get("x-id")));
      const isPlain = plan.upgrade === null && plan.interim.length === 0 && plan.originFault.kind === "none";
      if (!isPlain || plan.id % 3 !== 0) return;
      world.answeredWhole.add(plan.id);
      if (plan.body.framing !== "none") world.answeredEarly.add(plan.id);
      const fields = [
        ["X-Id", `${plan.id}`],
        ["Via", "1.1 itself"],
      ] as const;
      const isLarge = plan.answer.bytes > LARGE_BYTES;
      const bytes = patternOf("a", plan.id, 0, plan.answer.bytes);
      const body = plan.status === 204 ? null : isLarge ? (sink: BodySink) => new Producer(world, sink, bytes) : bytes;
      exchange.respond({ status: plan.status, fields, body });
    },
  };
}

/** Gives a body piece by piece, and stops while it is paused. */
class Producer implements BodySource {
  readonly #world: World;
  readonly #sink: BodySink;
  #rest: Buffer;
  #paused = false;
  #scheduled = false;

  constructor(world: World, sink: BodySink, bytes: Buffer) {
    this.#world = world;
    this.#sink = sink;
    this.#rest = bytes;
    this.#schedule();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#world.later(this.#world.random.below(3), () => {
      this.#scheduled = false;
      if (!this.#paused) this.#give();
    });
  }

  #give(): void {
    const piece = this.#rest.subarray(0, this.#world.random.between(1, LARGE_BYTES));
    this.#rest = this.#rest.subarray(piece.length);
    this.#sink.write(piece, 0, piece.length);
    if (this.#rest.length > 0) this.#schedule();
    else this.#sink.end();
  }
}
