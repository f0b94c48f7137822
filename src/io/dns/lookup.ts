/**
 * Addresses of names as "files dns" of nsswitch.conf gives them, without a thread that waits: the hosts file is read by us, and
 * DNS is asked by c-ares, for both families at once. It decides what is asked for at all and when an answer is complete enough; how long
 * one is believed and who waits for it is decided by the cache in front. Search domains are not tried: whose requests a proxy
 * forwards must get the same host wherever the proxy stands.
 */
import { Resolver } from "node:dns";
import os from "node:os";
import {
  CONNECTION_ATTEMPT_DELAY_MS,
  DNS_RESOLUTION_DELAY_MS,
  DNS_TRIES_MAX,
  DNS_TRY_TIMEOUT_MS,
  DNS_TTL_MAX_MS,
} from "../../core/limits.ts";
import type { Clock, TimerHandle } from "../../core/ports.ts";
import type { Lookup, LookupCallback, ResolvedAddress } from "../dialing/name-cache.ts";
import { isAbsence, type SystemError, systemErrorOf } from "../failures.ts";
import { canonicalName, type HostsTable, parseHosts } from "./hosts-file.ts";
import { LOOK_INTERVAL_MS, WatchedFile } from "./watched-file.ts";

export interface LookupOptions {
  /** DNS servers: "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353". Left out or empty: those of /etc/resolv.conf. */
  readonly servers?: readonly string[];
  /** For the first try of a server; default DNS_TRY_TIMEOUT_MS. */
  readonly timeoutMs?: number;
  /** How often each server is tried; default DNS_TRIES_MAX. */
  readonly tries?: number;
  /** Default: /etc/hosts. */
  readonly hostsPath?: string;
  /** What is watched for other servers, where none is given; c-ares itself reads /etc/resolv.conf, which is the default. */
  readonly resolvConfPath?: string;
  /** Whether IPv6 addresses are tried before those of IPv4. Default: when this machine has a global one itself. */
  readonly prefersIpv6?: () => boolean;
}

const HOSTS_PATH = "/etc/hosts";
const RESOLV_CONF_PATH = "/etc/resolv.conf";

/** RFC 1035, section 2.3.4, without the dot at the end. */
const NAME_BYTES_MAX = 253;
/**
 * Letters, digits, hyphens and underscores. DNS would take any byte, but c-ares reads a backslash as an escape and ends at a NUL: it
 * would ask for another name than the one that was judged.
 */
const NAME = /^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/;
/** Such a name is an address in an unusual form (octal, hexadecimal, one number), which some programs would take for one. */
const NUMERIC_END = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;

/** RFC 6761, section 6.3: never asked for, whatever a server would say. */
const LOOPBACK: readonly ResolvedAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

export class DnsLookup {
  /** Called when other answers than before may be right: the hosts file or the servers have changed. */
  onChange: () => void = () => {};
  readonly #clock: Clock;
  readonly #options: LookupOptions;
  readonly #hostsFile: WatchedFile;
  /** Null: the servers are given. */
  readonly #resolvConf: WatchedFile | null;
  readonly #prefersIpv6: () => boolean;
  #hosts: HostsTable;
  #resolver: Resolver;
  #ipv6First: boolean;

  /** @throws TypeError when a server is no IP address. */
  constructor(clock: Clock, options: LookupOptions = {}) {
    this.#clock = clock;
    this.#options = options;
    this.#prefersIpv6 = options.prefersIpv6 ?? hasGlobalIpv6;
    this.#ipv6First = this.#prefersIpv6();
    this.#resolver = this.#makeResolver();
    this.#hostsFile = new WatchedFile(clock, options.hostsPath ?? HOSTS_PATH, (text) => {
      this.#hosts = parseHosts(text);
      this.onChange();
    });
    this.#hosts = parseHosts(this.#hostsFile.text);
    const isGiven = (options.servers?.length ?? 0) > 0;
    this.#resolvConf = isGiven
      ? null
      : new WatchedFile(clock, options.resolvConfPath ?? RESOLV_CONF_PATH, () => {
          this.#resolver = this.#makeResolver();
          this.onChange();
        });
  }

  readonly lookup: Lookup = (spelling, callback) => {
    if (this.#hostsFile.look()) this.#ipv6First = this.#prefersIpv6();
    this.#resolvConf?.look();
    const name = canonicalName(spelling);
    const known = name === "localhost" || name.endsWith(".localhost") ? LOOPBACK : this.#hosts.get(name);
    if (known !== undefined) {
      // What the file says holds until it is looked at again; a look is only taken when a name is asked for.
      process.nextTick(callback, null, known, known === LOOPBACK ? DNS_TTL_MAX_MS : LOOK_INTERVAL_MS);
    } else if (!isName(name)) {
      process.nextTick(callback, systemErrorOf("EBADNAME"), []);
    } else {
      new Question(this.#clock, this.#ipv6First, callback).ask(this.#resolver, name);
    }
  };

  #makeResolver(): Resolver {
    const { servers = [], timeoutMs = DNS_TRY_TIMEOUT_MS, tries = DNS_TRIES_MAX } = this.#options;
    const resolver = new Resolver({ timeout: timeoutMs, tries });
    // The system's are set as well. Of those that were not, Node makes a new channel before the query behind one that nobody at 127.0.0.1 took,
    // and destroys with the old one whatever was just asked: names would fail for some time after the server is back.
    const all = servers.length > 0 ? servers : resolver.getServers();
    if (all.length > 0) resolver.setServers(all);
    return resolver;
  }
}

/** A name that DNS is asked for: of a host, underscores included, and in no way an address. */
function isName(name: string): boolean {
  return name.length <= NAME_BYTES_MAX && NAME.test(name) && !NUMERIC_END.test(name);
}

/**
 * Whether an IPv6 address of the internet is likely to be reached from here (RFC 6724, section 6, rules 1 and 5, without asking the
 * kernel for every address).
 */
function hasGlobalIpv6(): boolean {
  try {
    return Object.values(os.networkInterfaces()).some((addresses) =>
      addresses?.some(({ family, address }) => family === "IPv6" && /^[23]/.test(address)),
    );
  } catch {
    // Some sandboxes forbid the question.
    return false;
  }
}

interface ResolvedRecord {
  readonly address: string;
  readonly ttl: number;
}

/** What is known of one family. */
interface FamilyAnswer {
  readonly error: SystemError | null;
  readonly records: readonly ResolvedRecord[];
}

/** A name that is asked for, in both families at once. */
class Question {
  readonly #clock: Clock;
  readonly #ipv6First: boolean;
  readonly #callback: LookupCallback;
  #ipv4: FamilyAnswer | null = null;
  #ipv6: FamilyAnswer | null = null;
  #delay: TimerHandle | null = null;

  constructor(clock: Clock, ipv6First: boolean, callback: LookupCallback) {
    this.#clock = clock;
    this.#ipv6First = ipv6First;
    this.#callback = callback;
  }

  ask(resolver: Resolver, name: string): void {
    resolver.resolve4(name, { ttl: true }, (error, records) => {
      this.#ipv4 = { error, records: records ?? [] };
      this.#settle(this.#ipv4, DNS_RESOLUTION_DELAY_MS);
    });
    resolver.resolve6(name, { ttl: true }, (error, records) => {
      this.#ipv6 = { error, records: records ?? [] };
      // IPv6 alone is of no use where there is none, so IPv4 is waited for until its turn in the race would come.
      this.#settle(this.#ipv6, CONNECTION_ATTEMPT_DELAY_MS);
    });
  }

  /** RFC 8305, section 3: a family that is known waits for the other one, but not for long. A failure waits to the end. */
  #settle(answer: FamilyAnswer, delayMs: number): void {
    if (this.#ipv4 !== null && this.#ipv6 !== null) {
      this.#delay?.cancel();
      this.#give();
    } else if (answer.records.length > 0) {
      this.#delay = this.#clock.after(delayMs, () => {
        this.#give(true);
      });
    }
  }

  /** `isPart`: one family is given while the other one is not known. */
  #give(isPart = false): void {
    const ipv4 = this.#ipv4?.records ?? [];
    const ipv6 = this.#ipv6?.records ?? [];
    if (ipv4.length === 0 && ipv6.length === 0) {
      this.#callback(this.#failure(), []);
      return;
    }
    let ttl = Number.POSITIVE_INFINITY;
    const addresses: ResolvedAddress[] = [];
    const add = (records: readonly ResolvedRecord[], family: 4 | 6): void => {
      for (const record of records) {
        addresses.push({ address: record.address, family });
        ttl = Math.min(ttl, record.ttl);
      }
    };
    if (this.#ipv6First) add(ipv6, 6);
    add(ipv4, 4);
    if (!this.#ipv6First) add(ipv6, 6);
    this.#callback(null, addresses, ttl * 1000, isPart);
  }

  /** That a server failed says more than that the other family has nothing: there may be addresses. Null: there are none. */
  #failure(): SystemError | null {
    const errors = [this.#ipv4?.error ?? null, this.#ipv6?.error ?? null];
    return errors.find((error) => error !== null && !isAbsence(error)) ?? errors[0] ?? null;
  }
}
