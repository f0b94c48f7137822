/** Names of certificates as one line of visible ASCII (RFC 4514), which every field and every file can hold. */

/** Any byte may be written as a backslash and two hexadecimal digits (section 2.4): what is not ASCII is, as openssl writes it. */
export function asciiName(name: string): string {
  return escapeBytes(name, /[^\x20-\x7e]/gu, "\\");
}

/** Replaces what matches by the bytes of its UTF-8, each as `mark` and two hexadecimal digits. */
export function escapeBytes(text: string, pattern: RegExp, mark: "\\" | "%"): string {
  return text.replace(pattern, (character) =>
    Buffer.from(character, "utf8").toString("hex").toUpperCase().replace(/../g, `${mark}$&`),
  );
}
