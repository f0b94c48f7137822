// The proxy behind Fastify: a handler gives the raw request and response away. Fastify parses JSON and text before any
// handler, and keeps the result to itself, so a route either removes the parsers or hands over what they made.

import assert from "node:assert/strict";
import { test } from "node:test";
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import { createProxy, type EmbeddedProxy } from "../../src/index.ts";
import { HostServer } from "../support/host-server.ts";
import { bodyOf, Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 20_000 };

function startEcho(): Promise<Origin> {
  return Origin.start(async (request, response) => {
    response.setHeader("X-Url", request.url!);
    response.end(await bodyOf(request));
  });
}

const POST =
  'POST /api/a?b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a" : 1}';

function giveTo(proxy: EmbeddedProxy) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    proxy.handle(request.raw, reply.raw);
  };
}

test("routes without parsers pass every body as it came; the others still parse", TIMEOUT, async () => {
  await using origin = await startEcho();
  const proxy = createProxy({ proxy: origin.url });
  const fastify = Fastify();
  fastify.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
    scope.all("/api/*", giveTo(proxy));
  });
  fastify.post("/own", (request) => ({ parsed: request.body }));
  await fastify.ready();
  await using host = await HostServer.start(fastify.server, proxy);
  using client = await RawClient.connect(host.port);
  const answer = await client.send(POST).answer();
  assert.deepEqual([answer.status, answer.fields.get("x-url"), answer.body], [200, "/api/a?b", '{"a" : 1}']);
  const own = await client.send(POST.replace("/api/a?b", "/own")).answer();
  assert.equal(own.body, '{"parsed":{"a":1}}');
  await fastify.close();
});

test(
  "behind Fastify's own parsers a body fails at once, unless the route hands over what they made",
  TIMEOUT,
  async () => {
    await using origin = await startEcho();
    const proxy = createProxy({ proxy: origin.url });
    const fastify = Fastify();
    fastify.all("/api/*", giveTo(proxy));
    fastify.all("/handed/*", (request, reply) => {
      Object.assign(request.raw, { body: request.body });
      giveTo(proxy)(request, reply);
    });
    await fastify.ready();
    await using host = await HostServer.start(fastify.server, proxy);
    using client = await RawClient.connect(host.port);
    const lost = await client.send(POST).answer();
    assert.equal(lost.status, 500);
    assert.match(lost.fields.get("proxy-status") ?? "", /proxy_configuration_error/);
    assert.deepEqual(origin.asked, []);
    const handed = await client.send(POST.replace("/api/", "/handed/")).answer();
    assert.deepEqual([handed.status, handed.body], [200, '{"a":1}']);
    await fastify.close();
  },
);

test("Fastify's server over HTTP/2", TIMEOUT, async () => {
  const http2 = await import("node:http2");
  await using origin = await startEcho();
  const proxy = createProxy({ proxy: origin.url });
  const fastify = Fastify({ http2: true });
  fastify.all("/api/*", (request, reply) => {
    reply.hijack();
    proxy.handle(request.raw, reply.raw);
  });
  const address = await fastify.listen({ port: 0, host: "127.0.0.1" });
  const session = http2.connect(address);
  const stream = session.request({ ":path": "/api/x" });
  let body = "";
  for await (const chunk of stream) body += chunk;
  assert.equal(body, "");
  assert.equal(origin.asked[0]?.url, "/api/x");
  session.destroy();
  await proxy.close({ timeoutMs: 0 });
  await fastify.close();
});
