/**
 * What rules with `debug` ask the log to tell: the bodies of an exchange, as far as the rule says. A feature that only looks on;
 * it stands in the chain only where a rule asks, and takes part only in exchanges that such a rule may let through. Which rule
 * it is may depend on the address, so that it is decided when the line is written.
 */
import type { Exchange } from "../../pipeline/exchange.ts";
import type { DebugNotes, DebugRecord, LoggedBody } from "../../pipeline/forwarding.ts";
import type { BodySink, BodySource, BodyTransform, Feature } from "../../pipeline/phases.ts";
import { SecretNames } from "../../semantics/secret-names.ts";
import { BY } from "../refusal.ts";
import type { RuleDebug } from "../rules/options.ts";
import { coverBody, kindOf } from "./cover-body.ts";
import { type BodyKind, bodyKindOf, KeptBody } from "./kept-body.ts";

/** Whom a record asks what it is to tell. */
export interface DebugRules {
  /** The most that one of them asks for. */
  readonly debugBodyBytesMax: number;
  /** Of the rule that lets this address pass. */
  debugOf(address: string | null): RuleDebug | null;
}

const namesOf = new WeakMap<RuleDebug, SecretNames>();

function namesFor(debug: RuleDebug): SecretNames {
  let names = namesOf.get(debug);
  if (names === undefined) {
    names = new SecretNames(debug.redact);
    namesOf.set(debug, names);
  }
  return names;
}

class KeptExchange implements DebugRecord {
  readonly rules: DebugRules;
  readonly #startedWallMs: number;
  requestBody: KeptBody | null = null;
  responseKind: BodyKind | null = null;
  responseBody: KeptBody | null = null;

  constructor(rules: DebugRules, startedWallMs: number) {
    this.rules = rules;
    this.#startedWallMs = startedWallMs;
  }

  isAskedFor(address: string | null): boolean {
    return this.#askedBy(address) !== null;
  }

  notesFor(address: string | null): DebugNotes | null {
    const debug = this.#askedBy(address);
    if (debug === null) return null;
    return {
      headers: debug.headers,
      requestBody: loggedBody(this.requestBody, debug),
      responseBody: loggedBody(this.responseBody, debug),
    };
  }

  #askedBy(address: string | null): RuleDebug | null {
    const debug = this.rules.debugOf(address);
    return debug === null || debug.untilMs <= this.#startedWallMs ? null : debug;
  }
}

/** Kept from the moment at which the rules have let the request through. */
export function debugRecord(rules: DebugRules, wallMs: number): DebugRecord {
  return new KeptExchange(rules, wallMs);
}

function loggedBody(body: KeptBody | null, debug: RuleDebug): LoggedBody | null {
  const { bodyBytesMax } = debug;
  if (body === null || bodyBytesMax === 0) return null;
  const { kind, totalBytes } = body;
  const told = { type: kind.type, encoding: kind.encoding, bytes: totalBytes };
  const shown = kind.encoding !== null || kind.isPart ? null : kindOf(kind.type);
  const first = body.first(bodyBytesMax);
  const text = shown === null ? null : coverBody(first, shown, first.length < totalBytes, namesFor(debug));
  return { ...told, text: text?.text ?? null, isTruncated: text !== null && !text.isWhole };
}

/** Last in the chain, so that it sees what the origin gets and what it gives. */
export class DebugFeature implements Feature {
  readonly name = BY;

  requestBody(exchange: Exchange, next: BodySink, source: BodySource): BodyTransform | null {
    const record = recordOf(exchange);
    if (record === null || record.rules.debugBodyBytesMax === 0) return null;
    const kind = bodyKindOf(exchange.request.fields);
    record.requestBody = new KeptBody(next, source, kind, record.rules.debugBodyBytesMax);
    return record.requestBody;
  }

  upstreamResponse(exchange: Exchange): void {
    const record = recordOf(exchange);
    if (record !== null) record.responseKind = bodyKindOf(exchange.response!.fields);
  }

  upstreamResponseBody(exchange: Exchange, next: BodySink, source: BodySource): BodyTransform | null {
    const record = recordOf(exchange);
    if (record === null || record.responseKind === null || record.rules.debugBodyBytesMax === 0) return null;
    record.responseBody = new KeptBody(next, source, record.responseKind, record.rules.debugBodyBytesMax);
    return record.responseBody;
  }
}

function recordOf({ forward }: Exchange): KeptExchange | null {
  const debug = forward === null ? null : forward.debug;
  return debug instanceof KeptExchange ? debug : null;
}
