// A name that leads to an address which only some clients may reach: what they have fetched is in the cache, and must not reach the
// others from there, past the rules.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

test("what one client may fetch by its network is not found by one who may not go there", async () => {
  using folder = new TestFolder();
  await using origin = await Origin.start((_request, response) => {
    response.setHeader("Cache-Control", "public, max-age=3600");
    response.end("intranet");
  });
  const { port } = new URL(origin.url);
  const ports = "1-65535";
  await using proxy = await ProxyUnderTest.start({
    caches: { default: { directory: folder.file("cache"), minFree: 0 } },
    servers: {
      staff: { listen: "127.0.0.1:0", forward: { allow: [{ networks: ["127.0.0.0/8", "::1"], ports }], cache: true } },
      guests: { listen: "127.0.0.1:0", forward: { allow: [{ ports }], cache: true } },
    },
  });
  const ask = async (server: string) => {
    const client = await RawClient.connect(proxy.port(server));
    client.send(`GET http://localhost:${port}/a HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`);
    const answer = await client.answer();
    client.reset();
    return answer;
  };
  for (let isHit = false; !isHit; ) {
    const { body, fields } = await ask("staff");
    assert.equal(body, "intranet");
    isHit = /hit/.test(fields.get("cache-status") ?? "");
  }
  const refused = await ask("guests");
  assert.equal(refused.status, 403);
  assert.doesNotMatch(refused.body, /intranet/);
});
