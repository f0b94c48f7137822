/** Watching one file on the process's own clock. */
import { type FileWatch, watchFiles } from "../io/tls/watch-files.ts";
import { clock } from "./surroundings.ts";

export type { FileWatch };

/** Calls `onChange` after each change of the file; read it then. Keeps no process alive. */
export function watchFile(file: string, onChange: () => void): FileWatch {
  return watchFiles([file], clock, onChange);
}
