// One user's answers given to another: what a cache must never do, whatever clients send and origins say.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keyDigest } from "../../src/identity/api-keys.ts";
import type { Identity } from "../../src/pipeline/exchange.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { type Asked, answerOf, cachingProxies, type FetchOptions } from "../support/caching-proxy.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { hmacToken } from "../support/tokens.ts";

const open = cachingProxies();

/** Believes whoever says who he is. */
const believing: Feature = {
  name: "believing",
  request(exchange) {
    const subject = exchange.request.fields.get("x-user");
    exchange.identity = subject === null ? null : ({ subject, by: "believing" } satisfies Identity);
  },
};

const FRESH = { "Cache-Control": "max-age=600" };
const as = (user: string): FetchOptions => ({ fields: { "X-User": user } });

describe("an answer to somebody whom a feature has identified", () => {
  const echo = ({ get }: Asked): string => `for ${get("x-user")}`;

  it("is nobody else's, however fresh it is", async () => {
    const proxy = await open({ front: [believing] });
    proxy.answer = (asked) => answerOf(200, FRESH, echo(asked));
    for (const user of ["alice", "bob", "alice"]) {
      const { body, cacheStatus } = await proxy.fetch("/a", as(user));
      assert.equal(body, `for ${user}`);
      assert.match(cacheStatus ?? "", /fwd=miss/);
    }
    assert.equal((await proxy.fetch("/a")).body, "for null");
  });

  it("is nobody else's when all of them ask at once", async () => {
    const proxy = await open({ front: [believing] });
    const users = ["alice", "bob", "carol", "dave"];
    const clients = users.map((user) => proxy.client("/a", as(user)));
    proxy.answer = (asked) => answerOf(200, FRESH, echo(asked));
    await proxy.settle();
    for (const [index, client] of clients.entries()) client.receives(new RegExp(`\r\n\r\nfor ${users[index]}$`));
  });

  it("is everybody's when it says so", async () => {
    for (const directive of ["public", "s-maxage=600", "must-revalidate"]) {
      const proxy = await open({ front: [believing] });
      proxy.answer = (asked) => answerOf(200, { "Cache-Control": `max-age=600, ${directive}` }, echo(asked));
      await proxy.fetch("/a", as("alice"));
      assert.equal((await proxy.fetch("/a", as("bob"))).body, "for alice");
    }
  });

  it("is nobody else's when it is a feature behind the cache that has identified him", async () => {
    for (const identity of [false, true]) {
      const proxy = await open({ behind: [believing], cache: { key: { identity } } });
      proxy.answer = (asked) => answerOf(200, FRESH, echo(asked));
      for (const user of ["alice", "bob"]) assert.equal((await proxy.fetch("/a", as(user))).body, `for ${user}`);
    }
  });

  it("is its own when the key says who asks", async () => {
    const proxy = await open({ front: [believing], cache: { key: { identity: true } } });
    proxy.answer = (asked) => answerOf(200, FRESH, echo(asked));
    for (const user of ["alice", "bob", "alice", "bob"]) {
      assert.equal((await proxy.fetch("/a", as(user))).body, `for ${user}`);
    }
    assert.equal((await proxy.fetch("/a")).body, "for null");
    assert.equal(proxy.asked.length, 3);
  });

  it("confirms nothing for others by HEAD", async () => {
    const proxy = await open({ front: [believing] });
    proxy.answer = ({ method, get }) =>
      answerOf(
        200,
        { "Cache-Control": "max-age=10", ETag: '"v1"', "X-For": String(get("x-user")) },
        method === "HEAD" ? "" : "x",
      ).replace("Content-Length: 0", "Content-Length: 1");
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    await proxy.fetch("/a", { method: "HEAD", ...as("alice") });
    assert.equal((await proxy.fetch("/a")).get("x-for"), "null");
  });

  it("confirms nothing for others by 304", async () => {
    const proxy = await open({ front: [believing] });
    proxy.answer = ({ get }) => {
      const said = { "Cache-Control": "max-age=10", ETag: '"v1"', "X-For": String(get("x-user")) };
      return get("if-none-match") === null ? answerOf(200, said, "x") : answerOf(304, said);
    };
    await proxy.fetch("/a");
    await proxy.passes(11_000);
    await proxy.fetch("/a", as("alice"));
    assert.notEqual((await proxy.fetch("/a")).get("x-for"), "alice");
  });
});

describe("an answer to a request with Authorization", () => {
  const with_ = (value: string): FetchOptions => ({ fields: { Authorization: value } });

  it("is nobody else's", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get("authorization")}`);
    for (const value of ["Basic YTpi", "Bearer x", "Basic YTpi"]) {
      assert.equal((await proxy.fetch("/a", with_(value))).body, `for ${value}`);
    }
    assert.equal(proxy.asked.length, 3);
  });

  it("does not keep others from what may be kept", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get("authorization")}`);
    await proxy.fetch("/a", with_("Basic YTpi"));
    assert.equal((await proxy.fetch("/a")).body, "for null");
    assert.match((await proxy.fetch("/a")).cacheStatus ?? "", /hit/);
  });

  it("is its own when the key has the field", async () => {
    const proxy = await open({ cache: { key: { headers: ["authorization"] } } });
    proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get("authorization")}`);
    for (const value of ["Basic YTpi", "Bearer x", "Basic YTpi"]) {
      assert.equal((await proxy.fetch("/a", with_(value))).body, `for ${value}`);
    }
    assert.equal(proxy.asked.length, 2);
  });

  it("goes by itself when it is for its connection", async () => {
    const proxy = await open();
    proxy.answer = () => answerOf(200, { "Cache-Control": "public, max-age=600" }, "x");
    const { cacheStatus } = await proxy.fetch("/a", with_("NTLM TlRMTVNTUAAB"));
    assert.equal(cacheStatus, "headgate; fwd=miss; fwd-status=200; detail=authorization");
  });
});

describe("an answer to somebody of whom a proxy in front says who it is", () => {
  const names = ["X-Forwarded-User", "X-Forwarded-Client-Cert", "Remote-User", "Remote_User", "Client-Cert"];
  const stage = { trustedProxies: ["192.0.2.0/24"] };

  for (const name of names) {
    it(`is nobody else's: ${name}`, async () => {
      const proxy = await open({ stage });
      proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get(name)}`);
      for (const user of ["alice", "bob"]) {
        assert.equal((await proxy.fetch("/a", { fields: { [name]: user } })).body, `for ${user}`);
      }
      assert.equal((await proxy.fetch("/a")).body, "for null");
      assert.match((await proxy.fetch("/a")).cacheStatus ?? "", /hit/);
    });
  }

  it("is everybody's when it says so, and its own when the key has the field", async () => {
    const proxy = await open({ stage, cache: { key: { headers: ["x-forwarded-user"] } } });
    proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get("x-forwarded-user")}`);
    for (const user of ["alice", "bob", "alice", "bob"]) {
      assert.equal((await proxy.fetch("/a", { fields: { "X-Forwarded-User": user } })).body, `for ${user}`);
    }
    assert.equal(proxy.asked.length, 2);
    const open2 = await open({ stage });
    open2.answer = () => answerOf(200, { "Cache-Control": "public, max-age=600" }, "for all");
    await open2.fetch("/a", { fields: { "X-Forwarded-User": "alice" } });
    assert.match((await open2.fetch("/a")).cacheStatus ?? "", /hit/);
  });

  it("is as good as any when nobody believes the client, and its word goes no further", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get("x-forwarded-user")}`);
    assert.equal((await proxy.fetch("/a", { fields: { "X-Forwarded-User": "eve" } })).body, "for null");
    assert.match((await proxy.fetch("/a")).cacheStatus ?? "", /hit/);
  });
});

describe("an answer that sets a cookie", () => {
  it("is nobody else's when it says nothing of its freshness", async () => {
    const proxy = await open({ cache: { heuristic: {} } });
    let number = 0;
    const modified = { "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT" };
    proxy.answer = () => answerOf(200, { ...modified, "Set-Cookie": `session=${++number}` }, "x");
    assert.equal((await proxy.fetch("/a")).get("set-cookie"), "session=1");
    assert.equal((await proxy.fetch("/a")).get("set-cookie"), "session=2");
  });

  it("is nobody else's when it is private", async () => {
    const proxy = await open();
    let number = 0;
    proxy.answer = () =>
      answerOf(200, { "Cache-Control": "private, max-age=600", "Set-Cookie": `session=${++number}` }, "x");
    await proxy.fetch("/a");
    assert.equal((await proxy.fetch("/a")).get("set-cookie"), "session=2");
  });

  const policies: readonly (readonly [policy: string, second: string | null, asked: number])[] = [
    ["explicit", "session=1", 1],
    ["strip", null, 1],
    ["never", "session=2", 2],
  ];
  for (const [setCookie, second, asked] of policies) {
    it(`is what the configuration makes of it when it says how long it is fresh: ${setCookie}`, async () => {
      const proxy = await open({ cache: { setCookie } });
      let number = 0;
      proxy.answer = () => answerOf(200, { ...FRESH, "Set-Cookie": `session=${++number}` }, "x");
      assert.equal((await proxy.fetch("/a")).get("set-cookie"), "session=1");
      assert.equal((await proxy.fetch("/a")).get("set-cookie"), second);
      assert.equal(proxy.asked.length, asked);
    });
  }

  it("keeps to its client what it calls private by name", async () => {
    const proxy = await open();
    proxy.answer = () =>
      answerOf(200, { "Cache-Control": 'max-age=600, private="set-cookie"', "Set-Cookie": "session=1" }, "x");
    assert.equal((await proxy.fetch("/a")).get("set-cookie"), "session=1");
    const { get, cacheStatus } = await proxy.fetch("/a");
    assert.deepEqual([get("set-cookie"), cacheStatus], [null, "headgate; hit; ttl=600"]);
  });
});

describe("an answer to somebody's credentials of a name of his origin's own", () => {
  it("is not given because somebody else would take it stale, when it says nothing", async () => {
    const proxy = await open();
    proxy.answer = ({ get }) => answerOf(200, { ETag: `"${get("x-token")}"` }, `for ${get("x-token")}`);
    await proxy.fetch("/a", { fields: { "X-Token": "alice" } });
    assert.equal((await proxy.fetch("/a", { fields: { "Cache-Control": "max-stale" } })).body, "for null");
  });
});

describe("an answer to somebody's cookies", () => {
  it("is not guessed to be for others", async () => {
    const proxy = await open({ cache: { heuristic: { share: 1 } } });
    const modified = { "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT" };
    proxy.answer = ({ get }) => answerOf(200, modified, `for ${get("cookie")}`);
    for (const value of ["a=1", "a=2"]) {
      assert.equal((await proxy.fetch("/a", { fields: { Cookie: value } })).body, `for ${value}`);
    }
  });

  const unsaid: readonly (readonly [said: string, fields: Record<string, string>])[] = [
    ["nothing", {}],
    ["max-age=0", { "Cache-Control": "max-age=0" }],
    ["Expires: 0", { Expires: "0" }],
  ];
  for (const [said, fields] of unsaid) {
    it(`is not given to others as a stale one, whatever they and the configuration would take: ${said}`, async () => {
      const cache = { staleWhileRevalidate: "1h", staleOnError: "1h" };
      const proxy = await open({ cache, stage: { upstreamUse: { retriesMax: 0 } } });
      const page = ({ get }: Asked): string =>
        answerOf(200, { ...fields, ETag: `"${get("cookie")}"` }, `for ${get("cookie")}`);
      proxy.answer = page;
      const clients = ["a=1", "a=2"].map((value) => proxy.client("/a", { fields: { Cookie: value } }));
      await proxy.settle();
      for (const [index, client] of clients.entries()) client.receives(new RegExp(`\r\n\r\nfor a=${index + 1}$`));
      for (const control of ["", "max-stale", "only-if-cached, max-stale", "stale-if-error=99"]) {
        const asked = { Cookie: "a=3", ...(control === "" ? {} : { "Cache-Control": control }) };
        proxy.answer = page;
        assert.doesNotMatch((await proxy.fetch("/a", { fields: asked })).body, /a=[12]/, control);
        proxy.answer = () => answerOf(503, {}, "sorry");
        assert.doesNotMatch((await proxy.fetch("/a", { fields: { ...asked, Cookie: "a=4" } })).body, /a=/, control);
      }
    });
  }

  it("is given to others as a stale one when it says so itself", async () => {
    const proxy = await open();
    const said = { "Cache-Control": "max-age=0, stale-while-revalidate=60", ETag: '"v1"' };
    proxy.answer = ({ get }) => answerOf(200, said, `for ${get("cookie")}`);
    await proxy.fetch("/a", { fields: { Cookie: "a=1" } });
    assert.equal((await proxy.fetch("/a", { fields: { Cookie: "a=2" } })).body, "for a=1");
  });

  it("is not shared while it is fetched when it says nothing", async () => {
    const proxy = await open();
    const modified = { "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT" };
    const clients = ["a=1", "a=2", "a=3"].map((value) => proxy.client("/a", { fields: { Cookie: value } }));
    proxy.answer = ({ get }) => answerOf(200, modified, `for ${get("cookie")}`);
    await proxy.settle();
    for (const [index, client] of clients.entries()) client.receives(new RegExp(`\r\n\r\nfor a=${index + 1}$`));
  });

  it("differs with those that the key names", async () => {
    const proxy = await open({ cache: { key: { cookies: ["lang"] } } });
    proxy.answer = ({ get }) => answerOf(200, FRESH, `for ${get("cookie")}`);
    await proxy.fetch("/a", { fields: { Cookie: "lang=de; x=1" } });
    assert.equal((await proxy.fetch("/a", { fields: { Cookie: "x=2; lang=de" } })).body, "for lang=de; x=1");
    assert.equal((await proxy.fetch("/a", { fields: { Cookie: "x=2; lang=en" } })).body, "for x=2; lang=en");
  });
});

describe("an answer under a key that says who asks", () => {
  const SECRET = "a secret of the tests";
  const KEY = "hgk_test";

  /** What users are told, one after the other, of a path that answers to each his own, by a token with these claims. */
  async function bodies(front: readonly object[], users: readonly object[]) {
    using folder = new TestFolder();
    await using origin = await Origin.start((request, response) => {
      const told = ["iss", "sub", "user"].map((claim) => [claim, request.headers[`x-${claim}`]]);
      response.setHeader("cache-control", "max-age=600").end(JSON.stringify(Object.fromEntries(told)));
    });
    const headers = { "x-iss": "iss", "x-sub": "sub", "x-user": "user" };
    const jwt = { algorithm: "HS256", key: SECRET, forward: false, headers };
    const use = [{ jwt }, ...front, { cache: { key: { identity: true } } }];
    await using proxy = await ProxyUnderTest.start({
      caches: { answers: { memory: "1MiB", directory: folder.file("answers") } },
      servers: { web: { listen: "127.0.0.1:0", use, proxy: origin.url } },
    });
    const got: unknown[] = [];
    for (const user of users) {
      using client = await RawClient.connect(proxy.port("web"));
      const lines = [
        "Host: a",
        `X-Api-Key: ${KEY}`,
        `Authorization: Bearer ${hmacToken({ ...user, exp: 4e9 }, SECRET)}`,
      ];
      const { body } = await client.send(`GET /mine HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`).answer();
      got.push(JSON.parse(body));
    }
    return { got, asked: origin.asked.length };
  }

  const apiKey = { apiKey: { keys: [{ name: "app", sha256: keyDigest(KEY) }] } };
  const table: readonly (readonly [of: string, front: readonly object[], users: readonly object[], asked: number])[] = [
    ["a user of the same program", [apiKey], [{ sub: "alice" }, { sub: "bob" }], 2],
    ["a token that names nobody", [], [{ user: "alice" }, { user: "bob" }, { user: "alice" }], 3],
    [
      "a user of another issuer",
      [],
      [
        { iss: "a", sub: "alice" },
        { iss: "b", sub: "alice" },
      ],
      2,
    ],
    ["oneself", [apiKey], [{ sub: "alice" }, { sub: "alice" }], 1],
  ];
  for (const [of, front, users, asked] of table) {
    it(`is that of ${of}, and of nobody else`, async () => {
      assert.deepEqual(await bodies(front, users), { got: users, asked });
    });
  }
});
