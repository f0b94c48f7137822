// The proxy in a stack of Connect middleware, as in Vite's development server: beside the server's own WebSocket, which
// must not be touched, and closed with requests under way.

import assert from "node:assert/strict";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { createProxy } from "../../src/index.ts";
import { sendAndReset } from "../support/hasty-peer.ts";
import { HostServer } from "../support/host-server.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/** What Connect does with a path: it is taken off the URL for the middleware that is mounted there. */
class Stack {
  readonly #layers: { readonly path: string; readonly middleware: Middleware }[] = [];

  use(path: string, middleware: Middleware): this {
    this.#layers.push({ path, middleware });
    return this;
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { url = "/" } = request;
    const layers = this.#layers.values();
    const next = (error?: unknown): void => {
      request.url = url;
      for (const { path, middleware } of layers) {
        if (error !== undefined || !url.startsWith(path)) continue;
        const rest = url.slice(path === "/" ? 0 : path.length);
        request.url = rest.startsWith("/") ? rest : `/${rest}`;
        middleware(request, response, next);
        return;
      }
      response.writeHead(error === undefined ? 404 : 500).end();
    };
    next();
  };
}

function messageOf(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.on("error", reject);
    socket.on("message", (data) => {
      socket.close();
      resolve(String(data));
    });
  });
}

test("requests and upgrades of the proxy's path pass, the server's own stay with it", TIMEOUT, async () => {
  await using origin = await Origin.start((request, response) => response.end(request.url));
  const backend = new WebSocketServer({ server: origin.server });
  backend.on("connection", (socket, request) => socket.send(`backend ${request.url}`));
  const proxy = createProxy({ proxy: origin.url });
  const stack = new Stack()
    .use("/api", proxy.handle)
    .use("/", (request, response) => void response.end(`own ${request.url}`));
  const server = http.createServer(stack.handle);
  const own = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (request.url!.startsWith("/api")) proxy.handleUpgrade(request, socket, head);
    else own.handleUpgrade(request, socket, head, (opened) => opened.send("own"));
  });
  await using host = await HostServer.start(server, proxy);
  using client = await RawClient.connect(host.port);
  assert.equal((await client.send("GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "/x");
  assert.equal((await client.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "own /y");
  // Nobody takes a mount point off the URL of an upgrade.
  assert.equal(await messageOf(`ws://127.0.0.1:${host.port}/api/ws`), "backend /api/ws");
  assert.equal(await messageOf(`ws://127.0.0.1:${host.port}/hmr`), "own");
  backend.close();
});

test("requests and upgrades that come before the first configuration is in use wait for it", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => response.end("served"));
  const backend = new WebSocketServer({ server: origin.server });
  backend.on("connection", (socket) => socket.send("opened"));
  let proxy = createProxy({ proxy: origin.url });
  await using first = await HostServer.start((request, response) => proxy.handle(request, response), proxy);
  first.server.on("upgrade", (request, socket, head) => {
    proxy = createProxy({ proxy: origin.url });
    proxy.handleUpgrade(request, socket, head);
  });
  using client = await RawClient.connect(first.port);
  assert.equal((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "served");
  assert.equal(await messageOf(`ws://127.0.0.1:${first.port}/`), "opened");
  await proxy.close({ timeoutMs: 0 });
  backend.close();
});

test("closing the proxy cuts what is under way, requests and tunnels", TIMEOUT, async () => {
  await using origin = await Origin.start(() => {});
  const backend = new WebSocketServer({ server: origin.server });
  backend.on("connection", (socket) => socket.send("opened"));
  const proxy = createProxy({ proxy: origin.url });
  const server = http.createServer(proxy.handle).on("upgrade", proxy.handleUpgrade);
  await using host = await HostServer.start(server, proxy);
  using waiting = await RawClient.connect(host.port);
  waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const tunnel = new WebSocket(`ws://127.0.0.1:${host.port}/`);
  await new Promise((resolve) => tunnel.once("message", resolve));
  await origin.until(() => origin.asked.length === 2);
  const closed = new Promise((resolve) => tunnel.once("close", resolve));
  await proxy.close({ timeoutMs: 0 });
  await closed;
  await waiting.untilClosed();
  await origin.until(() => origin.sockets.size === 0);
  backend.close();
});

test("a client that has reset before it was accepted asks for nothing: nobody knows who it was", TIMEOUT, async () => {
  await using origin = await Origin.start((_, response) => response.end("ok"));
  const proxy = createProxy({ proxy: origin.url });
  await using host = await HostServer.start(http.createServer(proxy.handle), proxy);
  sendAndReset(host.port, "GET /hasty HTTP/1.1\r\nHost: a\r\n\r\n");
  using client = await RawClient.connect(host.port);
  assert.equal((await client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body, "ok");
  assert.deepEqual(
    origin.asked.map(({ url }) => url),
    ["/late"],
  );
});
