/**
 * The feature `compress`: encodes the bodies of answers for clients that accept it. What makes an answer eligible is
 * decided in eligibility.ts, the coding by the client's weights and then the configured order; this file says what else
 * changes in an answer whose bytes change (RFC 9110, section 8.4 and 12.5.5).
 *
 * Encoders cost memory for as long as their client takes: a thread has a budget for them, and an answer that does not
 * fit in is sent as it is.
 */
import { FIELD_CONTENT_LENGTH, fieldIdOf } from "../../core/field-names.ts";
import type { FieldBlock } from "../../core/fields.ts";
import { BODY_UNTIL_END, type RequestMessage, type ResponseMessage } from "../../core/message.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { BodySink, BodySource, Feature } from "../../pipeline/phases.ts";
import { chooseCoding } from "../../semantics/content-coding.ts";
import { listHas } from "../../semantics/field-list.ts";
import { namesEntityTag, weakened } from "../../semantics/validators.ts";
import { type Coding, makeCodings } from "./codings.ts";
import { forbidsTransform, isCompressible, MediaTypes } from "./eligibility.ts";
import { EncodingBody } from "./encoding-body.ts";
import type { CompressOptions } from "./options.ts";

const FIELD_ETAG = fieldIdOf("etag");
const FIELD_VARY = fieldIdOf("vary");

/** Fields about the bytes as they were: wrong once these are encoded (RFC 9530; Content-MD5 of RFC 1864). */
const DIGESTS = ["content-md5", "digest", "content-digest", "repr-digest"];

/** Memory that encoders of one thread may take together: about a thousand of gzip, two hundred of br. */
const ENCODERS_BYTES_MAX = 256 * 1024 * 1024;

/** What encoders take of a limit. */
export class EncoderBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** All routes of a thread share it. */
const THREAD_BUDGET = new EncoderBudget(ENCODERS_BYTES_MAX);

/** What the feature keeps of an exchange whose answer it encodes. */
interface Encoding {
  readonly coding: Coding;
  body: EncodingBody | null;
}

export function createCompressFeature(options: CompressOptions, budget: EncoderBudget = THREAD_BUDGET): Feature {
  return new CompressFeature(options, budget);
}

class CompressFeature implements Feature {
  readonly name = "compress";
  readonly #codings: ReadonlyMap<string, Coding>;
  readonly #offered: readonly string[];
  readonly #types: MediaTypes;
  readonly #minBytes: number;
  readonly #budget: EncoderBudget;

  constructor(options: CompressOptions, budget: EncoderBudget) {
    this.#codings = makeCodings(options.encodings, options.level);
    this.#offered = [...this.#codings.keys()];
    this.#types = new MediaTypes(options.types);
    this.#minBytes = options.minBytes;
    this.#budget = budget;
  }

  response(exchange: Exchange, response: ResponseMessage): void {
    const { request } = exchange;
    // In place of an answer that was to be encoded comes that of an error, of which nothing is decided yet.
    if (exchange.error !== null) this.#letGo(exchange);
    if (response.status === 304) confirmWeakened(request, response);
    if (!isCompressible(request, response, this.#types, this.#minBytes)) return;
    addVary(response.fields);
    if (request.method === "HEAD" || forbidsTransform(request)) return;
    const coding = this.#codings.get(chooseCoding(request.fields.get("accept-encoding"), this.#offered) ?? "");
    if (coding === undefined || !this.#budget.take(coding.memoryBytes)) return;
    exchange.locals.set(this, { coding, body: null } satisfies Encoding);
    announce(response, coding);
  }

  responseBody(exchange: Exchange, next: BodySink, source: BodySource): EncodingBody | null {
    const encoding = this.#encodingOf(exchange);
    if (encoding === null) return null;
    encoding.body = new EncodingBody(encoding.coding, next, source);
    return encoding.body;
  }

  trailers(exchange: Exchange, fields: FieldBlock): void {
    if (this.#encodingOf(exchange) !== null) for (const name of DIGESTS) fields.delete(name);
  }

  log(exchange: Exchange): void {
    this.#letGo(exchange);
  }

  #letGo(exchange: Exchange): void {
    const encoding = this.#encodingOf(exchange);
    if (encoding === null) return;
    exchange.locals.delete(this);
    encoding.body?.dispose();
    this.#budget.giveBack(encoding.coding.memoryBytes);
  }

  #encodingOf(exchange: Exchange): Encoding | null {
    return (exchange.locals.get(this) as Encoding | undefined) ?? null;
  }
}

/** The head of an answer whose body will be encoded. */
function announce(response: ResponseMessage, coding: Coding): void {
  const { fields } = response;
  fields.appendTrusted("Content-Encoding", coding.name);
  fields.deleteId(FIELD_CONTENT_LENGTH);
  response.bodyBytes = BODY_UNTIL_END;
  // Ranges would be of the bytes before the encoding, which no client of this answer has.
  fields.delete("accept-ranges");
  for (const name of DIGESTS) fields.delete(name);
  weakenEntityTag(fields);
}

/**
 * A 304 for a client that holds an encoded answer: its entity tag is the weak one, so that caches find what it confirms
 * (RFC 9111, section 4.3.4). Whether the client's answer was encoded shows in what it asked with.
 */
function confirmWeakened(request: RequestMessage, { fields }: ResponseMessage): void {
  const asked = request.fields.get("if-none-match");
  const weak = weakened(fields.get("etag") ?? "");
  if (asked === null || weak === null || !namesEntityTag(asked, weak)) return;
  weakenEntityTag(fields);
  addVary(fields);
}

function weakenEntityTag(fields: FieldBlock): void {
  const row = fields.rowOfId(FIELD_ETAG);
  const weak = row < 0 ? null : weakened(fields.valueAt(row));
  if (weak !== null) fields.set("ETag", weak);
}

/** RFC 9110 section 12.5.5: the answer depends on Accept-Encoding, also when it is sent as it is. */
function addVary(fields: FieldBlock): void {
  for (let row = fields.rowOfId(FIELD_VARY); row >= 0; row = fields.rowOfId(FIELD_VARY, row + 1)) {
    const value = fields.valueAt(row);
    if (listHas(value, "accept-encoding") || listHas(value, "*")) return;
  }
  fields.appendTrusted("Vary", "Accept-Encoding");
}
