/**
 * What is possible in `forward` but hardly meant: rules that can match nobody or that are never asked, names that do not tell two
 * rules apart. It is asked once every value of the file is known to be right.
 */
import type { PortRange } from "../forward/rules/options.ts";
import { type Finding, nearest, type Path } from "./problems.ts";
import type { ConfigBlocks, ServerBlock } from "./schema.ts";

type ForwardBlock = NonNullable<ServerBlock["forward"]>;
type Rule = ForwardBlock["deny"][number] | NonNullable<ForwardBlock["allow"]>[number];

interface PlacedRule {
  readonly list: "deny" | "allow";
  readonly path: Path;
  readonly rule: Rule;
}

export function forwardWarnings({ servers }: ConfigBlocks): readonly Finding[] {
  return Object.entries(servers).flatMap(([name, { forward }]) => {
    if (forward === undefined) return [];
    const path: Path = ["servers", name, "forward"];
    const place = (list: PlacedRule["list"], rules: readonly Rule[]): readonly PlacedRule[] =>
      rules.map((rule, index) => ({ list, path: [...path, list, index], rule }));
    const deny = place("deny", forward.deny);
    const allow = place("allow", forward.allow ?? []);
    const rules = [...deny, ...allow];
    return [
      ...rules.flatMap((rule) => unknownUsers(rule, forward)),
      ...rules.flatMap(misspeltMethods),
      ...namedTwice(rules),
      ...neverAsked(deny, allow),
      ...waysNeverTaken(forward, path),
    ];
  });
}

/** Users in a file come and go without this file; those that stand here do not. */
function unknownUsers({ path, rule, list }: PlacedRule, { auth }: ForwardBlock): readonly Finding[] {
  const known = auth?.basic.users;
  if (known === undefined || rule.users === undefined) return [];
  const unknown = rule.users.filter((user) => !Object.hasOwn(known, user));
  const effect = `this rule ${list === "allow" ? "lets nobody pass" : "refuses nobody"}`;
  const isForNobody = unknown.length === rule.users.length;
  return unknown.map((user) => ({
    path: [...path, "users"],
    at: "value",
    message: `${user} is not in users${isForNobody ? `: ${effect}` : ""}`,
    suggestion: nearest(user, Object.keys(known)),
  }));
}

/** Those that browsers, tools and WebDAV clients use; any other is possible. */
const METHODS: readonly string[] = [
  ...["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", "QUERY", "PURGE", "TRACE"],
  ...["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR"],
];

function misspeltMethods({ path, rule }: PlacedRule): readonly Finding[] {
  return (rule.methods ?? []).flatMap((method): readonly Finding[] => {
    if (METHODS.includes(method)) return [];
    const suggestion = nearest(method, METHODS);
    const message = `${method} is no usual method`;
    return suggestion === null ? [] : [{ path: [...path, "methods"], at: "value", message, suggestion }];
  });
}

function namedTwice(rules: readonly PlacedRule[]): readonly Finding[] {
  const seen = new Set<string>();
  return rules.flatMap(({ path, rule: { name } }): readonly Finding[] => {
    if (name === undefined) return [];
    const message = `another rule is called ${name}, too: the log does not tell them apart`;
    const isSecond = seen.has(name);
    seen.add(name);
    return isSecond ? [{ path: [...path, "name"], at: "value", message }] : [];
  });
}

/** Rules behind one that takes all that they would take. */
function neverAsked(deny: readonly PlacedRule[], allow: readonly PlacedRule[]): readonly Finding[] {
  const all = deny.findIndex(({ rule }) => isForAll(rule) && rule.ports === undefined && rule.networks === undefined);
  const denied = all < 0 ? [] : [...deny.slice(all + 1), ...allow].map(({ path }) => hidden(path, deny[all]!));
  if (all >= 0) return denied;
  const first = allow.findIndex(({ rule }) => isForAll(rule) && rule.networks === undefined);
  if (first < 0) return [];
  // One that names networks lets private addresses pass, which the first one does not.
  return allow
    .slice(first + 1)
    .filter(({ rule }) => rule.networks === undefined && portsWithin(rule, allow[first]!.rule))
    .map(({ path }) => hidden(path, allow[first]!));
}

function isForAll({ clients, users, hosts, methods, times }: Rule): boolean {
  return [clients, users, hosts, methods, times].every((condition) => condition === undefined);
}

function hidden(path: Path, { rule, path: before, list }: PlacedRule): Finding {
  const name = rule.name ?? `${list}[${before.at(-1)}]`;
  return { path, at: "block", message: `is never asked: ${name} stands before it and has no conditions` };
}

/** Both have the same defaults. */
function portsWithin(inner: Rule, outer: Rule): boolean {
  const connect = (rule: Rule): readonly PortRange[] | undefined =>
    "connectPorts" in rule ? rule.connectPorts : undefined;
  return within(inner.ports, outer.ports, WEB) && within(connect(inner), connect(outer), TLS);
}

const WEB: readonly PortRange[] = [80, 443].map((port) => ({ first: port, last: port }));
const TLS: readonly PortRange[] = WEB.slice(1);

function within(
  inner: readonly PortRange[] | undefined,
  outer: readonly PortRange[] | undefined,
  otherwise: readonly PortRange[],
): boolean {
  const ranges = outer ?? otherwise;
  return (inner ?? otherwise).every(({ first, last }) => ranges.some((one) => first >= one.first && last <= one.last));
}

function waysNeverTaken({ via }: ForwardBlock, path: Path): readonly Finding[] {
  const all = via.findIndex((rule) => rule === "direct" || (rule.hosts === undefined && rule.ports === undefined));
  if (all < 0) return [];
  const what = via[all] === "direct" ? '"direct"' : "a rule without hosts and ports";
  return via.slice(all + 1).map((_, index) => ({
    path: [...path, "via", all + 1 + index],
    at: "block",
    message: `is never asked: ${what} stands before it and takes all`,
  }));
}
