/**
 * The CPU time that processes really ran, from the kernel's own accounting: /proc/PID/task/N/schedstat counts nanoseconds
 * per thread. Unlike requests per second it holds on a noisy machine.
 */
import { readdirSync, readFileSync } from "node:fs";

/** The unit of /proc/PID/stat: USER_HZ, which is 100 for every Linux program, whatever the kernel's own rate is. */
const TICKS_PER_SECOND = 100;

/** The processors that this process and its children may run on; a container may have been given any. */
export function allowedCpus(): number[] {
  const [, list = "0"] = /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/**
 * The CPU time of processes, also that of their threads which have ended: those are missing in /proc/PID/task, and tinyproxy has
 * one for each connection. The kernel counts them in the time of the whole process, which it tells in hundredths of a second.
 */
export class CpuClock {
  /** Of each process: what its ended threads ran for at least. */
  readonly #ended = new Map<number, number>();

  /** Of all together until now. Throws when a process is gone: its time would be missing. */
  seconds(pids: readonly number[]): number {
    let seconds = 0;
    for (const pid of pids) {
      const living = threadSeconds(pid);
      // Rounded down, this is at most two hundredths too small, and never too large: the greatest so far is the best, and while no
      // thread ends it stays as it is, so that the nanoseconds of the living count.
      const ended = Math.max(this.#ended.get(pid) ?? 0, wholeSeconds(pid) - living);
      this.#ended.set(pid, ended);
      seconds += living + ended;
    }
    return seconds;
  }
}

function threadSeconds(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // It has ended since the folder was read; the time of the whole process has it.
    }
  }
  return nanoseconds / 1e9;
}

/** User and system time, the fields 14 and 15 (proc(5)); the second field is a name in which anything may stand. */
function wholeSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
