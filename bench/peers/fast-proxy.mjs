// fast-proxy on undici, as its README shows it.
import http from "node:http";
import fastProxy from "fast-proxy";

const [port, originPort] = process.argv.slice(2).map(Number);
const { proxy } = fastProxy({ base: `http://127.0.0.1:${originPort}`, undici: { connections: 128, pipelining: 1 } });
http.createServer((request, response) => proxy(request, response, request.url, {})).listen(port, "127.0.0.1");
