/**
 * HTTP/1.1 messages read by regular expressions on a string: slow, and written from the grammar without a look at the
 * codec. Fuzz tests hold the codec against it: both must find the same messages in the same bytes.
 */

export interface ReferenceMessage {
  readonly start: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Z]{1,32}) ([\x21\x22\x24-\x7e]+) HTTP\/1\.([0-9])\r\n/;
const STATUS_LINE = /^HTTP\/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n/;
const FIELD_LINES = /^((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n/;
const HOST_NAME = String.raw`[-_0-9A-Za-z]+(?:\.[-_0-9A-Za-z]+)*\.?`;
/** Looser than the codec for IPv6: what differs there is tested where it is parsed. */
const AUTHORITY = new RegExp(String.raw`^(?:${HOST_NAME}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?$`);
const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const QUOTED = String.raw`"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"`;
const CHUNK_LINE = new RegExp(`^([0-9A-Fa-f]{1,13})(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*\r\n`);

/** Limits that a reading must keep to; the same as the codec's. */
export interface ReferenceLimits {
  readonly headBytesMax: number;
  readonly requestLineBytesMax: number;
  readonly fieldsMax: number;
}

function isAuthority(text: string, portNeeded: boolean): boolean {
  const match = AUTHORITY.exec(text);
  if (match === null) return false;
  return match[1] === undefined ? !portNeeded : Number(match[1]) <= 65535;
}

function isTarget(method: string, target: string): boolean {
  if (method === "CONNECT") return isAuthority(target, true);
  if (target.startsWith("/")) return true;
  if (target === "*") return method === "OPTIONS";
  const absolute = /^https?:\/\/([^/?]*)/i.exec(target);
  return absolute !== null && isAuthority(absolute[1]!, false);
}

/** Reads the message that begins `text`; null: it does not begin with a whole one that is valid. */
export function readRequest(
  text: string,
  limits: ReferenceLimits,
): { message: ReferenceMessage; length: number; persistent: boolean } | null {
  const empty = /^(?:\r\n){0,4}(?!\r\n)/.exec(text)?.[0].length;
  if (empty === undefined) return null;
  const line = REQUEST_LINE.exec(text.slice(empty));
  if (line === null) return null;
  const [whole, method, target, minorText] = line as unknown as [string, string, string, string];
  const minor = minorText === "0" ? 0 : 1;
  if (whole.length - 2 > limits.requestLineBytesMax || !isTarget(method, target)) return null;
  const section = readFields(text.slice(empty + whole.length), limits.fieldsMax);
  if (section === null) return null;
  const headBytes = whole.length + section.length;
  if (headBytes > limits.headBytesMax) return null;
  const valuesOf = (name: string) => section.fields.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value);
  const hosts = valuesOf("host");
  if (hosts.length > 1 || (hosts.length === 0 && minor === 1)) return null;
  if (hosts.length === 1 && !isAuthority(hosts[0]!, false)) return null;
  const framing = readFraming(valuesOf("transfer-encoding"), valuesOf("content-length"), minor);
  if (framing === null || (framing !== "none" && method === "CONNECT")) return null;
  const members = (name: string) =>
    valuesOf(name).flatMap((value) => value.toLowerCase().split(",").map(trim).filter(Boolean));
  if (minor === 1 && members("expect").some((member) => member !== "100-continue")) return null;
  const options = members("connection");
  const persistent = !options.includes("close") && (minor === 1 || options.includes("keep-alive"));
  const body = readBody(text.slice(empty + headBytes), framing);
  if (body === null) return null;
  const message = { start: `${method} ${target} HTTP/1.${minor}`, fields: section.fields, body: body.data };
  return { message, length: empty + headBytes + body.length, persistent };
}

/** Reads the response to a GET that begins `text`; null: it does not begin with a whole one that is valid. */
export function readResponse(
  text: string,
  limits: ReferenceLimits,
): { message: ReferenceMessage; length: number; persistent: boolean } | null {
  const line = STATUS_LINE.exec(text);
  if (line === null) return null;
  const minor = line[1] === "0" ? 0 : 1;
  const status = Number(line[2]);
  const section = readFields(text.slice(line[0].length), limits.fieldsMax);
  if (section === null) return null;
  const headBytes = line[0].length + section.length;
  if (headBytes > limits.headBytesMax) return null;
  const valuesOf = (name: string) => section.fields.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value);
  const framing = readFraming(valuesOf("transfer-encoding"), valuesOf("content-length"), minor);
  if (framing === null) return null;
  const options = valuesOf("connection").flatMap((value) => value.toLowerCase().split(",").map(trim));
  const persistent = status < 200 || (!options.includes("close") && (minor === 1 || options.includes("keep-alive")));
  const without = status < 200 || status === 204 || status === 304;
  const rest = text.slice(headBytes);
  const body = without
    ? { data: "", length: 0 }
    : framing === "none"
      ? { data: rest, length: rest.length }
      : readBody(rest, framing);
  if (body === null) return null;
  const message = { start: `HTTP/1.${minor} ${status} ${line[3] ?? ""}`, fields: section.fields, body: body.data };
  return { message, length: headBytes + body.length, persistent };
}

function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}

function readFields(text: string, fieldsMax: number): { fields: [string, string][]; length: number } | null {
  const match = FIELD_LINES.exec(text);
  if (match === null) return null;
  const lines = match[1]!.split("\r\n").slice(0, -1);
  if (lines.length > fieldsMax) return null;
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), trim(line.slice(colon + 1))];
  });
  return { fields, length: match[0].length };
}

type Framing = "none" | "chunked" | number;

function readFraming(codings: readonly string[], lengths: readonly string[], minor: number): Framing | null {
  if (codings.length === 0 && lengths.length === 0) return "none";
  if (codings.length + lengths.length > 1) return null;
  if (codings.length === 1) return minor === 1 && codings[0]!.toLowerCase() === "chunked" ? "chunked" : null;
  return /^(?:0|[1-9][0-9]{0,14})$/.test(lengths[0]!) ? Number(lengths[0]) : null;
}

function readBody(text: string, framing: Framing): { data: string; length: number } | null {
  if (framing === "none") return { data: "", length: 0 };
  if (framing !== "chunked") return text.length < framing ? null : { data: text.slice(0, framing), length: framing };
  let data = "";
  let at = 0;
  let overhead = 0;
  for (;;) {
    const line = CHUNK_LINE.exec(text.slice(at, at + 257));
    if (line === null || line[0].length > 256) return null;
    const size = Number.parseInt(line[1]!, 16);
    overhead = Math.max(0, overhead + line[0].length - 16 - size);
    if (overhead > 16 * 1024) return null;
    at += line[0].length;
    if (size === 0) break;
    if (text.slice(at + size, at + size + 2) !== "\r\n") return null;
    data += text.slice(at, at + size);
    at += size + 2;
  }
  const trailers = readFields(text.slice(at), 128);
  if (trailers === null || (trailers.fields.length > 0 && trailers.length > 8 * 1024)) return null;
  return { data, length: at + trailers.length };
}
