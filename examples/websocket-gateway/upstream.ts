// A server that sends back every message, on port 3000, at /up.

import { type AddressInfo, WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.UPSTREAM_PORT ?? 3000), path: "/up" });
server.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
server.on("listening", () => console.log(`upstream on port ${(server.address() as AddressInfo).port}`));
