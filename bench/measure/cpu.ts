/**
 * The CPU time that processes really ran, from the kernel's own accounting: /proc/PID/task/N/schedstat counts nanoseconds
 * per thread. Unlike requests per second it holds on a noisy machine.
 */
import { readdirSync, readFileSync } from "node:fs";

/** The processors that this process and its children may run on; a container may have been given any. */
export function allowedCpus(): number[] {
  const [, list = "0"] = /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** Of all threads of the processes. Throws when one of them is gone, because its time would then be missing. */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    }
  }
  return nanoseconds / 1e9;
}
