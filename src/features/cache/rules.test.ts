// What the configuration says of answers, and which requests pass the cache by.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, cachingProxies, type FetchOptions } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

const miss = (ttl: number, status = 200) => `headgate; fwd=miss; fwd-status=${status}; stored; ttl=${ttl}`;
const pass = (reason: string, status = 200) => `headgate; fwd=miss; fwd-status=${status}; detail=${reason}`;

const PART = { "Content-Range": "bytes 0-0/9" };

describe("rules", () => {
  const recipe = [{ status: [200, 301], for: "7d", ignore: ["cache-control", "expires", "set-cookie"] }, { for: "1m" }];
  const table: readonly (readonly [
    what: string,
    rules: readonly unknown[],
    target: string,
    status: number,
    fields: Record<string, string>,
    cacheStatus: string,
  ])[] = [
    ["a recipe's first", recipe, "/", 200, { "Cache-Control": "no-store, private" }, miss(604_800)],
    ["a recipe's first, without cookies", recipe, "/", 301, { "Set-Cookie": "a=b" }, miss(604_800, 301)],
    ["a recipe's second", recipe, "/", 404, {}, miss(60, 404)],
    ["a recipe's second, in place of what is said", recipe, "/", 500, { "Cache-Control": "max-age=9" }, miss(60, 500)],
    ["never against what is forbidden", [{ for: "1m" }], "/", 200, { "Cache-Control": "no-store" }, pass("no-store")],
    ["a class of statuses", [{ status: "5xx", for: "3s" }], "/", 503, {}, miss(3, 503)],
    ["not another class", [{ status: "5xx", for: "3s" }], "/", 404, { "Cache-Control": "max-age=9" }, miss(9, 404)],
    ["a part by the status of the whole", [{ status: 200, for: "3s" }], "/", 206, PART, miss(3, 206)],
    ["a part by its own", [{ status: 206, for: "3s" }], "/", 206, PART, miss(3, 206)],
    ["no part by another", [{ status: [203, 301], for: "3s" }], "/", 206, PART, pass("not-reusable", 206)],
    ["a path", [{ path: "/a/*", for: "3s" }], "/a/b", 200, {}, miss(3)],
    ["the path above", [{ path: "/a/*", for: "3s" }], "/a", 200, {}, miss(3)],
    ["not another path", [{ path: "/a/*", for: "3s" }], "/ab", 200, {}, pass("not-reusable")],
    ["a type", [{ type: "image/*", for: "3s" }], "/", 200, { "Content-Type": "Image/PNG; x=y" }, miss(3)],
    [
      "not another type",
      [{ type: "text/html", for: "3s" }],
      "/",
      200,
      { "Content-Type": "text/htmlx" },
      pass("not-reusable"),
    ],
    ["a type where there is none", [{ type: "text/html", for: "3s" }], "/", 200, {}, pass("not-reusable")],
    ["no longer than", [{ max: "5s" }], "/", 200, { "Cache-Control": "max-age=9" }, miss(5)],
    ["no longer than, of less", [{ max: "5s" }], "/", 200, { "Cache-Control": "max-age=3" }, miss(3)],
    ["no shorter than", [{ min: "5s" }], "/", 200, { "Cache-Control": "max-age=3" }, miss(5)],
    ["never", [{ path: "/a", never: true }], "/a", 200, { "Cache-Control": "max-age=9" }, pass("rule")],
    ["the first one alone", [{ path: "/a", never: true }, { for: "1m" }], "/b", 200, {}, miss(60)],
    [
      "Vary as if it were not there",
      [{ ignore: ["vary"] }],
      "/",
      200,
      { "Cache-Control": "max-age=9", Vary: "*" },
      miss(9),
    ],
    [
      "Expires as if it were not there",
      [{ ignore: ["expires"] }],
      "/",
      200,
      { Expires: "Fri, 01 Jan 2027 00:00:00 GMT" },
      pass("not-reusable"),
    ],
    [
      "CDN-Cache-Control with Cache-Control",
      [{ for: "9s", ignore: ["cache-control"] }],
      "/",
      200,
      { "CDN-Cache-Control": "no-store" },
      miss(9),
    ],
  ];
  for (const [what, rules, target, status, fields, cacheStatus] of table) {
    it(`say ${what}`, async () => {
      const proxy = await open({ cache: { rules } });
      proxy.answer = () => answerOf(status, fields, "x");
      const got = await proxy.fetch(target, status === 206 ? { fields: { Range: "bytes=0-0" } } : {});
      assert.equal(got.cacheStatus, cacheStatus);
    });
  }

  it("give cookies to nobody but who asked", async () => {
    const proxy = await open({ cache: { rules: recipe } });
    proxy.answer = () => answerOf(200, { "Set-Cookie": "session=1", "X-A": "1" }, "x");
    const first = await proxy.fetch("/a");
    assert.deepEqual([first.get("set-cookie"), first.get("x-a")], ["session=1", "1"]);
    const second = await proxy.fetch("/a");
    assert.deepEqual([second.get("set-cookie"), second.get("x-a")], [null, "1"]);
  });

  it("hold for a confirmation as they do for an answer", async () => {
    const proxy = await open({ cache: { rules: [{ type: "text/plain", for: "5s" }] } });
    const fields = { "Content-Type": "text/plain", ETag: '"v1"' };
    proxy.answer = ({ get }) =>
      get("if-none-match") === null ? answerOf(200, fields, "x") : answerOf(304, { ETag: '"v1"' });
    await proxy.fetch("/a");
    await proxy.passes(6_000);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=stale; fwd-status=304; ttl=5");
  });
});

describe("bypass", () => {
  const bypass = [
    { header: { "x-no-cache": true } },
    { cookie: { session: true }, path: "/app/*" },
    { query: { nocache: ["1", "yes"] } },
  ];
  const table: readonly (readonly [target: string, fields: FetchOptions["fields"], isBypassed: boolean])[] = [
    ["/", {}, false],
    ["/", { "X-No-Cache": "" }, true],
    ["/", { Cookie: "session=1" }, false],
    ["/app/x", { Cookie: "a=b; session=1" }, true],
    ["/app/x", { Cookie: "a=session" }, false],
    ["/?nocache=1", {}, true],
    ["/?no%63ache=yes", {}, true],
    ["/?nocache=0", {}, false],
  ];
  for (const [target, fields, isBypassed] of table) {
    it(`${isBypassed ? "takes" : "leaves"} ${target} with ${JSON.stringify(fields)}`, async () => {
      const proxy = await open({ cache: { bypass } });
      proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "x");
      for (let time = 0; time < 2; time++) {
        const { cacheStatus } = await proxy.fetch(target, fields === undefined ? {} : { fields });
        if (isBypassed) assert.equal(cacheStatus, "headgate; fwd=bypass; fwd-status=200; detail=bypass");
      }
      assert.equal(proxy.asked.length, isBypassed ? 2 : 1);
    });
  }
});

describe("Cache-Status", () => {
  it("is left out where that is asked for, everywhere", async () => {
    const proxy = await open({ cache: { statusHeader: false } });
    proxy.answer = ({ target }) => answerOf(200, target === "/a" ? { "Cache-Control": "max-age=60" } : {}, "x");
    for (const target of ["/a", "/a", "/b", "/b"]) {
      const { cacheStatus, status } = await proxy.fetch(target);
      assert.deepEqual([status, cacheStatus], [200, null]);
    }
    const { cacheStatus } = await proxy.fetch("/c", { fields: { "Cache-Control": "only-if-cached" } });
    assert.equal(cacheStatus, null);
    assert.equal((await proxy.fetch("/a")).get("age"), "0");
  });

  it("stands behind those of the caches before", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60", "Cache-Status": "Origin; hit" }, "x");
    const stored = "headgate; fwd=miss; fwd-status=200; stored; ttl=60";
    assert.equal((await proxy.fetch("/a")).cacheStatus, `Origin; hit, ${stored}`);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "Origin; hit, headgate; hit; ttl=60");
  });
});
