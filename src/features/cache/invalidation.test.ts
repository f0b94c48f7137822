// Requests that change things: what is stored of what they change is found no more when their answer arrives.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, type CachingProxy, cachingProxies } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

async function withEntries(...targets: readonly string[]): Promise<CachingProxy> {
  const proxy = await open();
  proxy.answer = ({ target }) => answerOf(200, { "Cache-Control": "max-age=600" }, target);
  for (const target of targets) await proxy.fetch(target);
  return proxy;
}

async function isThere(proxy: CachingProxy, target: string, host?: string): Promise<boolean> {
  const { cacheStatus } = await proxy.fetch(target, {
    fields: { "Cache-Control": "only-if-cached" },
    ...(host === undefined ? {} : { host }),
  });
  return cacheStatus?.includes("hit") === true;
}

describe("a request that changes something", () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"]) {
    it(`makes obsolete what is stored of its URL: ${method}`, async () => {
      const proxy = await withEntries("/a", "/b");
      proxy.answer = () => answerOf(204, {});
      const { cacheStatus } = await proxy.fetch("/a", { method, body: "x" });
      assert.equal(cacheStatus, "headgate; fwd=method; fwd-status=204; detail=method");
      assert.deepEqual([await isThere(proxy, "/a"), await isThere(proxy, "/b")], [false, true]);
    });
  }

  for (const method of ["OPTIONS", "PROPFIND", "QUERY"]) {
    it(`does not when it is safe: ${method}`, async () => {
      const proxy = await withEntries("/a");
      await proxy.fetch("/a", { method });
      assert.equal(await isThere(proxy, "/a"), true);
    });
  }

  for (const status of [400, 404, 500, 503]) {
    it(`does not when it fails: ${status}`, async () => {
      const proxy = await withEntries("/a");
      proxy.answer = () => answerOf(status, {});
      await proxy.fetch("/a", { method: "POST", body: "x" });
      assert.equal(await isThere(proxy, "/a"), true);
    });
  }

  const places: readonly (readonly [name: string, value: string, target: string, isGone: boolean])[] = [
    ["Location", "/b", "/b", true],
    ["Content-Location", "http://a.example/b?c", "/b?c", true],
    ["Location", "b", "/b", true],
    ["Location", "http://other.example/b", "/b", false],
    ["Location", "https://a.example/b", "/b", false],
    ["Content-Location", "http://a.example:81/b", "/b", false],
    ["Location", "//[", "/b", false],
  ];
  for (const [name, value, target, isGone] of places) {
    it(`makes ${isGone ? "" : "nothing "}obsolete that it names: ${name}: ${value}`, async () => {
      const proxy = await withEntries(target);
      proxy.answer = () => answerOf(201, { [name]: value });
      await proxy.fetch("/a", { method: "POST", body: "x" });
      assert.equal(await isThere(proxy, target), !isGone);
    });
  }

  it("leaves other hosts alone, whatever their path", async () => {
    const proxy = await withEntries();
    await proxy.fetch("/a", { host: "b.example" });
    await proxy.fetch("/a", { method: "POST", body: "x" });
    assert.equal(await isThere(proxy, "/a", "b.example"), true);
  });

  it("makes all variants obsolete", async () => {
    const proxy = await open();
    proxy.answer = ({ method }) =>
      answerOf(200, method === "GET" ? { "Cache-Control": "max-age=600", Vary: "X-A" } : {});
    for (const value of ["1", "2"]) await proxy.fetch("/a", { fields: { "X-A": value } });
    await proxy.fetch("/a", { method: "PUT", body: "x" });
    for (const value of ["1", "2"]) await proxy.fetch("/a", { fields: { "X-A": value } });
    assert.equal(proxy.asked.length, 5);
  });

  it("makes obsolete what is on its way", async () => {
    const proxy = await open();
    const reader = proxy.client("/a");
    await proxy.settle();
    proxy.answer = () => answerOf(204, {});
    await proxy.fetch("/a", { method: "POST", body: "x" });
    proxy.asked[0]!.server.sends(answerOf(200, { "Cache-Control": "max-age=600" }, "before"));
    await proxy.settle();
    reader.receives(/before$/);
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=600" }, "after");
    assert.equal((await proxy.fetch("/a")).body, "after");
  });

  it("makes groups obsolete, of its own host", async () => {
    const proxy = await open();
    proxy.answer = ({ method }) =>
      method === "GET"
        ? answerOf(200, { "Cache-Control": "max-age=600", "Cache-Groups": '"g", "h"' })
        : answerOf(204, { "Cache-Group-Invalidation": '"g"' });
    await proxy.fetch("/b");
    await proxy.fetch("/b", { host: "b.example" });
    await proxy.fetch("/a", { method: "POST", body: "x" });
    assert.deepEqual([await isThere(proxy, "/b"), await isThere(proxy, "/b", "b.example")], [false, true]);
  });
});
