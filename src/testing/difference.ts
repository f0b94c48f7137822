/** What a dialogue shows when it fails: bytes as lines that can be read, line endings and controls spelled out. */

/** A dialogue went another way than its test says. */
export class DialogueError extends Error {
  override readonly name = "DialogueError";
}

/** Lines that are shown before the first difference, and of each side from there on. */
const CONTEXT_LINES = 3;
const LINES_MAX = 12;
const LINE_CHARACTERS_MAX = 160;

/** The bytes as lines, each with its ending spelled out. */
export function quoteBytes(bytes: Uint8Array): string {
  return bytes.length === 0 ? "  (nothing)" : clip(linesOf(bytes), "  ").join("\n");
}

/** Where two texts part: the line before it, then what was expected (-) and what came (+). */
export function describeDifference(expected: Uint8Array, received: Uint8Array): string {
  let offset = 0;
  while (offset < expected.length && offset < received.length && expected[offset] === received[offset]) offset++;
  const wanted = linesOf(expected);
  const came = linesOf(received);
  let line = 0;
  while (line < wanted.length && line < came.length && wanted[line] === came[line]) line++;
  return [
    `  first difference at byte ${offset} of ${received.length} received, ${expected.length} expected`,
    ...wanted.slice(Math.max(0, line - CONTEXT_LINES), line).map((text) => `    ${shorten(text)}`),
    ...clip(wanted.slice(line), "  - "),
    ...clip(came.slice(line), "  + "),
  ].join("\n");
}

function linesOf(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  return text.match(/[^\n]*\n|[^\n]+$/g)?.map(quoteLine) ?? [];
}

function quoteLine(line: string): string {
  return line.replace(/[^\x20-\x7e]|\\/g, (character) => {
    if (character === "\r") return "\\r";
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    if (character === "\\") return "\\\\";
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function clip(lines: readonly string[], mark: string): string[] {
  const shown = lines.slice(0, LINES_MAX).map((line) => mark + shorten(line));
  if (lines.length > LINES_MAX) shown.push(`${mark}... ${lines.length - LINES_MAX} more lines`);
  return shown;
}

function shorten(line: string): string {
  if (line.length <= LINE_CHARACTERS_MAX) return line;
  return `${line.slice(0, LINE_CHARACTERS_MAX)}... (${line.length} characters)`;
}
