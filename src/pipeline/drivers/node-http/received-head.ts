/**
 * The head of a request that Node has parsed, written out again as the bytes that our own codec reads: so one strictness
 * holds for both drivers, whatever Node or the program in front let pass.
 *
 * It decides what the program's changes count for. Order and spelling are those that came (`rawHeaders`), but what the
 * program sees and changes is `headers`: a field that it removed stays removed, one that it set is sent as it set it, and of
 * a repeated field of which Node shows the first line only, only that line goes on, since the program judged that one.
 * Framing is never taken from there: the body is the one that came.
 */
import type { IncomingMessage } from "node:http";

/** Framing and routing as they came: the codec refuses what is repeated or contradicts itself. */
const ALWAYS_AS_RECEIVED: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

type Line = readonly [name: string, value: string];

/** The head of `request` as an HTTP/1.1 message; the target is `request.url`, which mounting may have shortened. */
export function encodeReceivedHead(request: IncomingMessage): Buffer {
  const { method = "", url = "" } = request;
  const version = request.httpVersion === "1.0" ? "1.0" : "1.1";
  let text = `${harmless(method)} ${harmless(url)} HTTP/${version}\r\n`;
  for (const [name, value] of receivedLines(request)) {
    text += `${harmless(name).replaceAll(":", "\0")}: ${harmless(value)}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}

/** What could end a line, or is no byte, becomes NUL, which the codec refuses wherever it stands. */
function harmless(text: string): string {
  return text.replace(UNSAFE, "\0");
}

const UNSAFE = /[\r\n\u0100-\uffff]/g;

/** The lines as they came, with the program's changes. */
export function receivedLines(request: IncomingMessage): Line[] {
  const { rawHeaders, headers } = request;
  const received = new Map<string, string[]>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const values = received.get(name);
    if (values === undefined) received.set(name, [rawHeaders[i + 1]!]);
    else values.push(rawHeaders[i + 1]!);
  }
  const lines: Line[] = [];
  const replaced = new Set<string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    const lower = name.toLowerCase();
    // Pseudo-fields of HTTP/2 (RFC 9113, section 8.3).
    if (name.startsWith(":") || replaced.has(lower)) continue;
    const current = headers[lower];
    if (ALWAYS_AS_RECEIVED.has(lower) || isUnchanged(lower, current, received.get(lower)!)) {
      lines.push([name, rawHeaders[i + 1]!]);
    } else {
      replaced.add(lower);
      for (const value of valuesOf(current)) lines.push([name, value]);
    }
  }
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (name.startsWith(":") || received.has(lower) || ALWAYS_AS_RECEIVED.has(lower)) continue;
    for (const text of valuesOf(value)) lines.push([name, text]);
  }
  const authority = headers[":authority"];
  // RFC 9113, section 8.3.1: an intermediary to HTTP/1.1 makes Host of it.
  if (typeof authority === "string" && !received.has("host")) lines.unshift(["Host", authority]);
  return lines;
}

/** Whether `headers` shows what came. Cookie, which Node joins with "; ", goes on joined (RFC 9113, section 8.2.3). */
function isUnchanged(name: string, current: string | string[] | undefined, received: readonly string[]): boolean {
  if (Array.isArray(current)) {
    return current.length === received.length && current.every((value, i) => value === received[i]);
  }
  if (current === received.join(", ")) return true;
  // Several Hosts are for the codec to refuse.
  return name === "host" && current === received[0];
}

/** Programs also store numbers, and remove a field by storing undefined. */
function valuesOf(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value.map(String) : [String(value)];
}
