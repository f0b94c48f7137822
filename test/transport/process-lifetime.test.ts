// A transport keeps its process alive as long as something can still happen: a listener, a connection. Not longer. What was written
// before the process is ended leaves all the same.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { type TestContext, test } from "node:test";

const PROGRAM = path.join(import.meta.dirname, "..", "support", "idle-process.ts");

/** It is gone behind the test, whatever becomes of that. */
function start(context: TestContext, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  context.after(() => child.kill("SIGKILL"));
  return child;
}

/** Many turns of the other process, between which it has nothing to do but to wait. */
async function roundTrips(socket: net.Socket): Promise<void> {
  for (let count = 0; count < 20; count++) {
    socket.write("ping");
    const [echo] = (await once(socket, "data")) as [Buffer];
    assert.equal(echo.toString(), "ping");
  }
}

async function end(child: ChildProcess): Promise<void> {
  assert.deepEqual([child.exitCode, child.signalCode], [null, null], "it is still there");
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("with nothing open the process ends by itself", async (context) => {
  const [code, signal] = await once(start(context, "nothing"), "exit");
  assert.deepEqual([code, signal], [0, null]);
});

test("an open connection keeps the process alive, until it is closed", async (context) => {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const child = start(context, "connection", `${(server.address() as net.AddressInfo).port}`);
  const [socket] = (await once(server, "connection")) as [net.Socket];
  server.close();
  await roundTrips(socket);
  assert.equal(child.exitCode, null);
  const exited = once(child, "exit");
  socket.end();
  assert.deepEqual(await exited, [0, null]);
  socket.destroy();
});

test("an open listener keeps the process alive, also between its clients", async (context) => {
  const child = start(context, "listener");
  const [line] = (await once(child.stdout!, "data")) as [Buffer];
  for (let count = 0; count < 5; count++) {
    const socket = net.connect(Number(line.toString()), "127.0.0.1");
    await once(socket, "connect");
    await roundTrips(socket);
    socket.end();
    await once(socket.resume(), "close");
  }
  await end(child);
});

for (const ending of ["exit in a microtask", "exit in a tick", "throw in a tick"]) {
  test(`what was written in an event leaves, although the process ends behind it: ${ending}`, async (context) => {
    const child = start(context, "listener");
    const exited = once(child, "exit");
    const [line] = (await once(child.stdout!, "data")) as [Buffer];
    const socket = net.connect(Number(line.toString()), "127.0.0.1");
    let answer = "";
    socket.on("data", (bytes) => {
      answer += bytes.toString();
    });
    await once(socket, "connect");
    socket.write(ending);
    await once(socket, "close");
    assert.deepEqual(await exited, [3, null]);
    assert.equal(answer, ending);
  });
}
