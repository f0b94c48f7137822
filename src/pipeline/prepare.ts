/**
 * From the client's request to the one that the upstream gets, and from the upstream's answer to the client's: fields of
 * the one hop go, those that say who forwarded come. What is the same for every message is encoded once.
 */
import { ProxyError } from "../core/errors.ts";
import {
  FIELD_CONNECTION,
  FIELD_CONTENT_LENGTH,
  FIELD_DATE,
  FIELD_HOST,
  FIELD_KEEP_ALIVE,
  FIELD_PROXY_CONNECTION,
  FIELD_TE,
  FIELD_TRANSFER_ENCODING,
} from "../core/field-names.ts";
import { EncodedLines, type FieldBlock } from "../core/fields.ts";
import { BODY_UNTIL_END, type RequestMessage, type ResponseMessage } from "../core/message.ts";
import type { Clock } from "../core/ports.ts";
import { removeHopByHop } from "../semantics/hop-by-hop.ts";
import { viaValue } from "../semantics/via.ts";
import type { Exchange } from "./exchange.ts";
import type { Site } from "./site.ts";
import type { HostPolicy, UpstreamStream } from "./upstream.ts";

/** Our Via line for each version that a message can come in (RFC 9110 section 7.6.3). */
export class ViaLines {
  readonly name: string;
  readonly #of10: EncodedLines;
  readonly #of11: EncodedLines;
  readonly #of20: EncodedLines;

  constructor(name: string) {
    this.name = name;
    const lineOf = (version: number) => new EncodedLines([["Via", viaValue(version, name)]]);
    this.#of10 = lineOf(10);
    this.#of11 = lineOf(11);
    this.#of20 = lineOf(20);
  }

  of(httpVersion: number): EncodedLines {
    return httpVersion === 11 ? this.#of11 : httpVersion === 10 ? this.#of10 : this.#of20;
  }
}

/**
 * Once per exchange, after the request hooks: what does not depend on the server that was chosen. `receivedRows` are the
 * lines that came from the client: only those can be named in Connection.
 */
export function prepareRequest(request: RequestMessage, receivedRows: number, site: Site): void {
  removeHopByHop(request.fields, receivedRows);
  if (site.via !== null) request.fields.appendEncoded(site.via.of(request.httpVersion));
}

/** Once per attempt: Host, which may depend on the server. */
export function prepareHost(exchange: Exchange, policy: HostPolicy, stream: UpstreamStream): void {
  const { request } = exchange;
  if (policy === "preserve") {
    // An HTTP/1.0 client may have named no host; HTTP/1.1 to the upstream needs one (RFC 9112 section 3.2), of each attempt the server's.
    const isOurs = request.fields.rowOfId(FIELD_HOST) < 0 || (exchange.attempts > 1 && request.authority === "");
    if (isOurs) request.fields.set("Host", request.authority || stream.authority);
    return;
  }
  request.fields.set("Host", policy === "upstream" ? stream.authority : policy.name);
}

/** The upstream's answer, before any feature sees it. */
export function prepareResponse(response: ResponseMessage): void {
  removeHopByHop(response.fields);
}

/** Throws ProxyError when it is no length of a body, nor BODY_UNTIL_END: features can set any number. */
export function assertBodyBytes(bodyBytes: number): void {
  if (bodyBytes === BODY_UNTIL_END || (bodyBytes >= 0 && Number.isSafeInteger(bodyBytes))) return;
  throw new ProxyError("proxy_internal_error", `${bodyBytes} is no length of a body`);
}

/**
 * Fields of which features have no say: how the message is framed, and what becomes of the connection. A length may stay, as that
 * of a body that is not sent (HEAD); two of them say nothing.
 */
export function removeFraming(fields: FieldBlock): void {
  fields.deleteId(FIELD_CONNECTION);
  fields.deleteId(FIELD_KEEP_ALIVE);
  fields.deleteId(FIELD_PROXY_CONNECTION);
  fields.deleteId(FIELD_TE);
  fields.deleteId(FIELD_TRANSFER_ENCODING);
  const length = fields.rowOfId(FIELD_CONTENT_LENGTH);
  if (length >= 0 && fields.rowOfId(FIELD_CONTENT_LENGTH, length + 1) >= 0) fields.deleteId(FIELD_CONTENT_LENGTH);
}

/** What every final answer bears when it leaves. `forwarded`: it came from an upstream. */
export function completeResponse(response: ResponseMessage, site: Site, forwarded: boolean): void {
  const { fields } = response;
  if (fields.rowOfId(FIELD_DATE) < 0) fields.appendTrusted("Date", httpDate(site.clock));
  if (forwarded && site.via !== null) fields.appendEncoded(site.via.of(response.httpVersion));
}

let dateSecond = -1;
let dateText = "";

/** IMF-fixdate (RFC 9110 section 5.6.7), made once a second. */
function httpDate(clock: Clock): string {
  const second = Math.floor(clock.wallMs() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
