// What is given from the cache, for how long, and what clients may say about it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, cachingProxies } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

const DAY_MS = 86_400_000;

describe("an answer that says how long it is fresh", () => {
  it("is given from the cache until then, with its age", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60", "X-A": "1" }, "hello");
    const first = await proxy.fetch("/a");
    assert.deepEqual([first.status, first.body, first.get("x-a"), first.get("age")], [200, "hello", "1", null]);
    assert.equal(first.cacheStatus, "headgate; fwd=miss; fwd-status=200; stored; ttl=60");
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

  it("is as old as caches before say", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60", Age: "50" });
    assert.equal((await proxy.fetch("/a")).get("age"), "50");
    await proxy.passes(5_000);
    assert.equal((await proxy.fetch("/a")).get("age"), "55");
    await proxy.passes(5_000);
    await proxy.fetch("/a");
    assert.equal(proxy.asked.length, 2);
  });

  it("is of its path, query, host and scheme alone", async () => {
    const proxy = await open();
    proxy.answer = ({ target, get }) => answerOf(200, { "Cache-Control": "max-age=60" }, `${get("host")}${target}`);
    for (const [target, host] of [
      ["/a", "a"],
      ["/a?", "a"],
      ["/a?b", "a"],
      ["/A", "a"],
      ["/a", "b"],
      ["/a", "a:81"],
    ] as const) {
      assert.equal((await proxy.fetch(target, { host })).body, host + target);
      assert.equal((await proxy.fetch(target, { host: host.toUpperCase() })).body, host + target);
    }
    assert.equal(proxy.asked.length, 6);
    assert.equal((await proxy.fetch("/a", { host: "a:80" })).body, "a/a");
    assert.equal(proxy.asked.length, 6);
  });

  it("is large, and comes whole", async () => {
    const proxy = await open();
    const body = "0123456789abcdef".repeat(40_000);
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, body);
    for (let time = 0; time < 3; time++) {
      const got = await proxy.fetch("/a");
      assert.ok(got.isWhole && got.body === body, `${time}: ${got.body.length} bytes`);
    }
    assert.equal(proxy.asked.length, 1);
  });

  it("has no length, and comes whole", async () => {
    const proxy = await open();
    const head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    proxy.answer = () => `${head}3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n`;
    assert.deepEqual([(await proxy.fetch("/a")).body, proxy.asked.length], ["abcde", 1]);
    const second = await proxy.fetch("/a");
    assert.deepEqual([second.body, second.isWhole, second.get("content-length")], ["abcde", true, "5"]);
    assert.equal(proxy.asked.length, 1);
  });

  it("has no body", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(301, { "Cache-Control": "max-age=60", Location: "/b" });
    for (let time = 0; time < 2; time++) {
      const { status, body, get } = await proxy.fetch("/a");
      assert.deepEqual([status, body, get("location"), get("content-length")], [301, "", "/b", "0"]);
    }
    assert.equal(proxy.asked.length, 1);
  });
});

describe("HEAD", () => {
  it("gets what is known of the answer to GET", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "hello");
    await proxy.fetch("/a");
    const { status, isWhole, get, cacheStatus } = await proxy.fetch("/a", { method: "HEAD" });
    assert.deepEqual([status, isWhole, get("content-length"), get("age")], [200, true, "5", "0"]);
    assert.equal(cacheStatus, "headgate; hit; ttl=60");
    assert.equal(proxy.asked.length, 1);
  });

  it("passes when nothing is known, and its answer is not that to GET", async () => {
    const proxy = await open();
    proxy.answer = ({ method }) =>
      method === "HEAD"
        ? "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\n"
        : answerOf(200, { "Cache-Control": "max-age=60" }, "hello");
    const { cacheStatus } = await proxy.fetch("/a", { method: "HEAD" });
    assert.equal(cacheStatus, "headgate; fwd=miss; fwd-status=200; detail=head");
    assert.equal((await proxy.fetch("/a")).body, "hello");
    assert.deepEqual(
      proxy.asked.map(({ method }) => method),
      ["HEAD", "GET"],
    );
  });

  it("passes always when only GET is answered", async () => {
    const proxy = await open({ cache: { methods: ["GET"] } });
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" });
    await proxy.fetch("/a");
    const { cacheStatus } = await proxy.fetch("/a", { method: "HEAD" });
    assert.equal(cacheStatus, "headgate; fwd=method; fwd-status=200; detail=method");
  });
});

describe("what a client says", () => {
  const table: readonly (readonly [cacheControl: string, ageMs: number, asked: number, status: string])[] = [
    ["max-age=100", 10_000, 1, "headgate; hit; ttl=50"],
    ["max-age=5", 10_000, 2, "headgate; fwd=request; fwd-status=200; stored; ttl=60"],
    ["max-age=0", 0, 2, "headgate; fwd=request; fwd-status=200; stored; ttl=60"],
    ["no-cache", 0, 2, "headgate; fwd=request; fwd-status=200; stored; ttl=60"],
    ["min-fresh=55", 10_000, 2, "headgate; fwd=request; fwd-status=200; stored; ttl=60"],
    ["max-stale=100", 100_000, 1, "headgate; hit; ttl=-40"],
    ["max-stale=10", 100_000, 2, "headgate; fwd=stale; fwd-status=200; stored; ttl=60"],
    ["only-if-cached", 10_000, 1, "headgate; hit; ttl=50"],
    ["no-store", 0, 2, "headgate; fwd=bypass; fwd-status=200; detail=request-no-store"],
  ];
  for (const [cacheControl, ageMs, asked, status] of table) {
    it(`counts: ${cacheControl} when it is ${ageMs / 1000} s old`, async () => {
      const proxy = await open();
      proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" });
      await proxy.fetch("/a");
      if (ageMs > 0) await proxy.passes(ageMs);
      const { cacheStatus } = await proxy.fetch("/a", { fields: { "Cache-Control": cacheControl } });
      assert.deepEqual([cacheStatus, proxy.asked.length], [status, asked]);
    });
  }

  it("may be Pragma", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" });
    await proxy.fetch("/a");
    await proxy.fetch("/a", { fields: { Pragma: "no-cache" } });
    assert.equal(proxy.asked.length, 2);
  });

  it("counts for nothing when clients have no say", async () => {
    const proxy = await open({ cache: { clientControl: false } });
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" });
    await proxy.fetch("/a");
    assert.equal(
      (await proxy.fetch("/a", { fields: { "Cache-Control": "no-cache" } })).cacheStatus,
      "headgate; hit; ttl=60",
    );
  });

  it("may be that it wants nothing but what is stored", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" });
    const fields = { "Cache-Control": "only-if-cached" };
    const { status, cacheStatus, body } = await proxy.fetch("/a", { fields });
    assert.deepEqual([status, cacheStatus, proxy.asked.length], [504, "headgate; detail=only-if-cached", 0]);
    assert.match(body, /The cache does not have it, and the request wants it from nowhere else\./);
    await proxy.fetch("/a");
    await proxy.passes(70_000);
    assert.deepEqual([(await proxy.fetch("/a", { fields })).status, proxy.asked.length], [504, 1]);
  });
});

describe("an answer that says nothing of its freshness", () => {
  const LAST_MODIFIED = "Mon, 22 Dec 2025 00:00:00 GMT";

  it("is validated each time", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) =>
      get("if-modified-since") === null
        ? answerOf(200, { "Last-Modified": LAST_MODIFIED }, "hello")
        : answerOf(304, { "Last-Modified": LAST_MODIFIED });
    await proxy.fetch("/a");
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=stale; fwd-status=304; ttl=0");
    assert.equal(proxy.asked.length, 2);
  });

  it("is guessed to be fresh when that is asked for", async () => {
    const proxy = await open({ cache: { heuristic: { share: 0.1, max: "1d" } } });
    proxy.answer = () => answerOf(200, { "Last-Modified": LAST_MODIFIED }, "hello");
    await proxy.fetch("/a");
    await proxy.passes(1000);
    proxy.clock.advance(DAY_MS - 10_000);
    await proxy.fetch("/a");
    assert.equal(proxy.asked.length, 1);
    proxy.clock.advance(10_000);
    await proxy.fetch("/a");
    assert.equal(proxy.asked.length, 2);
  });

  it("is kept for `negative` when it is an error", async () => {
    const proxy = await open({ cache: { negative: "10s" } });
    proxy.answer = ({ target }) => answerOf(Number(target.slice(1)), {});
    for (const target of ["/404", "/410", "/503"]) {
      await proxy.fetch(target);
      assert.equal((await proxy.fetch(target)).cacheStatus, "headgate; hit; ttl=10");
    }
    await proxy.fetch("/403");
    await proxy.fetch("/403");
    assert.equal(proxy.asked.length, 5);
  });
});

describe("minUses", () => {
  it("keeps what was asked for often enough", async () => {
    const proxy = await open({ cache: { minUses: 3 } });
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" });
    const statuses = [];
    for (let time = 0; time < 4; time++) statuses.push((await proxy.fetch("/a")).cacheStatus);
    assert.deepEqual(statuses, [
      "headgate; fwd=miss; fwd-status=200; detail=uses",
      "headgate; fwd=miss; fwd-status=200; detail=uses",
      "headgate; fwd=miss; fwd-status=200; stored; ttl=60",
      "headgate; hit; ttl=60",
    ]);
  });
});
