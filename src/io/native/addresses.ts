/** Addresses as the addon writes them: "IP PORT", and " 0" for a unix socket. */
import type { Address } from "../../core/ports.ts";
import { UNNAMED } from "../addresses.ts";

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
