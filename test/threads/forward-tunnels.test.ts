// Tunnels and users of a forward proxy with two workers: one maximum for all threads, one sum in the status, and what a dead worker had
// is free again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { Folder, headgate, Running } from "../cli/headgate.ts";
import { ANYWHERE, EchoServer } from "../support/forward-stage.ts";
import { RawClient } from "../support/raw-client.ts";
import { statusOf } from "./workers.ts";

const MAX = 20;
const LOGIN = `Proxy-Authorization: Basic ${btoa("ci:secret")}\r\n`;

/** Routes beside `forward` say which thread serves, and end it. */
const configuration = (users: Readonly<Record<string, string>>): string => `
import { threadId } from "node:worker_threads";
function handle(exchange) {
  if (exchange.request.path === "/exit") setImmediate(() => process.exit(3));
  return exchange.respond({ status: 200, fields: [], body: Buffer.from(String(threadId)) });
}
export default {
  workers: 2,
  log: { access: "off" },
  servers: { egress: {
    listen: "127.0.0.1:0",
    forward: { auth: { basic: { users: ${JSON.stringify(users)} } }, allow: [${JSON.stringify(ANYWHERE)}], tunnelsPerClient: ${MAX} },
    routes: [{ handle }],
  } },
};
`;

/** The thread that serves a new connection, and what it says to a tunnel on it. */
async function open(port: number, authority: string) {
  const client = await RawClient.connect(port);
  const thread = (await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body;
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: a\r\n${LOGIN}\r\n`);
  await client.untilText("\r\n\r\n");
  return { client, thread, status: Number(client.rest.slice(9, 12)) };
}

test("two workers count together, a dead one's tunnels are gone, and the status adds up", async () => {
  await using echo = await EchoServer.start();
  using folder = new Folder();
  folder.file("headgate.ts", configuration({ ci: await hash("secret", 4) }));
  await using running = await Running.start(folder.path, "run");
  const port = running.port("egress");
  const forwardNow = async () => (await statusOf(running)).forward!;

  const all: Awaited<ReturnType<typeof open>>[] = [];
  for (let count = 0; count < MAX + 4; count++) all.push(await open(port, echo.authority));
  const opened = all.filter(({ status }) => status === 200);
  assert.equal(opened.length, MAX, "of both workers together");
  assert.equal(all.filter(({ status }) => status === 429).length, 4);
  const [one = ""] = [...new Set(opened.map(({ thread }) => thread))];
  const ofOne = opened.filter(({ thread }) => thread === one);
  const ofOther = opened.filter(({ thread }) => thread !== one);
  assert.ok(ofOne.length > 0 && ofOther.length > 0, "both have some");

  for (const { client } of ofOther) {
    client.send("12345");
    await client.untilText("12345");
    client.socket.end();
    await client.untilEnded();
  }
  while ((await forwardNow()).users[0]!.openTunnels !== ofOne.length);
  const { users, unnamed } = await forwardNow();
  assert.deepEqual(users[0], {
    user: "ci",
    requests: ofOther.length + 4,
    tunnels: MAX,
    openTunnels: ofOne.length,
    requestBytes: 5 * ofOther.length,
    responseBytes: users[0]!.responseBytes,
  });
  assert.ok(users[0]!.responseBytes > 5 * ofOther.length, "with the pages of those that were refused");
  assert.equal(unnamed, null, "routes are not the forward proxy's");
  assert.match(headgate(folder.path, "status").stdout, /^user +requests +tunnels +open .*\nci /m);

  // It takes its tunnels along; what it has counted stays.
  (await connectionOf(port, one)).send("GET /exit HTTP/1.1\r\nHost: a\r\n\r\n");
  await running.untilLogged(/^worker \d serves again$/);
  for (const { client } of ofOne) await client.untilEnded();
  const after = (await forwardNow()).users[0]!;
  assert.deepEqual([after.tunnels, after.openTunnels], [MAX, 0]);
  const again: typeof all = [];
  for (let count = 0; count < MAX; count++) again.push(await open(port, echo.authority));
  assert.deepEqual([...new Set(again.map(({ status }) => status))], [200], "as many as before");
  for (const { client } of [...all, ...again]) client.reset();
});

/** A connection that the thread serves. */
async function connectionOf(port: number, thread: string): Promise<RawClient> {
  for (;;) {
    const client = await RawClient.connect(port);
    if ((await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()).body === thread) return client;
    client.reset();
  }
}
