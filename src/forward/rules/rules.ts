/**
 * Who may go where: rules that refuse are asked first, then rules that allow, each in the order of the file; the first one that
 * matches decides, and what none allows is refused. It is pure: whoever asks says who, where to and when.
 *
 * Where to is a host first and an address later, and a name may resolve to another address each time. So a decision about a host
 * is what may be decided without its address; the rest of it, a DestinationAccess, is asked about every address before it is
 * connected to. A private address passes only by a rule that names its network.
 */
import { createHash } from "node:crypto";
import type { ProxyError } from "../../core/errors.ts";
import type { DestinationAccess } from "../../pipeline/forwarding.ts";
import { CidrSet } from "../../semantics/cidr.ts";
import { Denial } from "../refusal.ts";
import { HostSet } from "./hosts.ts";
import type { RuleConfig, RuleDebug, TimeWindow } from "./options.ts";
import { embeddedIpv4, isPrivate } from "./private-networks.ts";

/** What is asked for, and by whom. */
export interface Wish {
  /** The client's address; "" for one without, on a unix socket. */
  readonly client: string;
  /** null: it has not said who it is. */
  readonly user: string | null;
  /** It may be asked who it is. */
  readonly mayProveUser: boolean;
  /** Lower case; an address without brackets. */
  readonly host: string;
  readonly isAddress: boolean;
  readonly port: number;
  readonly isTunnel: boolean;
  readonly method: string;
  /** On the wall clock. */
  readonly wallMs: number;
}

/** Allowed to some addresses, or refused: a Denial, or that whoever asks has to say who it is first. */
export type Decision = RuledAccess | ProxyError;

/** What does not match; "unknown user": all else does, and nobody has said who it is. */
export type Mismatch = "ports" | "hosts" | "clients" | "methods" | "times" | "users" | "unknown user";

export interface RuleFinding {
  readonly list: "deny" | "allow";
  readonly rule: RuleConfig;
  /**
   * null: it matches, as far as can be said without the destination's address. Where that was asked for: "networks", it is in none of the
   * rule's; "private", it is no public one, and the rule names no network.
   */
  readonly mismatch: Mismatch | "networks" | "private" | null;
}

type IsPrivate = (address: string) => boolean;

export class ForwardRules {
  /** Some rule asks what time it is. */
  readonly askTime: boolean;
  readonly #deny: readonly Rule[];
  readonly #allow: readonly Rule[];
  readonly #isPrivate: IsPrivate;
  readonly #unknownUser: () => ProxyError;
  /** By key: whoever is allowed by the same rules has the same access, and shares connections. */
  readonly #accesses = new Map<string, RuledAccess>();

  /**
   * `unknownUser` makes what is answered when it depends on the user, and nobody has said who it is; `isOwn` says which addresses
   * are this machine's, which are as private as its loopback.
   */
  constructor(
    deny: readonly RuleConfig[],
    allow: readonly RuleConfig[],
    unknownUser: () => ProxyError,
    isOwn: (address: string) => boolean = () => false,
  ) {
    this.#unknownUser = unknownUser;
    this.#isPrivate = (address) => isPrivate(address) || isOwn(address);
    this.#deny = deny.map((config, index) => new Rule(config, `d${index}`));
    this.askTime = [...deny, ...allow].some(({ times }) => times !== undefined);
    this.#allow = allow.map((config, index) => new Rule(config, `a${index}`));
  }

  decide(wish: Wish): Decision {
    const denied: Rule[] = [];
    for (const rule of this.#deny) {
      const mismatch = rule.mismatch(wish);
      if (mismatch === "unknown user" && wish.mayProveUser) return this.#unknownUser();
      // It may be for the user who cannot say who he is.
      if (mismatch !== null && mismatch !== "unknown user") continue;
      if (rule.networks === null) return new Denial("rule_denied", rule.config.name);
      denied.push(rule);
    }
    const allowed: Rule[] = [];
    /** Another user might be allowed more. */
    let isForUsers = false;
    for (const rule of this.#allow) {
      const mismatch = rule.mismatch(wish);
      if (mismatch === null) allowed.push(rule);
      else if (mismatch === "unknown user") isForUsers = wish.mayProveUser;
    }
    if (allowed.length === 0) return isForUsers ? this.#unknownUser() : new Denial("nothing_allows");
    const access = this.#accessOf(denied, allowed, isForUsers);
    return (wish.isAddress ? access.refusalOf(wish.host) : null) ?? access;
  }

  /** Every rule in the order in which it is asked, and why it does not match; for who asks why. */
  explain(wish: Wish): readonly RuleFinding[] {
    const find = (list: "deny" | "allow", rules: readonly Rule[]): readonly RuleFinding[] =>
      rules.map((rule) => {
        const mismatch = rule.mismatch(wish) ?? (wish.isAddress ? this.#addressMismatch(list, rule, wish.host) : null);
        return { list, rule: rule.config, mismatch };
      });
    return [...find("deny", this.#deny), ...find("allow", this.#allow)];
  }

  /** As RuledAccess goes by the address. */
  #addressMismatch(list: "deny" | "allow", { networks }: Rule, address: string): "networks" | "private" | null {
    if (networks === null) return list === "allow" && this.#isPrivate(address) ? "private" : null;
    if (networks.has(address)) return null;
    const within = list === "deny" ? embeddedIpv4(address) : null;
    return within !== null && networks.has(within) ? null : "networks";
  }

  #accessOf(denied: readonly Rule[], allowed: readonly Rule[], isForUsers: boolean): RuledAccess {
    const only = denied.length === 0 && allowed.length === 1 && !isForUsers ? allowed[0]! : null;
    const key =
      only === null ? [...denied, ...allowed].map(({ id }) => id).join(",") + (isForUsers ? ",?" : "") : only.id;
    let access = this.#accesses.get(key);
    if (access === undefined) {
      access = new RuledAccess(key, denied, allowed, this.#isPrivate, isForUsers ? this.#unknownUser : null);
      this.#accesses.set(key, access);
    }
    return access;
  }
}

/** The rules that are left when all but the address is known. */
export class RuledAccess implements DestinationAccess {
  readonly key: string;
  readonly reach: string;
  /** Until when one of the rules asks the log to tell more, on the wall clock; 0: none does. */
  readonly debugUntilMs: number;
  /** The most that one of them wants to be shown of a body. */
  readonly debugBodyBytesMax: number;
  readonly #denied: readonly Rule[];
  readonly #allowed: readonly Rule[];
  readonly #isPrivate: IsPrivate;
  readonly #unknownUser: (() => ProxyError) | null;

  /** `unknownUser`: what is answered in place of a refusal, where some user might be allowed; null: none might. */
  constructor(
    key: string,
    denied: readonly Rule[],
    allowed: readonly Rule[],
    isPrivate: IsPrivate,
    unknownUser: (() => ProxyError) | null,
  ) {
    this.key = key;
    this.reach = reachOf(denied, allowed);
    this.#isPrivate = isPrivate;
    this.#unknownUser = unknownUser;
    this.#denied = denied;
    this.#allowed = allowed;
    const debugs = allowed.flatMap(({ config }) => config.debug ?? []);
    this.debugUntilMs = Math.max(0, ...debugs.map(({ untilMs }) => untilMs));
    this.debugBodyBytesMax = Math.max(0, ...debugs.map(({ bodyBytesMax }) => bodyBytesMax));
  }

  refusalOf(address: string): ProxyError | null {
    // What a gateway takes to a refused address is refused with it; nothing is allowed by what lies within.
    const within = this.#denied.length === 0 ? null : embeddedIpv4(address);
    const denied = this.#denied.find(
      ({ networks }) => networks!.has(address) || (within !== null && networks!.has(within)),
    );
    if (denied !== undefined) return new Denial("rule_denied", denied.config.name);
    if (this.#allowing(address) !== null) return null;
    if (this.#unknownUser !== null) return this.#unknownUser();
    return new Denial(this.#isPrivate(address) ? "private_destination" : "nothing_allows");
  }

  ruleOf(address: string | null): string | null {
    return this.#ruleFor(address)?.config.name ?? null;
  }

  /** What the rule of `ruleOf` asks the log to tell; null: nothing. */
  debugOf(address: string | null): RuleDebug | null {
    return this.#ruleFor(address)?.config.debug ?? null;
  }

  #ruleFor(address: string | null): Rule | null {
    return address === null ? this.#allowed[0]! : this.#allowing(address);
  }

  #allowing(address: string): Rule | null {
    for (const rule of this.#allowed) {
      if (rule.networks === null ? !this.#isPrivate(address) : rule.networks.has(address)) return rule;
    }
    return null;
  }
}

/** What `refusalOf` goes by. */
function reachOf(denied: readonly Rule[], allowed: readonly Rule[]): string {
  const networksOf = (rules: readonly Rule[]): string[] =>
    [...new Set(rules.flatMap(({ config }) => config.networks ?? []))].sort();
  const isPublic = allowed.some(({ networks }) => networks === null);
  const [refused, named] = [networksOf(denied), networksOf(allowed)];
  if (isPublic && refused.length + named.length === 0) return "";
  return createHash("sha256")
    .update(JSON.stringify([isPublic, refused, named]))
    .digest("hex")
    .slice(0, 16);
}

class Rule {
  readonly config: RuleConfig;
  readonly id: string;
  readonly networks: CidrSet | null;
  readonly #clients: CidrSet | null;
  readonly #users: ReadonlySet<string> | null;
  readonly #hosts: HostSet | null;
  readonly #methods: ReadonlySet<string> | null;

  constructor(config: RuleConfig, id: string) {
    this.config = config;
    this.id = id;
    const { networks, clients, users, hosts, methods } = config;
    this.networks = networks === undefined ? null : CidrSet.parse(networks);
    this.#clients = clients === undefined ? null : CidrSet.parse(clients);
    this.#users = users === undefined ? null : new Set(users);
    this.#hosts = hosts === undefined ? null : new HostSet(hosts);
    this.#methods = methods === undefined ? null : new Set(methods);
  }

  /** The first of what does not match, but for the address; null: it matches. */
  mismatch(wish: Wish): Mismatch | null {
    const ports = wish.isTunnel ? this.config.connectPorts : this.config.ports;
    if (ports !== null && !ports.some(({ first, last }) => wish.port >= first && wish.port <= last)) return "ports";
    if (this.#hosts !== null && !this.#hosts.has(wish.host)) return "hosts";
    if (this.#clients !== null && !this.#clients.has(wish.client)) return "clients";
    if (this.#methods !== null && !this.#methods.has(wish.method)) return "methods";
    const { times } = this.config;
    if (times !== undefined && !times.some((window) => isWithin(window, wish.wallMs))) return "times";
    if (this.#users === null) return null;
    if (wish.user === null) return "unknown user";
    return this.#users.has(wish.user) ? null : "users";
  }
}

const MINUTES_OF_DAY = 24 * 60;

/** In the time zone of this machine. A window past midnight belongs to the day on which it begins. */
function isWithin({ days, from, to }: TimeWindow, wallMs: number): boolean {
  const now = new Date(wallMs);
  const day = now.getDay();
  const minute = now.getHours() * 60 + now.getMinutes();
  const isOn = (day: number): boolean => days === null || days.includes(day);
  if (from < to) return isOn(day) && minute >= from && minute < to;
  const end = to === MINUTES_OF_DAY ? 0 : to;
  return (isOn(day) && minute >= from) || (isOn((day + 6) % 7) && minute < end);
}
