// What the kernel holds of the connections of some ports: bytes that one side has written and the other has not read. Taken
// from what was written and what was read, it leaves what the proxy between them holds itself.

import { readFileSync } from "node:fs";
import { untilTrue } from "./soak-wait.ts";

/** Nothing has moved when so many looks in a row have found the same. A delayed acknowledgement takes 40 ms at most. */
const EQUAL_LOOKS = 12;

/** Bytes in the send and receive queues of all IPv4 connections from or to one of the ports. */
export function kernelQueuedBytes(ports: readonly number[]): number {
  let bytes = 0;
  for (const line of readFileSync("/proc/net/tcp", "latin1").trimEnd().split("\n").slice(1)) {
    const [, local = "", remote = "", state = "", queues = ""] = line.trim().split(/\s+/);
    if (state === LISTENING) continue;
    if (![local, remote].some((address) => ports.includes(Number.parseInt(address.split(":")[1]!, 16)))) continue;
    const [sending = "", receiving = ""] = queues.split(":");
    bytes += Number.parseInt(sending, 16) + Number.parseInt(receiving, 16);
  }
  return bytes;
}

/** Its queue counts connections, not bytes. */
const LISTENING = "0A";

/** Waits until nothing moves any more between the two ends, whose counts `moved` adds up. */
export function untilStill(ports: readonly number[], moved: () => number): Promise<void> {
  let before = "";
  let equal = 0;
  const isStill = () => {
    const now = `${moved()} ${kernelQueuedBytes(ports)}`;
    equal = now === before ? equal + 1 : 0;
    before = now;
    return equal === EQUAL_LOOKS;
  };
  return untilTrue(isStill, () => "bytes still move");
}
