// Answers that are stored with a body in a file that is lost, or cannot be opened: that is known before anything of them is given.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, type CachingProxy, cachingProxies, gotOf } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();
const BODY = "0123456789abcdef".repeat(20_000);

function isWhole({ body, isWhole, status }: ReturnType<typeof gotOf>): boolean {
  return status === 200 && isWhole && body === BODY;
}

async function withStored(): Promise<CachingProxy> {
  const proxy = await open();
  proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60", ETag: '"v1"' }, BODY);
  assert.ok(isWhole(await proxy.fetch("/a")));
  return proxy;
}

/** From now on files cannot be opened, so many times. */
function failToOpen(proxy: CachingProxy, code: string, times: number): void {
  let left = times;
  proxy.store.folder.fault = (operation) =>
    operation === "openBody" && left-- > 0 ? Object.assign(new Error(code), { code }) : null;
}

describe("an answer whose file is lost", () => {
  it("is not there: it is fetched once for all who ask, and kept anew", async () => {
    const proxy = await withStored();
    failToOpen(proxy, "ENOENT", 1);
    // Nobody is told that it is stored still while it is being dropped.
    proxy.store.folder.slowness.remove = 100;
    const clients = [proxy.client("/a"), proxy.client("/a")];
    await proxy.settle();
    const got = clients.map((client) => gotOf(client));
    assert.ok(got.every(isWhole));
    assert.deepEqual(
      got.map(({ cacheStatus }) => cacheStatus),
      ["headgate; fwd=miss; fwd-status=200; stored; ttl=60", "headgate; fwd=miss; collapsed; ttl=60"],
    );
    await proxy.passes(1000);
    const later = await proxy.fetch("/a");
    assert.deepEqual([isWhole(later), later.cacheStatus], [true, "headgate; hit; ttl=59"]);
    assert.equal(proxy.asked.length, 2);
    assert.equal(proxy.store.folder.bodies.length, 1);
  });

  it("still says that nothing has changed, and gives a range of what is fetched anew", async () => {
    const proxy = await withStored();
    failToOpen(proxy, "EIO", 1);
    assert.equal((await proxy.fetch("/a", { fields: { "If-None-Match": '"v1"' } })).status, 304);
    const got = await proxy.fetch("/a", { fields: { Range: "bytes=0-" } });
    assert.deepEqual([got.status, got.isWhole, got.body === BODY], [206, true, true]);
    assert.equal(proxy.asked.length, 2);
  });
});

it("a stale answer whose file is lost is not asked about, but fetched", async () => {
  const proxy = await withStored();
  await proxy.passes(61_000);
  failToOpen(proxy, "ENOENT", Number.POSITIVE_INFINITY);
  const got = await proxy.fetch("/a");
  assert.deepEqual([isWhole(got), got.cacheStatus], [true, "headgate; fwd=stale; fwd-status=200; stored; ttl=60"]);
  assert.deepEqual(
    proxy.asked.map(({ get }) => get("if-none-match")),
    [null, null],
  );
  proxy.store.folder.fault = null;
  assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
});

it("where this process cannot open files any more, requests go past what is stored, and nothing is dropped", async () => {
  const proxy = await withStored();
  failToOpen(proxy, "EMFILE", Number.POSITIVE_INFINITY);
  const past = await proxy.fetch("/a");
  assert.deepEqual([isWhole(past), past.cacheStatus], [true, "headgate; fwd=miss; fwd-status=200; detail=unreadable"]);
  proxy.store.folder.fault = null;
  assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
  assert.equal(proxy.asked.length, 2);
});
