// Connections that come out of our own tunnels, where a firewall redirects what the proxy sends: known by where they come from and
// where they are headed, however many tunnels there are.
import assert from "node:assert/strict";
import { test } from "node:test";
import { StandInExchange } from "../../test/support/stand-in-exchange.ts";
import { ProxyError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import type { ConnectionOrigin } from "../pipeline/forwarding.ts";
import { Forwarding } from "../pipeline/forwarding.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { ForwardAccess, type Leads } from "./access.ts";
import { allowRule, resolveRules } from "./rules/options.ts";
import { ForwardRules } from "./rules/rules.ts";
import { TunnelCounts } from "./tunnel-counts.ts";
import { UserCounter } from "./user-counts.ts";

function newAccess(rules: Parameters<typeof resolveRules>[1] = undefined, leads: Leads = false): ForwardAccess {
  const { deny, allow } = resolveRules([], rules);
  return new ForwardAccess({
    server: "web",
    counters: { tunnels: TunnelCounts.ofOneThread(), users: UserCounter.ofOneThread() },
    tunnelsPerClient: 10_000,
    rules: new ForwardRules(deny, allow, () => assert.fail("nobody is asked who it is")),
    names: { leadsTo: () => leads },
    auth: null,
    interception: null,
    clock: new VirtualClock(),
  });
}

const DESTINATION = { kind: "tunnel", host: "45.0.0.1", isAddress: true, port: 443, address: null } as const;

/** Of a connection that was redirected here. */
const ORIGIN: ConnectionOrigin = {
  ...DESTINATION,
  address: DESTINATION.host,
  serverName: null,
  user: null,
  clientAddress: "192.0.2.1",
  upstream: null,
};

/** Asks for a tunnel; `from`: on a connection from there, headed for `to`, that was redirected here. */
function ask(access: ForwardAccess, from: Address | null = null, to = DESTINATION.host as string): StandInExchange {
  const exchange = new StandInExchange({ method: "CONNECT" });
  if (from !== null) Object.assign(exchange.connection, { remote: from, origin: { ...ORIGIN, address: to } });
  exchange.forward = new Forwarding(DESTINATION, null);
  access.request(exchange);
  return exchange;
}

function open(access: ForwardAccess, end: Address): StandInExchange {
  const exchange = ask(access);
  assert.deepEqual(exchange.errors, []);
  exchange.forward!.tunnel!.leadsFrom(end, { family: 4, address: DESTINATION.host, port: DESTINATION.port });
  return exchange;
}

function errorOf({ errors }: StandInExchange): string | null {
  return errors[0]?.type ?? null;
}

const END: Address = { family: 4, address: "192.0.2.9", port: 40_000 };

test("what comes from our end of an open tunnel, headed for its other end, is a loop, until the last such tunnel is over", () => {
  const access = newAccess();
  assert.equal(errorOf(ask(access, END)), null);
  const [one, other] = [open(access, END), open(access, { ...END })];
  assert.equal(errorOf(ask(access, END)), "proxy_loop_detected");
  for (const near of [
    { ...END, port: END.port + 1 },
    { ...END, address: "192.0.2.10" },
  ]) {
    assert.equal(errorOf(ask(access, near)), null);
  }
  // Another program of this machine has the same address and port for a connection to somebody else.
  assert.equal(errorOf(ask(access, END, "45.0.0.2")), null);
  access.log(one);
  assert.equal(errorOf(ask(access, END)), "proxy_loop_detected");
  access.log(other);
  assert.equal(errorOf(ask(access, END)), null);
});

test("whether it comes from there is found without a look at each tunnel", () => {
  const access = newAccess();
  let looks = 0;
  for (let port = 1; port <= 100; port++) {
    open(access, {
      family: 4,
      get address() {
        looks++;
        return "192.0.2.9";
      },
      get port() {
        looks++;
        return port;
      },
    });
  }
  looks = 0;
  assert.equal(errorOf(ask(access, { ...END, port: 100 })), "proxy_loop_detected");
  assert.equal(errorOf(ask(access, END)), null);
  assert.equal(looks, 0);
});

test("a claim that would open the way: false, or nobody could say", () => {
  const rules = [allowRule.parse({ name: "one", hosts: ["a.example"] })];
  const cause = new Error("SERVFAIL");
  const error = new ProxyError("dns_error", "cannot resolve a.example", { cause });
  const outcome = (host: string, leads: Leads) => {
    const access = newAccess(rules, leads);
    const exchange = new StandInExchange({ method: "CONNECT" });
    const destination = { ...DESTINATION, address: DESTINATION.host };
    exchange.forward = new Forwarding(destination, null, { host, isAddress: false, port: 443 });
    access.request(exchange);
    return exchange.errors.map(({ reason, status, type, message }) => [reason, status, type, message]);
  };
  const unresolved =
    "forward: the host that a rule allows could not be resolved, so that nobody can say whether it leads to where the traffic was headed: cannot resolve a.example";
  assert.deepEqual(outcome("a.example", true), []);
  assert.deepEqual(outcome("a.example", error), [["host_unresolved", 502, "dns_error", unresolved]]);
  assert.equal(outcome("a.example", false)[0]![0], "unverified_host");
  for (const leads of [true, false, error]) assert.equal(outcome("b.example", leads)[0]![0], "nothing_allows");
});
