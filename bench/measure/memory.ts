/** Resident memory, from /proc/PID/status. The kernel's own memory for sockets is not in it, for any target. */
import { readFileSync } from "node:fs";

export function residentBytes(pids: readonly number[]): number {
  return sumOf(pids, /VmRSS:\s+(\d+)/);
}

/** Without pages of files, which the kernel takes back when it needs them. */
export function anonymousBytes(pids: readonly number[]): number {
  return sumOf(pids, /RssAnon:\s+(\d+)/);
}

function sumOf(pids: readonly number[], pattern: RegExp): number {
  const kib = pids.map((pid) => Number(pattern.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0));
  return kib.reduce((sum, one) => sum + one, 0) * 1024;
}

/** How many files one process may have open: the soft limit of this process, which its children inherit. */
export function openFilesMax(): number {
  const [, soft = "1024"] = /Max open files\s+(\d+|unlimited)/.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}
