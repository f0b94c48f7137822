// Answers of origins that say what makes no sense: the client gets what it would get without a cache.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, cachingProxies } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

describe("an answer that is unusual", () => {
  it("with a status above 599 reaches its client", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(999, { "Cache-Control": "max-age=60" }, "odd");
    for (let times = 0; times < 2; times++) {
      const got = await proxy.fetch("/a");
      assert.deepEqual([got.status, got.body, got.isWhole], [999, "odd", true]);
    }
  });

  it("with a status above 599 in place of what is stale reaches its client too", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=1", ETag: '"a"' }, "hello");
    assert.equal((await proxy.fetch("/a")).status, 200);
    await proxy.passes(2000);
    proxy.answer = () => answerOf(600, {}, "odd");
    assert.deepEqual([(await proxy.fetch("/a")).status, (await proxy.fetch("/a")).body], [600, "odd"]);
  });

  it("with Content-Range in a 200 has it as it is, and a range of it has its own alone", async () => {
    const proxy = await open();
    proxy.answer = () =>
      answerOf(200, { "Cache-Control": "max-age=60", "Content-Range": "x" }, "0123456789".repeat(100));
    assert.equal((await proxy.fetch("/a")).get("content-range"), "x");
    assert.equal((await proxy.fetch("/a")).get("content-range"), "x");
    const one = await proxy.fetch("/a", { fields: { Range: "bytes=2-3" } });
    assert.deepEqual([one.status, one.body, one.get("content-range")], [206, "23", "bytes 2-3/1000"]);
    const two = await proxy.fetch("/a", { fields: { Range: "bytes=2-3,500-501" } });
    assert.deepEqual([two.status, two.get("content-range")], [206, null]);
  });
});

describe("an answer that confirms what is there and forbids to keep it", () => {
  const kept = { "Cache-Control": "max-age=10", ETag: '"v1"', "X-A": "1" };
  const forbids = { "Cache-Control": "no-store", ETag: '"v1"', "X-A": "2" };

  it("goes to the client that asked as it is now, and to nobody else", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => (get("if-none-match") === null ? answerOf(200, kept, "hello") : answerOf(304, forbids));
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    const got = await proxy.fetch("/a");
    assert.deepEqual(
      [got.status, got.body, got.get("x-a"), got.get("cache-control"), got.get("age")],
      [200, "hello", "2", "no-store", "0"],
    );
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=miss; fwd-status=200; stored; ttl=10");
  });

  it("leaves it to others when only the client's identity is what forbids it", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => (get("if-none-match") === null ? answerOf(200, kept, "hello") : answerOf(304, kept));
    await proxy.fetch("/a");
    const known = await proxy.fetch("/a", { fields: { Authorization: "x", "Cache-Control": "no-cache" } });
    assert.deepEqual([known.status, known.body], [200, "hello"]);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=10");
  });

  it("is not given any more after HEAD has said so", async () => {
    const proxy = await open();
    proxy.answer = ({ method }) =>
      method === "HEAD"
        ? answerOf(200, forbids).replace("Content-Length: 0", "Content-Length: 5")
        : answerOf(200, kept, "hello");
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    await proxy.fetch("/a", { method: "HEAD" });
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=miss; fwd-status=200; stored; ttl=10");
  });

  it("varies by other fields each time: the cache learns of so many and no more", async () => {
    const proxy = await open();
    let answers = 0;
    proxy.answer = () => {
      const names = Array.from({ length: 30 }, (_, index) => `x-${answers}-${index}`);
      return answerOf(200, { "Cache-Control": "max-age=60", Vary: names.join() }, `answer ${++answers}`);
    };
    // Each asks with a field that the answers before vary by.
    for (let asked = 0; asked < 6; asked++) {
      const fields = { [`X-${Math.max(0, asked - 1)}-0`]: `${asked}` };
      const { status, body } = await proxy.fetch("/a", { fields });
      assert.deepEqual([status, body], [200, `answer ${asked + 1}`]);
    }
    // The first two are what it knows: who asks with other values of theirs gets none of what is stored.
    assert.equal((await proxy.fetch("/a", { fields: { "X-1-3": "new" } })).body, "answer 7");
    // A field of a later one tells nothing apart.
    const known = await proxy.fetch("/a", { fields: { "X-0-0": "1", "X-5-0": "new" } });
    assert.equal(known.body, "answer 2");
  });
});
