/**
 * An origin that sends back what it receives: as a WebSocket where a client asks for an upgrade at /websocket, and byte by
 * byte on a second port.
 *
 *     echo.ts WEBSOCKET_PORT TCP_PORT
 */
import { createServer } from "node:net";
import { WebSocketServer } from "ws";

const [webSocketPort, tcpPort] = process.argv.slice(2).map(Number);

const server = new WebSocketServer({ host: "127.0.0.1", port: webSocketPort!, path: "/websocket" });
server.on("connection", (socket) => {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
  socket.on("error", () => socket.terminate());
});

createServer({ noDelay: true }, (socket) => {
  socket.on("data", (bytes) => socket.write(bytes));
  socket.on("error", () => socket.destroy());
}).listen(tcpPort, "127.0.0.1");
