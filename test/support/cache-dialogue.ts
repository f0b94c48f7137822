// Who asks a cache for an answer, and who reads one, written down: for tests that read as dialogues.

import type {
  AcquireHandler,
  AnswerHead,
  Cache,
  CachedAnswer,
  Fill,
  PassReason,
  PendingAcquire,
} from "../../src/caching/cache.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { EncodedLines, FieldBlock } from "../../src/core/fields.ts";
import type { AnswerSink, ProducedBody } from "../../src/pipeline/body.ts";

export function requestOf(fields: readonly (readonly [string, string])[] = []): FieldBlock {
  return FieldBlock.from(fields);
}

export function headOf(bodyBytes: number, changes: Partial<AnswerHead> = {}): AnswerHead {
  return {
    status: 200,
    fields: new EncodedLines([["Content-Type", "text/plain"]]),
    requestedMs: 0,
    receivedMs: 0,
    initialAgeMs: 0,
    freshMs: 3_600_000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    flags: 0,
    vary: [],
    tags: [],
    bodyBytes,
    ...changes,
  };
}

/** What an ask came to: exactly one of them. */
export class Asked implements AcquireHandler {
  readonly outcomes: string[] = [];
  fill: Fill | null = null;
  answer: CachedAnswer | null = null;
  pending: PendingAcquire | null = null;
  onOutcome: (() => void) | null = null;

  static of(cache: Cache, key: string, request = requestOf(), seen: CachedAnswer | null = null): Asked {
    const asked = new Asked();
    asked.pending = cache.acquire(key, request, seen, asked);
    return asked;
  }

  onFill(fill: Fill): void {
    this.fill = fill;
    this.#note("fill");
  }

  onAnswer(answer: CachedAnswer): void {
    this.answer = answer;
    this.#note("answer");
  }

  onStored(): void {
    this.#note("stored");
  }

  onPass(reason: PassReason): void {
    this.#note(`pass: ${reason}`);
  }

  #note(outcome: string): void {
    this.outcomes.push(outcome);
    this.onOutcome?.();
  }
}

/** Takes a body: all of it at once, or only while it is told to. */
export class Taker implements AnswerSink {
  readonly #parts: Buffer[] = [];
  /** Ranges of files that were sent, to be confirmed by `confirm`. */
  readonly #sent: (() => void)[] = [];
  readonly readFile: ((descriptor: number, offset: number, length: number) => Buffer) | null;
  produced: ProducedBody | null = null;
  bytes = 0;
  #outcome: "" | "ended" | "aborted" = "";
  error: ProxyError | null = null;
  filesSent = 0;

  /** `readFile`: ranges of files are taken, by reading them so; null: they are refused. */
  constructor(readFile: Taker["readFile"] = null) {
    this.readFile = readFile;
  }

  static of(answer: CachedAnswer, start = 0, end = -1, readFile: Taker["readFile"] = null): Taker {
    const taker = new Taker(readFile);
    taker.produced = answer.body.produce(taker, start, end);
    return taker;
  }

  /** "ended", "aborted", or "" while it goes on. */
  get outcome(): "" | "ended" | "aborted" {
    return this.#outcome;
  }

  get taken(): Buffer {
    return Buffer.concat(this.#parts);
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#outcome !== "") throw new Error("a write after the end");
    if (end <= start) throw new Error("an empty write");
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    this.bytes += end - start;
  }

  end(): void {
    if (this.#outcome !== "") throw new Error("a second end");
    this.#outcome = "ended";
  }

  abort(error: ProxyError): void {
    if (this.#outcome !== "") throw new Error("a second end");
    this.#outcome = "aborted";
    this.error = error;
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    if (this.readFile === null) return false;
    this.filesSent++;
    const bytes = this.readFile(descriptor, offset, length);
    if (length > 0) this.write(bytes, 0, bytes.length);
    this.#sent.push(onSent);
    queueMicrotask(() => this.confirm());
    return true;
  }

  /** What was sent has left. */
  confirm(): void {
    for (const onSent of this.#sent.splice(0)) onSent();
  }
}

/** Until what was asked for has come to pass: messages and memory's disk need a few microtasks each. */
export async function settle(turns = 50): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await null;
}
