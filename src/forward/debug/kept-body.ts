/** The beginning of a body that passes, for the log. What passes is not changed, delayed or kept longer than the exchange. */
import { ByteQueue } from "../../core/byte-queue.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { FieldBlock } from "../../core/fields.ts";
import type { BodySink, BodySource, BodyTransform } from "../../pipeline/body.ts";

/** What a body is, taken from the fields before any feature changed them. */
export interface BodyKind {
  readonly type: string | null;
  readonly encoding: string | null;
  /** It is only a range of something: where it begins, nobody knows. */
  readonly isPart: boolean;
}

export function bodyKindOf(fields: FieldBlock): BodyKind {
  const encoding = fields.get("content-encoding");
  return {
    type: fields.get("content-type"),
    encoding: encoding === null || /^\s*(?:identity)?\s*$/i.test(encoding) ? null : encoding,
    isPart: fields.has("content-range"),
  };
}

export class KeptBody implements BodyTransform {
  readonly kind: BodyKind;
  readonly #next: BodySink;
  readonly #source: BodySource;
  readonly #bytesMax: number;
  /** One piece, in however many the body comes. */
  readonly #kept = new ByteQueue();
  /** What has passed. */
  totalBytes = 0;

  constructor(next: BodySink, source: BodySource, kind: BodyKind, bytesMax: number) {
    this.#next = next;
    this.#source = source;
    this.kind = kind;
    this.#bytesMax = bytesMax;
  }

  write(bytes: Buffer, start: number, end: number): void {
    const wanted = Math.min(end - start, this.#bytesMax - this.#kept.length);
    if (wanted > 0) this.#kept.append(bytes, start, start + wanted);
    this.totalBytes += end - start;
    this.#next.write(bytes, start, end);
  }

  end(): void {
    this.#next.end();
  }

  abort(error: ProxyError): void {
    this.#next.abort(error);
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#source.resume();
  }

  /** The first bytes, at most so many. Valid until more comes. */
  first(bytesMax: number): Buffer {
    const { bytes, start, end } = this.#kept;
    return bytes.subarray(start, Math.min(start + bytesMax, end));
  }
}
