// fast-proxy on undici, as its README shows it.
import http from "node:http";
import fastProxy from "fast-proxy";

const [port, originPort] = process.argv.slice(2).map(Number);
const { proxy } = fastProxy({ base: `http://127.0.0.1:${originPort}`, undici: { connections: 128, pipelining: 1 } });
const server = http.createServer((request, response) => proxy(request, response, request.url, {}));
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
