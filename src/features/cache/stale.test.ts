// When something stale is better than nothing, or than waiting (RFC 5861).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, type CachingProxy, cachingProxies, gotOf } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

/** Something that was fetched, and is stale by now. */
async function stale(
  cacheControl: string,
  cache: Record<string, unknown> = {},
  fields: Record<string, string> = { ETag: '"v1"' },
): Promise<CachingProxy> {
  const proxy = await open({ cache, stage: { upstreamUse: { retriesMax: 0 } } });
  proxy.answer = () => answerOf(200, { "Cache-Control": cacheControl, ...fields }, "old");
  await proxy.fetch("/a");
  await proxy.passes(20_000);
  return proxy;
}

describe("while it is fetched anew", () => {
  it("a stale answer is given at once", async () => {
    const proxy = await stale("max-age=10, stale-while-revalidate=30");
    proxy.answer = () => null;
    for (let time = 0; time < 3; time++) {
      const { body, get, cacheStatus } = await proxy.fetch("/a");
      assert.deepEqual([body, get("age"), cacheStatus], ["old", "20", "headgate; hit; ttl=-10"]);
    }
    assert.equal(proxy.asked.length, 2, "once for all");
    assert.equal(proxy.asked[1]!.get("if-none-match"), '"v1"');
    proxy.asked[1]!.server.sends(answerOf(200, { "Cache-Control": "max-age=10", ETag: '"v2"' }, "new"));
    await proxy.settle();
    const { body, cacheStatus } = await proxy.fetch("/a");
    assert.deepEqual([body, cacheStatus], ["new", "headgate; hit; ttl=10"]);
    assert.deepEqual(
      proxy.noted.map(({ outcome }) => outcome),
      ["miss", "stale", "stale", "stale", "hit"],
    );
  });

  it("and confirmed, it is fresh again", async () => {
    const proxy = await stale("max-age=10, stale-while-revalidate=30");
    proxy.answer = () => answerOf(304, { ETag: '"v1"' });
    await proxy.fetch("/a");
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=10");
    assert.equal(proxy.asked.length, 2);
  });

  it("for who asked with HEAD, it is for everybody", async () => {
    const proxy = await stale("max-age=10, stale-while-revalidate=30");
    proxy.answer = ({ method }) =>
      answerOf(200, { "Cache-Control": "max-age=10", ETag: '"v2"' }, method === "HEAD" ? "" : "new");
    await proxy.fetch("/a", { method: "HEAD" });
    await proxy.settle();
    assert.equal(proxy.asked[1]!.method, "GET");
    const { body, cacheStatus } = await proxy.fetch("/a");
    assert.deepEqual([body, cacheStatus], ["new", "headgate; hit; ttl=10"]);
  });

  it("and that fails, it is tried again", async () => {
    const proxy = await stale("max-age=10, stale-while-revalidate=3000");
    proxy.answer = () => answerOf(503, {});
    assert.equal((await proxy.fetch("/a")).body, "old");
    await proxy.passes(2_000);
    assert.equal((await proxy.fetch("/a")).body, "old");
    assert.equal(proxy.asked.length, 3);
  });

  it("it is waited for when it has been stale for too long", async () => {
    const proxy = await stale("max-age=10, stale-while-revalidate=5");
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=10" }, "new");
    assert.equal((await proxy.fetch("/a")).body, "new");
  });

  it("the configuration may allow it", async () => {
    const proxy = await stale("max-age=10", { staleWhileRevalidate: "30s" });
    assert.equal((await proxy.fetch("/a")).body, "old");
    assert.equal(proxy.asked.length, 2);
  });

  it("the client may have left already", async () => {
    const proxy = await stale("max-age=10, stale-while-revalidate=30");
    proxy.answer = () => null;
    const client = proxy.client("/a");
    await proxy.settle();
    client.closes();
    await proxy.settle();
    proxy.asked[1]!.server.sends(answerOf(200, { "Cache-Control": "max-age=10" }, "new"));
    await proxy.settle();
    assert.equal((await proxy.fetch("/a")).body, "new");
  });

  for (const directive of ["must-revalidate", "proxy-revalidate", "s-maxage=10"]) {
    it(`${directive} forbids what the configuration allows`, async () => {
      const proxy = await stale(`max-age=10, ${directive}`, { staleWhileRevalidate: "30s" });
      proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=10" }, "new");
      assert.equal((await proxy.fetch("/a")).body, "new");
    });
  }
});

describe("when the origin fails", () => {
  const failures: readonly (readonly [what: string, fail: (proxy: CachingProxy) => void, status: string])[] = [
    [
      "refuses connections",
      (proxy) => {
        // The connection that is there is lost as well.
        for (const { server } of proxy.asked) server.closes();
        proxy.stage.network.failDials("origin:80");
      },
      "headgate; fwd=stale; ttl=-10; detail=stale-on-error",
    ],
    [
      "closes without an answer",
      (proxy) => {
        proxy.answer = ({ server }) => {
          server.closes();
          return null;
        };
      },
      "headgate; fwd=stale; ttl=-10; detail=stale-on-error",
    ],
    [
      "answers 503",
      (proxy) => {
        proxy.answer = () => answerOf(503, {}, "sorry");
      },
      "headgate; fwd=stale; fwd-status=503; ttl=-10; detail=stale-on-error",
    ],
  ];
  for (const [what, fail, status] of failures) {
    it(`a stale answer is given: it ${what}`, async () => {
      const proxy = await stale("max-age=10, stale-if-error=60");
      fail(proxy);
      const clients = [proxy.client("/a"), proxy.client("/a"), proxy.client("/a")];
      await proxy.settle();
      const got = clients.map((client) => gotOf(client));
      for (const { body } of got) assert.equal(body, "old");
      assert.ok(
        got.some(({ cacheStatus }) => cacheStatus === status),
        got[0]?.cacheStatus ?? "",
      );
    });

    it(`the configuration may allow it: it ${what}`, async () => {
      const proxy = await stale("max-age=10", { staleOnError: "1m" });
      fail(proxy);
      assert.equal((await proxy.fetch("/a")).body, "old");
    });

    it(`it may not be allowed: it ${what}`, async () => {
      const proxy = await stale("max-age=10");
      fail(proxy);
      const { status: answered } = await proxy.fetch("/a");
      assert.ok(answered >= 502, `${answered}`);
    });

    it(`it may be forbidden: it ${what}`, async () => {
      const proxy = await stale("max-age=10, must-revalidate", { staleOnError: "1m" });
      fail(proxy);
      assert.ok((await proxy.fetch("/a")).status >= 502);
    });
  }

  it("a 404 is an answer", async () => {
    const proxy = await stale("max-age=10, stale-if-error=60");
    proxy.answer = () => answerOf(404, {}, "gone");
    assert.equal((await proxy.fetch("/a")).status, 404);
  });

  it("it is not asked anew by everybody, for a moment", async () => {
    const proxy = await stale("max-age=10, stale-if-error=60");
    proxy.answer = () => answerOf(503, {}, "sorry");
    for (let time = 0; time < 5; time++) assert.equal((await proxy.fetch("/a")).body, "old");
    assert.equal(proxy.asked.length, 2);
    await proxy.passes(2_000);
    await proxy.fetch("/a");
    assert.equal(proxy.asked.length, 3);
  });

  it("what cannot be validated is stale all the same", async () => {
    const proxy = await stale("max-age=10, stale-if-error=60", {}, {});
    proxy.answer = () => answerOf(500, {}, "sorry");
    assert.equal((await proxy.fetch("/a")).body, "old");
  });

  it("an error is not kept in its place", async () => {
    const proxy = await stale("max-age=10", { negative: "10s" });
    proxy.answer = () => answerOf(503, {}, "sorry");
    assert.equal((await proxy.fetch("/a")).body, "sorry");
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=10" }, "new");
    await proxy.passes(12_000);
    assert.equal((await proxy.fetch("/a")).body, "new");
  });
});
