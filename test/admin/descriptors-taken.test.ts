// Clients hold all the descriptors that they can get: operators reach the admin interface all the same, on whichever way the
// descriptors were taken.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Folder, Running } from "../cli/headgate.ts";
import { issueCertificate } from "../support/certificates.ts";
import { run } from "./command-run.ts";

/** Node itself takes about twenty, and a worker ten. */
const DESCRIPTORS = 128;
/** More than it has descriptors for. */
const CLIENTS = 2 * DESCRIPTORS;
const REFUSED = /cannot accept a connection on 127\.0\.0\.1:\d+: the process has reached its limit of open files/;

/** Never answers. */
async function deafOrigin(): Promise<net.Server> {
  const server = net.createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function operatorsAreServed(
  web: string,
  options: { readonly files?: Readonly<Record<string, string>>; readonly ask?: string; readonly refused?: RegExp },
): Promise<void> {
  using folder = new Folder();
  for (const [name, text] of Object.entries(options.files ?? {})) folder.file(name, text);
  folder.file("headgate.yaml", `workers: 1\nlog: { access: "off" }\nservers: { web: ${web} }\ndrainTimeout: 1s\n`);
  await using running = await Running.startLimited(DESCRIPTORS, folder.path, "run");
  const clients = new Set<net.Socket>();
  let isOver = false;
  const connect = (): void => {
    const client = net.connect(running.port("web"), "127.0.0.1");
    clients.add(client);
    client.on("error", () => {}).resume();
    if (options.ask !== undefined) client.write(options.ask);
    // Whoever is turned away comes again.
    client.on("close", () => {
      clients.delete(client);
      if (!isOver) setTimeout(connect, 10);
    });
  };
  for (let count = 0; count < CLIENTS; count++) connect();
  await running.untilLogged(options.refused ?? REFUSED);
  for (let times = 0; times < 3; times++) {
    const { status, stderr } = await run(folder.path, "status");
    assert.deepEqual([status, stderr], [0, ""]);
  }
  assert.equal((await run(folder.path, "reload")).status, 0);
  isOver = true;
  const { status, stderr } = await run(folder.path, "drain");
  assert.deepEqual([status, stderr], [0, ""]);
  assert.equal(await running.ended(), 0);
  for (const client of clients) client.destroy();
  while (clients.size > 0) await nextTurn();
}

describe("operators are served while clients hold all descriptors", { timeout: 120_000 }, () => {
  test("by connections that ask nothing", () => operatorsAreServed('{ listen: "127.0.0.1:0", respond: 204 }', {}));

  test("by connections that speak TLS, or do not", () => {
    const { cert, key } = issueCertificate({ names: ["a.test"] });
    const tls = "tls: { certificates: [{ cert: cert.pem, key: key.pem }] }";
    return operatorsAreServed(`{ listen: { address: "127.0.0.1:0", ${tls} }, respond: 204 }`, {
      files: { "cert.pem": cert, "key.pem": key },
    });
  });

  test("by requests, each with a connection to the origin", async () => {
    const origin = await deafOrigin();
    try {
      const { port } = origin.address() as net.AddressInfo;
      await operatorsAreServed(`{ listen: "127.0.0.1:0", proxy: "http://127.0.0.1:${port}" }`, {
        ask: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      });
    } finally {
      origin.close();
    }
  });
});
