// Jobs that were written for kisscache, at a route with `handle: kisscache`: what they get, what their origins see, and what the rules
// of the forward proxy keep them from.

import assert from "node:assert/strict";
import type http from "node:http";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };

interface Stage extends AsyncDisposable {
  readonly origin: Origin;
  readonly url: string;
  /** The answer to a download of what the origin has under this path. */
  fetch(path: string, parameters?: string, init?: RequestInit): Promise<Response>;
}

interface StageOptions {
  readonly options?: object;
  readonly forward?: object;
  readonly use?: readonly object[];
}

async function start(
  handler: http.RequestListener,
  { options = {}, forward = { allow: [ANYWHERE] }, use = [] }: StageOptions = {},
): Promise<Stage> {
  const folder = new TestFolder();
  const origin = await Origin.start(handler);
  const proxy = await ProxyUnderTest.start({
    caches: { downloads: { directory: folder.file("cache"), minFree: 0 } },
    servers: {
      downloads: {
        listen: "127.0.0.1:0",
        forward,
        routes: [{ use, handle: { kisscache: { store: "downloads", ...options } } }],
      },
    },
  });
  const url = `http://127.0.0.1:${proxy.port("downloads")}`;
  return {
    origin,
    url,
    fetch: (path, parameters = "", init = {}) =>
      fetch(`${url}/api/v1/fetch?url=${encodeURIComponent(origin.url + path)}${parameters}`, {
        redirect: "manual",
        ...init,
      }),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      assert.deepEqual(
        proxy.logged.filter(({ level }) => level === "error"),
        [],
      );
      await origin[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Says that nothing of it may be kept, which is not asked. */
const NEVER_KEPT: http.RequestListener = (request, response) => {
  response.writeHead(200, {
    "Cache-Control": "private, no-store",
    "Set-Cookie": "a=b",
    "Content-Type": "text/html",
    Vary: "*",
  });
  response.end(`${request.url} ${request.headers.authorization ?? "nobody"}`);
};

describe("a job of kisscache's", () => {
  test("gets what it asks for, once from the origin, whatever that says about keeping it", TIMEOUT, async () => {
    await using stage = await start(NEVER_KEPT);
    for (const _ of ["first", "second"]) {
      const answer = await stage.fetch("/a/b.img?c=d");
      assert.equal(await answer.text(), "/a/b.img?c=d nobody");
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("content-disposition"), "attachment; filename=b.img");
      assert.equal(answer.headers.get("set-cookie"), null);
    }
    // The other form is the same download.
    const encoded = encodeURIComponent(`${stage.origin.url}/a/b.img?c=d`);
    assert.equal(await (await fetch(`${stage.url}/${encoded}`)).text(), "/a/b.img?c=d nobody");
    const named = await fetch(`${stage.url}/api/v1/fetch/other?url=${encoded}`);
    assert.equal(named.headers.get("content-disposition"), "attachment; filename=other");
    await named.text();
    assert.equal(stage.origin.asked.length, 1);
    const { headers } = stage.origin.asked[0]!;
    assert.deepEqual(
      Object.keys(headers).filter((name) => /cache-control|headgate|forwarded|accept-language/.test(name)),
      [],
    );
  });

  test("gets its own with its own credentials, and nobody else's", TIMEOUT, async () => {
    await using stage = await start(NEVER_KEPT);
    const as = async (name: string | null, parameters = "") => {
      const init = name === null ? {} : { headers: { Authorization: name } };
      return await (await stage.fetch("/a", parameters, init)).text();
    };
    assert.equal(await as("one"), "/a one");
    assert.equal(await as("two"), "/a two");
    assert.equal(await as(null), "/a nobody");
    assert.equal(await as("one"), "/a one");
    assert.equal(await as("two", "&passheaders="), "/a nobody");
    assert.equal(stage.origin.asked.length, 3);
  });

  test("shares the download of all others that ask meanwhile", TIMEOUT, async () => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    await using stage = await start((_request, response) => {
      response.write("begun, ");
      void answered.then(() => response.end("ended"));
    });
    const all = Array.from({ length: 20 }, () => stage.fetch("/slow"));
    await all[0];
    answer();
    const texts = await Promise.all(all.map(async (one) => await (await one).text()));
    assert.deepEqual(new Set(texts), new Set(["begun, ended"]));
    assert.equal(stage.origin.asked.length, 1);
  });

  test("asks for the head, for a part, and for what it has already", TIMEOUT, async () => {
    await using stage = await start((_request, response) => {
      response.setHeader("ETag", '"a"');
      response.end("0123456789");
    });
    assert.equal(await (await stage.fetch("/a")).text(), "0123456789");
    // What is being stored is no answer to HEAD yet.
    let head = await stage.fetch("/a", "", { method: "HEAD" });
    while (!/; hit/.test(head.headers.get("cache-status") ?? ""))
      head = await stage.fetch("/a", "", { method: "HEAD" });
    assert.deepEqual([head.status, head.headers.get("content-length")], [200, "10"]);
    const part = await stage.fetch("/a", "", { headers: { Range: "bytes=2-3" } });
    assert.deepEqual([part.status, await part.text()], [206, "23"]);
    const known = await stage.fetch("/a", "", { headers: { "If-None-Match": '"a"' } });
    assert.equal(known.status, 304);
    assert.equal(stage.origin.asked.filter(({ method }) => method === "GET").length, 1);
  });

  test("is led on by redirects through the same door", TIMEOUT, async () => {
    await using stage = await start((request, response) => {
      if (request.url === "/from") response.writeHead(302, { Location: "/to" }).end();
      else response.end("arrived");
    });
    const redirect = await stage.fetch("/from");
    assert.equal(redirect.status, 302);
    await redirect.text();
    const followed = await stage.fetch("/from", "", { redirect: "follow" });
    assert.equal(await followed.text(), "arrived");
    assert.ok(followed.url.startsWith(`${stage.url}/api/v1/fetch?url=`), followed.url);
  });

  test("gets the origin's own failures, which are not kept", TIMEOUT, async () => {
    await using stage = await start((_request, response) => response.writeHead(404).end("not here"));
    for (const _ of ["first", "second"]) {
      const answer = await stage.fetch("/a");
      assert.deepEqual([answer.status, await answer.text()], [404, "not here"]);
    }
    assert.equal(stage.origin.asked.length, 2);
  });

  test("gets nothing new over the quota, and what is there all the same", TIMEOUT, async () => {
    await using stage = await start((_request, response) => response.end("0123456789"), { options: { quota: 1 } });
    assert.equal((await stage.fetch("/a")).status, 200);
    // What was stored is known a moment later.
    let status = 200;
    for (let index = 0; status === 200 && index < 1_000; index++) {
      const answer = await stage.fetch(`/other-${index}`);
      await answer.text();
      status = answer.status;
    }
    assert.equal(status, 507);
    assert.equal(await (await stage.fetch("/a")).text(), "0123456789");
    const { disk_usage: usage, disk_quota: quota } = (await (
      await fetch(`${stage.url}/api/v1/status/`)
    ).json()) as Record<string, number>;
    assert.ok(usage! > 1);
    assert.equal(quota, 1);
  });

  test("is told how the cache does", TIMEOUT, async () => {
    await using stage = await start((_request, response) => response.end("0123456789"));
    assert.equal(await (await fetch(`${stage.url}/api/v1/health/`)).text(), "ok");
    await (await stage.fetch("/a")).text();
    await (await stage.fetch("/a")).text();
    const ask = async () => (await (await fetch(`${stage.url}/api/v1/status/`)).json()) as Record<string, unknown>;
    // An exchange is counted at its end, which the last byte may overtake.
    let status = await ask();
    while (Number(status.statistics_requests) < 2) status = await ask();
    assert.equal(status.instance, `${stage.url}/`);
    assert.equal(status.statistics_requests, 2);
    assert.equal(status.statistics_upload, 20);
  });
});

describe("what the rules of the forward proxy refuse", () => {
  test("is refused here: destinations, private ones without a word", TIMEOUT, async () => {
    await using closed = await start(NEVER_KEPT, { forward: { allow: [{ hosts: ["*.example.org"] }] } });
    assert.equal((await closed.fetch("/a")).status, 403);
    await using open = await start(NEVER_KEPT, { forward: {} });
    assert.equal((await open.fetch("/a")).status, 403);
    for (const stage of [closed, open]) assert.equal(stage.origin.asked.length, 0);
  });

  test("is refused here: who does not say who it is, unless the route has asked", TIMEOUT, async () => {
    const users = { ci: await hash("secret", 4) };
    const forward = { auth: { basic: { users } }, allow: [{ ...ANYWHERE, users: ["ci"] }] };
    await using strict = await start(NEVER_KEPT, { forward });
    const wanted = `/api/v1/fetch?url=${encodeURIComponent(`${strict.origin.url}/a`)}`;
    const client = await RawClient.connect(Number(new URL(strict.url).port));
    client.send(`GET ${wanted} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.untilText("\r\n\r\n");
    assert.match(client.received, /^HTTP\/1\.1 407 .*\r\nproxy-authenticate: basic /is);
    client.socket.destroy();
    assert.equal(strict.origin.asked.length, 0);
    await using asking = await start(NEVER_KEPT, { forward, use: [{ basicAuth: { users } }] });
    assert.equal((await asking.fetch("/a")).status, 401);
    const headers = { Authorization: `Basic ${Buffer.from("ci:secret").toString("base64")}` };
    assert.equal(await (await asking.fetch("/a", "", { headers })).text(), "/a nobody");
  });
});
