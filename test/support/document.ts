// A document whose command blocks are run as they are pasted, and the command as an installed package has it.

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TestFolder } from "./folder.ts";
import { repositoryRoot } from "./program.ts";

export interface Block {
  /** "sh": what is run; "text": what it is said to print. */
  readonly kind: string;
  readonly body: string;
}

/** The blocks of a section in order. */
export function blocksOf(text: string, title: string): readonly Block[] {
  const [, section = ""] = text.split(`## ${title}\n`);
  const own = section.split(/^## /m)[0]!;
  return [...own.matchAll(/^```(sh|text)\n(.*?)^```$/gms)].map(([, kind, body]) => ({ kind: kind!, body: body! }));
}

/** Makes the command in the folder; returns where, for PATH. */
export function installCommand(folder: TestFolder): string {
  const bin = folder.file("bin");
  mkdirSync(bin);
  const program = path.join(repositoryRoot, "src/cli/main.ts");
  const script = `#!/bin/sh\nexec "${process.execPath}" --conditions=headgate-source --disable-sigusr1 "${program}" "$@"\n`;
  writeFileSync(path.join(bin, "headgate"), script);
  chmodSync(path.join(bin, "headgate"), 0o755);
  return bin;
}
