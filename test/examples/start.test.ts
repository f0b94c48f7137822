// What `npm start` serves: the gateway of examples/start.yaml in front of the demo upstream, both as processes.

import assert from "node:assert/strict";
import http, { type IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { TestFolder } from "../support/folder.ts";
import { freePort } from "../support/free-port.ts";
import { Program } from "../support/program.ts";

const TIMEOUT = { timeout: 120_000 };
const START_PORT = String(await freePort());
const START_FORWARD_PORT = String(await freePort());
const base = `http://127.0.0.1:${START_PORT}`;
const programs: Program[] = [];
const folder = new TestFolder();
let upstreamUrl = "";

before(async () => {
  const upstream = Program.node("examples/start-upstream.ts", ["0"]);
  programs.push(upstream);
  const [, START_UPSTREAM_PORT = ""] = await upstream.until(/127\.0\.0\.1:(\d+)/);
  upstreamUrl = `http://127.0.0.1:${START_UPSTREAM_PORT}`;
  const gateway = Program.headgate(["run", "--config", "examples/start.yaml"], {
    env: { START_PORT, START_FORWARD_PORT, START_UPSTREAM_PORT, CACHE_DIRECTORY: folder.path },
  });
  programs.push(gateway);
  await gateway.until(/gateway on http:/);
});

after(async () => {
  const [upstream, gateway] = programs;
  const status = await gateway!.stop();
  await upstream!.stop();
  folder[Symbol.dispose]();
  assert.equal(status, 0, gateway!.output);
});

test("the page comes from the upstream, through the gateway", TIMEOUT, async () => {
  const response = await fetch(`${base}/`);
  assert.equal(response.status, 200);
  assert.ok(response.headers.has("via"));
  assert.match(await response.text(), /<h1>It works<\/h1>/);
});

test("/headers shows what the upstream saw", TIMEOUT, async () => {
  const { method, url, headers } = (await (await fetch(`${base}/headers?a=1`)).json()) as Record<string, never>;
  assert.deepEqual([method, url], ["GET", "/headers?a=1"]);
  assert.equal(headers!["x-gateway"], "headgate");
  assert.equal(headers!["x-forwarded-for"], "127.0.0.1");
});

test("events pass one by one", TIMEOUT, async () => {
  const response = await new Promise<IncomingMessage>((resolve) =>
    http.get(`${base}/events`, { agent: false }, resolve),
  );
  let text = "";
  for await (const chunk of response) {
    text += chunk;
    if (text.includes("id: 2\n")) break;
  }
  assert.match(text, /^id: 1\ndata: .+\n\nid: 2\n/);
});

test("a WebSocket echoes; an answer of the gateway's own", TIMEOUT, async () => {
  const socket = new WebSocket(`${base.replace("http", "ws")}/ws`);
  const echo = new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
  socket.once("open", () => socket.send("hello"));
  assert.equal(String(await echo), "hello");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.close();
  await closed;
  assert.equal(await (await fetch(`${base}/health`)).text(), "ok\n");
  assert.equal((await fetch(`${base}/nothing`)).status, 404);
});

test("the forward proxy leads to the demo upstream and to nothing else of this machine", TIMEOUT, async () => {
  const asked = async (url: string): Promise<IncomingMessage> =>
    await new Promise((resolve, reject) => {
      const { host } = new URL(url);
      const options = { port: START_FORWARD_PORT, path: url, headers: { host }, agent: false };
      http.get(options, resolve).once("error", reject);
    });
  const reached = await asked(`${upstreamUrl}/headers`);
  assert.equal(reached.statusCode, 200);
  assert.match(String(await reached.setEncoding("utf8").toArray()), /"via": "1\.1 /);
  // It says nothing of how long it is good for: it is not kept.
  assert.match(String(reached.headers["cache-status"]), /^headgate; fwd=miss; fwd-status=200; detail=/);
  const refused = await asked(`${base}/`);
  refused.resume();
  assert.equal(refused.statusCode, 403);
  const pac = await fetch(`http://127.0.0.1:${START_FORWARD_PORT}/proxy.pac`);
  assert.match(await pac.text(), new RegExp(`PROXY 127\\.0\\.0\\.1:${START_FORWARD_PORT}`));
});
