// An origin that breaks off in the middle of a body: gone on with where that is safe, and never mixed with anything else.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, type CachingProxy, cachingProxies, gotOf } from "../../../test/support/caching-proxy.ts";
import type { Peer } from "../../testing/dialogue.ts";

const open = cachingProxies();

const HEAD = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: "v1"\r\nContent-Length: 10\r\n\r\n';

/** Two clients wait for a body of which the first five bytes came before the origin broke off. */
async function broken(head = HEAD): Promise<{ proxy: CachingProxy; clients: readonly Peer[] }> {
  const proxy = await open();
  const clients = [proxy.client("/a"), proxy.client("/a")];
  await proxy.settle();
  const { server } = proxy.asked[0]!;
  server.sends(`${head}01234`);
  await proxy.settle();
  server.closes();
  await proxy.settle();
  return { proxy, clients };
}

const rest = (fields: Record<string, string>, body = "56789") =>
  answerOf(206, { ETag: '"v1"', "Content-Range": "bytes 5-9/10", ...fields }, body);

describe("a body that broke off", () => {
  it("is gone on with", async () => {
    const { proxy, clients } = await broken();
    for (const client of clients) client.staysOpen();
    proxy.answer = () => rest({});
    await proxy.passes(1_000);
    for (const client of clients) assert.deepEqual([gotOf(client).body, client.closed], ["0123456789", false]);
    const [, second] = proxy.asked;
    assert.deepEqual([second?.get("range"), second?.get("if-range")], ["bytes=5-", '"v1"']);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=59");
    assert.equal(proxy.asked.length, 2);
  });

  it("is gone on with when the origin is back", async () => {
    const { proxy, clients } = await broken();
    proxy.stage.network.failDials("origin:80");
    await proxy.passes(5_000);
    for (const client of clients) client.staysOpen();
    proxy.stage.network.healDials("origin:80");
    proxy.answer = () => rest({});
    await proxy.passes(10_000);
    for (const client of clients) assert.equal(gotOf(client).body, "0123456789");
  });

  it("is gone on with when the origin has an error in between", async () => {
    const { proxy, clients } = await broken();
    let times = 0;
    proxy.answer = () => (++times < 3 ? answerOf(503, {}, "not yet") : rest({}));
    await proxy.passes(5_000);
    for (const client of clients) assert.equal(gotOf(client).body, "0123456789");
    assert.equal(times, 3);
  });

  it("breaks again, and is gone on with again", async () => {
    const { proxy, clients } = await broken();
    proxy.answer = ({ server, get }) => {
      const start = Number(/\d+/.exec(get("range") ?? "")?.[0]);
      server.sends(
        rest({ "Content-Range": `bytes ${start}-9/10` }, "0123456789".slice(start)).slice(0, start - 9 || undefined),
      );
      server.ends();
      return null;
    };
    await proxy.passes(60_000);
    for (const client of clients) assert.equal(gotOf(client).body, "0123456789");
    assert.equal(proxy.asked.length, 6);
  });

  it("comes once more, from an origin that knows no ranges: what is there is passed over", async () => {
    const { proxy, clients } = await broken();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60", ETag: '"v1"' }, "0123456789");
    await proxy.passes(1_000);
    for (const client of clients) assert.equal(gotOf(client).body, "0123456789");
  });

  it("is a part that is gone on with to its end", async () => {
    const proxy = await open();
    const client = proxy.client("/a", { fields: { Range: "bytes=2-7" } });
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    const head = 'HTTP/1.1 206 X\r\nCache-Control: max-age=60\r\nETag: "v1"\r\nContent-Range: bytes 2-7/10\r\n';
    server.sends(`${head}Content-Length: 6\r\n\r\n234`);
    await proxy.settle();
    server.closes();
    proxy.answer = () => rest({ "Content-Range": "bytes 5-7/10" }, "567");
    await proxy.passes(1_000);
    assert.equal(gotOf(client).body, "234567");
    assert.equal(proxy.asked[1]!.get("range"), "bytes=5-7");
  });

  const refused: readonly (readonly [what: string, answer: string])[] = [
    ["another part", rest({ "Content-Range": "bytes 4-9/10" }, "456789")],
    ["another length", rest({ "Content-Range": "bytes 5-9/11" })],
    ["another entity tag", rest({ ETag: '"v2"' })],
    ["a weak entity tag", rest({ ETag: 'W/"v1"' })],
    ["no entity tag", answerOf(206, { "Content-Range": "bytes 5-9/10" }, "56789")],
    ["another coding", rest({ "Content-Encoding": "gzip" })],
    ["a part that is not what it says", rest({}, "5678")],
    ["something new", answerOf(200, { "Cache-Control": "max-age=60", ETag: '"v2"' }, "abcdefghij")],
    ["something new of another length", answerOf(200, { ETag: '"v1"' }, "abc")],
    ["nothing", answerOf(404, {}, "not found")],
    ["416", answerOf(416, { "Content-Range": "bytes */3" })],
  ];
  for (const [what, answer] of refused) {
    it(`breaks for all when the rest is ${what}`, async () => {
      const { proxy, clients } = await broken();
      proxy.answer = () => answer;
      await proxy.passes(1_000);
      for (const client of clients) {
        client.seesReset();
        assert.match(client.unread, /01234$/);
      }
      proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "fresh");
      assert.equal((await proxy.fetch("/a")).body, "fresh", "nothing of it was kept");
    });
  }

  for (const [what, range] of [
    ["less than the rest", "bytes 5-6/10"],
    ["a part of something of which nobody knows the length", "bytes 5-6/*"],
  ] as const) {
    it(`of unknown length is never taken for whole when it goes on with ${what}`, async () => {
      const { proxy, clients } = await broken(
        'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: "v1"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n',
      );
      proxy.answer = () => rest({ "Content-Range": range }, "56");
      await proxy.passes(1_000);
      for (const client of clients) client.seesReset();
      proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "fresh");
      assert.equal((await proxy.fetch("/a")).body, "fresh", "nothing of it was kept");
    });
  }

  it("of unknown length is gone on with to the end that the origin tells", async () => {
    const { proxy, clients } = await broken(
      'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: "v1"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n',
    );
    proxy.answer = () => rest({});
    await proxy.passes(1_000);
    for (const client of clients) assert.equal(gotOf(client).body, "0123456789");
  });

  it("breaks for all without a strong validator", async () => {
    const { proxy, clients } = await broken(HEAD.replace('"v1"', 'W/"v1"'));
    for (const client of clients) client.seesReset();
    assert.equal(proxy.asked.length, 1);
  });

  it("breaks for all when only a date says that the rest belongs to bytes that were encoded on the way", async () => {
    const dated = "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT";
    const head = `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${dated}\r\nTransfer-Encoding: chunked\r\n`;
    const { proxy, clients } = await broken(`${head}Content-Encoding: gzip\r\n\r\n5\r\n`);
    for (const client of clients) client.seesReset();
    assert.equal(proxy.asked.length, 1);
    const { proxy: other } = await broken(`${head}\r\n5\r\n`);
    await other.passes(1_000);
    assert.equal(other.asked.length, 2, "without a coding it is gone on with");
  });

  it("breaks for all when the origin stays away", async () => {
    const { proxy, clients } = await broken();
    proxy.stage.network.failDials("origin:80");
    await proxy.passes(70_000);
    for (const client of clients) client.seesReset();
  });

  it("is gone on with for those who are left", async () => {
    const { proxy, clients } = await broken();
    clients[0]!.closes();
    proxy.answer = () => rest({});
    await proxy.passes(1_000);
    assert.equal(gotOf(clients[1]!).body, "0123456789");
  });

  it("of known length is never taken for whole when it is short", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    server.sends("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234").ends();
    await proxy.settle();
    client.seesReset();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "fresh");
    assert.equal((await proxy.fetch("/a")).body, "fresh");
  });

  it("is large, and gone on with", async () => {
    const proxy = await open();
    const body = Array.from({ length: 60_000 }, (_, index) => String(index).padStart(6, "0")).join("");
    const clients = [proxy.client("/a"), proxy.client("/a")];
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    server.sends(`${HEAD.replace("10", String(body.length))}${body.slice(0, 150_000)}`);
    await proxy.settle();
    server.closes();
    proxy.answer = () =>
      rest({ "Content-Range": `bytes 150000-${body.length - 1}/${body.length}` }, body.slice(150_000));
    await proxy.passes(1_000);
    for (const client of clients) assert.ok(gotOf(client).body === body);
    assert.ok((await proxy.fetch("/a")).body === body);
  });
});
