/**
 * The characters of HTTP/1.1, as tables of 256 entries: a parser's inner loop is one look-up a byte. Zero means that
 * the byte ends what is being read. No table contains NUL, which parsers put behind the last byte so that every loop
 * ends there.
 */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;
export const SLASH = 0x2f;
export const QUESTION_MARK = 0x3f;

/** A table with 1 for each byte that `includes` says. */
function characterClass(includes: (byte: number, character: string) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (includes(byte, String.fromCharCode(byte)) ? 1 : 0));
}

/** tchar (RFC 9110, section 5.6.2) */
export const TOKEN = characterClass((_, character) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character));

/** field-vchar, SP and HTAB (RFC 9110, section 5.5): every byte but the controls. */
export const VALUE = characterClass((byte) => byte === TAB || (byte >= SPACE && byte !== 0x7f));

/**
 * tchar without lower case letters. A method is case-sensitive, and none in the registry has a lower case letter; but
 * some servers take "head" for HEAD, and would then not send the body that we wait for (nginx refuses these too).
 */
export const METHOD = characterClass((byte, character) => TOKEN[byte] === 1 && !/[a-z]/.test(character));

/**
 * What may stand in a request target: visible ASCII without "#". RFC 3986 wants `"<>\^{|}` and the backquote
 * percent-encoded too, but browsers send some of them as they are, and no server takes one of them for a delimiter of
 * the message. Bytes above 0x7f have no meaning that all servers share.
 */
export const TARGET = characterClass((byte, character) => byte > SPACE && byte < 0x7f && character !== "#");

export const PATH_SLASH = 2;
export const PATH_DOT = 3;
/** A percent-encoding, or a backslash, which some take for a slash: such a path must be normalised. */
export const PATH_ENCODED = 4;

/** TARGET without "?": 1 for what normalisation never touches, otherwise one of the PATH_ constants. */
export const PATH = TARGET.map((included, byte) => {
  if (included === 0 || byte === QUESTION_MARK) return 0;
  const character = String.fromCharCode(byte);
  if (character === "/") return PATH_SLASH;
  if (character === ".") return PATH_DOT;
  return character === "%" || character === "\\" ? PATH_ENCODED : 1;
});

/** The value of a hexadecimal digit plus one; 0 for any other byte. */
export const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[0-9A-Fa-f]/.test(character) ? Number.parseInt(character, 16) + 1 : 0;
});
