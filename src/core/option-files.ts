/**
 * Options that name files: paths, which become absolute, and secrets, which may stand in a file of their own. It decides
 * which text becomes which path; how a file is read is decided by whoever runs the parse.
 */
import { z } from "zod";
import { describeValue, textKind } from "./option-types.ts";

/** How a parse reaches files. Set by whoever loads a configuration; schemas themselves know no file system. */
export interface OptionFiles {
  /** The absolute path of one that may be relative to the configuration's folder. */
  resolvePath(path: string): string;
  /** The text of a small file without its last line break; throws an Error whose message says why it cannot be read. */
  readSecret(path: string): string;
  /** The same for a small file whose bytes may be no text. */
  readSecretBytes(path: string): Uint8Array;
}

const NO_FILES: OptionFiles = {
  resolvePath: (path) => path,
  readSecret: cannotRead,
  readSecretBytes: cannotRead,
};

function cannotRead(): never {
  throw new Error("files cannot be read here");
}

/** Parsing is synchronous, so the files of the parse that runs can stand here while it runs, and only then. */
let filesOfParse = NO_FILES;

/** Runs one synchronous parse in which paths and secrets are resolved by `files`. */
export function parseWithFiles<T>(files: OptionFiles, parse: () => T): T {
  const before = filesOfParse;
  filesOfParse = files;
  try {
    return parse();
  } finally {
    filesOfParse = before;
  }
}

/** The absolute path of a file that an option names. */
export function resolveOptionPath(path: string): string {
  return filesOfParse.resolvePath(path);
}

/** Whether anything is there is decided by whoever opens it. */
function absolutePath(text: string): string | null {
  return text === "" || text.includes("\0") ? null : filesOfParse.resolvePath(text);
}

/** A file; gives its absolute path. */
export const filePath = textKind<string>({
  id: "path",
  expected: "the path of a file",
  description: "The path of a file. A relative one begins at the folder of the configuration file.",
  parse: absolutePath,
});

/** A folder, in the same way. */
export const folderPath = textKind<string>({
  id: "folder",
  expected: "the path of a folder",
  description: "The path of a folder. A relative one begins at the folder of the configuration file.",
  parse: absolutePath,
});

const secretFileName = z
  .strictObject({
    file: z.string().min(1).describe("The path of the file, relative to the configuration file's folder."),
  })
  .meta({ id: "secretFile", description: "A value that stands in a file of its own; its last line break is dropped." });

const secretFile = secretFileName.transform(
  ({ file }, context): string => readForOption(file, context, (path) => filesOfParse.readSecret(path)) ?? z.NEVER,
);

/** What `read` gives for a file that an option names; null, with an issue that says why, when it throws. */
function readForOption<T>(
  file: string,
  context: z.RefinementCtx,
  read: (path: string) => T,
  what = "secret file",
): T | null {
  try {
    return read(filesOfParse.resolvePath(file));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    context.addIssue({ code: "custom", message: `cannot read the ${what} ${describeValue(file)}: ${reason}` });
    return null;
  }
}

/**
 * Text of the given type (one that never shows a value in its messages), or `{ file: path }` whose content is that text. `inFile` is
 * the type of the content, where it is another one.
 */
export function secret<T extends z.ZodType<unknown, string>, F extends z.ZodType<unknown, string> = T>(
  text: T,
  inFile?: F,
) {
  return z.union([text, secretFile.pipe((inFile ?? text) as F)]);
}

/** One for all fields: the JSON Schema has it once. */
const certificatesFileName = z
  .string()
  .min(1)
  .meta({ id: "certificatesFile", description: "The path of a PEM file with one or more certificates." });

/** A PEM file of certificates that is read with the configuration; gives its text. */
export function certificatesFile() {
  return certificatesFileName.transform((file, context): string => {
    const text = readForOption(file, context, (path) => filesOfParse.readSecret(path), "file");
    if (text?.includes("-----BEGIN CERTIFICATE-----")) return text;
    if (text !== null) {
      context.addIssue({ code: "custom", message: `there is no certificate in PEM in ${describeValue(file)}` });
    }
    return z.NEVER;
  });
}

/** Of AES-256 and of everything else that is as strong. */
const KEY_BYTES = 32;
const KEY_EXPECTED = "a key of 256 bits: 64 hexadecimal digits, base64 of 32 bytes, or 32 bytes as they are";

/**
 * The 64 hexadecimal digits of a key that is given as 32 bytes, or as text in hexadecimal digits, base64 or base64url with
 * white space around it; null when it is none of these. What has 32 bytes is taken as it is, whatever they are.
 */
export function keyDigitsOf(given: Uint8Array): string | null {
  const bytes = Buffer.from(given);
  if (bytes.length === KEY_BYTES) return bytes.toString("hex");
  const text = bytes.toString("latin1").trim();
  if (/^[0-9A-Fa-f]{64}$/.test(text)) return text.toLowerCase();
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  return Buffer.from(text, "base64").toString("hex");
}

const encryptionKeyText = textKind<string>({
  id: "encryptionKey",
  expected: KEY_EXPECTED,
  description: "A key of 256 bits: 64 hexadecimal digits, base64 or base64url of 32 bytes, or 32 characters of ASCII.",
  isSecret: true,
  parse: (text) => keyDigitsOf(Buffer.from(text)),
});

/** Text, or `{ file: path }` of what may be no text; gives the bytes. Text in a file loses its last line break. */
export function secretBytes(text: z.ZodType<string, string>) {
  const ofFile = secretFileName.transform(({ file }, context): Buffer => {
    const read = (path: string) => withoutLastLineBreak(Buffer.from(filesOfParse.readSecretBytes(path)));
    return readForOption(file, context, read) ?? z.NEVER;
  });
  return z.union([text.transform((value): Buffer => Buffer.from(value)), ofFile]);
}

/** Random bytes may end as a text does: only what is text has a line break. */
function withoutLastLineBreak(bytes: Buffer): Buffer {
  if (!Buffer.from(bytes.toString("utf8")).equals(bytes)) return bytes;
  const end = bytes.at(-1) === 0x0a ? bytes.length - (bytes.at(-2) === 0x0d ? 2 : 1) : bytes.length;
  return bytes.subarray(0, end);
}

const encryptionKeyFile = secretFileName.transform(({ file }, context): string => {
  const bytes = readForOption(file, context, (path) => filesOfParse.readSecretBytes(path));
  const digits = bytes === null ? null : keyDigitsOf(bytes);
  if (digits !== null) return digits;
  if (bytes !== null) {
    context.addIssue({ code: "custom", message: `the secret file ${describeValue(file)} has not ${KEY_EXPECTED}` });
  }
  return z.NEVER;
});

/** A key of 256 bits, or `{ file: path }` of one, whose bytes may be no text; gives it in hexadecimal digits. */
export function encryptionKey() {
  return z.union([encryptionKeyText(), encryptionKeyFile]);
}

/** A check of options in which `cert` and `key` are there together or not at all. */
export function needsPair(context: z.core.ParsePayload<{ cert?: string | undefined; key?: string | undefined }>): void {
  const { cert, key } = context.value;
  if ((cert === undefined) === (key === undefined)) return;
  const [there, missing] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
  context.issues.push({ code: "custom", message: `needs "${missing}" beside it`, path: [there], input: context.value });
}
