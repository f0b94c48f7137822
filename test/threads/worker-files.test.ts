// A worker that takes the place of a dead one while files of the configuration cannot be used: it serves with what they held before,
// as the dead one did.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { issueCertificate } from "../support/certificates.ts";
import { RawClient } from "../support/raw-client.ts";

/** Of "wonderland" and of "looking-glass", as cheap as they may be. */
const hash = "$2y$04$MJ0GIAvkD3uk8pe2inXgauT7XAvqN6cakjH6R8z7yNlOYdE/ex2CK";
const renewed = "$2b$04$wkVyOHHJplR4TzBriP3zX.2lesLbz.EczzTvaZ3uLCdMPrRmla1wm";

const PROGRAM = `
  const crash = () => { setTimeout(() => { throw new Error("thrown in a timer"); }, 0); return new Promise(() => {}); };
  const guarded = { use: [{ basicAuth: { file: "users" } }], respond: 204 };
  const tls = { certificates: [{ cert: "a.pem", key: "a.key" }] };
  export default {
    workers: 1,
    admin: "off",
    servers: {
      web: { listen: "127.0.0.1:0", routes: [{ match: { path: "/crash" }, handle: crash }, guarded] },
      secure: { listen: { address: "127.0.0.1:0", tls }, respond: 204 },
    },
  };
`;

async function login(port: number, password: string): Promise<number> {
  using client = await RawClient.connect(port);
  const credentials = Buffer.from(`alice:${password}`).toString("base64");
  const head = `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ${credentials}\r\n\r\n`;
  return (await client.send(head).answer()).status;
}

async function statusOverTls(port: number, ca: string): Promise<number> {
  using client = await RawClient.connect({ port, tls: { ca, servername: "a.test" } });
  return (await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").answer()).status;
}

test("a dead worker is replaced though its files cannot be used, and takes them when they are mended", async () => {
  using folder = new Folder();
  const [before, after] = [issueCertificate({ names: ["a.test"] }), issueCertificate({ names: ["a.test"] })];
  folder.file("headgate.ts", PROGRAM);
  folder.file("users", `alice:${hash}\n`);
  folder.file("a.pem", before.cert);
  folder.file("a.key", before.key);
  await using running = await Running.start(folder.path, "run");
  const [web, secure] = [running.port("web"), running.port("secure")];
  assert.equal(await login(web, "wonderland"), 204);

  folder.file("users", "alice:oops\n");
  await running.untilLogged(/what they held before stays: \S+users: line 1: /);
  folder.file("a.key", after.key);
  await running.untilLogged(/what they held before stays: \S+a\.key: /);

  for (let deaths = 0; deaths < 2; deaths++) {
    using client = await RawClient.connect(web);
    client.send("GET /crash HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.untilEnded();
    await running.untilLogged(/^worker 1 serves again$/);
    assert.equal(await login(web, "wonderland"), 204);
    assert.equal(await statusOverTls(secure, before.cert), 204);
  }
  assert.ok(!running.entries.some(({ msg }) => /cannot be started/.test(msg)));

  folder.file("users", `alice:${renewed}\n`);
  await running.untilLogged(/read again: \S+users$/);
  assert.equal(await login(web, "looking-glass"), 204);
  folder.file("a.pem", after.cert);
  await running.untilLogged(/read again: .*a\.pem$/);
  assert.equal(await statusOverTls(secure, after.cert), 204);
});
