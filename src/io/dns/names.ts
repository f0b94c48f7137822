/**
 * Names for whoever connects where others want to go: the answers of DNS and of the hosts file, believed for as long as they say,
 * and forgotten when what they were made of has changed.
 */
import type { Clock } from "../../core/ports.ts";
import { DEFAULT_TTL_BOUNDS, NameCache, type TtlBounds } from "../dialing/name-cache.ts";
import { DnsLookup, type LookupOptions } from "./lookup.ts";

export interface DnsOptions extends LookupOptions {
  /** Default: DNS_TTL_MIN_MS and DNS_TTL_MAX_MS. */
  readonly ttl?: TtlBounds;
}

/** For `Transport.dialerWith`. Throws as `DnsLookup` does. */
export function namesByDns(clock: Clock, options: DnsOptions = {}): NameCache {
  const resolver = new DnsLookup(clock, options);
  const names = new NameCache(clock, resolver.lookup, options.ttl ?? DEFAULT_TTL_BOUNDS);
  resolver.onChange = () => names.flush();
  return names;
}
