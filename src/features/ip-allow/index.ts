/**
 * The feature `ipAllow`: lets clients pass by their address and refuses the others with 403. The address is
 * `exchange.clientAddress`: the peer's own, or what a trusted proxy says. A client of a unix socket has none, so no
 * list of networks has it in.
 */
import { ProxyError } from "../../core/errors.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { CidrSet } from "../../semantics/cidr.ts";
import type { IpAllowOptions } from "./options.ts";

/** @throws RangeError when a network is invalid. */
export function createIpAllowFeature(options: IpAllowOptions): Feature {
  const deny = CidrSet.parse(options.deny);
  const allow = options.allow === null ? null : CidrSet.parse(options.allow);
  return {
    name: "ipAllow",
    request(exchange) {
      const address = exchange.clientAddress;
      if (!deny.has(address) && (allow === null || allow.has(address))) return;
      exchange.fail(new ProxyError("http_request_denied", `ipAllow refuses the client ${address || "(no address)"}`));
    },
  };
}
