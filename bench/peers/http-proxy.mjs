// node-http-proxy as its README shows it, with a keep-alive agent, which it needs to be comparable.
import http from "node:http";
import httpProxy from "http-proxy";

const [port, originPort] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${originPort}`, agent, xfwd: true });
http.createServer((request, response) => proxy.web(request, response)).listen(port, "127.0.0.1");
