// Requests through parents, as the pipeline has them: who shares a connection with whom, and what is refused before anybody is asked.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { RequestMessage } from "../core/message.ts";
import type { DialTls, TlsLayer } from "../core/ports.ts";
import { type Destination, type DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import type { Sender, UpstreamHandler, UpstreamStream, UpstreamUse } from "../pipeline/upstream.ts";
import { SimulatedNetwork } from "../testing/network.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { ForwardDestinations } from "./destinations.ts";
import type { ViaRule } from "./parents/options.ts";
import { parseParentUrl } from "./parents/url.ts";
import { Ways } from "./parents/ways.ts";

const USE: UpstreamUse = { host: "preserve", responseTimeoutMs: 1_000, bodyTimeoutMs: 1_000, retriesMax: 0 };
const NO_TLS: TlsLayer = {
  serve: () => assert.fail("no TLS here"),
  connect: () => assert.fail("no TLS here"),
};

function accessTo(key: string, refused: string | null = null): DestinationAccess {
  return {
    key,
    reach: "",
    refusalOf: (address) =>
      address === refused
        ? new ProxyError("destination_ip_prohibited", `${address} is refused`, { status: 403 })
        : null,
    ruleOf: () => key,
  };
}

function destination(
  kind: Destination["kind"],
  host: string,
  port: number,
  address: string | null = null,
): Destination {
  return { kind, host, isAddress: /^[\d.]+$/.test(host), port, address };
}

class Handler implements UpstreamHandler {
  stream: UpstreamStream | null = null;
  error: ProxyError | null = null;
  status = 0;
  switched = false;
  onStream(stream: UpstreamStream): void {
    this.stream = stream;
  }
  onLeaseFailed(error: ProxyError): void {
    this.error = error;
  }
  onUpstreamInformational(): void {}
  onUpstreamHead(response: { readonly status: number; readonly fields: { release(): void } }): void {
    this.status = response.status;
    response.fields.release();
  }
  onUpstreamBody(): void {}
  onUpstreamBodyAhead(): null {
    return null;
  }
  onUpstreamEnd(): void {
    this.stream = null;
  }
  onUpstreamSwitch(): void {
    this.switched = true;
  }
  onUpstreamDrain(): void {}
  onUpstreamError(error: ProxyError): void {
    this.error = error;
  }
}

function stage(...rules: readonly (readonly [hosts: readonly string[] | null, ...urls: string[]])[]) {
  const network = new SimulatedNetwork();
  const via = rules.map(
    ([hosts, ...urls]): ViaRule => ({
      ...(hosts !== null && { hosts }),
      proxies: urls.map((url) => parseParentUrl(url)!),
      ca: null,
    }),
  );
  const destinations = new ForwardDestinations(
    {
      name: "egress",
      connectTimeoutMs: 1_000,
      idleMs: 10_000,
      lifetimeMs: 100_000,
      tlsFor: (serverName) => ({ serverName }) as DialTls,
      ways: new Ways(via, () => null),
      viaName: null,
    },
    {
      dialer: network,
      tlsLayer: NO_TLS,
      clock: network.clock,
      deadlines: new DeadlineWheel(network.clock),
      random: new SeededRandom(1),
    },
  );
  /** A GET, or a tunnel, as far as it comes by itself. */
  const ask = (where: Destination, access: DestinationAccess, host: string | null = where.host) => {
    const request = new RequestMessage();
    request.setTarget("/", null);
    if (host !== null) request.fields.append("Host", host);
    const forward = new Forwarding(where, null);
    forward.access = access;
    const sender: Sender = { request, attempts: 1, clientAddress: "", forward };
    const handler = new Handler();
    network.run();
    const lessor = destinations.lease(sender, handler);
    network.run();
    if (handler.stream !== null && where.kind !== "tunnel") {
      handler.stream.sendHead(sender, null, USE);
      handler.stream.end(null);
    }
    request.fields.release();
    return { handler, sender, lessor, forward };
  };
  return { network, destinations, ask };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

describe("requests through an HTTP proxy", () => {
  it("share its connections whoever they are of and wherever they go, but not with other credentials", () => {
    const { network, ask } = stage([["a"], "http://u:1@p:1"], [["b"], "http://u:2@p:1"], [null, "http://u:1@p:1"]);
    const origin = network.origin("p:1");
    ask(destination("http", "a", 80), accessTo("x"));
    const first = origin.accepts();
    first.receives(/^GET http:\/\/a\/ .*\r\nProxy-Authorization: Basic dTox\r\n\r\n$/s);
    first.sends(OK);
    ask(destination("http", "a", 8080), accessTo("y"));
    first.receives(/^GET http:\/\/a:8080\/ /);
    first.sends(OK);
    const { forward } = ask(destination("http", "b", 80), accessTo("x"));
    const second = origin.accepts();
    second.receives(/Proxy-Authorization: Basic dToy\r\n/);
    assert.equal(forward.via, "http://p:1");
  });

  it("name a Host when the client has named none", () => {
    const { network, ask } = stage([null, "http://p:1"]);
    const origin = network.origin("p:1");
    ask(destination("http", "192.0.2.7", 8080, "192.0.2.7"), accessTo("x"), null);
    origin.accepts().receives("GET http://192.0.2.7:8080/ HTTP/1.1\r\nHost: 192.0.2.7:8080\r\n\r\n");
  });
});

it("through a SOCKS proxy, requests share connections when they are for one origin by the same rules", () => {
  const { network, ask } = stage([null, "socks5://p:1"]);
  const origin = network.origin("p:1");
  const serve = () => {
    const proxy = origin.accepts();
    proxy.receives(Buffer.from([5, 1, 0]));
    proxy.sends(Buffer.from([5, 0]));
    proxy.receives(Buffer.from([5, 1, 0, 3, 1, 0x61, 0, 80]));
    proxy.sends(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    return proxy;
  };
  const lease = ask(destination("http", "a", 80), accessTo("x"));
  const first = serve();
  network.run();
  lease.handler.stream!.sendHead(lease.sender, null, USE);
  lease.handler.stream!.end(null);
  first.receives(/^GET \/ HTTP/);
  first.sends(OK);
  network.run();
  ask(destination("http", "a", 80), accessTo("x"));
  first.receives(/^GET \/ HTTP/);
  first.sends(OK);
  ask(destination("http", "a", 80), accessTo("y"));
  serve();
});

describe("an address that was meant and that the rules refuse", () => {
  for (const url of ["http://p:1", "socks5://p:1"]) {
    for (const kind of ["http", "https", "tunnel"] as const) {
      it(`is refused before anybody is asked: ${kind} through ${url}`, () => {
        const { network, ask } = stage([null, url]);
        const origin = network.origin("p:1");
        const access = accessTo("x", "10.0.0.1");
        for (const where of [destination(kind, "a.example", 80, "10.0.0.1"), destination(kind, "10.0.0.1", 80)]) {
          const { handler } = ask(where, access);
          network.runUntilIdle();
          assert.equal(handler.error?.type, "destination_ip_prohibited");
          origin.acceptsNothing();
        }
      });
    }
  }
});

it("what gives up waiting is given up, whichever parent it has come to", () => {
  for (const kind of ["http", "https", "tunnel"] as const) {
    const { network, destinations, ask } = stage([null, "http://dead:1", "http://p:1"]);
    network.failDials("dead:1");
    network.origin("p:1");
    network.latencyMs = 100;
    const { handler, lessor, forward } = ask(destination(kind, "a", 443), accessTo("x"));
    network.advance(350);
    assert.equal(forward.via, "http://p:1", kind);
    lessor.cancel(handler);
    network.runUntilIdle();
    assert.equal(handler.error, null);
    assert.equal(handler.stream, null);
    assert.equal(destinations.connections, 0);
    assert.deepEqual(
      network.leftovers().filter((left) => left.startsWith("198")),
      [],
    );
  }
});
