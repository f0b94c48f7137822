// Listening sockets: both families, one address, unix sockets and their stale files, and what is said when it fails.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { Connection } from "../../src/core/ports.ts";
import { ListenError } from "../../src/io/failures.ts";
import { TransportStage } from "../support/transport-stage.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-listening-"));
after(() => rmSync(folder, { recursive: true }));

const WAITING = 20;
const hasIpv6 = Object.values(os.networkInterfaces()).some((list) => list?.some(({ family }) => family === "IPv6"));

test("without a host both families are served, and IPv4 clients have IPv4 addresses", {
  skip: !hasIpv6 && "skipped: needs IPv6",
}, async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ host: null });
  assert.deepEqual(served.listener.address, { family: 6, address: "::", port: served.port });
  for (const [host, family] of [
    ["127.0.0.1", 4],
    ["::1", 6],
  ] as const) {
    const client = await stage.client(served.port, host);
    const { connection } = await served.next();
    assert.deepEqual(connection.remote, { family, address: host, port: client.localPort });
    assert.deepEqual(connection.local, { family, address: host, port: served.port });
    assert.equal(connection.tls, null);
  }
});

test("on every address of IPv6, IPv4 is not served: another listener may have the same port there", {
  skip: !hasIpv6 && "skipped: needs IPv6",
}, async () => {
  await using stage = new TransportStage();
  const { port } = await stage.serve({ host: "::" });
  await stage.client(port, "::1");
  await assert.rejects(stage.client(port, "127.0.0.1"), { code: "ECONNREFUSED" });
  await stage.serve({ host: "0.0.0.0", port });
  await stage.client(port, "127.0.0.1");
});

test("on one address; the port is the one that the system chose", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ host: "127.0.0.2" });
  assert.deepEqual(served.listener.address, { family: 4, address: "127.0.0.2", port: served.port });
  assert.ok(served.port > 0);
  const near = await stage.dial({ host: "127.0.0.2", port: served.port });
  const far = await served.next();
  assert.deepEqual(far.connection.local, served.listener.address);
  assert.deepEqual(near.connection.remote, served.listener.address);
  assert.deepEqual(near.connection.local, far.connection.remote);
  await assert.rejects(stage.client(served.port, "127.0.0.1"), { code: "ECONNREFUSED" });
});

test("a port in use: an error with the code, and one sentence", async () => {
  await using stage = new TransportStage();
  const { port } = await stage.serve();
  await assert.rejects(stage.serve({ port }), (error) => {
    assert.ok(error instanceof ListenError);
    assert.equal(error.code, "EADDRINUSE");
    assert.equal(
      error.message,
      `cannot listen on 127.0.0.1:${port}: the address is already in use by another program (EADDRINUSE)`,
    );
    return true;
  });
});

test("an address that this machine does not have", async () => {
  await using stage = new TransportStage();
  await assert.rejects(stage.serve({ host: "192.0.2.1", port: 50_000 }), {
    code: "EADDRNOTAVAIL",
    message: "cannot listen on 192.0.2.1:50000: this machine has no such address (EADDRNOTAVAIL)",
  });
});

test("several listeners share a port when they ask for it", async () => {
  await using stage = new TransportStage();
  const first = await stage.serve({ reusePort: true });
  const second = await stage.serve({ reusePort: true, port: first.port });
  assert.equal(second.port, first.port);
  await first.listener.close();
  await stage.client(first.port);
  await second.next();
});

test("close frees the port at once; connections go on", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  const near = await stage.dial({ port: served.port });
  const far = await served.next();
  await served.listener.close();
  await served.listener.close();
  await assert.rejects(stage.client(served.port), { code: "ECONNREFUSED" });
  await stage.serve({ port: served.port });
  near.connection.writeLatin1("still here");
  await far.untilText("still here");
});

test("a unix socket: its path is the address, its file has the mode and goes with the listener", async () => {
  await using stage = new TransportStage();
  const file = path.join(folder, "plain.sock");
  const served = await stage.serve({ path: file, mode: 0o660 });
  assert.deepEqual(served.listener.address, { family: 0, address: file, port: 0 });
  assert.equal(statSync(file).mode & 0o777, 0o660);
  const near = await stage.dial({ host: file, port: 0 });
  const far = await served.next();
  assert.deepEqual(near.connection.remote, { family: 0, address: file, port: 0 });
  assert.deepEqual(far.connection.local, { family: 0, address: file, port: 0 });
  assert.deepEqual(far.connection.remote, { family: 0, address: "", port: 0 });
  near.connection.writeLatin1("hello");
  await far.untilText("hello");
  far.connection.destroy(undefined, true);
  await near.until(() => near.events.includes("end"));
  await served.listener.close();
  assert.equal(existsSync(file), false);
});

test("a unix socket whose process was killed is replaced", async () => {
  await using stage = new TransportStage();
  const file = path.join(folder, "stale.sock");
  const script = `require("node:net").createServer().listen(${JSON.stringify(file)}, () => console.log("up"))`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(statSync(file).isSocket());
  const served = await stage.serve({ path: file });
  await stage.client(file);
  await served.next();
});

test("a unix socket that somebody serves, and a file that is no socket, are left alone", async () => {
  await using stage = new TransportStage();
  const busy = path.join(folder, "busy.sock");
  const served = await stage.serve({ path: busy });
  await assert.rejects(stage.serve({ path: busy }), {
    code: "EADDRINUSE",
    message: `cannot listen on unix:${busy}: the address is already in use by another program (EADDRINUSE)`,
  });
  const probe = await served.next();
  await stage.client(busy);
  await served.next();
  probe.connection.destroy();
  const plain = path.join(folder, "plain.txt");
  writeFileSync(plain, "precious");
  await assert.rejects(stage.serve({ path: plain }), { code: "EADDRINUSE" });
  assert.equal(statSync(plain).size, 8);
});

test("paths of unix sockets that cannot be: the reason", async () => {
  await using stage = new TransportStage();
  await assert.rejects(stage.serve({ path: path.join(folder, "none", "x.sock") }), { code: /^(ENOENT|EACCES)$/ });
  await assert.rejects(stage.serve({ path: path.join(folder, "x".repeat(200)) }), {
    code: "ENAMETOOLONG",
    message: /the path of a unix socket may have at most 107 bytes/,
  });
});

test("a client that is gone before it is served does no harm", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  for (let count = 0; count < 20; count++) {
    const socket = net.connect(served.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.once("connect", () => socket.resetAndDestroy());
    await once(socket, "close");
  }
  for (let count = 0; count < 20; count++) {
    const far = await served.next();
    await far.untilClosed();
  }
});

test("closed within its own call, with more clients waiting: none is left open, and the port is free", async () => {
  await using stage = new TransportStage();
  let closing: Promise<void> | null = null;
  let accepted = 0;
  const served = await stage.serve({}, (far) => {
    accepted++;
    closing ??= served.listener.close();
    far.connection.end();
  });
  const clients = Array.from({ length: 30 }, () => net.connect(served.port, "127.0.0.1"));
  const closed = clients.map((client) => {
    client.on("error", () => {}).resume();
    return new Promise((resolve) => client.once("close", resolve));
  });
  await Promise.all(closed);
  await closing;
  assert.ok(accepted >= 1);
  await stage.serve({ port: served.port });
});

test("closed and opened again, while clients keep coming", async () => {
  await using stage = new TransportStage();
  const first = await stage.serve();
  const { port } = first;
  await first.listener.close();
  for (let round = 0; round < 20; round++) {
    const served = await stage.serve({ port }, (far) => far.connection.writeLatin1(`${round}`));
    const near = await stage.dial({ port });
    await near.untilText(`${round}`);
    await served.listener.close();
    near.connection.destroy();
  }
});

test("IPv6: both ends have its addresses, without brackets", { skip: !hasIpv6 && "skipped: needs IPv6" }, async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ host: "::1" });
  const near = await stage.dial({ host: "::1", port: served.port });
  const far = await served.next();
  assert.deepEqual(served.listener.address, { family: 6, address: "::1", port: served.port });
  assert.deepEqual(near.connection.remote, { family: 6, address: "::1", port: served.port });
  assert.deepEqual(far.connection.remote, near.connection.local);
  assert.deepEqual(far.connection.local, near.connection.remote);
  near.connection.writeLatin1("six");
  await far.untilText("six");
});

test("a name is listened on, and an unknown one is refused", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({ host: "localhost" });
  assert.match(served.listener.address.address, /^(127\.0\.0\.1|::1)$/);
  await stage.client(served.port, served.listener.address.address);
  await served.next();
  await assert.rejects(stage.serve({ host: "no.such.name.invalid" }), (error) => {
    assert.ok(error instanceof ListenError);
    assert.match(error.code, /^(ENOTFOUND|EAI_AGAIN)$/);
    return true;
  });
});

test("who has connected, and waits to be accepted, is taken before a socket is closed", async () => {
  await using stage = new TransportStage();
  const { promise: allTaken, resolve } = Promise.withResolvers<void>();
  const taken: Connection[] = [];
  const take = (connection: Connection): void => {
    if (taken.push(connection) === WAITING) resolve();
  };
  const listener = await stage.transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, take);
  const clients = Array.from({ length: WAITING }, () => net.connect(listener.address.port, "127.0.0.1"));
  // On the loopback they are connected from here on, and no turn has accepted any.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  await listener.takeWaiting();
  await listener.close();
  await allTaken;
  for (const client of clients) client.destroy();
  for (const connection of taken) connection.destroy();
});

test("a listener without its callback's handler: bytes are dropped, nothing breaks", async () => {
  await using stage = new TransportStage();
  const listener = await stage.transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, () => {});
  const near = await stage.dial({ port: listener.address.port });
  near.connection.writeLatin1("to nobody");
  near.connection.destroy(undefined, true);
  await near.untilClosed();
  await listener.close();
});
