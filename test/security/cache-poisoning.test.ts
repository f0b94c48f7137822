// A client that makes the cache keep an answer of its choice for others: by a Host that is not its own, by fields that are no part of
// the key, by requests that two servers read in two ways.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Feature } from "../../src/pipeline/phases.ts";
import { type Asked, answerOf, type CachingProxyOptions, cachingProxies } from "../support/caching-proxy.ts";

const open = cachingProxies();

const FRESH = { "Cache-Control": "max-age=600" };

async function echoing(options: CachingProxyOptions, echo: (asked: Asked) => string) {
  const proxy = await open(options);
  proxy.answer = (asked) => answerOf(200, FRESH, echo(asked));
  return proxy;
}

describe("one path of two hosts", () => {
  it("is two answers (CVE-2026-2836)", async () => {
    const proxy = await echoing({}, ({ get }) => `of ${get("host")}`);
    for (const host of ["evil.example", "good.example", "good.example:8080", "evil.example"]) {
      assert.equal((await proxy.fetch("/a", { host })).body, `of ${host}`);
    }
  });

  it("is two answers whatever form the request has", async () => {
    const proxy = await echoing({}, ({ get }) => `of ${get("host")}`);
    assert.equal((await proxy.fetch("http://evil.example/a", { host: "evil.example" })).body, "of evil.example");
    assert.equal((await proxy.fetch("/a", { host: "good.example" })).body, "of good.example");
    assert.equal((await proxy.fetch("http://evil.example/a", { host: "good.example" })).status, 400);
  });
});

describe("what a client says of the URL in other fields", () => {
  for (const name of ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port", "Forwarded"]) {
    it(`reaches no answer that is kept: ${name}`, async () => {
      const proxy = await echoing({}, ({ get }) => `links to ${get(name)}`);
      const fields = { [name]: name === "Forwarded" ? "host=evil.example" : "evil.example" };
      const { body } = await proxy.fetch("/a", { fields });
      assert.doesNotMatch(body, /evil/);
      assert.doesNotMatch((await proxy.fetch("/a")).body, /evil/);
    });

    it(`is believed of a proxy in front, for itself alone: ${name}`, async () => {
      const proxy = await echoing(
        { stage: { trustedProxies: ["192.0.2.0/24"] } },
        ({ get }) => `links to ${get(name)}`,
      );
      const fields = { [name]: name === "Forwarded" ? "host=other.example" : "other.example" };
      assert.match((await proxy.fetch("/a", { fields })).body, /other\.example/);
      assert.doesNotMatch((await proxy.fetch("/a")).body, /other\.example/);
      assert.match((await proxy.fetch("/a", { fields })).body, /other\.example/);
      assert.equal(proxy.asked.length, 2);
    });
  }

  for (const name of [
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X_HTTP_Method_Override",
    "X-Host",
  ]) {
    it(`is kept for nobody: ${name}`, async () => {
      const proxy = await echoing({}, ({ get }) => `for ${get(name)}`);
      const { body, cacheStatus } = await proxy.fetch("/a", { fields: { [name]: "evil" } });
      assert.deepEqual([body, cacheStatus], ["for evil", "headgate; fwd=miss; fwd-status=200; detail=override"]);
      assert.equal((await proxy.fetch("/a")).body, "for null");
    });
  }
});

describe("a field that Connection keeps from the origin", () => {
  const hidden = { "X-Tenant": "a", Connection: "keep-alive, x-tenant" };
  const tell = ({ get }: Asked): string => `of tenant ${get("x-tenant")}`;

  it("is not answered for those who have it: in the key", async () => {
    const proxy = await echoing({ cache: { key: { headers: ["x-tenant"] } } }, tell);
    assert.equal((await proxy.fetch("/a", { fields: hidden })).body, "of tenant null");
    assert.equal((await proxy.fetch("/a", { fields: { "X-Tenant": "a" } })).body, "of tenant a");
  });

  it("is not answered for those who have it: in Vary", async () => {
    const proxy = await open();
    proxy.answer = (asked) => answerOf(200, { ...FRESH, Vary: "X-Tenant" }, tell(asked));
    assert.equal((await proxy.fetch("/a", { fields: hidden })).body, "of tenant null");
    assert.equal((await proxy.fetch("/a", { fields: { "X-Tenant": "a" } })).body, "of tenant a");
  });
});

describe("a request with a body", () => {
  it("is no GET that others send", async () => {
    const proxy = await echoing({}, ({ get }) => `with ${get("content-length")}`);
    assert.equal((await proxy.fetch("/a", { body: "page=evil" })).body, "with 9");
    assert.equal((await proxy.fetch("/a")).body, "with null");
    assert.match((await proxy.fetch("/a", { body: "page=evil" })).cacheStatus ?? "", /detail=request-body/);
  });
});

describe("parameters that do not count", () => {
  const key = { query: { exclude: ["utm_*"] } };

  it("hide no other ones behind a semicolon", async () => {
    const proxy = await echoing({ cache: { key } }, ({ target }) => target);
    await proxy.fetch("/a?page=1&utm_source=x;page=2");
    assert.equal((await proxy.fetch("/a?page=1&utm_source=x")).body, "/a?page=1&utm_source=x");
  });

  it("are those that their encoding means", async () => {
    const proxy = await echoing({ cache: { key } }, ({ target }) => target);
    await proxy.fetch("/a?%75tm_source=1");
    assert.equal((await proxy.fetch("/a?utm_campaign=2")).body, "/a?%75tm_source=1");
    assert.equal((await proxy.fetch("/a?UTM_source=3")).body, "/a?UTM_source=3");
  });
});

describe("parts of a key", () => {
  it("cannot pass for others", async () => {
    const cache = { key: { headers: ["x-a", "x-b"], cookies: ["c"] } };
    const proxy = await echoing(
      { cache },
      ({ get, target }) => `${target} ${get("x-a")}|${get("x-b")}|${get("cookie")}`,
    );
    const requests: readonly (readonly [target: string, fields: Record<string, string>])[] = [
      ["/a", {}],
      ["/a", { "X-A": "" }],
      ["/a", { "X-A": "1" }],
      ["/a", { "X-B": "1" }],
      ["/a", { "X-A": "1 h x-b:1" }],
      ["/a", { "X-A": "1\\nh x-b:1" }],
      ["/a", { "X-A": "1%0Ah x-b:1" }],
      ["/a%0Ah%20x-a:1", {}],
      ["/a?h x-a:1".replaceAll(" ", "%20"), {}],
      ["/a", { Cookie: "c=1" }],
      ["/a", { Cookie: "c=1; c=2" }],
      ["/a", { Cookie: 'c="1; c=2"' }],
    ];
    const bodies = new Map<string, string>();
    for (const [target, fields] of [...requests, ...requests]) {
      const { body } = await proxy.fetch(target, { fields });
      const request = JSON.stringify([target, fields]);
      assert.equal(bodies.get(request) ?? body, body);
      bodies.set(request, body);
    }
    assert.equal(new Set(bodies.values()).size, requests.length);
    assert.equal(proxy.asked.length, requests.length);
  });
});

describe("a host that a redirected connection claims", () => {
  /** As forward/ does with what it cannot verify. */
  const unverified: Feature = {
    name: "unverified",
    request(exchange) {
      const destination = { kind: "http", host: "192.0.2.9", isAddress: true, port: 80, address: "192.0.2.9" } as const;
      exchange.forward = {
        destination,
        claimed: { host: "bank.example", isAddress: false, port: 80 },
        isHostVerified: exchange.request.fields.has("x-verified"),
        user: null,
      } as typeof exchange.forward;
    },
  };

  it("is neither kept nor given before it was found to be true (CVE-2009-0801)", async () => {
    const proxy = await echoing({ front: [unverified] }, () => "x");
    for (let time = 0; time < 2; time++) {
      const { cacheStatus } = await proxy.fetch("/a");
      assert.equal(cacheStatus, "headgate; fwd=bypass; fwd-status=200; detail=host-unverified");
    }
    await proxy.fetch("/a", { fields: { "X-Verified": "1" } });
    assert.match((await proxy.fetch("/a")).cacheStatus ?? "", /host-unverified/);
    proxy.answer = () => answerOf(204, {});
    await proxy.fetch("/a", { method: "POST", body: "x" });
    assert.match((await proxy.fetch("/a", { fields: { "X-Verified": "1" } })).cacheStatus ?? "", /headgate; hit/);
  });
});

describe("what clients of a forward proxy say of themselves", () => {
  const forward: Feature = {
    name: "forward",
    request(exchange) {
      const destination = { kind: "http", host: "o.example", isAddress: false, port: 80, address: null } as const;
      exchange.forward = { destination, claimed: null, isHostVerified: true, user: null } as typeof exchange.forward;
    },
  };

  it("is not asked for everybody", async () => {
    const proxy = await echoing({ front: [forward] }, ({ get }) => `links to ${get("x-forwarded-host")}`);
    const fields = {
      "X-Forwarded-Host": "evil.example",
      "X-Forwarded-For": "127.0.0.1",
      Forwarded: "host=evil.example",
    };
    assert.equal((await proxy.fetch("http://o.example/a", { host: "o.example", fields })).body, "links to null");
    assert.equal(proxy.asked[0]!.get("forwarded"), null);
  });
});

describe("what a rule lets one client of a forward proxy fetch", () => {
  const reach = (key: string): Feature => ({
    name: "forward",
    request(exchange) {
      const destination = { kind: "http", host: "o.example", isAddress: false, port: 80, address: null } as const;
      const access = { reach: exchange.request.fields.get("x-reach") ?? key };
      exchange.forward = {
        destination,
        claimed: null,
        isHostVerified: true,
        access,
      } as unknown as typeof exchange.forward;
    },
  });

  it("is not found by another one, who might be refused the address of that name", async () => {
    const proxy = await echoing({ front: [reach("")] }, ({ get }) => `asked by ${get("x-reach")}`);
    const fetch = (fields = {}) => proxy.fetch("http://o.example/a", { host: "o.example", fields });
    assert.equal((await fetch({ "X-Reach": "intranet" })).body, "asked by intranet");
    assert.equal((await fetch()).body, "asked by null");
    assert.equal((await fetch({ "X-Reach": "other" })).body, "asked by other");
    assert.match((await fetch({ "X-Reach": "intranet" })).cacheStatus ?? "", /hit/);
    assert.match((await fetch()).cacheStatus ?? "", /hit/);
  });
});

describe("requests that ask for large answers", () => {
  it("do not make the proxy fetch more than they ask for (RangeAmp)", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(206, { ...FRESH, ETag: '"v1"', "Content-Range": "bytes 0-0/1000000000" }, "x");
    await proxy.fetch("/a", { fields: { Range: "bytes=0-0" } });
    assert.equal(proxy.asked[0]!.get("range"), "bytes=0-0");
  });

  it("get no more of what is there by overlapping ranges than it has", async () => {
    const proxy = await open();
    const body = "x".repeat(50_000);
    proxy.answer = () => answerOf(200, FRESH, body);
    await proxy.fetch("/a");
    const ranges = Array.from({ length: 90 }, () => "0-").join(",");
    const { status, body: got } = await proxy.fetch("/a", { fields: { Range: `bytes=${ranges}` } });
    assert.deepEqual([status, got.length], [206, body.length]);
  });
});
