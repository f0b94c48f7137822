// Sockets that node:http accepted and gives away on an upgrade become connections like all others.

import assert from "node:assert/strict";
import http from "node:http";
import type net from "node:net";
import { test } from "node:test";
import { Recording, TransportStage } from "../support/transport-stage.ts";

test("a socket of an HTTP upgrade carries bytes both ways, and is closed and counted", async () => {
  await using stage = new TransportStage();
  const { promise, resolve } = Promise.withResolvers<Recording>();
  const server = http.createServer();
  server.on("upgrade", (_request, socket, head) => {
    assert.equal(head.toString(), "early");
    const recording = new Recording(stage.transport.adopt(socket as net.Socket));
    recording.connection.writeLatin1("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    resolve(recording);
  });
  const port = await stage.start(server);
  const near = await stage.dial({ port });
  near.connection.writeLatin1("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nearly");
  const adopted = await promise;
  await near.until(() => near.text.endsWith("\r\n\r\n"));
  assert.equal(adopted.connection.remote.port, near.connection.local.port);
  assert.equal(adopted.connection.local.port, port);
  assert.equal(adopted.connection.tls, null);
  near.connection.writeLatin1("ping");
  await adopted.untilText("ping");
  adopted.connection.writeLatin1("pong");
  await near.until(() => near.text.endsWith("pong"));
  assert.equal(stage.transport.openConnections, 2);
  near.connection.end();
  await adopted.until(() => adopted.events.includes("end"));
  adopted.connection.end();
  assert.equal(await adopted.untilClosed(), null);
  server.closeAllConnections();
});
