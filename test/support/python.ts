// A Python that has a package, for tests of what others write in it. Debian's own has the Debian packages, and need not
// be the first one on the PATH.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { findCommand } from "./requirements.ts";

const DEBIAN_PYTHON = "/usr/bin/python3";

/** The absolute path of a Python that can import the module, or null. */
export function findPython(module: string): string | null {
  const candidates = [findCommand("python3"), existsSync(DEBIAN_PYTHON) ? DEBIAN_PYTHON : null];
  for (const python of candidates) {
    if (python !== null && spawnSync(python, ["-c", `import ${module}`]).status === 0) return python;
  }
  return null;
}
