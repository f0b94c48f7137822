// Unix sockets on both sides of the proxy: clients come by one, the server is behind another.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { curl } from "../support/curl.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 20_000 };

async function start() {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-unix-"));
  const [listen, upstream] = [path.join(folder, "web.sock"), path.join(folder, "app.sock")];
  const origin = await Origin.start((request, response) => response.end(request.headers.host), { path: upstream });
  origin.server.on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("data", (chunk) => void socket.write(chunk)).on("end", () => socket.end());
  });
  const proxy = await ProxyUnderTest.start({
    trustedProxies: ["10.0.0.0/8"],
    servers: { web: { listen: `unix:${listen}`, proxy: `unix:${upstream}` } },
  });
  return {
    listen,
    origin,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
      assert.ok(!existsSync(listen), "the socket's file stays behind");
      rmSync(folder, { recursive: true });
    },
  };
}

test(
  "requests and upgrades pass; a client without an address is told as unknown, and believed nothing",
  TIMEOUT,
  async () => {
    await using started = await start();
    const { listen, origin } = started;
    using client = await RawClient.connect({ path: listen });
    client.send("GET / HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert.equal((await client.answer()).body, "app.example");
    const [asked] = origin.asked;
    assert.ok(!String(asked!.headers["x-forwarded-for"]).includes("192.0.2.1"));
    client.send("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert.equal((await client.answer()).status, 101);
    client.send("echo");
    await client.untilText("echo");
  },
);

test("curl --unix-socket", { ...TIMEOUT, skip: needs("curl") }, async () => {
  await using started = await start();
  const { output } = await curl(["--unix-socket", started.listen, "http://app.example/"]);
  assert.equal(output, "app.example");
});
