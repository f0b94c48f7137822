// node-http-proxy as its README shows it, with a keep-alive agent, which it needs to be comparable. With REDIS_PORT it reads
// three keys, one after another, before it passes a request on.
import http from "node:http";
import httpProxy from "http-proxy";
import { RedisReader } from "../plugins/redis-reader.ts";

const [port, originPort] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${originPort}`, agent, xfwd: true });
const redis = process.env.REDIS_PORT === undefined ? null : new RedisReader(Number(process.env.REDIS_PORT));

async function withKeys(request, response) {
  const first = await redis.get("bench:1");
  const second = await redis.get("bench:2");
  const third = await redis.get("bench:3");
  request.headers["x-keys"] = `${first},${second},${third}`;
  proxy.web(request, response);
}

const server = http.createServer(redis === null ? (request, response) => proxy.web(request, response) : withKeys);
server.on("upgrade", (request, socket, head) => proxy.ws(request, socket, head));
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
