// Kills a process that stores in a cache, again and again, and has the next one look at what is there.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Promises } from "./cache-crash-process.ts";

export interface CrashOptions {
  readonly rounds: number;
  /** Things that come to pass before the kill: a random number up to this. */
  readonly eventsMax: number;
}

export interface CrashOutcome {
  /** Of each round, how many entries were found whole by the next one. */
  readonly entries: readonly number[];
  readonly events: number;
}

export async function crashAgainAndAgain({ rounds, eventsMax }: CrashOptions): Promise<CrashOutcome> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-crashes-"));
  const promises: Promises = { kept: {}, gone: {} };
  const entries: number[] = [];
  let events = 0;
  try {
    // The last one only looks.
    for (let round = 0; round <= rounds; round++) {
      const eventsOfRound = round === rounds ? 0 : 1 + Math.floor(Math.random() * eventsMax);
      entries.push(await crashOnce(path.join(folder, "cache"), round, promises, eventsOfRound));
      events += eventsOfRound;
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return { entries: entries.slice(1), events };
}

/** Numbers of a round are above all of those before it. */
const NUMBERS_OF_ROUND = 1_000_000;

async function crashOnce(folder: string, round: number, promises: Promises, events: number): Promise<number> {
  const program = path.join(import.meta.dirname, "cache-crash-process.ts");
  const given = [folder, String(round * NUMBERS_OF_ROUND), JSON.stringify(promises)];
  const child = spawn(process.execPath, ["--conditions=headgate-source", program, ...given], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  let found = -1;
  let seen = 0;
  // What it has written before it dies counts as well, so all lines are read.
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, key = "", number = ""] = line.split(" ");
    assert.ok(what === "verified" || what === "kept" || what === "gone", line);
    if (what === "verified") found = Number(key);
    else {
      promises[what][key] = Math.max(promises[what][key] ?? 0, Number(number));
      seen++;
    }
    if (found >= 0 && seen >= events) child.kill("SIGKILL");
  }
  const [code, signal] = await closed;
  assert.equal(signal, "SIGKILL", `it has ended by itself: ${code}`);
  assert.ok(found >= 0);
  return found;
}
