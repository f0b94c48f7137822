/**
 * The route that forwarded requests meet, made of what `forward` says: who may and where to first, then the features of `use`. And
 * what the requests of `handle: kisscache` meet, which become forwarded ones.
 */
import type { ActionConfig, ForwardServerConfig, ServerConfig } from "../config/config.ts";
import { RETRIES_MAX } from "../core/limits.ts";
import { type AccessOptions, ForwardAccess, type HostNames, UPGRADES } from "../forward/access.ts";
import { DebugFeature } from "../forward/debug/record.ts";
import type { Interception } from "../forward/interception/interception.ts";
import { ForwardLogins } from "../forward/logins.ts";
import type { ForwardConfig } from "../forward/options.ts";
import { BY, unproved } from "../forward/refusal.ts";
import { ForwardRules } from "../forward/rules/rules.ts";
import { BasicUsers } from "../identity/basic-users.ts";
import { compileChain } from "../pipeline/chain.ts";
import { sendElsewhere } from "../pipeline/forward-admission.ts";
import type { Feature } from "../pipeline/phases.ts";
import type { ForwardRoute } from "../pipeline/site.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import { forwardScope, kisscacheScope } from "./caches/scope.ts";
import type { FeatureMakers, FeaturePorts } from "./features.ts";

/** How the access log and `explain` call it. */
export function forwardRouteName(server: string): string {
  return `${server}.forward`;
}

export interface ForwardParts {
  /** Where forwarded requests go. */
  readonly destinations: Upstream;
  readonly names: HostNames;
  /** null: no tunnel is looked into. */
  readonly interception: Interception | null;
  /** Whether an address is this machine's. */
  isOwnAddress(address: string): boolean;
}

export interface ForwardSurroundings {
  readonly makers: FeatureMakers;
  readonly features: FeaturePorts;
}

export function composeForward(
  { name, forward }: ServerConfig,
  parts: ForwardParts,
  around: ForwardSurroundings,
): ForwardRoute | null {
  if (forward === null) return null;
  const { makers, features: ports } = around;
  const auth = authOf(forward, ports);
  const access = accessOf(name, forward, auth, parts, ports);
  return {
    name: forwardRouteName(name),
    chain: compileChain([
      access,
      ...forward.use.map((use, index) => makers.make(use, ports, forwardScope(forward, index))),
      ...debugOf(forward),
    ]),
    logins: auth === null ? null : new ForwardLogins(auth.users, !auth.isOptional),
    ...endOf(forward, parts),
    limits: forward.limits,
  };
}

/** The same for requests that `handle: kisscache` makes of those of its route: as a forwarded one, with a cache of their own. */
export function composeKisscache(
  { name, forward }: ServerConfig,
  { options, cache }: Extract<ActionConfig, { readonly kind: "kisscache" }>,
  parts: ForwardParts,
  { makers, features: ports }: ForwardSurroundings,
): { readonly features: readonly Feature[]; readonly end: ForwardEnd } {
  // The configuration has seen that it is there.
  if (forward === null) throw new TypeError("kisscache without a forward proxy");
  const { entrance, exit } = makers.kisscache(options, {
    clock: ports.clock,
    facts: () => ports.cacheFacts(cache.cache),
    sendElsewhere,
  });
  // A download is no tunnel: there is nothing to look into.
  const access = accessOf(name, forward, authOf(forward, ports), { ...parts, interception: null }, ports);
  const others = forward.use.filter(({ feature }) => feature !== "cache").map((use) => makers.make(use, ports, ""));
  const kept = makers.make(cache, ports, kisscacheScope(forward));
  const features = [entrance, access, ...others, kept, exit, ...debugOf(forward)];
  return { features, end: endOf(forward, parts) };
}

/** How requests go there. */
export type ForwardEnd = Pick<ForwardRoute, "upstream" | "handler" | "use" | "upgrade">;

function endOf(forward: ForwardServerConfig, { destinations }: ForwardParts): ForwardEnd {
  return {
    upstream: destinations,
    handler: null,
    use: {
      host: "preserve",
      responseTimeoutMs: forward.responseTimeoutMs,
      bodyTimeoutMs: forward.bodyTimeoutMs,
      retriesMax: RETRIES_MAX,
    },
    upgrade: UPGRADES,
  };
}

function accessOf(
  name: string,
  forward: ForwardServerConfig,
  auth: AccessOptions["auth"],
  { names, interception, isOwnAddress }: ForwardParts,
  ports: FeaturePorts,
): ForwardAccess {
  const unknownUser = () => unproved("credentials_missing", auth?.realm ?? "");
  const rules = new ForwardRules(forward.deny, forward.allow, unknownUser, isOwnAddress);
  return new ForwardAccess({
    server: name,
    counters: ports.forward,
    tunnelsPerClient: forward.tunnelsPerClient,
    rules,
    names,
    auth,
    interception,
    clock: ports.clock,
  });
}

/** Who looks at bodies is there only where a rule asks: without it long ones pass unseen. */
function debugOf({ allow }: ForwardConfig): readonly DebugFeature[] {
  return allow.some(({ debug }) => debug !== undefined) ? [new DebugFeature()] : [];
}

function authOf({ auth }: ForwardConfig, ports: FeaturePorts): AccessOptions["auth"] {
  if (auth === null) return null;
  const hashes = auth.file === null ? new Map(Object.entries(auth.users)) : ports.files.users(auth.file);
  const users = new BasicUsers(BY, hashes, ports, auth.failedAttempts);
  return { users, realm: auth.realm, isOptional: auth.isOptional };
}
