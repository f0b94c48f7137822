// @fastify/http-proxy as its README shows it.
import proxy from "@fastify/http-proxy";
import Fastify from "fastify";

const [port, originPort] = process.argv.slice(2).map(Number);
const server = Fastify();
server.register(proxy, { upstream: `http://127.0.0.1:${originPort}` });
await server.listen({ port, host: "127.0.0.1" });
