/**
 * What a store has answered, by key, bounded by entries and by bytes. It decides what is forgotten when it is full: an answer that
 * was not looked at since its last turn. Whether an answer may still be believed is decided by who asks.
 *
 * A look-up only marks an answer as used; the order changes when something is forgotten. So a look-up allocates nothing, and one
 * new answer never costs more than a few steps.
 */
import { FifoMap } from "../core/fifo-map.ts";
import type { SessionRecord } from "../core/ports.ts";

export interface Answer {
  /** null: there is no such session. */
  readonly record: SessionRecord | null;
  /** On the monotonic clock, until when it is believed; Infinity: until the store says otherwise. */
  readonly freshUntilMs: number;
  readonly bytes: number;
  /** It was looked at since it was put last in the order. */
  isUsed: boolean;
}

/** What an answer takes besides its text: two objects, two headers of strings, a place in the table. */
const ANSWER_BYTES = 200;
/** Used answers that are given another turn before one is forgotten all the same. */
const TURNS_MAX = 16;

export class AnswerCache {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  /** From what was longest without a turn to what came last. */
  readonly #answers = new FifoMap<string, Answer>();
  #bytes = 0;

  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#answers.size;
  }

  get(key: string): Answer | undefined {
    return this.#answers.get(key);
  }

  set(key: string, record: SessionRecord | null, freshUntilMs: number): void {
    this.delete(key);
    // V8 keeps text outside Latin-1 in two bytes a character; session records are ASCII.
    const bytes = ANSWER_BYTES + key.length + (record?.value.length ?? 0);
    if (this.#entriesMax === 0 || bytes > this.#bytesMax) return;
    while (this.#answers.size >= this.#entriesMax || this.#bytes + bytes > this.#bytesMax) this.#forgetOne();
    this.#answers.set(key, { record, freshUntilMs, bytes, isUsed: false });
    this.#bytes += bytes;
  }

  delete(key: string): void {
    const answer = this.#answers.get(key);
    if (answer === undefined) return;
    this.#answers.delete(key);
    this.#bytes -= answer.bytes;
  }

  clear(): void {
    this.#answers.clear();
    this.#bytes = 0;
  }

  #forgetOne(): void {
    for (let turns = 0; ; turns++) {
      const key = this.#answers.oldest!;
      const answer = this.#answers.get(key)!;
      if (!answer.isUsed || turns === TURNS_MAX) return this.delete(key);
      answer.isUsed = false;
      this.#answers.set(key, answer);
    }
  }
}
