// The demo upstream of `npm start`: a page, JSON, server-sent events and a WebSocket that echoes, on node:http.
// The port is the first argument, else START_UPSTREAM_PORT, else 3900. 0 lets the system choose.

import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

const port = Number(process.argv[2] ?? process.env.START_UPSTREAM_PORT ?? 3900);
const secondMs = 1_000;

const page = `<!doctype html>
<meta charset="utf-8">
<title>It works</title>
<h1>It works</h1>
<p>This page came from the demo upstream, through Headgate.</p>
<ul>
  <li><a href="/headers">/headers</a>: what the upstream saw of your request</li>
  <li><a href="/events">/events</a>: an event a second, as it happens</li>
  <li><code>/ws</code>: a WebSocket that sends back what you send</li>
  <li><a href="/health">/health</a>: answered by the gateway itself</li>
</ul>
`;

function sendEvents(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let count = 0;
  const send = () => response.write(`id: ${++count}\ndata: ${new Date().toISOString()}\n\n`);
  send();
  const timer = setInterval(send, secondMs);
  // The gateway closes its connection as soon as the client has left.
  request.socket.once("close", () => clearInterval(timer));
}

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://upstream");
  if (pathname === "/") response.setHeader("Content-Type", "text/html; charset=utf-8").end(page);
  else if (pathname === "/headers") {
    const { method, url, headers } = request;
    response
      .setHeader("Content-Type", "application/json")
      .end(`${JSON.stringify({ method, url, headers }, null, 2)}\n`);
  } else if (pathname === "/events") sendEvents(request, response);
  else response.writeHead(404, { "Content-Type": "text/plain" }).end(`nothing at ${pathname}\n`);
});

const sockets = new WebSocketServer({ server, path: "/ws" });
sockets.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
});

server.listen(port, "127.0.0.1", () => {
  console.log(`demo upstream on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(0));
