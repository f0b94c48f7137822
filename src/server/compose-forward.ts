/** The route that forwarded requests meet, made of what `forward` says: who may and where to first, then the features of `use`. */
import type { ServerConfig } from "../config/config.ts";
import { RETRIES_MAX } from "../core/limits.ts";
import { ForwardAccess, type HostNames, UPGRADES } from "../forward/access.ts";
import { DebugFeature } from "../forward/debug/record.ts";
import type { Interception } from "../forward/interception/interception.ts";
import { ForwardLogins } from "../forward/logins.ts";
import type { ForwardConfig } from "../forward/options.ts";
import { BY, unproved } from "../forward/refusal.ts";
import { ForwardRules } from "../forward/rules/rules.ts";
import { BasicUsers } from "../identity/basic-users.ts";
import { compileChain } from "../pipeline/chain.ts";
import type { ForwardRoute } from "../pipeline/site.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import { FORWARD_SCOPE } from "./caches/scope.ts";
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

export function composeForward(
  { name, forward }: ServerConfig,
  { destinations, names, interception, isOwnAddress }: ForwardParts,
  { makers, features: ports }: { readonly makers: FeatureMakers; readonly features: FeaturePorts },
): ForwardRoute | null {
  if (forward === null) return null;
  const auth = authOf(forward, ports);
  const unknownUser = () => unproved("credentials_missing", auth?.realm ?? "");
  const rules = new ForwardRules(forward.deny, forward.allow, unknownUser, isOwnAddress);
  const access = new ForwardAccess({
    server: name,
    counters: ports.forward,
    tunnelsPerClient: forward.tunnelsPerClient,
    rules,
    names,
    auth,
    interception,
    clock: ports.clock,
  });
  return {
    name: forwardRouteName(name),
    chain: compileChain([
      access,
      ...forward.use.map((use) => makers.make(use, ports, FORWARD_SCOPE)),
      ...debugOf(forward),
    ]),
    logins: auth === null ? null : new ForwardLogins(auth.users, !auth.isOptional),
    upstream: destinations,
    handler: null,
    use: {
      host: "preserve",
      responseTimeoutMs: forward.responseTimeoutMs,
      bodyTimeoutMs: forward.bodyTimeoutMs,
      retriesMax: RETRIES_MAX,
    },
    upgrade: UPGRADES,
    limits: forward.limits,
  };
}

/** Who looks at bodies is there only where a rule asks: without it long ones pass unseen. */
function debugOf({ allow }: ForwardConfig): readonly DebugFeature[] {
  return allow.some(({ debug }) => debug !== undefined) ? [new DebugFeature()] : [];
}

function authOf({ auth }: ForwardConfig, ports: FeaturePorts) {
  if (auth === null) return null;
  const hashes = auth.file === null ? new Map(Object.entries(auth.users)) : ports.files.users(auth.file);
  const users = new BasicUsers(BY, hashes, ports, auth.failedAttempts);
  return { users, realm: auth.realm, isOptional: auth.isOptional };
}
