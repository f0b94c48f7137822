/**
 * Who may go where: rules that refuse are asked first, then rules that allow, each in the order of the file; the first one that
 * matches decides, and what none allows is refused. It is pure: whoever asks says who, where to and when.
 *
 * Where to is a host first and an address later, and a name may resolve to another address each time. So a decision about a host
 * is what may be decided without its address; the rest of it, a DestinationAccess, is asked about every address before it is
 * connected to. A private address passes only by a rule that names its network.
 */
import type { ProxyError } from "../core/errors.ts";
import type { DestinationAccess } from "../pipeline/forwarding.ts";
import { CidrSet } from "../semantics/cidr.ts";
import { HostSet } from "./hosts.ts";
import type { RuleConfig, TimeWindow } from "./options.ts";
import { isPrivate } from "./private-networks.ts";
import { Denial } from "./refusal.ts";

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
export type Decision = DestinationAccess | ProxyError;

export class ForwardRules {
  /** Some rule asks what time it is. */
  readonly askTime: boolean;
  readonly #deny: readonly Rule[];
  readonly #allow: readonly Rule[];
  readonly #unknownUser: () => ProxyError;
  /** By key: whoever is allowed by the same rules has the same access, and shares connections. */
  readonly #accesses = new Map<string, RuledAccess>();

  /** `unknownUser` makes what is answered when it depends on the user, and nobody has said who it is. */
  constructor(deny: readonly RuleConfig[], allow: readonly RuleConfig[], unknownUser: () => ProxyError) {
    this.#unknownUser = unknownUser;
    this.#deny = deny.map((config, index) => new Rule(config, `d${index}`));
    this.askTime = [...deny, ...allow].some(({ times }) => times !== undefined);
    this.#allow = allow.map((config, index) => new Rule(config, `a${index}`));
  }

  decide(wish: Wish): Decision {
    const denied: Rule[] = [];
    for (const rule of this.#deny) {
      const matches = rule.matches(wish);
      if (matches === "unknown user" && wish.mayProveUser) return this.#unknownUser();
      if (matches === false) continue;
      if (rule.networks === null) return new Denial("rule_denied", rule.config.name);
      denied.push(rule);
    }
    const allowed: Rule[] = [];
    /** Another user might be allowed more. */
    let isForUsers = false;
    for (const rule of this.#allow) {
      const matches = rule.matches(wish);
      if (matches === true) allowed.push(rule);
      else if (matches === "unknown user") isForUsers = wish.mayProveUser;
    }
    if (allowed.length === 0) return isForUsers ? this.#unknownUser() : new Denial("nothing_allows");
    const access = this.#accessOf(denied, allowed, isForUsers);
    return (wish.isAddress ? access.refusalOf(wish.host) : null) ?? access;
  }

  #accessOf(denied: readonly Rule[], allowed: readonly Rule[], isForUsers: boolean): RuledAccess {
    const only = denied.length === 0 && allowed.length === 1 && !isForUsers ? allowed[0]! : null;
    const key =
      only === null ? [...denied, ...allowed].map(({ id }) => id).join(",") + (isForUsers ? ",?" : "") : only.id;
    let access = this.#accesses.get(key);
    if (access === undefined) {
      access = new RuledAccess(key, denied, allowed, isForUsers ? this.#unknownUser : null);
      this.#accesses.set(key, access);
    }
    return access;
  }
}

/** The rules that are left when all but the address is known. */
class RuledAccess implements DestinationAccess {
  readonly key: string;
  readonly #denied: readonly Rule[];
  readonly #allowed: readonly Rule[];
  readonly #unknownUser: (() => ProxyError) | null;

  /** `unknownUser`: what is answered in place of a refusal, where some user might be allowed; null: none might. */
  constructor(key: string, denied: readonly Rule[], allowed: readonly Rule[], unknownUser: (() => ProxyError) | null) {
    this.key = key;
    this.#unknownUser = unknownUser;
    this.#denied = denied;
    this.#allowed = allowed;
  }

  refusalOf(address: string): ProxyError | null {
    const denied = this.#denied.find(({ networks }) => networks!.has(address));
    if (denied !== undefined) return new Denial("rule_denied", denied.config.name);
    if (this.#allowing(address) !== null) return null;
    if (this.#unknownUser !== null) return this.#unknownUser();
    return new Denial(isPrivate(address) ? "private_destination" : "nothing_allows");
  }

  ruleOf(address: string | null): string | null {
    const rule = address === null ? this.#allowed[0]! : this.#allowing(address);
    return rule === null ? null : rule.config.name;
  }

  #allowing(address: string): Rule | null {
    for (const rule of this.#allowed) {
      if (rule.networks === null ? !isPrivate(address) : rule.networks.has(address)) return rule;
    }
    return null;
  }
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

  /** All but the address. "unknown user": all but who it is, which nobody has said. */
  matches(wish: Wish): boolean | "unknown user" {
    const ports = wish.isTunnel ? this.config.connectPorts : this.config.ports;
    if (ports !== null && !ports.some(({ first, last }) => wish.port >= first && wish.port <= last)) return false;
    if (this.#hosts !== null && !this.#hosts.has(wish.host)) return false;
    if (this.#clients !== null && !this.#clients.has(wish.client)) return false;
    if (this.#methods !== null && !this.#methods.has(wish.method)) return false;
    const { times } = this.config;
    if (times !== undefined && !times.some((window) => isWithin(window, wish.wallMs))) return false;
    if (this.#users === null) return true;
    return wish.user === null ? "unknown user" : this.#users.has(wish.user);
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
