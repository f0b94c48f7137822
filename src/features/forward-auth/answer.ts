/**
 * What the service's answer means. 2xx: the request goes on with the fields that were asked for, and without what the
 * client sent in their place, said or not said by the service (GHSA-7r4p-vjf4-gxv4). Anything else: the client gets it
 * as it came.
 */
import { EncodedLines, type FieldBlock } from "../../core/fields.ts";
import { HeaderPatterns } from "../../core/header-patterns.ts";
import type { HttpAnswer } from "../../core/ports.ts";
import { identify } from "../../identity/identify.ts";
import type { Answer, Exchange } from "../../pipeline/exchange.ts";
import { listHas } from "../../semantics/field-list.ts";
import { AssertedFields } from "./asserted-fields.ts";
import type { ForwardAuthOptions } from "./options.ts";

type Lines = readonly (readonly [name: string, value: string])[];

/** The service lets the request go on. */
export interface Decision {
  /** For the upstream. */
  readonly lines: Lines;
  /** Values of Set-Cookie for the client. */
  readonly cookies: readonly string[];
  /** Who the client is; null: the service does not say. */
  readonly subject: string | null;
  /** What keeping it costs. */
  readonly bytes: number;
  /** `lines`, when they are to be added often. */
  readonly encoded: EncodedLines | null;
}

export class AnswerReader {
  readonly #fields: AssertedFields;
  readonly #cookies: ReadonlySet<string>;
  readonly #identityHeader: string | null;

  /** @throws SyntaxError when an expression does not compile. */
  constructor(options: Pick<ForwardAuthOptions, "responseHeaders" | "responseCookies" | "identityHeader">) {
    this.#fields = new AssertedFields(new HeaderPatterns(options.responseHeaders));
    this.#cookies = new Set(options.responseCookies);
    this.#identityHeader = options.identityHeader ?? null;
  }

  /** Of an answer with a status of 2xx. */
  decision({ fields }: HttpAnswer): Decision {
    const lines: (readonly [string, string])[] = [];
    let bytes = 0;
    for (const [name, value] of fields.entries()) {
      if (!this.#fields.patterns.has(name.toLowerCase())) continue;
      lines.push([name, value]);
      bytes += name.length + value.length;
    }
    const subject = this.#identityHeader === null ? null : fields.get(this.#identityHeader) || null;
    return { lines, cookies: this.#cookiesOf(fields), subject, bytes: bytes + (subject?.length ?? 0), encoded: null };
  }

  #cookiesOf(fields: FieldBlock): readonly string[] {
    if (this.#cookies.size === 0) return NONE;
    return fields.getAll("set-cookie").filter((line) => this.isOurCookie(line));
  }

  /** Whether a value of Set-Cookie is of one that the client is to get from the service. */
  isOurCookie(line: string): boolean {
    return this.#cookies.has(/^[^=;]*/.exec(line)![0].trim());
  }

  /** The request goes on, with what the service says of it and of nobody else. */
  apply(exchange: Exchange, decision: Decision): void {
    const { fields } = exchange.request;
    this.#fields.removeFrom(fields, fields.rowCount);
    if (decision.encoded !== null) fields.appendEncoded(decision.encoded);
    else for (const [name, value] of decision.lines) fields.append(name, value);
    exchange.passesTrailers = false;
    if (decision.subject !== null) identify(exchange, { subject: decision.subject, by: "forwardAuth" });
  }
}

const NONE: readonly string[] = [];

/** To be used again and again. */
export function toKeep(decision: Decision): Decision {
  return { ...decision, encoded: new EncodedLines(decision.lines) };
}

/** The service's answer as the client's. */
export function asItCame({ status, fields, body }: HttpAnswer): Answer {
  return { status, fields: [...fields.entries()], body };
}

/** For how long an answer may be used again (RFC 9111 section 5.2.2); 0: not at all, Infinity: it does not say. */
export function reuseMs(fields: FieldBlock): number {
  const control = fields.get("cache-control");
  if (control === null) return Number.POSITIVE_INFINITY;
  if (listHas(control, "no-store") || listHas(control, "no-cache")) return 0;
  // The directives that have a list, such as no-cache="set-cookie", are taken for the stricter form.
  if (/(?:^|[,\s])no-cache\s*=/i.test(control)) return 0;
  const maxAge = /(?:^|[,\s])max-age\s*=\s*"?(\d{1,9})/i.exec(control)?.[1];
  return maxAge === undefined ? Number.POSITIVE_INFINITY : Number(maxAge) * 1000;
}
