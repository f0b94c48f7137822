/**
 * What systemd must know when another process takes this one's place: the main process of the service is the new one. Otherwise
 * it ends that one with the old one.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Why another process could not stay when this one ends, in a sentence; null: it can. */
// A manager of a user's services is not process 1; newer ones say whose main process is which.
export function obstacleTo({ pid, ppid, env }: Pick<NodeJS.Process, "pid" | "ppid" | "env">): string | null {
  if (pid === 1) return "this is process 1: with its end all others of its container end";
  const isService = (ppid === 1 && env.INVOCATION_ID !== undefined) || env.SYSTEMD_EXEC_PID === String(pid);
  if (!isService || env.NOTIFY_SOCKET !== undefined) return null;
  return "systemd would end the other process with this one: the unit needs NotifyAccess=all";
}

/** Rejects when it cannot be told. */
export async function tellMainProcess(pid: number): Promise<void> {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  await promisify(execFile)("systemd-notify", [`MAINPID=${pid}`]);
}
