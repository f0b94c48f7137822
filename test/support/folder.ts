// A folder of files for one test, gone behind it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

export class TestFolder {
  readonly path = mkdtempSync(path.join(os.tmpdir(), "headgate-test-"));

  file(name: string): string {
    return path.join(this.path, name);
  }

  /** The absolute path of the file. */
  write(name: string, text: string): string {
    const file = this.file(name);
    writeFileSync(file, text);
    return file;
  }

  read(name: string): string {
    return readFileSync(this.file(name), "utf8");
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
