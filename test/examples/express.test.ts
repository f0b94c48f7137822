// The Express application of examples/express: its own routes, the mounted proxy, both kinds of upgrade.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { freePort } from "../support/free-port.ts";
import { bodyOf, Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";

test("the proxy serves /api, Express the rest", { timeout: 120_000 }, async () => {
  await using origin = await Origin.start(async (request, response) => {
    response.end(`${request.url} ${request.headers["x-from"]} ${await bodyOf(request)}`);
  });
  const backend = new WebSocketServer({ server: origin.server });
  backend.on("connection", (socket, request) => socket.send(request.url!));
  const PORT = String(await freePort());
  await using program = Program.node("examples/express/server.ts", [], {
    env: { PORT, UPSTREAM_PORT: String(origin.port) },
  });
  await program.until(/Express on port/);
  const base = `http://127.0.0.1:${PORT}`;

  const post = { method: "POST", headers: { "content-type": "application/json" }, body: '{ "a": 1 }' };
  assert.equal(await (await fetch(`${base}/`)).text(), "Express itself\n");
  assert.equal(await (await fetch(`${base}/echo`, post)).text(), '{"a":1}');
  assert.equal(await (await fetch(`${base}/api/users?x`, post)).text(), '/users?x express { "a": 1 }');

  const offers = ["Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"].join(
    "\r\n",
  );
  using client = await RawClient.connect(Number(PORT));
  client.send(`POST /api/users HTTP/1.1\r\n${offers}\r\nContent-Length: 2\r\n\r\nhi`);
  assert.equal((await client.answer()).body, "/users express hi");

  const socket = new WebSocket(`ws://127.0.0.1:${PORT}/api/socket`);
  const message = new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
  assert.equal(String(await message), "/api/socket");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.close();
  await closed;
  const refused = new WebSocket(`ws://127.0.0.1:${PORT}/other`);
  await new Promise((resolve) => refused.once("error", resolve));
  assert.equal(await program.stop(), 0, program.output);
  backend.close();
});
