// A proxy inside of an Express application: /api goes to another server, WebSockets included, the rest is Express's own.

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { createProxy } from "headgate";

const { PORT = "8080", UPSTREAM_PORT = "3000" } = process.env;

const proxy = createProxy({
  use: [{ headers: { request: { set: { "x-from": "express" } } } }],
  proxy: `http://127.0.0.1:${UPSTREAM_PORT}`,
  log: { level: "warn" },
});

const app = express();
// Before body parsers: the proxy sends a body on as it comes, and a parser would have eaten it. Express takes "/api" off the
// path, so the upstream sees "/users" for "/api/users".
app.use("/api", proxy.handle);
app.use(express.json());
app.post("/echo", (request, response) => void response.json(request.body));
app.get("/", (_request, response) => void response.send("Express itself\n"));

// Some clients offer another version of HTTP with their requests, bodies included (Upgrade: h2c). Those are ordinary requests here: from
// the event "upgrade" a request with a body is refused.
const isWebSocket = ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket";
const server = createServer({ shouldUpgradeCallback: isWebSocket }, app);
server.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`Express on port ${(server.address() as AddressInfo).port}`);
});

// Upgrades do not pass Express's middleware, so nobody takes "/api" off their path.
server.on("upgrade", (request, socket, head) => {
  if (request.url?.startsWith("/api/") === true) proxy.handleUpgrade(request, socket, head);
  else socket.destroy();
});

process.once("SIGTERM", () => {
  server.close();
  proxy.close();
});
