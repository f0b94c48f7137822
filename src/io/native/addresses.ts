/** Addresses as the addon writes them: "IP PORT", and " 0" for a unix socket. */
import type { Address } from "../../core/ports.ts";
import { UNNAMED } from "../addresses.ts";

export function addressFrom(text: string): Address {
  const space = text.indexOf(" ");
  if (space <= 0) return UNNAMED;
  const address = text.slice(0, space);
  return { family: address.includes(":") ? 6 : 4, address, port: Number(text.slice(space + 1)) };
}
