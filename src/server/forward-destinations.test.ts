// Where forwarded requests go, with a dialer that does nothing by itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { configOf } from "../../test/support/proxy-under-test.ts";
import type { Config } from "../config/config.ts";
import { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { Connection, DialHandler, DialTarget, TlsLayer } from "../core/ports.ts";
import type { ForwardDestinations } from "../forward/destinations.ts";
import type { NameCache } from "../io/dialing/name-cache.ts";
import { Forwarding, type TunnelUpstream } from "../pipeline/forwarding.ts";
import type { Sender, UpstreamHandler } from "../pipeline/upstream.ts";
import { SeededRandom, VirtualClock } from "../testing/index.ts";
import { ForwardUpstreams } from "./forward-destinations.ts";
import { TlsFiles } from "./tls-files.ts";

/** Every connection is on its way until the test says what becomes of it. */
class Dials {
  readonly targets: DialTarget[] = [];
  readonly handlers: DialHandler[] = [];
  cancelled = 0;

  dial(target: DialTarget, handler: DialHandler) {
    this.targets.push(target);
    this.handlers.push(handler);
    return { cancel: () => this.cancelled++ };
  }
}

function stage() {
  const dials = new Dials();
  const clock = new VirtualClock();
  const counted = { connections: 0 };
  const upstreams = new ForwardUpstreams({
    namesFor: () => ({}) as NameCache,
    dialerWith: () => dials,
    tlsLayer: {} as TlsLayer,
    clock,
    deadlines: new DeadlineWheel(clock),
    random: new SeededRandom(1),
    instance: "x",
    countConnection: (change) => (counted.connections += change),
  });
  const load = async (forward: object): Promise<ForwardDestinations> => {
    const config: Config = configOf({ servers: { egress: { listen: "127.0.0.1:0", forward } } });
    const plan = upstreams.plan(config, await TlsFiles.load(config));
    upstreams.keep(plan);
    return plan.get("egress")!.destinations;
  };
  return { counted, dials, upstreams, load };
}

function wish(kind: "http" | "https" | "tunnel", host: string): Sender {
  const forward = new Forwarding({ kind, host, isAddress: false, port: 80, address: null }, null);
  forward.access = { key: "a0", reach: "", ruleOf: () => null, refusalOf: () => null };
  return { forward, attempts: 1, clientAddress: "192.0.2.1" } as Sender;
}

class Asking {
  readonly errors: ProxyError[] = [];
  onLeaseFailed(error: ProxyError): void {
    this.errors.push(error);
  }
}

const asking = () => new Asking() as Asking & UpstreamHandler;

test("what is left of an earlier configuration is closed with the proxy", async () => {
  const { dials, upstreams, load } = stage();
  const first = await load({});
  const [request, tunnel] = [asking(), asking()];
  first.lease(wish("http", "a.example"), request);
  first.lease(wish("tunnel", "a.example"), tunnel);
  const second = await load({ timeouts: { connect: "9s" } });
  assert.notEqual(first, second);
  await load({ timeouts: { connect: "8s" } });
  assert.equal(dials.cancelled, 0);
  upstreams.destroy();
  assert.equal(dials.cancelled, 2);
  for (const { errors } of [request, tunnel]) assert.equal(errors.length, 1);
  assert.ok(first.isEmpty);
});

test("an origin that cannot be reached is not tried again for the same request", async () => {
  const { dials, load } = stage();
  const destinations = await load({});
  for (const kind of ["http", "https"] as const) {
    const handler = asking();
    destinations.lease(wish(kind, "a.example"), handler);
    const error = new ProxyError("connection_refused", "refused", { cause: "why" });
    assert.ok(error.retryable);
    dials.handlers.at(-1)!.onFailed(error);
    const { type, message, status, retryable, cause } = handler.errors[0]!;
    assert.deepEqual({ type, message, status, retryable, cause }, { ...pick(error), retryable: false, cause: "why" });
  }
  const handler = asking();
  const lessor = destinations.lease(wish("tunnel", "a.example"), handler);
  assert.equal(lessor.allowRetry(handler, true), false);
});

function pick({ type, message, status }: ProxyError) {
  return { type, message, status };
}

test("the retries of one origin are not taken from another", async () => {
  const { load } = stage();
  const destinations = await load({});
  const handler = asking();
  const [dead, alive] = ["dead.example", "alive.example"].map((host) =>
    destinations.lease(wish("http", host), handler),
  );
  while (dead!.allowRetry(handler, true));
  assert.ok(alive!.allowRetry(handler, true));
});

test("who gives up waiting is not called, and nothing is left", async () => {
  const { dials, load } = stage();
  const destinations = await load({});
  for (const kind of ["http", "tunnel"] as const) {
    const handler = asking();
    const lessor = destinations.lease(wish(kind, "a.example"), handler);
    assert.ok(!destinations.isEmpty);
    lessor.cancel(handler);
    lessor.cancel(handler);
    assert.ok(destinations.isEmpty);
    assert.equal(handler.errors.length, 0);
  }
  assert.equal(dials.cancelled, 2);
});

test("TLS to a host is the same object each time, by which sessions are found again", async () => {
  const { dials, load } = stage();
  const destinations = await load({});
  for (const host of ["a.example", "b.example", "a.example"]) {
    const handler = asking();
    destinations.lease(wish("https", host), handler).cancel(handler);
    destinations.close();
  }
  const [a, b, again] = dials.targets.map(({ tls }) => tls);
  assert.equal(a, again);
  assert.notEqual(a, b);
});

test("tunnels are counted while they are there, and closed with the others, whoever has them", async () => {
  const { counted, dials, upstreams, load } = stage();
  const destinations = await load({});
  const closed: number[] = [];
  const open = (index: number) => {
    let stream: TunnelUpstream | null = null;
    const pending = destinations.openTunnel(wish("tunnel", "a.example"), {
      onTunnel: (given) => (stream = given),
      onFailed: assert.fail,
    });
    const remote = { family: 4, address: "192.0.2.9", port: index };
    dials.handlers[index]!.onConnected({
      remote,
      pause() {},
      destroy: () => closed.push(index),
    } as unknown as Connection);
    pending.cancel();
    return stream as unknown as TunnelUpstream;
  };
  const streams = [open(0), open(1), open(2)];
  assert.equal(streams[1]!.address, "192.0.2.9:1");
  assert.equal(dials.cancelled, 0, "what is there is not given up by who waited for it");
  assert.deepEqual([counted.connections, destinations.connections], [3, 3]);
  streams[0]!.take();
  streams[0]!.abort(null);
  assert.deepEqual([counted.connections, destinations.connections], [2, 2]);
  upstreams.destroy();
  assert.deepEqual(closed, [0, 1, 2]);
  assert.deepEqual([counted.connections, destinations.connections], [0, 0]);
});
