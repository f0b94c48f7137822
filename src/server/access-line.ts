/**
 * How an exchange becomes a line of the access log: the configured format, compiled once to a function, so that a line
 * costs the reading of its fields and the joining of texts. Nothing here knows where lines go or which are wanted.
 *
 * Values of redacted header fields never reach a line: `[redacted]` says that the field was there.
 */
import type { AccessField, AccessTemplate } from "../config/access-fields.ts";
import type { AccessFormat } from "../config/config.ts";
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import {
  causesOf,
  type FieldReader,
  fieldReader,
  protocolOf,
  type RecordSurroundings,
  startedWallMs,
  statusOf,
} from "./access-record.ts";
import { jsonText, lineText } from "./access-text.ts";

/** The line, its line break included. Called when the exchange has ended and still has its fields. */
export type LineFormat = (exchange: Exchange) => string;

const REDACTED = "[redacted]";
/** Stands for a value that is not there, in formats whose fields have no names. */
const ABSENT = "-";

/** `redact`: names of header fields in lower case. */
export function compileLineFormat(
  format: AccessFormat,
  redact: readonly string[],
  around: RecordSurroundings,
): LineFormat {
  const redacted = new Set(redact);
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
function compileJson(
  fields: readonly AccessField[],
  redacted: ReadonlySet<string>,
  around: RecordSurroundings,
): LineFormat {
  const members = fields.map((field): ((exchange: Exchange) => string) => {
    const key = `,${jsonText(nameOf(field))}:`;
    if (field.kind === "field" && field.name === "error") {
      return ({ error }) => (error === null ? "" : key + errorJson(error));
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
    return `{${line.slice(1)}}\n`;
  };
}

function nameOf(field: AccessField): string {
  if (field.kind === "field") return field.name;
  return `${field.kind === "requestHeader" ? "header" : "responseHeader"}:${field.name}`;
}

function errorJson(error: ProxyError): string {
  const causes = causesOf(error).map(jsonText);
  const chain = causes.length === 0 ? "" : `,"causes":[${causes.join()}]`;
  const reason = error.reason === null ? "" : `,"reason":${jsonText(error.reason)}`;
  return `{"type":"${error.type}","side":"${error.side}"${reason},"message":${jsonText(error.message)}${chain}}`;
}

/** `connection_refused (upstream): cannot connect to ...: connect ECONNREFUSED ...` */
function errorText(error: ProxyError): string {
  const reason = error.reason === null ? "" : ` ${error.reason}`;
  return `${error.type} (${error.side})${reason}: ${[error.message, ...causesOf(error)].join(": ")}`;
}

/** Apache's: `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, times in UTC. */
function compileCombined(redacted: ReadonlySet<string>, around: RecordSurroundings): LineFormat {
  const referer = textOf(requestHeader("referer", redacted));
  const userAgent = textOf(requestHeader("user-agent", redacted));
  return (exchange) => {
    const { request, responseBodyBytes } = exchange;
    const client = lineText(exchange.clientAddress) || ABSENT;
    const time = clfTime(startedWallMs(exchange, around.clock));
    const target = request.receivedTarget;
    const line = target === "" ? ABSENT : `${request.method} ${lineText(target)} ${protocolOf(exchange)}`;
    const bytes = responseBodyBytes === 0 ? ABSENT : responseBodyBytes;
    const status = statusOf(exchange);
    return `${client} - - [${time}] "${line}" ${status} ${bytes} "${referer(exchange)}" "${userAgent(exchange)}"\n`;
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

function compileTemplate(parts: AccessTemplate, redacted: ReadonlySet<string>, around: RecordSurroundings): LineFormat {
  const texts = parts.map((part): ((exchange: Exchange) => string) => {
    if (typeof part === "string") {
      // The operator's own words: only what would end the line is escaped.
      const literal = part.replace(/[\r\n]/g, lineText);
      return () => literal;
    }
    if (part.kind === "field" && part.name === "error") {
      return ({ error }) => (error === null ? ABSENT : lineText(errorText(error)));
    }
    return textOf(readerOf(part, redacted, around));
  });
  return (exchange) => {
    let line = "";
    for (const text of texts) line += text(exchange);
    return `${line}\n`;
  };
}

function textOf(read: FieldReader): (exchange: Exchange) => string {
  return (exchange) => {
    const value = read(exchange);
    if (value === null) return ABSENT;
    return typeof value === "number" ? String(value) : lineText(value) || ABSENT;
  };
}

/** Of every field but `error`. */
function readerOf(field: AccessField, redacted: ReadonlySet<string>, around: RecordSurroundings): FieldReader {
  switch (field.kind) {
    case "requestHeader":
      return requestHeader(field.name, redacted);
    case "responseHeader":
      return fromFields(field.name, redacted, ({ response }) => response?.fields ?? null);
    case "field":
      return field.name === "error" ? () => null : fieldReader(field.name, around);
  }
}

function requestHeader(name: string, redacted: ReadonlySet<string>): FieldReader {
  return fromFields(name, redacted, ({ request }) => request.fields);
}

function fromFields(
  name: string,
  redacted: ReadonlySet<string>,
  fieldsOf: (exchange: Exchange) => FieldBlock | null,
): FieldReader {
  if (redacted.has(name)) return (exchange) => (fieldsOf(exchange)?.has(name) === true ? REDACTED : null);
  return (exchange) => fieldsOf(exchange)?.get(name) ?? null;
}
