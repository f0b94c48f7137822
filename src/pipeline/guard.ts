/**
 * What features and plugins give to carry a body, behind a guard: whatever they throw fails the exchange, no matter who
 * called them, and so does a part of a body that is none. Transforms write to each other from callbacks of their own (compression, timers), where nobody else could
 * catch it and the process would end.
 */
import { ProxyError } from "../core/errors.ts";
import type { BodySource, BodyTransform } from "./body.ts";

/**
 * What is wrong with a part of a body that a feature writes; null: nothing. Where it would reach behind its bytes, memory that
 * belongs to others could leave in its place.
 */
export function faultOfPart(bytes: Uint8Array, start: number, end: number): ProxyError | null {
  if (start >= 0 && end <= bytes.length) return null;
  return new ProxyError("proxy_internal_error", `part [${start}, ${end}) of a body reaches behind its bytes`);
}

/** It has no head to stand behind, and no connection to leave by. */
export function hastyTransform(): ProxyError {
  return new ProxyError("proxy_internal_error", "a transform wrote or ended a body before any of it was given to it");
}

type OnThrow = (error: ProxyError) => void;

export class GuardedSource implements BodySource {
  readonly #inner: BodySource;
  protected readonly onThrow: OnThrow;

  constructor(inner: BodySource, onThrow: OnThrow) {
    this.#inner = inner;
    this.onThrow = onThrow;
  }

  pause(): void {
    try {
      this.#inner.pause();
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }

  resume(): void {
    try {
      this.#inner.resume();
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }
}

export class GuardedTransform extends GuardedSource implements BodyTransform {
  readonly #inner: BodyTransform;

  constructor(inner: BodyTransform, onThrow: OnThrow) {
    super(inner, onThrow);
    this.#inner = inner;
  }

  write(bytes: Buffer, start: number, end: number): void {
    try {
      this.#inner.write(bytes, start, end);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }

  end(): void {
    try {
      this.#inner.end();
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }

  abort(error: ProxyError): void {
    try {
      this.#inner.abort(error);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }
}
