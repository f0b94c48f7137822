/**
 * The block `forward`: what a server does with requests that go where their client says. Who may and where to is said by rules:
 * those of `deny` first, then those of `allow`, and the first one that matches decides.
 */
import { z } from "zod";
import { judgeCidr } from "../core/cidr.ts";
import { DNS_TTL_MAX_MS, DNS_TTL_MIN_MS, POOL_IDLE_MS, POOL_LIFETIME_MS } from "../core/limits.ts";
import { hostPattern } from "../core/option-addresses.ts";
import { filePath } from "../core/option-files.ts";
import { defaultsTo, duration, formatDuration, oneOrMore, textKind } from "../core/option-types.ts";
import { failedAttempts, realm } from "../identity/options.ts";
import type { PasswordHash } from "../identity/password-hash.ts";
import { exactlyOne, userFields } from "../identity/users/options.ts";
import {
  FORWARD_BODY_TIMEOUT_MS,
  FORWARD_CONNECT_TIMEOUT_MS,
  FORWARD_RESPONSE_TIMEOUT_MS,
  TUNNELS_PER_CLIENT_MAX,
} from "./limits.ts";
import { resolveVia, type ViaRule, via } from "./parents/options.ts";
import {
  allowRule,
  CONNECT_PORTS_DEFAULT,
  denyRule,
  type PortRange,
  port,
  type RuleConfig,
  resolveRules,
} from "./rules/options.ts";

const auth = z.strictObject({
  basic: z
    .strictObject({ ...userFields, realm: realm(), failedAttempts: failedAttempts() })
    .check(exactlyOne)
    .describe("Name and password in `Proxy-Authorization` (HTTP Basic), or in the SOCKS handshake."),
  optional: z
    .boolean()
    .default(false)
    .describe("`true`: only rules with `users` ask who it is. `false`: everyone has to say."),
});

const intercept = z.strictObject({
  hosts: oneOrMore(z.union([z.literal("*"), hostPattern()])).describe(
    "Hosts whose TLS is opened: exact, or `*.example.org`; `*` is every host.",
  ),
  except: oneOrMore(hostPattern()).optional().describe("Hosts of them that are left alone."),
  ports: defaultsTo([443], oneOrMore(port)).describe("Ports on which it is done. Tunnels to others are left alone."),
  ca: filePath()
    .optional()
    .describe("The folder of the authority, as `headgate ca init` made it. By default where that command makes one."),
  cache: filePath()
    .optional()
    .describe(
      "A folder in which certificates are kept through restarts. By default the cache folder of the user or of the service.",
    ),
});

const dnsServer = textKind<string>({
  id: "dnsServer",
  expected: "the address of a server such as 9.9.9.9, 127.0.0.1:5353 or [2620:fe::fe]",
  description:
    "The address of a DNS server, with a port when it is not 53: `9.9.9.9`, `127.0.0.1:5353`, `[2620:fe::fe]:53`.",
  parse: (text) => {
    const match = /^(?:\[([0-9a-f:.]+)\]|([\d.]+))(?::([1-9]\d{0,4}))?$/i.exec(text);
    const address = match === null ? null : (match[1] ?? match[2] ?? "");
    const isAddress = address !== null && judgeCidr(address).kind === "network";
    return isAddress && Number(match?.[3] ?? 53) <= 65_535 ? text : null;
  },
});

const dnsFields = z.strictObject({
  servers: z
    .array(dnsServer())
    .min(1)
    .optional()
    .describe("Servers to ask, as `address` or `address:port`. By default those of the system."),
  minTtl: defaultsTo(formatDuration(DNS_TTL_MIN_MS), duration()).describe(
    "An answer is believed for so long at least.",
  ),
  maxTtl: defaultsTo(formatDuration(DNS_TTL_MAX_MS), duration()).describe(
    "And for so long at most, whatever its TTL says.",
  ),
});

const dns = dnsFields.refine(({ minTtl = DNS_TTL_MIN_MS, maxTtl = DNS_TTL_MAX_MS }) => minTtl <= maxTtl, {
  path: ["minTtl"],
  error: "is longer than maxTtl",
});

const timeouts = z.strictObject({
  connect: defaultsTo(formatDuration(FORWARD_CONNECT_TIMEOUT_MS), duration()).describe(
    "For a connection to be there: name resolution, TCP, parents and TLS together.",
  ),
  response: defaultsTo(formatDuration(FORWARD_RESPONSE_TIMEOUT_MS), duration()).describe(
    "From the end of a request to the first byte of the answer. After it the client gets 504.",
  ),
  body: defaultsTo(formatDuration(FORWARD_BODY_TIMEOUT_MS), duration()).describe(
    "Without a byte of the answer's body.",
  ),
  idle: defaultsTo(formatDuration(POOL_IDLE_MS), duration()).describe(
    "A connection that serves no request is kept for so long.",
  ),
  lifetime: defaultsTo(formatDuration(POOL_LIFETIME_MS), duration()).describe(
    "A connection takes no new request after this age.",
  ),
});

const pac = z.strictObject({
  path: z
    .string()
    .regex(/^(?:\/[\w.~-]+)+$/, { error: "expected a path such as /proxy.pac" })
    .default("/proxy.pac")
    .describe("Where clients get it from this server."),
  direct: z
    .array(hostPattern())
    .default([])
    .describe("Hosts that clients reach without the proxy. Plain names without a dot always are."),
  proxy: z
    .string()
    .regex(/^[a-z0-9.-]+:\d{1,5}$/i, { error: "expected a host and port such as proxy.example.org:3128" })
    .optional()
    .describe("How clients name the proxy. By default the host and port under which they asked for the file."),
});

export const forwardOptions = z
  .strictObject({
    auth: auth.optional().describe("Who may use the proxy has to prove who it is."),
    deny: z.array(denyRule).default([]).describe("What is refused. Asked first, in this order."),
    allow: z
      .array(allowRule)
      .min(1)
      .optional()
      .describe(
        "What is allowed. Asked in this order; nothing matched: 403. Without it everything public is, on ports 80 and 443, which is possible only where strangers cannot reach the proxy or have to prove who they are.",
      ),
    via: z
      .array(via)
      .default([])
      .describe(
        "Which way requests and tunnels go: the first rule that matches, or `direct`. What no rule matches goes direct.",
      ),
    intercept: intercept.optional().describe("Hosts whose HTTPS is opened with certificates of an internal authority."),
    tunnelsPerClient: defaultsTo(TUNNELS_PER_CLIENT_MAX, z.int().min(1).max(1_000_000)).describe(
      "Tunnels that one client address may have at a time on this server, WebSockets included; one more gets 429. IPv6 clients are counted by their /64.",
    ),
    timeouts: timeouts.optional().describe("How long to wait for what."),
    dns: dns.optional().describe("How names are resolved."),
    tls: z
      .strictObject({ ca: filePath().describe("PEM file of the authorities to trust, in place of the system's.") })
      .optional()
      .describe("How `https://` origins are verified."),
    pac: pac.optional().describe("A file from which browsers learn to use the proxy (proxy auto-configuration)."),
  })
  .describe("Makes the server a forward proxy: requests go where their client says, as the rules allow.");

export type ForwardBlock = z.output<typeof forwardOptions>;
/** The block with its defaults: times in milliseconds. */
export interface ForwardConfig {
  readonly auth: {
    readonly file: string | null;
    /** By name; empty with a file. */
    readonly users: Readonly<Record<string, PasswordHash>>;
    readonly realm: string;
    /** undefined: the usual number; null: no limit. */
    readonly failedAttempts: number | null | undefined;
    readonly isOptional: boolean;
  } | null;
  readonly deny: readonly RuleConfig[];
  readonly allow: readonly RuleConfig[];
  readonly via: readonly (ViaRule | "direct")[];
  readonly intercept: {
    readonly hosts: readonly string[];
    readonly except: readonly string[];
    readonly ports: readonly PortRange[];
    /** Absolute paths of folders; null: the usual one. */
    readonly ca: string | null;
    readonly leaves: string | null;
  } | null;
  readonly tunnelsPerClient: number;
  readonly connectTimeoutMs: number;
  readonly responseTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  readonly dns: { readonly servers: readonly string[] | null; readonly minTtlMs: number; readonly maxTtlMs: number };
  /** Absolute path of a PEM file; null: the system's authorities. */
  readonly originCa: string | null;
  readonly pac: { readonly path: string; readonly direct: readonly string[]; readonly proxy: string | null } | null;
}

export function resolveForward(block: ForwardBlock): ForwardConfig {
  const { auth, intercept, timeouts = {}, dns = {}, pac } = block;
  const basic = auth?.basic;
  return {
    auth:
      auth === undefined || basic === undefined
        ? null
        : {
            file: basic.file ?? null,
            users: basic.users ?? {},
            realm: basic.realm,
            failedAttempts: basic.failedAttempts,
            isOptional: auth.optional,
          },
    ...resolveRules(block.deny, block.allow),
    via: block.via.map(resolveVia),
    intercept:
      intercept === undefined
        ? null
        : {
            hosts: intercept.hosts,
            except: intercept.except ?? [],
            ports: intercept.ports ?? CONNECT_PORTS_DEFAULT,
            ca: intercept.ca ?? null,
            leaves: intercept.cache ?? null,
          },
    tunnelsPerClient: block.tunnelsPerClient ?? TUNNELS_PER_CLIENT_MAX,
    connectTimeoutMs: timeouts.connect ?? FORWARD_CONNECT_TIMEOUT_MS,
    responseTimeoutMs: timeouts.response ?? FORWARD_RESPONSE_TIMEOUT_MS,
    bodyTimeoutMs: timeouts.body ?? FORWARD_BODY_TIMEOUT_MS,
    idleMs: timeouts.idle ?? POOL_IDLE_MS,
    lifetimeMs: timeouts.lifetime ?? POOL_LIFETIME_MS,
    dns: {
      servers: dns.servers ?? null,
      minTtlMs: dns.minTtl ?? DNS_TTL_MIN_MS,
      maxTtlMs: dns.maxTtl ?? DNS_TTL_MAX_MS,
    },
    originCa: block.tls?.ca ?? null,
    pac: pac === undefined ? null : { path: pac.path, direct: pac.direct, proxy: pac.proxy ?? null },
  };
}
