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

/** Of all threads of the processes, also those that have ended. Throws when a process is gone: its time would be missing. */
export function cpuSeconds(pids: readonly number[]): number {
  let seconds = 0;
  for (const pid of pids) {
    const living = threadSeconds(pid);
    // The whole process's time includes threads that have ended, but it is rounded down to a hundredth of a second for each
    // of its two parts: without such threads it is the smaller one, with them it is right to two hundredths.
    seconds += Math.max(living, wholeSeconds(pid));
  }
  return seconds;
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
