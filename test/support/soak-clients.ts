// Clients by the thousand: how many a machine allows, and how to open them without a burst that only measures its queue.

import { readFileSync } from "node:fs";
import { RawClient } from "./raw-client.ts";

/** Open files of a process besides the connections of a test. */
const OTHER_FILES = 500;
/** Clients that are being opened at the same time. */
const OPENING = 100;

/**
 * How many connections each of two processes can hold, at most `wanted`; Node raises the soft limit of open files to the hard
 * one when it starts. Fewer than wanted come with their reason.
 */
export function affordableConnections(wanted: number): { readonly count: number; readonly reason: string | null } {
  const limits = readFileSync("/proc/self/limits", "latin1");
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)![1]!;
  const filesMax = hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
  const count = Math.min(wanted, filesMax - OTHER_FILES);
  const reason = count < wanted ? `${count} in place of ${wanted}: a process may open ${filesMax} files` : null;
  return { count, reason };
}

/** Opens that many, and does `each` with every one of them as soon as it is connected. `stack` ends them. */
export async function openClients(
  port: number,
  count: number,
  stack: DisposableStack,
  each: (client: RawClient) => Promise<unknown>,
): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  const open = async () => {
    while (clients.length + opening < count) {
      opening++;
      const client = stack.use(await RawClient.connect(port));
      opening--;
      clients.push(client);
      await each(client);
    }
  };
  let opening = 0;
  await Promise.all(Array.from({ length: OPENING }, open));
  return clients;
}
