/**
 * What systemd must know when another process takes this one's place: the main process of the service is the new one. Otherwise
 * it ends that one with the old one.
 */
import { execFile } from "node:child_process";
import { readlinkSync } from "node:fs";
import { promisify } from "node:util";

/** Why another process could not stay when this one ends, in a sentence; null: it can. */
// A manager of a user's services is not process 1; newer ones say whose main process is which.
export function obstacleTo(
  { pid, ppid, env }: Pick<NodeJS.Process, "pid" | "ppid" | "env">,
  hasPredecessor: boolean,
  isInContainer = hasOwnProcesses(),
): string | null {
  if (pid === 1) return "this is process 1: with its end all others of its container end";
  // Tini, `docker run --init` and scripts that wait for the process end when it does. Of one that took another's place, process 1 is the
  // parent only since that one has ended.
  if (ppid === 1 && !hasPredecessor && isInContainer && env.INVOCATION_ID === undefined)
    return "this process was started by process 1 of a container, which most likely ends with it, and all others with that";
  const isService = (ppid === 1 && env.INVOCATION_ID !== undefined) || env.SYSTEMD_EXEC_PID === String(pid);
  if (!isService || env.NOTIFY_SOCKET !== undefined) return null;
  return "systemd would end the other process with this one: the unit needs NotifyAccess=all";
}

/** Rejects when it cannot be told. */
export async function tellMainProcess(pid: number): Promise<void> {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  await promisify(execFile)("systemd-notify", [`MAINPID=${pid}`]);
}

/** The name that Linux gives to the namespace of processes that a machine starts with (PROC_PID_INIT_INO). */
const FIRST_NAMESPACE = "pid:[4026531836]";

/** Whether the processes that are seen here are those of a container, and process 1 is its first. */
function hasOwnProcesses(): boolean {
  try {
    return readlinkSync("/proc/self/ns/pid") !== FIRST_NAMESPACE;
  } catch {
    return false;
  }
}
