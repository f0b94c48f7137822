/**
 * What features and plugins give to carry a body, behind a guard: whatever they throw fails the exchange, no matter who called them, and
 * so does a part of a body that is none. Transforms write to each other from callbacks of their own (compression, timers), where nobody
 * else could catch it and the process would end.
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

/**
 * What came back from code of a feature that nothing waits for: where it was written as an async function, `onThrow` is told what it rejects
 * with, which would end the process otherwise.
 */
export function heed(returned: unknown, onThrow: OnThrow): void {
  if (typeof returned !== "object" || returned === null) return;
  Promise.resolve(returned).catch((thrown: unknown) => onThrow(ProxyError.from(thrown)));
}

class GuardedSource implements BodySource {
  readonly #inner: BodySource;
  protected readonly onThrow: OnThrow;

  constructor(inner: BodySource, onThrow: OnThrow) {
    this.#inner = inner;
    this.onThrow = onThrow;
  }

  pause(): void {
    try {
      heed(this.#inner.pause(), this.onThrow);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }

  resume(): void {
    try {
      heed(this.#inner.resume(), this.onThrow);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }
}

class GuardedTransform extends GuardedSource implements BodyTransform {
  readonly #inner: BodyTransform;

  constructor(inner: BodyTransform, onThrow: OnThrow) {
    super(inner, onThrow);
    this.#inner = inner;
  }

  write(bytes: Buffer, start: number, end: number): void {
    try {
      heed(this.#inner.write(bytes, start, end), this.onThrow);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }

  end(): void {
    try {
      heed(this.#inner.end(), this.onThrow);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }

  abort(error: ProxyError): void {
    try {
      heed(this.#inner.abort(error), this.onThrow);
    } catch (thrown) {
      this.onThrow(ProxyError.from(thrown));
    }
  }
}

/** What a body hook gives, guarded; null: it leaves the body alone. `by` is that hook. @throws TypeError when it is no transform. */
export function guardedTransform(
  made: BodyTransform | null | undefined,
  by: string,
  onThrow: OnThrow,
): BodyTransform | null {
  if (made === null || made === undefined) return null;
  if (typeof made.write !== "function") throw unusable(made, `${by} must give a transform, or null`);
  return new GuardedTransform(made, onThrow);
}

/** Of a producer that has written all it has, or that cannot wait. */
const UNPAUSED: BodySource = { pause() {}, resume() {} };

/** What a producer of a body gives, guarded; nothing: it cannot be paused. @throws TypeError when it is something else. */
export function guardedSource(made: BodySource | undefined, onThrow: OnThrow): BodySource {
  if (made === undefined) return UNPAUSED;
  if (typeof made?.pause !== "function")
    throw unusable(made, "who produces a body must give what can be paused, or nothing");
  return new GuardedSource(made, onThrow);
}

function unusable(made: unknown, expected: string): TypeError {
  // Nobody else would hear what a promise rejects with.
  heed(made, () => {});
  return new TypeError(`${expected}, and gave ${made instanceof Promise ? "a promise" : "something else"}`);
}
