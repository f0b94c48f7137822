/**
 * How an exchange becomes a line of the access log: the configured format, compiled once to a function, so that a line
 * costs the reading of its fields and the joining of texts. Nothing here knows where lines go or which are wanted.
 *
 * Values of redacted header fields and parameters never reach a line: `[redacted]` says that something was there.
 */
import type { AccessField, AccessFieldName, AccessTemplate } from "../config/access-fields.ts";
import type { AccessLogConfig } from "../config/config.ts";
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { coverParameters, coverQuery } from "../semantics/query.ts";
import {
  debugMembers,
  isSecretField,
  REDACTED,
  requestFieldsJson,
  responseFieldsJson,
  type ShowValue,
} from "./access-debug.ts";
import {
  type CompoundName,
  causesOf,
  type FieldReader,
  fieldReader,
  protocolOf,
  type RecordSurroundings,
  startedWallMs,
  statusOf,
  userOf,
} from "./access-record.ts";
import { jsonText, lineText, templateText } from "./access-text.ts";

/** The line, its line break included. Called when the exchange has ended and still has its fields. */
export type LineFormat = (exchange: Exchange) => string;

/** Stands for a value that is not there, in formats whose fields have no names. */
const ABSENT = "-";

/** What no line may show. */
interface Redacted {
  /** Of header fields, in lower case. */
  readonly fields: ReadonlySet<string>;
  /** Of parameters in queries, decoded; null: none. */
  readonly parameters: ReadonlySet<string> | null;
}

export function compileLineFormat(
  { format, redact, redactQuery }: Pick<AccessLogConfig, "format" | "redact" | "redactQuery">,
  around: RecordSurroundings,
): LineFormat {
  const parameters = redactQuery.length === 0 ? null : new Set(redactQuery);
  const redacted: Redacted = { fields: new Set(redact), parameters };
  switch (format.kind) {
    case "json":
      return compileJson(format.fields, redacted, around);
    case "combined":
      return compileCombined(redacted, around);
    case "template":
      return compileTemplate(format.parts, redacted, around);
  }
}

/** One object a line; a field that does not apply to the exchange is left out. */
function compileJson(fields: readonly AccessField[], redacted: Redacted, around: RecordSurroundings): LineFormat {
  const show = showIn(redacted);
  const hasHeaders = fields.some((field) => allFieldsOf(field) !== null);
  const members = fields.map((field): ((exchange: Exchange) => string) => {
    const key = `,${jsonText(nameOf(field))}:`;
    if (field.kind === "field" && field.name === "error") {
      return ({ error }) => (error === null ? "" : key + errorJson(error));
    }
    const allFields = allFieldsOf(field);
    if (allFields !== null) {
      return (exchange) => {
        const json = allFields(exchange, show);
        return json === null ? "" : key + json;
      };
    }
    const read = readerOf(field, redacted, around);
    return (exchange) => {
      const value = read(exchange);
      if (value === null) return "";
      return key + (typeof value === "number" ? value : jsonText(value));
    };
  });
  return (exchange) => {
    let line = "";
    for (const member of members) line += member(exchange);
    if (exchange.forward !== null) line += debugMembers(exchange, show, hasHeaders);
    return `{${line.slice(1)}}\n`;
  };
}

/** For fields that nobody has named: beside those that are never shown, those that seem to be secret. */
function showIn(redacted: Redacted): ShowValue {
  return (name, value) => {
    if (redacted.fields.has(name)) return REDACTED;
    const shown = FIELDS_OF_URLS.has(name) ? covered(value, redacted) : value;
    return isSecretField(name, shown) ? REDACTED : shown;
  };
}

/** What a field says that says all header fields; null: it is another one. */
function allFieldsOf(field: AccessField): ((exchange: Exchange, show: ShowValue) => string | null) | null {
  if (field.kind !== "field") return null;
  if (field.name === "requestHeaders") return requestFieldsJson;
  return field.name === "responseHeaders" ? responseFieldsJson : null;
}

function nameOf(field: AccessField): string {
  if (field.kind === "field") return field.name;
  return `${field.kind === "requestHeader" ? "header" : "responseHeader"}:${field.name}`;
}

function errorJson(error: ProxyError): string {
  const causes = causesOf(error).map(jsonText);
  const chain = causes.length === 0 ? "" : `,"causes":[${causes.join()}]`;
  const reason = error.reason === null ? "" : `,"reason":${jsonText(error.reason)}`;
  return `{"type":"${error.type}","side":"${error.side}"${reason},"message":${jsonText(error.message.trimEnd())}${chain}}`;
}

/** `connection_refused (upstream): cannot connect to ...: connect ECONNREFUSED ...` */
function errorText(error: ProxyError): string {
  const reason = error.reason === null ? "" : ` ${error.reason}`;
  return `${error.type} (${error.side})${reason}: ${[error.message.trimEnd(), ...causesOf(error)].join(": ")}`;
}

/**
 * Apache's: `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, times in UTC. Who reads it splits at spaces, so that those of a
 * user's name are escaped.
 */
function compileCombined(redacted: Redacted, around: RecordSurroundings): LineFormat {
  const referer = textOf(requestHeader("referer", redacted), lineText);
  const userAgent = textOf(requestHeader("user-agent", redacted), lineText);
  return (exchange) => {
    const { request, responseBodyBytes } = exchange;
    const client = lineText(exchange.clientAddress) || ABSENT;
    const time = clfTime(startedWallMs(exchange, around.clock));
    const target = covered(request.receivedTarget, redacted);
    const line = target === "" ? ABSENT : `${request.method} ${lineText(target)} ${protocolOf(exchange)}`;
    const bytes = responseBodyBytes === 0 ? ABSENT : responseBodyBytes;
    const status = statusOf(exchange);
    const subject = userOf(exchange);
    const user = subject === null ? ABSENT : lineText(subject).replaceAll(" ", "\\x20") || ABSENT;
    return `${client} - ${user} [${time}] "${line}" ${status} ${bytes} "${referer(exchange)}" "${userAgent(exchange)}"\n`;
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

let second = Number.NaN;
let secondText = "";

/** "21/Nov/2026:05:36:12 +0000", made once a second. */
function clfTime(wallMs: number): string {
  const seconds = Math.floor(wallMs / 1000);
  if (seconds !== second) {
    second = seconds;
    const iso = new Date(seconds * 1000).toISOString();
    const month = MONTHS[Number(iso.slice(5, 7)) - 1];
    secondText = `${iso.slice(8, 10)}/${month}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
  }
  return secondText;
}

function compileTemplate(parts: AccessTemplate, redacted: Redacted, around: RecordSurroundings): LineFormat {
  const show = showIn(redacted);
  const texts = parts.map((part): ((exchange: Exchange) => string) => {
    if (typeof part === "string") {
      // The operator's own words: only what would end the line is escaped.
      const literal = part.replace(/[\r\n]/g, templateText);
      return () => literal;
    }
    if (part.kind === "field" && part.name === "error") {
      return ({ error }) => (error === null ? ABSENT : templateText(errorText(error)));
    }
    const allFields = allFieldsOf(part);
    if (allFields !== null) return (exchange) => templateText(allFields(exchange, show) ?? ABSENT);
    return textOf(readerOf(part, redacted, around), templateText);
  });
  return (exchange) => {
    let line = "";
    for (const text of texts) line += text(exchange);
    return `${line}\n`;
  };
}

function textOf(read: FieldReader, escaped: (value: string) => string): (exchange: Exchange) => string {
  return (exchange) => {
    const value = read(exchange);
    if (value === null) return ABSENT;
    return typeof value === "number" ? String(value) : escaped(value) || ABSENT;
  };
}

/** Of every field that is a single value. */
function readerOf(field: AccessField, redacted: Redacted, around: RecordSurroundings): FieldReader {
  switch (field.kind) {
    case "requestHeader":
      return requestHeader(field.name, redacted);
    case "responseHeader":
      return fromFields(field.name, redacted, ({ response }) => response?.fields ?? null);
    case "field":
      return isCompound(field.name) ? () => null : queryReader(field.name, redacted, around);
  }
}

function isCompound(name: AccessFieldName): name is CompoundName {
  return name === "error" || name === "requestHeaders" || name === "responseHeaders";
}

/** Fields that repeat a URL of ours, its query included. */
const FIELDS_OF_URLS: ReadonlySet<string> = new Set(["referer", "location", "content-location"]);

/** A field of the exchange; of those that hold a query, without what is redacted there. */
function queryReader(
  name: Exclude<AccessFieldName, CompoundName>,
  redacted: Redacted,
  around: RecordSurroundings,
): FieldReader {
  const read = fieldReader(name, around);
  const { parameters } = redacted;
  if (parameters === null || (name !== "query" && name !== "uri" && name !== "url")) return read;
  return (exchange) => {
    const text = read(exchange);
    if (typeof text !== "string") return text;
    return name === "query" ? coverQuery(text, parameters, REDACTED) : covered(text, redacted);
  };
}

function covered(url: string, { parameters }: Redacted): string {
  return parameters === null ? url : coverParameters(url, parameters, REDACTED);
}

function requestHeader(name: string, redacted: Redacted): FieldReader {
  return fromFields(name, redacted, ({ request }) => request.fields);
}

function fromFields(
  name: string,
  redacted: Redacted,
  fieldsOf: (exchange: Exchange) => FieldBlock | null,
): FieldReader {
  if (redacted.fields.has(name)) return (exchange) => (fieldsOf(exchange)?.has(name) === true ? REDACTED : null);
  if (redacted.parameters !== null && FIELDS_OF_URLS.has(name)) {
    return (exchange) => {
      const url = fieldsOf(exchange)?.get(name) ?? null;
      return url === null ? null : covered(url, redacted);
    };
  }
  return (exchange) => fieldsOf(exchange)?.get(name) ?? null;
}
