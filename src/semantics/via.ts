/**
 * Via (RFC 9110, section 7.6.3): what this hop adds to it, and how a request that was here before is recognised. It
 * never rewrites what others said.
 */
import { FIELD_VIA } from "../core/field-names.ts";
import type { FieldBlock } from "../core/fields.ts";

/**
 * The element that this hop adds behind the others, as a line of its own. `httpVersion` is that of the message
 * received.
 */
export function viaValue(httpVersion: number, name: string): string {
  const version = httpVersion >= 20 ? String(httpVersion / 10) : `1.${httpVersion - 10}`;
  return `${version} ${name}`;
}

/** Whether an element of Via was written under this name, compared without case. */
export function isLoop(fields: FieldBlock, name: string): boolean {
  const lowerName = name.toLowerCase();
  for (let row = fields.rowOfId(FIELD_VIA); row >= 0; row = fields.rowOfId(FIELD_VIA, row + 1)) {
    if (receivers(fields.valueAt(row)).includes(lowerName)) return true;
  }
  return false;
}

/**
 * The received-by of each element, in lower case:
 *
 *     Via = #( received-protocol RWS received-by [ RWS comment ] )
 *
 * What stands in a comment (they nest, RFC 9110 section 5.6.5) or between quotes is no name and separates nothing.
 */
function receivers(value: string): string[] {
  return withoutComments(value)
    .split(",")
    .map(
      (element) =>
        element
          .trim()
          .toLowerCase()
          .split(/[ \t]+/)[1] ?? "",
    );
}

function withoutComments(value: string): string {
  if (!/[("]/.test(value)) return value;
  let text = "";
  let depth = 0;
  let isQuoted = false;
  for (let i = 0; i < value.length; i++) {
    const character = value[i]!;
    if (character === "\\" && (depth > 0 || isQuoted)) i++;
    else if (isQuoted) isQuoted = character !== '"';
    else if (character === "(") depth++;
    else if (depth > 0) depth -= character === ")" ? 1 : 0;
    else if (character === '"') isQuoted = true;
    else text += character;
  }
  return text;
}
