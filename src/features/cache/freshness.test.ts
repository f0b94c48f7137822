// What is given from the cache, for how long, and what is then asked of the origin.

import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { answerOf, CachingProxy, type CachingProxyOptions } from "../../../test/support/caching-proxy.ts";

let proxies: CachingProxy[] = [];

async function open(options: CachingProxyOptions = {}): Promise<CachingProxy> {
  const proxy = await CachingProxy.open(options);
  proxies.push(proxy);
  return proxy;
}

afterEach(async () => {
  for (const proxy of proxies) await proxy.close();
  proxies = [];
});

describe("an answer that says how long it is fresh", () => {
  it("is given from the cache until then, with its age", async () => {
    const proxy = await open();
    proxy.answer = () =>
      answerOf(200, { "Cache-Control": "max-age=60", "Content-Type": "text/plain", "X-A": "1" }, "hello");
    const first = await proxy.fetch("/a");
    assert.deepEqual([first.status, first.body, first.get("x-a")], [200, "hello", "1"]);
    assert.equal(first.cacheStatus, "headgate; fwd=miss; fwd-status=200; stored; ttl=60");
    assert.equal(first.get("age"), null);
    await proxy.passes(10_000);
    const second = await proxy.fetch("/a");
    assert.deepEqual([second.status, second.body, second.get("x-a"), second.get("age")], [200, "hello", "1", "10"]);
    assert.equal(second.cacheStatus, "headgate; hit; ttl=50");
    assert.equal(second.get("date"), first.get("date"));
    assert.equal(proxy.asked.length, 1);
    await proxy.passes(50_000);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=stale; fwd-status=200; stored; ttl=60");
    assert.equal(proxy.asked.length, 2);
    assert.deepEqual(
      proxy.noted.map(({ outcome }) => outcome),
      ["miss", "hit", "miss"],
    );
  });
});
