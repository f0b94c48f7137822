// @fastify/http-proxy as its README shows it, upgrades included.
import proxy from "@fastify/http-proxy";
import Fastify from "fastify";

const [port, originPort] = process.argv.slice(2).map(Number);
const server = Fastify({ keepAliveTimeout: 3_600_000 });
server.register(proxy, { upstream: `http://127.0.0.1:${originPort}`, websocket: true });
await server.listen({ port, host: "127.0.0.1", backlog: 4096 });
