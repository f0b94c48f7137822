// Rules against a plain model that does what the documentation says, one sentence after the other; and time windows, which know days,
// midnight and the change of clocks.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { ProxyError } from "../../core/errors.ts";
import { Denial } from "../refusal.ts";
import type { RuleConfig, TimeWindow } from "./options.ts";
import { type Decision, ForwardRules, type Wish } from "./rules.ts";

const ALL_PORTS = [{ first: 1, last: 65_535 }];

function allow(rule: Partial<RuleConfig>): RuleConfig {
  return { name: "allow", ports: ALL_PORTS, connectPorts: ALL_PORTS, ...rule } as RuleConfig;
}

const WISH: Wish = {
  client: "192.0.2.1",
  user: null,
  mayProveUser: true,
  host: "a.example",
  isAddress: false,
  port: 443,
  isTunnel: true,
  method: "CONNECT",
  wallMs: Date.UTC(2026, 0, 1),
};

// ------------------------------------------------------------------------------------------------- the model

/** Few of each, so that rules and wishes meet often. Networks of the model are written out. */
const NETWORKS: Readonly<Record<string, (address: string) => boolean>> = {
  "10.0.0.0/8": (address) => address.startsWith("10."),
  "10.1.0.0/16": (address) => address.startsWith("10.1."),
  "8.8.8.0/24": (address) => address.startsWith("8.8.8."),
  "::1/128": (address) => address === "::1",
};
const isPrivateInModel = (address: string) => address.startsWith("10.") || address === "::1";

const some = <T>(values: readonly T[]) => fc.option(fc.subarray([...values], { minLength: 1 }), { nil: undefined });
const ports = fc.constantFrom([{ first: 443, last: 443 }], [{ first: 80, last: 443 }], ALL_PORTS);
const rule = (isAllow: boolean) =>
  fc.record({
    name: fc.constantFrom("r1", "r2", "r3"),
    ports: isAllow ? ports : fc.option(ports, { nil: null }),
    connectPorts: isAllow ? ports : fc.constant(null),
    clients: some(["10.0.0.0/8", "8.8.8.0/24"]),
    users: some(["ci", "eve"]),
    hosts: some(["a.example", "*.example", "10.1.2.3", "*.a.example"]),
    networks: some(Object.keys(NETWORKS)),
    methods: some(["CONNECT", "GET"]),
  }) as fc.Arbitrary<RuleConfig>;

const wish: fc.Arbitrary<Wish> = fc
  .record({
    client: fc.constantFrom("10.0.0.9", "8.8.8.9", "", "9.9.9.9"),
    user: fc.constantFrom("ci", "eve", "bob", null),
    host: fc.constantFrom("a.example", "example", "b.a.example", "xa.example", "10.1.2.3", "8.8.8.8", "::1"),
    port: fc.constantFrom(80, 443, 8080, 79, 444),
    isTunnel: fc.boolean(),
    mayProveUser: fc.boolean(),
  })
  .map((given) => ({
    ...given,
    isAddress: LITERALS.has(given.host),
    method: given.isTunnel ? "CONNECT" : "GET",
    wallMs: WISH.wallMs,
  }));

const ADDRESSES = ["10.1.2.3", "10.9.9.9", "8.8.8.8", "9.9.9.9", "::1"];
const LITERALS = new Set(["10.1.2.3", "8.8.8.8", "::1"]);

type Verdict = string;

function matchesAllButUser(config: RuleConfig, asked: Wish, isDeny: boolean): boolean {
  const ranges = asked.isTunnel && !isDeny ? config.connectPorts : config.ports;
  if (ranges !== null && !ranges.some(({ first, last }) => asked.port >= first && asked.port <= last)) return false;
  const isHost = (pattern: string) =>
    pattern.startsWith("*.") ? asked.host.endsWith(pattern.slice(1)) : pattern === asked.host;
  if (config.hosts !== undefined && !config.hosts.some(isHost)) return false;
  if (config.clients !== undefined && !config.clients.some((network) => NETWORKS[network]!(asked.client))) return false;
  return config.methods === undefined || config.methods.includes(asked.method);
}

/** What becomes of a wish that in the end goes to this address. */
function model(deny: readonly RuleConfig[], allowed: readonly RuleConfig[], asked: Wish, address: string): Verdict {
  const isUnknown = (config: RuleConfig) => config.users !== undefined && asked.user === null;
  const isUser = (config: RuleConfig) => config.users === undefined || config.users.includes(asked.user ?? "");
  const within = (config: RuleConfig) => config.networks!.some((network) => NETWORKS[network]!(address));
  // Who cannot say who it is may be the one whom a rule refuses.
  const refusing = deny.filter(
    (config) => matchesAllButUser(config, asked, true) && (isUser(config) || isUnknown(config)),
  );
  for (const config of refusing) {
    if (isUnknown(config) && asked.mayProveUser) return "authenticate";
    if (config.networks === undefined) return `rule_denied ${config.name}`;
  }
  const matching = allowed.filter((config) => matchesAllButUser(config, asked, false));
  const allowing = matching.filter(isUser);
  const mayBeAsked = asked.mayProveUser && matching.some(isUnknown);
  if (allowing.length === 0) return mayBeAsked ? "authenticate" : "nothing_allows null";
  for (const config of refusing) if (within(config)) return `rule_denied ${config.name}`;
  for (const config of allowing) {
    if (config.networks === undefined ? !isPrivateInModel(address) : within(config)) return `allowed by ${config.name}`;
  }
  if (mayBeAsked) return "authenticate";
  return isPrivateInModel(address) ? "private_destination null" : "nothing_allows null";
}

const UNKNOWN_USER = new ProxyError("http_request_denied", "who is it?");
const unknownUser = () => UNKNOWN_USER;

function verdictOf(decision: Decision, address: string): Verdict {
  const refused = decision instanceof ProxyError ? decision : decision.refusalOf(address);
  if (refused === UNKNOWN_USER) return "authenticate";
  if (refused instanceof Denial) return `${refused.reason} ${refused.rule}`;
  assert.ok(refused === null && !(decision instanceof ProxyError));
  return `allowed by ${decision.ruleOf(address)}`;
}

test("decisions are those of the model, for every address that a host may turn out to have", () => {
  const lists = fc.tuple(fc.array(rule(false), { maxLength: 3 }), fc.array(rule(true), { minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(lists, fc.array(wish, { minLength: 1, maxLength: 8 }), ([deny, allowed], wishes) => {
      // Of a rule that refuses, the ports are those of tunnels too, as options resolve them.
      const rules = new ForwardRules(
        deny.map((config) => ({ ...config, connectPorts: config.ports })),
        allowed,
        unknownUser,
      );
      for (const asked of wishes) {
        for (const address of LITERALS.has(asked.host) ? [asked.host] : ADDRESSES) {
          assert.equal(verdictOf(rules.decide(asked), address), model(deny, allowed, asked, address), address);
        }
      }
    }),
    { seed, numRuns: 3_000 },
  );
});

test("equal keys are equal access, whoever asked", () => {
  fc.assert(
    fc.property(fc.array(rule(true), { minLength: 1, maxLength: 4 }), wish, wish, (allowed, one, other) => {
      const rules = new ForwardRules([], allowed, unknownUser);
      const decisions = [rules.decide(one), rules.decide(other)];
      const [first, second] = decisions;
      if (first instanceof ProxyError || second instanceof ProxyError || first!.key !== second!.key) return;
      for (const address of ADDRESSES) assert.equal(verdictOf(first!, address), verdictOf(second!, address));
    }),
    { seed, numRuns: 500 },
  );
});

test("an equal reach refuses the same addresses, and that of public ones alone is none", () => {
  const lists = fc.tuple(fc.array(rule(false), { maxLength: 2 }), fc.array(rule(true), { minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(lists, wish, lists, wish, (one, oneWish, other, otherWish) => {
      const decide = ([deny, allowed]: typeof one, asked: Wish) =>
        new ForwardRules(deny, allowed, unknownUser).decide(asked);
      const [first, second] = [decide(one, oneWish), decide(other, otherWish)];
      if (first instanceof ProxyError || second instanceof ProxyError) return;
      for (const address of ADDRESSES) {
        const isRefused: boolean = first.refusalOf(address) !== null;
        if (first.reach === second.reach) assert.equal(second.refusalOf(address) !== null, isRefused, address);
        if (first.reach === "") assert.equal(isRefused, isPrivateInModel(address), address);
      }
    }),
    { seed, numRuns: 2_000 },
  );
});

describe("time windows", () => {
  const FRI = 5;
  const SAT = 6;
  const isOpen = (window: TimeWindow, local: string): boolean => {
    const rules = new ForwardRules([], [allow({ times: [window] })], unknownUser);
    return !(rules.decide({ ...WISH, wallMs: new Date(local).getTime() }) instanceof Denial);
  };
  const cases: readonly [window: TimeWindow, local: string, open: boolean][] = [
    [{ days: null, from: 480, to: 1020 }, "2026-01-02T07:59:59.999", false],
    [{ days: null, from: 480, to: 1020 }, "2026-01-02T08:00:00", true],
    [{ days: null, from: 480, to: 1020 }, "2026-01-02T16:59:59.999", true],
    [{ days: null, from: 480, to: 1020 }, "2026-01-02T17:00:00", false],
    // The second of January 2026 is a Friday.
    [{ days: [FRI], from: 0, to: 1440 }, "2026-01-02T00:00:00", true],
    [{ days: [FRI], from: 0, to: 1440 }, "2026-01-02T23:59:59.999", true],
    [{ days: [FRI], from: 0, to: 1440 }, "2026-01-03T00:00:00", false],
    [{ days: [FRI], from: 0, to: 1440 }, "2026-01-01T23:59:59", false],
    // Past midnight: of the day on which it begins.
    [{ days: [FRI], from: 1320, to: 360 }, "2026-01-02T21:59:00", false],
    [{ days: [FRI], from: 1320, to: 360 }, "2026-01-02T22:00:00", true],
    [{ days: [FRI], from: 1320, to: 360 }, "2026-01-03T05:59:59", true],
    [{ days: [FRI], from: 1320, to: 360 }, "2026-01-03T06:00:00", false],
    [{ days: [FRI], from: 1320, to: 360 }, "2026-01-02T05:00:00", false],
    [{ days: [SAT], from: 1320, to: 360 }, "2026-01-04T05:00:00", true],
    [{ days: [FRI], from: 600, to: 600 }, "2026-01-03T09:59:00", true],
    [{ days: [FRI], from: 600, to: 600 }, "2026-01-03T10:00:00", false],
  ];
  for (const [window, local, open] of cases) {
    test(`${JSON.stringify(window)} at ${local}`, () => assert.equal(isOpen(window, local), open));
  }

  test("when the clocks change, the time on the wall counts", () => {
    const before = process.env.TZ;
    try {
      process.env.TZ = "Europe/Berlin";
      const at = (utc: string, from: number, to: number): boolean => {
        const rules = new ForwardRules([], [allow({ times: [{ days: null, from, to }] })], unknownUser);
        return !(rules.decide({ ...WISH, wallMs: Date.parse(utc) }) instanceof Denial);
      };
      // In March 2026 the hour from 2 to 3 is not there; in October it is there twice.
      assert.equal(at("2026-03-29T00:59:59Z", 120, 180), false);
      assert.equal(at("2026-03-29T01:00:00Z", 120, 180), false);
      assert.equal(at("2026-03-29T01:00:00Z", 180, 240), true);
      for (const utc of ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]) assert.equal(at(utc, 120, 180), true, utc);
      assert.equal(at("2026-10-25T02:00:00Z", 120, 180), false);
    } finally {
      if (before === undefined) delete process.env.TZ;
      else process.env.TZ = before;
    }
  });
});

const literal = (host: string): Wish => ({ ...WISH, host, isAddress: true });

test("an address of this machine is private, whatever network it is of, unless a rule names its network", () => {
  const isOwn = (address: string): boolean => address === "198.200.0.7";
  const refuses = new ForwardRules([], [allow({})], unknownUser, isOwn).decide(literal("198.200.0.7"));
  assert.equal((refuses as ProxyError).reason, "private_destination");
  const names = new ForwardRules([], [allow({ networks: ["198.200.0.0/16"] })], unknownUser, isOwn);
  assert.equal(names.decide(literal("198.200.0.7")) instanceof ProxyError, false);
});

test("what a gateway takes to a refused address is refused with it, and nothing is allowed by what lies within", () => {
  const rules = new ForwardRules([allow({ networks: ["198.200.0.0/16"] })], [allow({})], unknownUser);
  for (const host of ["198.200.1.1", "64:ff9b::c6c8:101", "2002:c6c8:101::1"]) {
    assert.equal((rules.decide(literal(host)) as ProxyError).reason, "rule_denied", host);
  }
  const allows = new ForwardRules([], [allow({ networks: ["198.200.0.0/16"] })], unknownUser);
  assert.equal((allows.decide(literal("64:ff9b::c6c8:101")) as ProxyError).reason, "nothing_allows");
});
