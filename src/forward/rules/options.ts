/**
 * The options of a rule that says who may go where: what it asks of a request, and what the log tells of those that it lets through.
 * Of `deny` and `allow` alike, but that only the latter know of tunnels' own ports and of `debug`.
 */
import { z } from "zod";
import { cidr, hostPattern } from "../../core/option-addresses.ts";
import { defaultsTo, instant, oneOrMore, sizeBetween, TOKEN, textKind } from "../../core/option-types.ts";
import { userName } from "../../identity/users/options.ts";
import { DEBUG_BODY_BYTES_MAX } from "../limits.ts";

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

export const port = z.union([
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
  suggest: (text) => (/^\d:[0-5]\d$/.test(text) ? `0${text}` : null),
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

export const denyRule = z.strictObject({
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

export const allowRule = z.strictObject({
  ...ruleFields,
  ports: defaultsTo([80, 443], oneOrMore(port)).describe("Ports that requests may go to."),
  connectPorts: defaultsTo([443], oneOrMore(port)).describe("Ports that tunnels (CONNECT, SOCKS) may go to."),
  debug: ruleDebug
    .optional()
    .describe("Lets the access log (`format: json`) tell more of what this rule lets through, for a time."),
});

type DenyRuleBlock = z.output<typeof denyRule>;
type AllowRuleBlock = z.output<typeof allowRule>;
export type TimeWindow = z.output<typeof timeWindow>;

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
export const CONNECT_PORTS_DEFAULT: readonly PortRange[] = [{ first: 443, last: 443 }];

/** Names and defaults; the ports of a rule that refuses are those of tunnels as well. */
export function resolveRules(
  deny: readonly DenyRuleBlock[],
  allow: readonly AllowRuleBlock[] | undefined,
): { readonly deny: readonly RuleConfig[]; readonly allow: readonly RuleConfig[] } {
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
