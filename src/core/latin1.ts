/**
 * Text on the wire is latin1: one byte a character. These two are Buffer's own methods, which its published types leave
 * out; they save the dispatch on an encoding's name that `toString` and `write` do for every field.
 */
interface Latin1Methods {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number): number;
}

/** The text at `bytes[start, end)`. */
export function latin1At(bytes: Buffer, start: number, end: number): string {
  return (bytes as Buffer & Latin1Methods).latin1Slice(start, end);
}

/** Writes text whose characters are all below U+0100 and returns the offset behind it. The caller has made room. */
export function putLatin1(target: Buffer, offset: number, text: string): number {
  return offset + (target as Buffer & Latin1Methods).latin1Write(text, offset);
}
