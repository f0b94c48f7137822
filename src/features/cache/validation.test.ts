// Asking the origin whether what is there is good still, and answering clients that ask the same.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Asked, answerOf, type CachingProxy, cachingProxies, gotOf } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

/** An origin with one version, whose entity tag is its name. */
function versions(proxy: CachingProxy, fields: Readonly<Record<string, string>> = {}): { name: string } {
  const version = { name: "v1" };
  proxy.answer = ({ get }) => {
    const etag = `"${version.name}"`;
    const said = { "Cache-Control": "max-age=10", ETag: etag, ...fields };
    return get("if-none-match") === etag ? answerOf(304, said) : answerOf(200, said, version.name);
  };
  return version;
}

const conditionsOf = ({ get }: Asked): readonly (string | null)[] => [
  get("if-none-match"),
  get("if-modified-since"),
  get("range"),
];

describe("what has turned stale", () => {
  it("is confirmed by the origin, and fresh again", async () => {
    const proxy = await open();
    versions(proxy);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    const { status, body, cacheStatus, get } = await proxy.fetch("/a");
    assert.deepEqual([status, body, get("age")], [200, "v1", "0"]);
    assert.equal(cacheStatus, "headgate; fwd=stale; fwd-status=304; ttl=10");
    assert.deepEqual(conditionsOf(proxy.asked[1]!), ['"v1"', null, null]);
    await proxy.passes(5_000);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=5");
    assert.equal(proxy.noted.at(-2)?.outcome, "revalidated");
  });

  it("is replaced by what is new", async () => {
    const proxy = await open();
    const version = versions(proxy);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    version.name = "v2";
    assert.deepEqual([(await proxy.fetch("/a")).body, (await proxy.fetch("/a")).body], ["v2", "v2"]);
    assert.equal(proxy.asked.length, 2);
  });

  it("is given when it is confirmed, though it has lost its file while the origin was asked", async () => {
    const proxy = await open();
    const body = "0123456789abcdef".repeat(20_000);
    const said = { "Cache-Control": "max-age=10", ETag: '"v1"' };
    proxy.answer = ({ get }) => (get("if-none-match") === null ? answerOf(200, said, body) : null);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    const client = proxy.client("/a");
    await proxy.settle();
    const purged = proxy.store.keeper.purge({ kind: "url", text: "http://a.example/a" }, { soft: false });
    await proxy.settle();
    assert.equal((await purged).entries, 1);
    assert.equal(proxy.store.folder.bodies.length, 0);
    proxy.asked.at(-1)!.server.sends(answerOf(304, said));
    await proxy.settle();
    const got = gotOf(client, "GET");
    assert.deepEqual([got.status, got.isWhole, got.body === body], [200, true, true]);
    // It was given to who had asked before the purge, and to nobody else.
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=miss; fwd-status=200; stored; ttl=10");
    assert.equal(proxy.store.folder.openFiles, 0);
  });

  it("takes the fields of the confirmation", async () => {
    const proxy = await open();
    const fields: Record<string, string> = { "X-A": "1", "X-B": "1" };
    versions(proxy, fields);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    fields["X-A"] = "2";
    delete fields["X-B"];
    const { get } = await proxy.fetch("/a");
    assert.deepEqual([get("x-a"), get("x-b")], ["2", "1"]);
    const later = await proxy.fetch("/a");
    assert.deepEqual([later.get("x-a"), later.get("x-b")], ["2", "1"]);
    assert.equal(proxy.asked.length, 2);
  });

  it("is asked for whole when the confirmation is of something else", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) =>
      get("if-none-match") === null
        ? answerOf(200, { "Cache-Control": "max-age=10", ETag: '"v1"' }, "hello")
        : answerOf(304, { ETag: '"other"' });
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    const { status, body } = await proxy.fetch("/a");
    assert.deepEqual([status, body, proxy.asked.length], [200, "hello", 3]);
    assert.deepEqual(conditionsOf(proxy.asked[2]!), [null, null, null]);
  });

  it("is given once more and no longer kept when the confirmation forbids it", async () => {
    const proxy = await open();
    const fields: Record<string, string> = {};
    const version = versions(proxy, fields);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    fields["Cache-Control"] = "no-store";
    assert.equal((await proxy.fetch("/a")).body, "v1");
    version.name = "v2";
    assert.equal((await proxy.fetch("/a")).body, "v2");
    assert.deepEqual(conditionsOf(proxy.asked[2]!), [null, null, null]);
  });

  it("is given with what the confirmation says for the client alone, and kept without it", async () => {
    const proxy = await open({ cache: { setCookie: "strip" } });
    const fields: Record<string, string> = {};
    versions(proxy, fields);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    Object.assign(fields, { "Set-Cookie": "a=b", "X-Mine": "1", "Cache-Control": 'max-age=10, private="x-mine"' });
    const asker = await proxy.fetch("/a");
    assert.deepEqual([asker.body, asker.get("set-cookie"), asker.get("x-mine")], ["v1", "a=b", "1"]);
    const other = await proxy.fetch("/a");
    assert.deepEqual([other.cacheStatus, other.names.join().match(/cookie|mine/i)], ["headgate; hit; ttl=10", null]);
  });

  it("is its asker's alone when the confirmation is private, has a cookie, or meets a rule that says never", async () => {
    const cases: readonly (readonly [cache: Record<string, unknown>, name: string, value: string])[] = [
      [{}, "Cache-Control", "private, max-age=10"],
      [{}, "Set-Cookie", "a=b"],
      [{ rules: [{ type: "text/plain", never: true }] }, "Content-Type", "text/plain"],
    ];
    for (const [cache, name, value] of cases) {
      const proxy = await open({ cache });
      const fields: Record<string, string> = {};
      versions(proxy, fields);
      await proxy.fetch("/a");
      await proxy.passes(11_000);
      fields[name] = value;
      const asker = await proxy.fetch("/a");
      assert.deepEqual([asker.body, asker.get(name)], ["v1", value]);
      await proxy.fetch("/a");
      assert.deepEqual(conditionsOf(proxy.asked[2]!), [null, null, null], "it is not kept any more");
    }
  });

  it("is its asker's alone when it varies from now on by what it was not told apart by", async () => {
    const proxy = await open();
    const answer = (status: number, language: string | null, fields = {}) =>
      answerOf(status, { "Cache-Control": "max-age=10", ETag: `"${language}"`, ...fields }, language ?? "");
    proxy.answer = ({ get }) => answer(200, get("accept-language"));
    const as = (language: string) => ({ fields: { "Accept-Language": language } });
    await proxy.fetch("/a", as("de"));
    await proxy.passes(11_000);
    proxy.answer = ({ get }) => {
      const language = get("accept-language");
      const isKnown = get("if-none-match") === `"${language}"`;
      return answer(isKnown ? 304 : 200, language, { Vary: "Accept-Language" });
    };
    const bodies: string[] = [];
    for (const language of ["de", "fr", "de", "fr"]) bodies.push((await proxy.fetch("/a", as(language))).body);
    assert.deepEqual([bodies, proxy.asked.length], [["de", "fr", "de", "fr"], 4]);
  });

  it("is validated each time when the confirmation says no-cache", async () => {
    const proxy = await open();
    const fields: Record<string, string> = {};
    versions(proxy, fields);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    fields["Cache-Control"] = "no-cache";
    for (let time = 0; time < 3; time++) assert.equal((await proxy.fetch("/a")).body, "v1");
    assert.deepEqual(
      proxy.asked.map(({ get }) => get("if-none-match")),
      [null, '"v1"', '"v1"', '"v1"'],
    );
  });

  it("is validated by all who wait at once by one request", async () => {
    const proxy = await open();
    versions(proxy);
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    const clients = Array.from({ length: 20 }, () => proxy.client("/a"));
    await proxy.settle();
    for (const client of clients) client.receives(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nv1$/);
    assert.equal(proxy.asked.length, 2);
  });
});

describe("what has to be validated each time", () => {
  it("is, by each request for itself", async () => {
    const proxy = await open();
    versions(proxy, { "Cache-Control": "no-cache" });
    await proxy.fetch("/a");
    const clients = Array.from({ length: 5 }, () => proxy.client("/a"));
    await proxy.settle();
    for (const client of clients) client.receives(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nv1$/);
    assert.equal(proxy.asked.length, 6);
    for (const asked of proxy.asked.slice(1)) assert.equal(asked.get("if-none-match"), '"v1"');
  });
});

describe("a client that has something", () => {
  const fresh = { "Cache-Control": "max-age=60", ETag: '"v1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT" };
  const table: readonly (readonly [what: string, fields: Record<string, string>, status: number])[] = [
    ["the same", { "If-None-Match": '"v0", W/"v1"' }, 304],
    ["anything", { "If-None-Match": "*" }, 304],
    ["something else", { "If-None-Match": '"v0"' }, 200],
    ["what is as new", { "If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT" }, 304],
    ["what is older", { "If-Modified-Since": "Wed, 31 Dec 2025 00:00:00 GMT" }, 200],
    [
      "something else of the same date",
      { "If-None-Match": '"v0"', "If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT" },
      200,
    ],
  ];
  for (const [what, fields, status] of table) {
    it(`is answered ${status} from the cache: ${what}`, async () => {
      const proxy = await open();
      proxy.answer = () => answerOf(200, fresh, "hello");
      await proxy.fetch("/a");
      const got = await proxy.fetch("/a", { fields });
      assert.deepEqual([got.status, got.body, got.get("etag")], [status, status === 304 ? "" : "hello", '"v1"']);
      assert.equal(got.cacheStatus, "headgate; hit; ttl=60");
      assert.equal(proxy.asked.length, 1);
    });
  }

  it("is answered 304 when it is the first to ask, and all of it is kept", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, fresh, "hello");
    const { status, get } = await proxy.fetch("/a", { fields: { "If-None-Match": '"v1"' } });
    assert.deepEqual([status, get("content-length")], [304, null]);
    assert.deepEqual(conditionsOf(proxy.asked[0]!), [null, null, null]);
    assert.equal((await proxy.fetch("/a")).body, "hello");
    assert.equal(proxy.asked.length, 1);
  });

  it("is answered 304 when its answer is not kept", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { ...fresh, "Cache-Control": "no-store" }, "hello");
    const { status, cacheStatus } = await proxy.fetch("/a", { fields: { "If-None-Match": '"v1"' } });
    assert.deepEqual([status, cacheStatus], [304, "headgate; fwd=miss; fwd-status=200; detail=no-store"]);
  });

  it("asks for what only the origin can judge", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => (get("if-match") === null ? answerOf(200, fresh, "hello") : answerOf(412, {}));
    await proxy.fetch("/a");
    const { status, cacheStatus } = await proxy.fetch("/a", { fields: { "If-Match": '"v0"' } });
    assert.deepEqual([status, cacheStatus], [412, "headgate; fwd=bypass; fwd-status=412; detail=condition"]);
    assert.equal((await proxy.fetch("/a", { fields: { "If-Match": '"v1"' } })).status, 200);
    assert.equal(proxy.asked.length, 2);
  });
});

describe("an answer to HEAD", () => {
  const head = (fields: Record<string, string>) => answerOf(200, fields, "hello").replace(/hello$/, "");

  it("confirms what is there", async () => {
    const proxy = await open();
    const said = { "Cache-Control": "max-age=10", ETag: '"v1"' };
    proxy.answer = ({ method }) => (method === "HEAD" ? head({ ...said, "X-A": "2" }) : answerOf(200, said, "hello"));
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    assert.equal(
      (await proxy.fetch("/a", { method: "HEAD" })).cacheStatus,
      "headgate; fwd=stale; fwd-status=200; detail=head",
    );
    const { body, get, cacheStatus } = await proxy.fetch("/a");
    assert.deepEqual([body, get("x-a"), cacheStatus], ["hello", "2", "headgate; hit; ttl=10"]);
  });

  it("shows that it is not good any more", async () => {
    const proxy = await open();
    const said = { "Cache-Control": "max-age=10", ETag: '"v1"' };
    proxy.answer = ({ method }) => (method === "HEAD" ? head({ ...said, ETag: '"v2"' }) : answerOf(200, said, "hello"));
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    await proxy.fetch("/a", { method: "HEAD" });
    await proxy.fetch("/a");
    assert.equal(proxy.asked.length, 3);
  });

  it("says nothing of what is there when the request means another URL", async () => {
    const proxy = await open();
    const said = { "Cache-Control": "max-age=10" };
    proxy.answer = ({ method, get }) => {
      if (method !== "HEAD") return answerOf(200, said, "hello");
      return head({ ...said, "X-A": get("x-original-url") ?? "own" });
    };
    await proxy.fetch("/a");
    const asksNow = { "Cache-Control": "no-cache" };
    await proxy.fetch("/a", { method: "HEAD", fields: { ...asksNow, "X-Original-URL": "/evil" } });
    assert.equal((await proxy.fetch("/a")).get("x-a"), null);
    await proxy.fetch("/a", { method: "HEAD", fields: asksNow });
    assert.equal((await proxy.fetch("/a")).get("x-a"), "own");
  });
});
