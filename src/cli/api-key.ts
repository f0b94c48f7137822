/**
 * `headgate api-key`: draws a key for `apiKey` and shows it once, with the line that stands for it in a configuration. The
 * line alone goes to standard output, so that it can be appended to a file while the key is read on the screen.
 */
import { createHash, randomBytes } from "node:crypto";
import { CommandError, STATUS_USAGE } from "./command-error.ts";

/** 256 bits: nobody tries them all, so that a fast hash keeps the key secret. */
const KEY_BYTES = 32;
/** By which people, and what scans repositories for secrets, know what it is. */
const PREFIX = "hgk_";

export function printNewApiKey(name: string): void {
  if (!/^[^:\p{Cc}]+$/u.test(name) || name.trim() !== name || name.startsWith("#") || Buffer.byteLength(name) > 255) {
    throw new CommandError(
      ["a name has no colons and control characters, and no # or space at its beginning"],
      STATUS_USAGE,
    );
  }
  const key = PREFIX + randomBytes(KEY_BYTES).toString("base64url");
  console.error(`The key, which is shown this once:\n\n  ${key}\n\nThe line for the file of apiKey:\n`);
  console.log(`${name}:${createHash("sha256").update(key).digest("hex")}`);
}
