// Statuses that HTTP does not have: an origin that answers with one has failed, and its client must not wait for ever.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, cachingProxies } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

describe("an answer above 599", () => {
  it("is a failure of the origin's", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(600, { "Cache-Control": "max-age=10" }, "none");
    assert.equal((await proxy.fetch("/a")).status, 502);
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=10" }, "good");
    await proxy.passes(11_000);
    assert.equal((await proxy.fetch("/a")).body, "good");
  });

  it("leaves what is there to be given in its place, where that may be", async () => {
    const proxy = await open({ cache: { staleOnError: "1d" } });
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=10" }, "good");
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    proxy.answer = () => answerOf(999, {}, "none");
    const { status, body } = await proxy.fetch("/a");
    assert.deepEqual([status, body], [200, "good"]);
  });
});
