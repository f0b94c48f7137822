// No call of the addon, however wrong and wherever it comes from, ends the process: it throws a TypeError or a RangeError, or
// gives a documented number. The calls are made by programs/misuse.ts, in a process of its own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { replayHint, seed } from "../../test/support/seed.ts";
import { withoutAddon } from "./driver.ts";

/** Long enough for half a million calls; NATIVE_MISUSE_MS makes it a long run. */
const forMs = Number(process.env.NATIVE_MISUSE_MS ?? 5_000);

test(`calls with everything that can be wrong (${replayHint})`, { skip: withoutAddon }, async (context) => {
  // Some of what is tried are paths of unix sockets.
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-misuse-"));
  const program = path.join(import.meta.dirname, "programs", "misuse.ts");
  const child = spawn(process.execPath, ["--expose-gc", program, String(seed), String(forMs)], {
    cwd: folder,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    stdio: ["ignore", "pipe", "pipe"],
  });
  context.after(() => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk));
  const [code, signal] = await once(child, "close");
  assert.deepEqual([code, signal], [0, null], `${replayHint}\n${said}`);
  const [, calls, refused, batches, exceptions] = /^(\d+) calls, (\d+) .*, (\d+) batches, (\d+) exc/.exec(said) ?? [];
  context.diagnostic(said.trim());
  assert.ok(Number(calls) > 1_000 && Number(refused) > 100 && Number(batches) > 20 && Number(exceptions) > 0, said);
});
