/** Addresses as the addon writes them: "IP PORT", and " 0" for a unix socket. */
import type { Address } from "../../core/ports.ts";
import { UNNAMED } from "../addresses.ts";
import { type AddonMissing, isMissing, loadAddon } from "./addon.ts";

/** What the addon takes as an address; the longest path of a unix socket is shorter. */
const ADDRESS_BYTES_MAX = 255;

/** No address at all is refused before the addon is asked, which would throw. */
export function isAddressable(address: string): boolean {
  return Buffer.byteLength(address) <= ADDRESS_BYTES_MAX && !address.includes("\0");
}

export function addressFrom(text: string): Address {
  const space = text.indexOf(" ");
  if (space <= 0) return UNNAMED;
  const address = text.slice(0, space);
  return { family: address.includes(":") ? 6 : 4, address, port: Number(text.slice(space + 1)) };
}

/** Asks the system where a redirected connection had meant to go, by its descriptor. */
export type AskOriginal = (descriptor: number) => Address | null;

/** For sockets of Node's: the addon can be asked wherever it loads, whichever transport runs. */
export function findAskOriginal(): AskOriginal | AddonMissing {
  const addon = loadAddon();
  if (isMissing(addon)) return addon;
  return (descriptor) => {
    const text = addon.originalOfDescriptor(descriptor);
    return text === null ? null : addressFrom(text);
  };
}
