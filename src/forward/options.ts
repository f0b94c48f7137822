/**
 * The block `forward`: what a server does with requests that go where their client says. Who may and where to is said by rules:
 * those of `deny` first, then those of `allow`, and the first one that matches decides.
 */
import { z } from "zod";
import { judgeCidr } from "../core/cidr.ts";
import { DNS_TTL_MAX_MS, DNS_TTL_MIN_MS, POOL_IDLE_MS, POOL_LIFETIME_MS } from "../core/limits.ts";
import { cidr, hostPattern } from "../core/option-addresses.ts";
import { filePath } from "../core/option-files.ts";
import {
  defaultsTo,
  duration,
  formatDuration,
  instant,
  oneOrMore,
  sizeBetween,
  TOKEN,
  textKind,
} from "../core/option-types.ts";
import { failedAttempts, realm } from "../identity/options.ts";
import type { PasswordHash } from "../identity/password-hash.ts";
import { exactlyOne, userFields, userName } from "../identity/users/options.ts";
import {
  DEBUG_BODY_BYTES_MAX,
  FORWARD_BODY_TIMEOUT_MS,
  FORWARD_CONNECT_TIMEOUT_MS,
  FORWARD_RESPONSE_TIMEOUT_MS,
  TUNNELS_PER_CLIENT_MAX,
} from "./limits.ts";
import type { ParentProxy } from "./parents/proxy.ts";
import { parentUrl } from "./parents/url.ts";

/** First and last port, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

function parsePorts(text: string): PortRange | null {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  return match === null || first < 1 || last > 65_535 || first > last ? null : { first, last };
}

const portRange = textKind<PortRange>({
  id: "portRange",
  expected: "a port or a range of ports such as 8000-8999",
  description: "A port such as `8080`, or a range such as `8000-8999`.",
  parse: parsePorts,
});

const port = z.union([
  z
    .int()
    .min(1)
    .max(65_535)
    .transform((number): PortRange => ({ first: number, last: number })),
  portRange(),
]);

const method = textKind<string>({
  id: "forwardMethod",
  expected: "a method such as GET or CONNECT",
  description: "A method, in upper case: `GET`, `CONNECT`.",
  parse: (text) => (TOKEN.test(text) && text === text.toUpperCase() ? text : null),
  suggest: (text) => (TOKEN.test(text) ? text.toUpperCase() : null),
});

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

/** Minutes since midnight, 0 to 1440. */
const timeOfDay = textKind<number>({
  id: "timeOfDay",
  expected: "a time of day such as 08:30",
  description: "A time of day from `00:00` to `24:00`.",
  pattern: "^([01]\\d|2[0-3]):[0-5]\\d$|^24:00$",
  parse: (text) => {
    const match = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
    if (text === "24:00") return 24 * 60;
    return match === null ? null : Number(match[1]) * 60 + Number(match[2]);
  },
});

const timeWindow = z.strictObject({
  days: z
    .array(z.enum(DAYS))
    .min(1)
    .optional()
    .transform((days) => (days === undefined ? null : days.map((day) => DAYS.indexOf(day))))
    .describe(
      "Days of the week: `mon` to `sun`. By default every day. A window past midnight belongs to the day it begins on.",
    ),
  from: timeOfDay().prefault("00:00").describe("When it begins, in the time zone of this machine."),
  to: timeOfDay().prefault("24:00").describe("When it ends. Before `from`: on the next day."),
});

const ruleFields = {
  name: z
    .string()
    .regex(/^[\x21-\x7e]{1,64}$/, { error: "expected a name of visible ASCII without spaces, at most 64" })
    .optional()
    .describe("What the log calls the rule. By default its place, such as `allow[0]`."),
  clients: oneOrMore(cidr()).optional().describe("Networks that the client's address is in."),
  users: oneOrMore(userName())
    .optional()
    .describe("Users, as `auth` has proved them. Whoever has not said who it is gets 407. Needs `auth`."),
  hosts: oneOrMore(hostPattern())
    .optional()
    .describe(
      "Hosts that are asked for: exact, or `*.example.org` for every name below. An address as it was written.",
    ),
  networks: oneOrMore(cidr())
    .optional()
    .describe(
      "Networks that the destination's address is in, once its name is resolved. Private destinations are refused unless the rule that allows them names their network.",
    ),
  methods: oneOrMore(method()).optional().describe("Methods, in upper case; a tunnel is `CONNECT`."),
  times: oneOrMore(timeWindow).optional().describe("When the rule holds: `{ days, from, to }`, or a list of them."),
};

const denyRule = z.strictObject({
  ...ruleFields,
  ports: oneOrMore(port).optional().describe("Ports of the destination, also of tunnels. By default all."),
});

const ruleDebug = z
  .strictObject({
    until: instant().describe("When it ends, so that nobody forgets it. From then on the rule only allows."),
    headers: z
      .boolean()
      .default(true)
      .describe("Writes `requestHeaders` and `responseHeaders`. Those that hold secrets are covered."),
    bodies: sizeBetween(1, DEBUG_BODY_BYTES_MAX)
      .optional()
      .describe(
        "Writes `requestBody` and `responseBody`, each up to this size: JSON, forms and other text. By default no bodies.",
      ),
    redact: z
      .array(z.string().min(1).max(64))
      .default([])
      .describe(
        "Names of JSON members and form fields whose values are covered, besides those of passwords, tokens, keys, codes and cards, which always are.",
      ),
  })
  .transform(
    ({ until, headers, bodies, redact }): RuleDebug => ({ untilMs: until, headers, bodyBytesMax: bodies ?? 0, redact }),
  );

/** What the log tells of the exchanges that a rule lets through, beyond the usual. */
export interface RuleDebug {
  /** On the wall clock. */
  readonly untilMs: number;
  readonly headers: boolean;
  /** Of each body; 0: none. */
  readonly bodyBytesMax: number;
  /** Further names of secrets. */
  readonly redact: readonly string[];
}

const allowRule = z.strictObject({
  ...ruleFields,
  ports: defaultsTo([80, 443], oneOrMore(port)).describe("Ports that requests may go to."),
  connectPorts: defaultsTo([443], oneOrMore(port)).describe("Ports that tunnels (CONNECT, SOCKS) may go to."),
  debug: ruleDebug
    .optional()
    .describe("Lets the access log (`format: json`) tell more of what this rule lets through, for a time."),
});

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

const viaRule = z
  .strictObject({
    hosts: oneOrMore(hostPattern())
      .optional()
      .describe("Hosts that are asked for and go this way. By default all that come to this rule."),
    ports: oneOrMore(port).optional().describe("Ports that go this way. By default all."),
    proxy: oneOrMore(parentUrl()).describe(
      "The proxy to go through: `http://`, `https://` or `socks5://`, with user and password where it asks for them. Names are resolved there. Of a list, the first one that can be reached; one that cannot is left out for a while. A list is of SOCKS proxies only, or of others only.",
    ),
    tls: z
      .strictObject({ ca: filePath().describe("PEM file of the authorities to trust, in place of the system's.") })
      .optional()
      .describe("How `https://` proxies are verified."),
  })
  .check(({ value, issues }) => {
    const isSocks = value.proxy.map(({ kind }) => kind === "socks5");
    if (isSocks.includes(true) && isSocks.includes(false)) {
      const message = "SOCKS proxies and others in one list: a request is made for the one or for the other kind";
      issues.push({ code: "custom", message, path: ["proxy"], input: null });
    }
    if (value.tls !== undefined && !value.proxy.some(({ kind }) => kind === "https")) {
      issues.push({ code: "custom", message: "no proxy of this rule is https://", path: ["tls"], input: null });
    }
  });

const via = z.union([z.literal("direct").transform((): "direct" => "direct"), viaRule]);

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
type DenyRuleBlock = z.output<typeof denyRule>;
type AllowRuleBlock = z.output<typeof allowRule>;
export type TimeWindow = z.output<typeof timeWindow>;
type ViaBlock = z.output<typeof via>;

/** A way: to whom it leads, and through what, in the order in which it is tried. */
export interface ViaRule {
  /** undefined: all. */
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly PortRange[] | undefined;
  /** Of SOCKS proxies only, or of others only. */
  readonly proxies: readonly ParentProxy[];
  /** Absolute path of a PEM file; null: the system's authorities. */
  readonly ca: string | null;
}

/** A rule as the file has it, with its name. */
export interface RuleConfig extends Omit<DenyRuleBlock, "name" | "ports"> {
  readonly name: string;
  /** null: all. */
  readonly ports: readonly PortRange[] | null;
  readonly connectPorts: readonly PortRange[] | null;
  /** Only of rules that allow. */
  readonly debug?: RuleDebug | undefined;
}

const PORTS_DEFAULT: readonly PortRange[] = [
  { first: 80, last: 80 },
  { first: 443, last: 443 },
];
const CONNECT_PORTS_DEFAULT: readonly PortRange[] = [{ first: 443, last: 443 }];

/** Names and defaults; the ports of a rule that refuses are those of tunnels as well. */
function resolveRules({ deny, allow }: ForwardBlock): Pick<ForwardConfig, "deny" | "allow"> {
  const denied = deny.map(({ name, ports, ...rule }, index): RuleConfig => {
    const all = ports ?? null;
    return { ...rule, name: name ?? `deny[${index}]`, ports: all, connectPorts: all };
  });
  const allowed = (allow ?? [{ name: "default" }]).map(
    ({ name, ports, connectPorts, ...rule }: AllowRuleBlock, index): RuleConfig => ({
      ...rule,
      name: name ?? `allow[${index}]`,
      ports: ports ?? PORTS_DEFAULT,
      connectPorts: connectPorts ?? CONNECT_PORTS_DEFAULT,
    }),
  );
  return { deny: denied, allow: allowed };
}

function resolveVia(rule: ViaBlock): ViaRule | "direct" {
  if (rule === "direct") return rule;
  const { proxy, tls, ...matched } = rule;
  return { ...matched, proxies: proxy, ca: tls?.ca ?? null };
}

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
    ...resolveRules(block),
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
