// Requests for the same at the same time: one download, which everybody reads as it comes, and which nobody's leaving ends.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerOf, cachingProxies, gotOf } from "../../../test/support/caching-proxy.ts";
import type { Peer } from "../../testing/dialogue.ts";

const open = cachingProxies();

const HEAD = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\n";

describe("clients that ask at once", () => {
  it("get one answer as it comes", async () => {
    const proxy = await open();
    const clients = Array.from({ length: 50 }, () => proxy.client("/a"));
    await proxy.settle();
    assert.equal(proxy.asked.length, 1);
    const { server } = proxy.asked[0]!;
    for (const client of clients) client.receivesNothing();
    server.sends(`${HEAD}abc`);
    await proxy.settle();
    const late = proxy.client("/a");
    await proxy.settle();
    for (const client of [...clients, late]) client.receives(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nabc$/);
    server.sends("def");
    await proxy.settle();
    for (const client of [...clients, late]) client.receives("def");
    assert.equal(proxy.asked.length, 1);
    assert.deepEqual([proxy.noted.length, proxy.noted.filter(({ outcome }) => outcome === "shared").length], [51, 50]);
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
  });

  it("are told that they shared it", async () => {
    const proxy = await open();
    const clients = [proxy.client("/a"), proxy.client("/a")];
    await proxy.settle();
    proxy.asked[0]!.server.sends(`${HEAD}abcdef`);
    await proxy.settle();
    const [one, other] = clients.map((client) => gotOf(client).cacheStatus);
    assert.equal(one, "headgate; fwd=miss; fwd-status=200; stored; ttl=60");
    assert.equal(other, "headgate; fwd=miss; collapsed; ttl=60");
  });

  it("do not share with who wants another variant", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) =>
      answerOf(200, { "Cache-Control": "max-age=60", Vary: "Accept-Language" }, get("accept-language") ?? "none");
    const languages = ["de", "en", "de", "fr", "en"];
    const clients = languages.map((language) => proxy.client("/a", { fields: { "Accept-Language": language } }));
    await proxy.settle();
    assert.deepEqual(
      clients.map((client) => gotOf(client).body),
      languages,
    );
    for (const language of languages) {
      assert.equal((await proxy.fetch("/a", { fields: { "Accept-Language": language } })).body, language);
    }
    assert.ok(proxy.asked.length <= 5);
  });
});

describe("who began it", () => {
  it("may leave: the others get it", async () => {
    const proxy = await open();
    const first = proxy.client("/a");
    await proxy.settle();
    const second = proxy.client("/a");
    await proxy.settle();
    first.closes();
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    server.staysOpen();
    server.sends(`${HEAD}abcdef`);
    await proxy.settle();
    assert.equal(gotOf(second).body, "abcdef");
    assert.equal(proxy.asked.length, 1);
  });

  it("may leave before there is a head, and it is kept all the same", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    await proxy.settle();
    client.closes();
    await proxy.settle();
    proxy.asked[0]!.server.sends(`${HEAD}abcdef`);
    await proxy.settle();
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; hit; ttl=60");
  });

  it("may leave in the middle, and it is kept all the same", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    await proxy.settle();
    proxy.asked[0]!.server.sends(`${HEAD}abc`);
    await proxy.settle();
    client.closes();
    await proxy.settle();
    proxy.asked[0]!.server.sends("def");
    await proxy.settle();
    assert.deepEqual([(await proxy.fetch("/a")).body, proxy.asked.length], ["abcdef", 1]);
  });

  it("ends it with its leaving when it was the last, where that is asked for", async () => {
    const proxy = await open({ cache: { finishOnAbort: false } });
    const first = proxy.client("/a");
    const second = proxy.client("/a");
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    server.sends(`${HEAD}abc`);
    await proxy.settle();
    first.closes();
    await proxy.settle();
    server.staysOpen();
    second.closes();
    await proxy.settle();
    server.seesEnd();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "new");
    assert.equal((await proxy.fetch("/a")).body, "new");
  });

  it("ends what nobody has seen a head of, where that is asked for", async () => {
    const proxy = await open({ cache: { finishOnAbort: false } });
    const client = proxy.client("/a");
    await proxy.settle();
    client.closes();
    await proxy.settle();
    proxy.asked[0]!.server.seesEnd();
  });

  it("is not held up by who reads slowly, nor are others", async () => {
    const proxy = await open();
    const body = "0123456789abcdef".repeat(64 * 1024);
    const slow = proxy.client("/a");
    slow.stopsReading();
    const quick = proxy.client("/a");
    await proxy.settle();
    proxy.asked[0]!.server.sends(answerOf(200, { "Cache-Control": "max-age=60" }, body));
    await proxy.settle();
    assert.equal(gotOf(quick).body.length, body.length);
    slow.readsOn();
    await proxy.settle();
    assert.ok(gotOf(slow).body === body);
    assert.equal(proxy.asked.length, 1);
  });
});

describe("what may not be kept", () => {
  it("goes to who asked, and the others ask for themselves, at once", async () => {
    const proxy = await open();
    const clients = Array.from({ length: 5 }, () => proxy.client("/a"));
    await proxy.settle();
    assert.equal(proxy.asked.length, 1);
    let number = 1;
    proxy.answer = () => answerOf(200, { "Cache-Control": "no-store" }, `number ${++number}`);
    proxy.asked[0]!.server.sends("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 8\r\n\r\nnumber");
    await proxy.settle();
    assert.equal(proxy.asked.length, 5, "nobody waits for the end of the first one");
    proxy.asked[0]!.server.sends(" 1");
    await proxy.settle();
    const bodies = clients.map((client) => gotOf(client).body);
    assert.deepEqual(bodies.sort(), ["number 1", "number 2", "number 3", "number 4", "number 5"]);
    assert.deepEqual(
      new Set(proxy.noted.map(({ outcome, reason }) => `${outcome} ${reason}`)),
      new Set(["pass no-store", "pass uncacheable"]),
    );
  });

  it("is not waited for any more, for a while", async () => {
    const proxy = await open();
    const answer = answerOf(200, { "Cache-Control": "no-store" }, "x");
    proxy.answer = () => answer;
    await proxy.fetch("/a");
    proxy.answer = () => null;
    const clients = [proxy.client("/a"), proxy.client("/a")];
    await proxy.settle();
    assert.equal(proxy.asked.length, 3);
    for (const { server } of proxy.asked.slice(1)) server.sends(answer);
    await proxy.settle();
    for (const client of clients) assert.equal(gotOf(client).body, "x");
    await proxy.passes(61_000);
    proxy.client("/a");
    proxy.client("/a");
    await proxy.settle();
    assert.equal(proxy.asked.length, 4);
  });

  it("keeps nobody from keeping what comes next", async () => {
    const proxy = await open();
    const firsts = [
      "Cache-Control: private",
      "Cache-Control: max-age=60\r\nSet-Cookie: a=b",
      "Cache-Control: no-store",
    ];
    for (const [index, first] of firsts.entries()) {
      const target = `/${index}`;
      proxy.answer = () => `HTTP/1.1 200 OK\r\n${first}\r\nContent-Length: 5\r\n\r\nfirst`;
      assert.equal((await proxy.fetch(target)).body, "first");
      proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "next");
      const second = await proxy.fetch(target);
      assert.deepEqual(
        [second.body, second.cacheStatus],
        ["next", "headgate; fwd=miss; fwd-status=200; stored; ttl=60"],
      );
      assert.equal((await proxy.fetch(target)).cacheStatus, "headgate; hit; ttl=60");
    }
  });

  it("is looked for by one of those who ask at once, whose answer the others get when it may be kept", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "private" }, "x");
    await proxy.fetch("/a");
    proxy.answer = () => null;
    const clients = [1, 2, 3].map(() => proxy.client("/a"));
    await proxy.settle();
    assert.equal(proxy.asked.length, 4, "nobody waits");
    const answer = answerOf(200, { "Cache-Control": "max-age=60" }, "y");
    for (const { server } of proxy.asked.slice(1)) server.sends(answer);
    await proxy.settle();
    for (const client of clients) assert.equal(gotOf(client).body, "y");
    assert.deepEqual([(await proxy.fetch("/a")).cacheStatus, proxy.asked.length], ["headgate; hit; ttl=60", 4]);
  });

  it("flows no faster than its client takes it", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    client.stopsReading();
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    const body = "0123456789abcdef".repeat(256 * 1024);
    server.sends(answerOf(200, { "Cache-Control": "no-store" }, body));
    await proxy.settle();
    assert.ok(server.connection.queuedBytes > body.length / 2, `${server.connection.queuedBytes} bytes are left`);
    client.readsOn();
    await proxy.settle();
    assert.ok(gotOf(client).body === body);
  });

  it("is given up when its client leaves", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    await proxy.settle();
    proxy.asked[0]!.server.sends("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 6\r\n\r\nabc");
    await proxy.settle();
    client.closes();
    await proxy.settle();
    proxy.asked[0]!.server.seesEnd();
    assert.equal(proxy.stage.forks.size, 0);
  });

  it("is given up when its client has left before", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    await proxy.settle();
    client.closes();
    await proxy.settle();
    proxy.asked[0]!.server.sends("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 6\r\n\r\nabc");
    await proxy.settle();
    proxy.asked[0]!.server.seesEnd();
  });

  it("is broken for who gets it when it breaks off", async () => {
    const proxy = await open();
    const client = proxy.client("/a");
    await proxy.settle();
    const { server } = proxy.asked[0]!;
    server.sends("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 6\r\n\r\nabc");
    await proxy.settle();
    server.closes();
    await proxy.settle();
    client.seesReset();
  });

  it("is too long to be kept", async () => {
    const proxy = await open({ cache: { maxObject: 5 } });
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "abcdef");
    assert.equal((await proxy.fetch("/a")).cacheStatus, "headgate; fwd=miss; fwd-status=200; detail=too-large");
    const chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    proxy.answer = () => `${chunked}6\r\nabcdef\r\n0\r\n\r\n`;
    for (let time = 0; time < 2; time++) assert.equal((await proxy.fetch("/b")).body, "abcdef");
    assert.equal(proxy.asked.length, 3);
  });
});

describe("an origin that does not answer", () => {
  it("is told of to who asked, and the others ask for themselves", async () => {
    const proxy = await open({ stage: { upstreamUse: { retriesMax: 0 } } });
    const clients = [proxy.client("/a"), proxy.client("/a"), proxy.client("/a")];
    await proxy.settle();
    proxy.answer = () => answerOf(200, { "Cache-Control": "max-age=60" }, "x");
    proxy.asked[0]!.server.closes();
    await proxy.settle();
    const got = clients.map((client: Peer) => gotOf(client));
    assert.deepEqual(
      got.map(({ status }) => status),
      [502, 200, 200],
    );
    assert.match(got[0]!.get("proxy-status") ?? "", /^headgate; error=/);
    assert.equal(got[0]!.cacheStatus, "headgate; fwd=miss; detail=failed");
  });
});

describe("an interim response", () => {
  it("goes to who asked, and is not kept", async () => {
    const proxy = await open();
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    proxy.answer = () => hints + answerOf(200, { "Cache-Control": "max-age=60" }, "x");
    const client = proxy.client("/a");
    await proxy.settle();
    client.receives(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch((await proxy.fetch("/a")).names.join(), /link/i);
  });
});
