// Ranges: of what is there whole, of what is on its way, and of parts that are kept, joined and completed.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, cachingProxies, gotOf } from "../../../test/support/caching-proxy.ts";

const open = cachingProxies();

const BODY = "0123456789";
const FRESH = { "Cache-Control": "max-age=60", ETag: '"v1"', "Content-Type": "text/plain" };

/** An origin that knows ranges. */
function ranged(
  { get }: { get(name: string): string | null },
  body = BODY,
  fields: Record<string, string> = FRESH,
): string {
  const match = /^bytes=(\d*)-(\d*)$/.exec(get("range") ?? "");
  if (match === null || (get("if-range") !== null && get("if-range") !== fields.ETag))
    return answerOf(200, fields, body);
  const start = match[1] === "" ? body.length - Number(match[2]) : Number(match[1]);
  const end = match[1] === "" || match[2] === "" ? body.length : Number(match[2]) + 1;
  const range = `bytes ${start}-${end - 1}/${body.length}`;
  return answerOf(206, { ...fields, "Content-Range": range }, body.slice(start, end));
}

const rangeOf = (range: string, fields: Record<string, string> = {}) => ({ fields: { Range: range, ...fields } });

describe("a range of what is there", () => {
  const table: readonly (readonly [range: string, status: number, contentRange: string | null, body: string])[] = [
    ["bytes=0-1", 206, "bytes 0-1/10", "01"],
    ["bytes=3-3", 206, "bytes 3-3/10", "3"],
    ["bytes=7-", 206, "bytes 7-9/10", "789"],
    ["bytes=-2", 206, "bytes 8-9/10", "89"],
    ["bytes=0-99", 206, "bytes 0-9/10", BODY],
    ["bytes=10-", 416, "bytes */10", ""],
    ["lines=1-2", 200, null, BODY],
    ["bytes=5-2", 200, null, BODY],
    ["bytes=0-1,1-2", 206, "bytes 0-2/10", "012"],
  ];
  for (const [range, status, contentRange, body] of table) {
    it(`${range}: ${status} ${contentRange ?? ""}`, async () => {
      const proxy = await open();
      proxy.answer = () => answerOf(200, FRESH, BODY);
      await proxy.fetch("/a");
      const got = await proxy.fetch("/a", rangeOf(range));
      assert.deepEqual([got.status, got.get("content-range"), got.body], [status, contentRange, body]);
      assert.equal(got.cacheStatus, "headgate; hit; ttl=60");
      assert.equal(proxy.asked.length, 1);
    });
  }

  it("is one of several", async () => {
    const proxy = await open();
    const body = "abc".repeat(100);
    proxy.answer = () => answerOf(200, FRESH, body);
    await proxy.fetch("/a");
    const got = await proxy.fetch("/a", rangeOf("bytes=0-1,-2"));
    const boundary = /^multipart\/byteranges; boundary=([a-z0-9]{26})$/.exec(got.get("content-type") ?? "")?.[1];
    assert.equal(got.status, 206);
    const part = (range: string, bytes: string) =>
      `--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes ${range}/300\r\n\r\n${bytes}\r\n`;
    assert.equal(got.body, `${part("0-1", "ab")}${part("298-299", "bc")}--${boundary}--\r\n`);
    assert.ok(got.isWhole);
  });

  it("is one of several, of something large", async () => {
    const proxy = await open();
    const body = "0123456789abcdef".repeat(20_000);
    proxy.answer = () => answerOf(200, FRESH, body);
    await proxy.fetch("/a");
    const got = await proxy.fetch("/a", rangeOf("bytes=16-100015,200000-319999"));
    assert.ok(got.isWhole);
    assert.ok(got.body.includes(body.slice(16, 100_016)) && got.body.includes(body.slice(200_000)));
  });

  it("is of something large", async () => {
    const proxy = await open();
    const body = Array.from({ length: 40_000 }, (_, index) => String(index).padStart(6, "0")).join("");
    proxy.answer = () => answerOf(200, FRESH, body);
    await proxy.fetch("/a");
    const { body: got } = await proxy.fetch("/a", rangeOf("bytes=123456-"));
    assert.ok(got === body.slice(123_456));
  });

  const conditional: readonly (readonly [ifRange: string, status: number])[] = [
    ['"v1"', 206],
    ['W/"v1"', 200],
    ['"v0"', 200],
    ["Thu, 01 Jan 2026 00:00:00 GMT", 200],
  ];
  for (const [ifRange, status] of conditional) {
    it(`is given if it is of ${ifRange}: ${status}`, async () => {
      const proxy = await open();
      proxy.answer = () => answerOf(200, FRESH, BODY);
      await proxy.fetch("/a");
      assert.equal((await proxy.fetch("/a", rangeOf("bytes=0-1", { "If-Range": ifRange }))).status, status);
    });
  }

  it("says nothing to HEAD", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, FRESH, BODY);
    await proxy.fetch("/a");
    const got = await proxy.fetch("/a", { method: "HEAD", fields: { Range: "bytes=0-1" } });
    assert.deepEqual([got.status, got.get("content-length")], [200, "10"]);
  });
});

describe("a range of what is on its way", () => {
  it("is given as soon as it is there", async () => {
    const proxy = await open();
    const whole = proxy.client("/a");
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    server.sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n0123");
    await proxy.settle();
    const part = proxy.client("/a", rangeOf("bytes=2-5"));
    await proxy.settle();
    part.receives(/^HTTP\/1\.1 206 [\s\S]*\r\n\r\n23$/);
    server.sends("456");
    await proxy.settle();
    part.receives("45");
    server.sends("789");
    await proxy.settle();
    assert.equal(gotOf(whole).body, BODY);
    assert.equal(proxy.asked.length, 1);
  });

  it("begins all of it when it is all of it", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, FRESH, BODY);
    const got = await proxy.fetch("/a", rangeOf("bytes=0-"));
    assert.deepEqual([got.status, got.body, got.get("content-range")], [206, BODY, "bytes 0-9/10"]);
    assert.equal(proxy.asked[0]!.get("range"), null);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
  });
});

describe("a range that is under way", () => {
  const head = (range: string, length: number) =>
    `HTTP/1.1 206 X\r\nCache-Control: max-age=60\r\nETag: "v1"\r\nContent-Range: bytes ${range}/10\r\nContent-Length: ${length}\r\n\r\n`;

  for (const when of ["has no head yet", "flows"]) {
    it(`and ${when} keeps nobody waiting who wants all of it: that is one download`, async () => {
      const proxy = await open();
      const part = proxy.client("/a", rangeOf("bytes=5-"));
      await proxy.settle();
      const [{ server }] = proxy.asked as [(typeof proxy.asked)[0]];
      if (when === "flows") server.sends(`${head("5-9", 5)}56`);
      await proxy.settle();
      const clients = Array.from({ length: 20 }, () => proxy.client("/a"));
      await proxy.settle();
      assert.equal(proxy.asked.length, 2);
      assert.equal(proxy.asked[1]!.get("range"), null);
      proxy.asked[1]!.server.sends(answerOf(200, FRESH, BODY));
      await proxy.settle();
      for (const client of clients) assert.equal(gotOf(client).body, BODY);
      server.sends(when === "flows" ? "789" : `${head("5-9", 5)}56789`);
      await proxy.settle();
      assert.equal(gotOf(part).body, "56789");
      assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
      assert.equal(proxy.asked.length, 2);
    });
  }

  it("is one download for all who want it", async () => {
    const proxy = await open();
    const clients = Array.from({ length: 5 }, () => proxy.client("/a", rangeOf("bytes=2-4")));
    await proxy.settle();
    proxy.asked[0]!.server.sends(`${head("2-4", 3)}234`);
    await proxy.settle();
    for (const client of clients) assert.equal(gotOf(client).body, "234");
    assert.equal(proxy.asked.length, 1);
  });

  it("is all of it, where the origin knows no ranges: that is shared as ever", async () => {
    const proxy = await open();
    const part = proxy.client("/a", rangeOf("bytes=2-4"));
    await proxy.settle();
    proxy.asked[0]!.server.sends(answerOf(200, FRESH, BODY).slice(0, -5));
    await proxy.settle();
    const whole = proxy.client("/a");
    await proxy.settle();
    proxy.asked[0]!.server.sends(BODY.slice(5));
    await proxy.settle();
    assert.deepEqual([gotOf(part).body, gotOf(whole).body, proxy.asked.length], ["234", BODY, 1]);
  });
});

describe("a range of what is not there", () => {
  it("is no reason to fetch all of it: the part is kept", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    const first = await proxy.fetch("/a", rangeOf("bytes=2-7"));
    assert.deepEqual([first.status, first.body, first.get("content-range")], [206, "234567", "bytes 2-7/10"]);
    assert.equal(proxy.asked[0]!.get("range"), "bytes=2-7");
    for (const [range, body] of [
      ["bytes=2-7", "234567"],
      ["bytes=3-4", "34"],
      ["bytes=5-7", "567"],
    ] as const) {
      const got = await proxy.fetch("/a", rangeOf(range));
      assert.deepEqual([got.status, got.body, got.cacheStatus], [206, body, "headgate; hit; ttl=60"]);
    }
    assert.equal(proxy.asked.length, 1);
  });

  it("is joined to the part that is there", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=2-4"));
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=4-7"))).body, "4567");
    const got = await proxy.fetch("/a", rangeOf("bytes=2-7"));
    assert.deepEqual([got.body, got.cacheStatus], ["234567", "headgate; hit; ttl=60"]);
    assert.equal(proxy.asked.length, 2);
  });

  it("replaces a part that it does not touch", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-1"));
    await proxy.fetch("/a", rangeOf("bytes=6-7"));
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=6-7"))).cacheStatus, "headgate; hit; ttl=60");
  });

  it("is never joined to a part of something else", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-4"));
    proxy.answer = (asked) => ranged(asked, "abcdefghij", { ...FRESH, ETag: '"v2"' });
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=4-6"))).body, "efg");
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=4-5"))).body, "ef");
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=0-4"))).body, "abcde");
  });

  it("is never joined without a strong validator", async () => {
    const proxy = await open();
    const weak = { ...FRESH, ETag: 'W/"v1"' };
    proxy.answer = (asked) => ranged(asked, BODY, weak);
    await proxy.fetch("/a", rangeOf("bytes=0-4"));
    await proxy.fetch("/a", rangeOf("bytes=5-9"));
    await proxy.fetch("/a", rangeOf("bytes=0-9"));
    assert.equal(proxy.asked.length, 3);
  });

  it("is answered with all of it by an origin that knows no ranges, and that is kept", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, FRESH, BODY);
    const got = await proxy.fetch("/a", rangeOf("bytes=2-4"));
    assert.deepEqual([got.status, got.body], [206, "234"]);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
  });

  it("is passed on when it is several, or conditional", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    for (const options of [rangeOf("bytes=0-1,5-6"), rangeOf("bytes=0-1", { "If-Range": '"v1"' })]) {
      const { cacheStatus } = await proxy.fetch("/a", options);
      assert.match(cacheStatus ?? "", /^headgate; fwd=miss; fwd-status=20[06]; detail=range$/);
    }
    assert.equal(proxy.asked[1]!.get("if-range"), '"v1"');
  });

  it("is not kept when it is not what it says", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(206, { ...FRESH, "Content-Range": "bytes 4-9/10" }, "01234");
    const got = await proxy.fetch("/a", rangeOf("bytes=-5"));
    assert.equal(got.cacheStatus, "headgate; fwd=miss; fwd-status=206; detail=partial");
    await proxy.fetch("/a", rangeOf("bytes=-5"));
    assert.equal(proxy.asked.length, 2);
  });
});

describe("a part that is there", () => {
  it("is not completed for who wants nothing but what is stored", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-3"));
    const asked = { "Cache-Control": "only-if-cached" };
    assert.equal((await proxy.fetch("/a", { fields: asked })).status, 504);
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=2-7", asked))).status, 504);
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=0-3", asked))).body, "0123");
    assert.equal(proxy.asked.length, 1);
  });

  it("is completed for who wants all of it", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-3"));
    const got = await proxy.fetch("/a");
    assert.deepEqual([got.status, got.body, got.get("content-range")], [200, BODY, null]);
    assert.deepEqual([proxy.asked[1]!.get("range"), proxy.asked[1]!.get("if-range")], ["bytes=4-", '"v1"']);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
  });

  it("is large, and completed for many at once", async () => {
    const proxy = await open();
    const body = Array.from({ length: 60_000 }, (_, index) => String(index).padStart(6, "0")).join("");
    proxy.answer = (asked) => ranged(asked, body);
    await proxy.fetch("/a", rangeOf("bytes=0-199999"));
    const clients = Array.from({ length: 5 }, () => proxy.client("/a"));
    await proxy.settle();
    for (const client of clients) assert.ok(gotOf(client).body === body);
    assert.equal(proxy.asked.length, 2);
    assert.equal(proxy.asked[1]!.get("range"), "bytes=200000-");
  });

  it("is given up for what is new", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-3"));
    proxy.answer = (asked) => ranged(asked, "abcdefghij", { ...FRESH, ETag: '"v2"' });
    assert.equal((await proxy.fetch("/a")).body, "abcdefghij");
    assert.equal((await proxy.fetch("/a")).body, "abcdefghij");
    assert.equal(proxy.asked.length, 2);
  });

  it("is given up when the rest cannot be had", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-3"));
    proxy.answer = (asked) => (asked.get("range") === null ? ranged(asked) : answerOf(416, {}));
    assert.equal((await proxy.fetch("/a")).body, BODY);
    assert.equal(proxy.asked.length, 3);
  });

  it("is not completed when it is stale and fetched anew in the background", async () => {
    const proxy = await open({ cache: { staleWhileRevalidate: "1h" } });
    const said = { "Cache-Control": "max-age=60" };
    proxy.answer = (asked) => ranged(asked, BODY, said);
    await proxy.fetch("/a", rangeOf("bytes=2-4"));
    await proxy.passes(61_000);
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=2-4"))).cacheStatus, "headgate; hit; ttl=-1");
    assert.equal((await proxy.fetch("/a", rangeOf("bytes=2-4"))).cacheStatus, "headgate; hit; ttl=60");
    assert.deepEqual(
      proxy.asked.map(({ get }) => get("range")),
      ["bytes=2-4", "bytes=2-4"],
    );
  });

  it("is not completed when it is stale", async () => {
    const proxy = await open();
    proxy.answer = (asked) => ranged(asked);
    await proxy.fetch("/a", rangeOf("bytes=0-3"));
    await proxy.passes(61_000);
    assert.equal((await proxy.fetch("/a")).body, BODY);
    assert.equal(proxy.asked[1]!.get("range"), null);
  });
});
