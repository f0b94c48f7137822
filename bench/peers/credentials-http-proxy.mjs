// The same work as the credentials feature around node-http-proxy: token (HS512) of the cookie, session in Redis, AES-256-GCM, Basic.
//
//     credentials-http-proxy.mjs PORT ORIGIN_PORT REDIS_PORT JWT_KEY CREDENTIALS_KEY_HEX
import { createDecipheriv, createHmac, timingSafeEqual } from "node:crypto";
import http from "node:http";
import httpProxy from "http-proxy";
import { RedisReader } from "../plugins/redis-reader.ts";

const [port, originPort, redisPort] = process.argv.slice(2, 5).map(Number);
const [jwtKey, credentialsKeyHex] = process.argv.slice(5);
const credentialsKey = Buffer.from(credentialsKeyHex, "hex");
const agent = new http.Agent({ keepAlive: true });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${originPort}`, agent, xfwd: true });
const redis = new RedisReader(redisPort);

function claimsOf(token) {
  const [head, payload, signature] = token.split(".");
  if (signature === undefined || JSON.parse(Buffer.from(head, "base64url")).alg !== "HS512") return null;
  const expected = createHmac("sha512", jwtKey).update(`${head}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  return claims.exp > Date.now() / 1000 ? claims : null;
}

function credentialsOf(record, key) {
  const envelope = Buffer.from(JSON.parse(record).credentials, "base64url");
  const decipher = createDecipheriv("aes-256-gcm", credentialsKey, envelope.subarray(5, 17));
  decipher.setAAD(Buffer.from(key)).setAuthTag(envelope.subarray(-16));
  return Buffer.concat([decipher.update(envelope.subarray(17, -16)), decipher.final()]);
}

async function answer(request, response) {
  try {
    const [, token = ""] = /(?:^|; )Authorization=([^;]+)/.exec(request.headers.cookie ?? "") ?? [];
    const claims = claimsOf(token);
    const record = claims === null ? null : await redis.get(claims.sid);
    if (record === null) return response.writeHead(401).end();
    request.headers.authorization = `Basic ${credentialsOf(record, claims.sid).toString("base64")}`;
    delete request.headers.cookie;
  } catch {
    return response.writeHead(401).end();
  }
  proxy.web(request, response);
}

const server = http.createServer(answer);
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
