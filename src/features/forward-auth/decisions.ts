/**
 * Positive answers of the service, kept for a while so that it need not be asked again. Nothing here may ever make the
 * answer about one caller that about another one:
 *
 * - The key is a digest over everything that the answer depends on, keyed by a secret of its own, each part with its
 *   own end: joined without ends, a part of one header could pass for the beginning of the next one. It is never the
 *   URL alone, by which one caller's success let everybody in (nginx-ldap-auth, issue 103).
 * - A request that shows no credentials has no key: it is always asked about.
 * - All values of a header or cookie that stands there twice count, since nobody knows which one the service takes.
 *
 * The values themselves are not kept, only what the service said.
 */

import { createHash, hash, randomBytes } from "node:crypto";
import { viewOf } from "../../core/copy-bytes.ts";
import { Deadline, type DeadlineWheel } from "../../core/deadlines.ts";
import type { FieldBlock } from "../../core/fields.ts";
import { FifoMap } from "../../core/fifo-map.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { cookieValues } from "../../semantics/cookies.ts";
import { type Decision, toKeep } from "./answer.ts";
import type { DecisionOptions, DecisionPart } from "./options.ts";

/**
 * Decisions that a thread keeps for one use of the feature; the oldest make room. Callers of a large site within a
 * minute.
 */
const DECISIONS_MAX = 16_384;
/**
 * Fields of a decision that is kept; with DECISIONS_MAX of them, 64 MiB at most. Identity fields are a few hundred
 * bytes.
 */
const DECISION_BYTES_MAX = 4 * 1024;

interface Kept {
  readonly decision: Decision;
  readonly untilMs: number;
}

export class Decisions {
  readonly #options: DecisionOptions;
  readonly #deadlines: DeadlineWheel;
  /** Oldest first. */
  readonly #kept = new FifoMap<string, Kept>();
  readonly #secret = randomBytes(32).toString("latin1");
  readonly #sweep: Deadline;

  constructor(options: DecisionOptions, deadlines: DeadlineWheel) {
    this.#options = options;
    this.#deadlines = deadlines;
    this.#sweep = new Deadline(deadlines, () => this.#forgetOld());
  }

  /** Decisions that are kept: for tests that count them. */
  get size(): number {
    return this.#kept.size;
  }

  /** The key needs the fields of the question. */
  get byQuestion(): boolean {
    return this.#options.by === undefined;
  }

  /** null: this request is always asked about. `question`: what the service would be sent, needed when `byQuestion`. */
  keyOf(exchange: Exchange, question: FieldBlock | null): string | null {
    const { by, each } = this.#options;
    if (by === undefined) return this.#keyOfQuestion(exchange, question!);
    let text = this.#secret;
    let hasCredentials = false;
    for (const part of by) {
      const value = partOf(exchange, part);
      if (value === null) text += "-;";
      else {
        // Whoever has logged out may still show an empty one.
        hasCredentials ||= part.kind !== "client" && /[^;,\s]/.test(value);
        text += `${value.length}:${value};`;
      }
    }
    if (!hasCredentials) return null;
    if (each === "request") text += requestPart(exchange);
    return hash("sha256", text, "base64");
  }

  /** The service is sent the same as before: the answer is the same, whatever it depends on. */
  #keyOfQuestion(exchange: Exchange, question: FieldBlock): string | null {
    if (!question.get("authorization") && !question.get("cookie")) return null;
    const bytes = Buffer.allocUnsafe(question.end);
    const length = question.encode(bytes, viewOf(bytes), 0);
    const key = createHash("sha256")
      .update(`${this.#secret}${requestPart(exchange)}\n`)
      .update(bytes.subarray(0, length))
      .digest("base64");
    // It held what callers prove themselves with.
    bytes.fill(0);
    return key;
  }

  find(key: string): Decision | null {
    const kept = this.#kept.get(key);
    if (kept === undefined) return null;
    if (kept.untilMs > this.#deadlines.coarseMs) return kept.decision;
    this.#kept.delete(key);
    return null;
  }

  /** `maxAgeMs`: what the service's answer allows. */
  keep(key: string, decision: Decision, maxAgeMs: number): void {
    const ttlMs = Math.min(this.#options.for, maxAgeMs);
    if (ttlMs <= 0 || decision.bytes > DECISION_BYTES_MAX) return;
    if (!this.#kept.has(key) && this.#kept.size >= DECISIONS_MAX) this.#kept.delete(this.#kept.oldest!);
    this.#kept.set(key, { decision: toKeep(decision), untilMs: this.#deadlines.coarseMs + ttlMs });
    if (!this.#sweep.armed) this.#sweep.arm(this.#options.for);
  }

  /** What nobody asks for any more must not stay, all the less when the feature itself is gone. */
  #forgetOld(): void {
    const now = this.#deadlines.coarseMs;
    for (const [key, { untilMs }] of this.#kept) if (untilMs <= now) this.#kept.delete(key);
    if (this.#kept.size > 0) this.#sweep.arm(this.#options.for);
  }
}

/** What the service is told of the request itself. None of it has a line break. */
function requestPart({ request }: Exchange): string {
  const { fields } = request;
  const proto = fields.get("x-forwarded-proto") ?? request.scheme;
  const host = fields.get("x-forwarded-host") ?? request.authority;
  return `${request.method}\n${proto}\n${host}\n${request.target}`;
}

function partOf(exchange: Exchange, part: DecisionPart): string | null {
  if (part.kind === "client") return exchange.clientAddress;
  const { fields } = exchange.request;
  return part.kind === "header" ? headerLines(fields, part.name) : cookieValues(fields, part.name);
}

/** All lines of a field, each with its length: two lines are not one with a comma in it. */
function headerLines(fields: FieldBlock, name: string): string | null {
  const lines = fields.getAll(name);
  if (lines.length <= 1) return lines[0] ?? null;
  return lines.map((line) => `${line.length}:${line}`).join("\n");
}
