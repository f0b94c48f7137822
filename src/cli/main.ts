#!/usr/bin/env -S node --disable-sigusr1
/** The command: says which Node it needs before anything is loaded that an older one cannot even link. */
import { holdSignals } from "./early-signals.ts";
import { nodeMin, version } from "./version.ts";

const SERVING: ReadonlySet<string | undefined> = new Set(["run", "proxy", "forward"]);

function isOlder(version: string, than: string): boolean {
  const [have, want] = [version, than].map((text) => text.split(".").map(Number)) as [number[], number[]];
  const at = want.findIndex((number, index) => number !== have[index]);
  return at >= 0 && have[at]! < want[at]!;
}

if (isOlder(process.versions.node, nodeMin)) {
  console.error(`headgate ${version} needs Node.js ${nodeMin} or later; this is ${process.versions.node}`);
  process.exitCode = 1;
} else {
  if (SERVING.has(process.argv[2])) holdSignals();
  const { runProgram } = await import("./program.ts");
  await runProgram();
}
