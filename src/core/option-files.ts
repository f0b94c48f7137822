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
}

const NO_FILES: OptionFiles = {
  resolvePath: (path) => path,
  readSecret: () => {
    throw new Error("files cannot be read here");
  },
};

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

/** A file; gives its absolute path. Whether it can be read is decided by whoever opens it. */
export const filePath = textKind<string>({
  id: "path",
  expected: "the path of a file",
  description: "The path of a file. A relative one begins at the folder of the configuration file.",
  parse: (text) => (text === "" || text.includes("\0") ? null : filesOfParse.resolvePath(text)),
});

const secretFile = z
  .strictObject({
    file: z.string().min(1).describe("The path of the file, relative to the configuration file's folder."),
  })
  .meta({ id: "secretFile", description: "A value that stands in a file of its own; its last line break is dropped." })
  .transform(({ file }, context): string => {
    try {
      return filesOfParse.readSecret(filesOfParse.resolvePath(file));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      context.addIssue({ code: "custom", message: `cannot read the secret file ${describeValue(file)}: ${reason}` });
      return z.NEVER;
    }
  });

/** Text of the given type (one that never shows a value in its messages), or `{ file: path }` whose content is that text. */
export function secret<T extends z.ZodType<unknown, string>>(text: T) {
  return z.union([text, secretFile.pipe(text)]);
}
