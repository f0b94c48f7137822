// Connections that come out of our own tunnels, where a firewall redirects what the proxy sends: known by the end that they come from,
// however many tunnels there are.
import assert from "node:assert/strict";
import { test } from "node:test";
import { StandInExchange } from "../../test/support/stand-in-exchange.ts";
import type { Address } from "../core/ports.ts";
import type { ConnectionOrigin } from "../pipeline/forwarding.ts";
import { Forwarding } from "../pipeline/forwarding.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { ForwardAccess } from "./access.ts";
import { resolveRules } from "./rules/options.ts";
import { ForwardRules } from "./rules/rules.ts";
import { TunnelCounts } from "./tunnel-counts.ts";
import { UserCounter } from "./user-counts.ts";

function newAccess(): ForwardAccess {
  const { deny, allow } = resolveRules([], undefined);
  return new ForwardAccess({
    server: "web",
    counters: { tunnels: TunnelCounts.ofOneThread(), users: UserCounter.ofOneThread() },
    tunnelsPerClient: 10_000,
    rules: new ForwardRules(deny, allow, () => assert.fail("nobody is asked who it is")),
    names: { leadsTo: () => false },
    auth: null,
    interception: null,
    clock: new VirtualClock(),
  });
}

const DESTINATION = { kind: "tunnel", host: "45.0.0.1", isAddress: true, port: 443, address: null } as const;

/** Of a connection that was redirected here. */
const ORIGIN: ConnectionOrigin = {
  ...DESTINATION,
  serverName: null,
  user: null,
  clientAddress: "192.0.2.1",
  upstream: null,
};

/** Asks for a tunnel; `from`: on a connection from there that was redirected here. */
function ask(access: ForwardAccess, from: Address | null = null): StandInExchange {
  const exchange = new StandInExchange({ method: "CONNECT" });
  if (from !== null) Object.assign(exchange.connection, { remote: from, origin: ORIGIN });
  exchange.forward = new Forwarding(DESTINATION, null);
  access.request(exchange);
  return exchange;
}

function open(access: ForwardAccess, end: Address): StandInExchange {
  const exchange = ask(access);
  assert.deepEqual(exchange.errors, []);
  exchange.forward!.tunnel!.leadsFrom(end);
  return exchange;
}

function errorOf({ errors }: StandInExchange): string | null {
  return errors[0]?.type ?? null;
}

const END: Address = { family: 4, address: "192.0.2.9", port: 40_000 };

test("what comes from our end of an open tunnel is a loop, until the last tunnel with that end is over", () => {
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
  access.log(one);
  assert.equal(errorOf(ask(access, END)), "proxy_loop_detected", "another destination, the same end");
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
