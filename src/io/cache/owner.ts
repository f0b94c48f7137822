/**
 * One process has a cache's folder: who it is stands in the books, and is claimed in a transaction, so that of two that start at the
 * same time one is told of the other. A process that was killed leaves its claim; whether it is there still is asked of the system:
 * the number alone may be another process's by now, with the time of its start and the system's it is not.
 *
 * Of a process in another container nothing can be known, and after a restart all of them are: its claim does not count.
 */
import { readFileSync, readlinkSync } from "node:fs";

export interface Owner {
  readonly pid: number;
  /** When it was started, in the system's ticks; "": the system does not say. */
  readonly started: string;
  /** Of the start of the system, and of the container. */
  readonly system: string;
}

export function thisProcess(): Owner {
  return { pid: process.pid, started: startOf(process.pid), system: systemNow() };
}

export function encodeOwner(owner: Owner): Buffer {
  return Buffer.from(JSON.stringify(owner));
}

/** Whose claim it is, when that process is there still, ourselves included; null: nobody's. */
export function livingOwner(claim: Buffer | undefined): Owner | null {
  if (claim === undefined) return null;
  let owner: Owner;
  try {
    owner = JSON.parse(claim.toString());
  } catch {
    return null;
  }
  if (owner.system !== systemNow() || !isThere(owner.pid)) return null;
  return owner.started === startOf(owner.pid) ? owner : null;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and another user's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the command, in parentheses, may contain anything; the start is the 20th field behind it (proc(5)).
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function systemNow(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "";
  }
}
