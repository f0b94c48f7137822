/**
 * The request that the service is sent, made of the one that it is asked about. X-Forwarded-For, -Proto and -Host are
 * what the proxy has settled at the door, whoever sent them; -Method and -Uri are always our own, in the form in which
 * the request goes on.
 *
 * By default everything end-to-end goes along, but for what speaks of a message that the service does not get: the
 * body, and conditions and ranges, which would make a 304, 412 or 206 of an answer about something else.
 */
import { FieldBlock } from "../../core/fields.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { removeHopByHop } from "../../semantics/hop-by-hop.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import type { ForwardAuthOptions } from "./options.ts";

const OURS = ["x-forwarded-method", "x-forwarded-uri"];
const SETTLED = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/** Host is that of the service. */
const NEVER = ["host", "content-length", "expect", "trailer", "max-forwards", ...OURS];
const OF_CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"];
const OF_THE_BODY = [
  "content-digest",
  "content-encoding",
  "content-language",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "digest",
  "repr-digest",
];

export class Question {
  readonly #chosen: readonly string[] | null;
  readonly #withoutBody: NameVariants;
  readonly #withBody: NameVariants;
  readonly #preservesMethod: boolean;

  constructor({ requestHeaders, method }: Pick<ForwardAuthOptions, "requestHeaders" | "method">) {
    const chosen = requestHeaders?.filter((name) => !OURS.includes(name)) ?? null;
    this.#chosen = chosen === null ? null : [...new Set([...chosen, ...SETTLED])];
    this.#withBody = new NameVariants([...NEVER, ...OF_CONDITIONS]);
    this.#withoutBody = new NameVariants([...NEVER, ...OF_CONDITIONS, ...OF_THE_BODY]);
    this.#preservesMethod = method === "preserve";
  }

  methodFor(exchange: Exchange): string {
    return this.#preservesMethod ? exchange.request.method : "GET";
  }

  /** The fields, which are the caller's to release. */
  fieldsFor(exchange: Exchange, withBody: boolean): FieldBlock {
    const { request } = exchange;
    const fields = this.#chosen === null ? allOf(exchange) : chosenOf(request.fields, this.#chosen);
    if (this.#chosen === null) (withBody ? this.#withBody : this.#withoutBody).removeFrom(fields);
    fields.appendTrusted("X-Forwarded-Method", request.method);
    fields.appendTrusted("X-Forwarded-Uri", request.target);
    // A server that wants to know the length of a POST answers 411 when nobody says it.
    if (this.#preservesMethod && !withBody && request.bodyBytes !== 0) fields.appendTrusted("Content-Length", "0");
    return fields;
  }
}

function allOf({ request, receivedRows }: Exchange): FieldBlock {
  const fields = FieldBlock.copyOf(request.fields);
  removeHopByHop(fields, receivedRows);
  return fields;
}

function chosenOf(from: FieldBlock, names: readonly string[]): FieldBlock {
  const fields = new FieldBlock();
  for (const name of names) {
    for (let row = from.rowOf(name); row >= 0; row = from.rowOf(name, row + 1)) {
      fields.appendTrusted(from.nameAt(row), from.valueAt(row));
    }
  }
  return fields;
}
