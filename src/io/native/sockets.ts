/**
 * Listening sockets that no thread accepts on yet. The main thread binds them and keeps them; workers are given the numbers.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import type { Address } from "../../core/ports.ts";
import { BACKLOG, bindListener } from "../binding.ts";
import { systemErrorOf } from "../failures.ts";
import type { ListenOptions } from "../transport.ts";
import type { Addon } from "./addon.ts";
import { addressFrom, isAddressable } from "./addresses.ts";

export interface BoundSocket {
  readonly descriptor: number;
  /** With the port that the system chose when 0 was asked for. */
  readonly address: Address;
}

/** A bound and listening socket; the kernel queues connections from now on. Rejects with a ListenError. */
export async function bindSocket(addon: Addon, options: ListenOptions): Promise<BoundSocket> {
  let descriptor = -1;
  try {
    await bindListener(options, async () => {
      descriptor = await bindOnce(addon, options);
      if (descriptor < 0) throw systemErrorOf(getSystemErrorName(descriptor));
    });
  } catch (error) {
    if (descriptor >= 0) addon.closeDescriptor(descriptor);
    throw error;
  }
  const { path } = options;
  const address: Address =
    path !== null ? { family: 0, address: path, port: 0 } : addressFrom(addon.nameOf(descriptor) ?? "");
  return { descriptor, address };
}

async function bindOnce(addon: Addon, options: ListenOptions): Promise<number> {
  const { host, port, path, reusePort = false, backlog = BACKLOG } = options;
  if (!isAddressable(path ?? host ?? "")) return -constants.errno.EINVAL;
  if (path !== null) return addon.bind(path, -1, false, false, backlog);
  if (host !== null) {
    const address = isIP(host) !== 0 || host.includes("%") ? host : (await lookup(host)).address;
    return addon.bind(address, port, reusePort, false, backlog);
  }
  // Every address of both families; of IPv4 alone where there is no IPv6.
  const both = addon.bind("::", port, reusePort, true, backlog);
  const hasNoIpv6 = both < 0 && ["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(getSystemErrorName(both));
  return hasNoIpv6 ? addon.bind("0.0.0.0", port, reusePort, false, backlog) : both;
}
