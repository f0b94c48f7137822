// node-http-proxy as its README shows it, with a keep-alive agent, which it needs to be comparable. With REDIS_PORT it reads
// three keys, one after another, before it passes a request on; with AUTH_PORT it asks an endpoint whether to.
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

function ask(request) {
  return new Promise((resolve, reject) => {
    const { host: _host, connection: _connection, ...own } = request.headers;
    const headers = { ...own, "x-forwarded-method": request.method, "x-forwarded-uri": request.url };
    const options = { agent, host: "127.0.0.1", port: process.env.AUTH_PORT, path: "/auth", headers };
    http
      .get(options, (answer) => {
        answer.resume();
        answer.once("error", reject);
        answer.once("end", () => resolve(answer));
      })
      .once("error", reject);
  });
}

async function whereAllowed(request, response) {
  try {
    const { statusCode, headers } = await ask(request);
    delete request.headers["x-user"];
    if (statusCode >= 300) return void response.writeHead(statusCode).end();
    if (headers["x-user"] !== undefined) request.headers["x-user"] = headers["x-user"];
    proxy.web(request, response);
  } catch {
    response.writeHead(503).end();
  }
}

const pass = (request, response) => proxy.web(request, response);
const server = http.createServer(process.env.AUTH_PORT !== undefined ? whereAllowed : redis !== null ? withKeys : pass);
server.on("upgrade", (request, socket, head) => proxy.ws(request, socket, head));
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
