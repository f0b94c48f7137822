// Files that change while the proxy runs, one of which cannot be used: it stays as it was, and keeps no other from being read.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { makeAuthority } from "../../src/forward/interception/new-authority.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const READ = "files that have changed were read again: ";
const REFUSED = "files have changed and cannot be used; what they held before stays: ";

/** Of "wonderland", as cheap as it may be. */
const hash = "$2y$04$MJ0GIAvkD3uk8pe2inXgauT7XAvqN6cakjH6R8z7yNlOYdE/ex2CK";
/** Of "looking-glass". */
const renewed = "$2b$04$wkVyOHHJplR4TzBriP3zX.2lesLbz.EczzTvaZ3uLCdMPrRmla1wm";
const digest = "0123456789abcdef".repeat(4);

const before = issueCertificate({ names: ["a.test"] });
const after = issueCertificate({ names: ["a.test"] });

/** A proxy that reads files of every kind; `staff` are the users of its server `web`. */
async function start(folder: TestFolder): Promise<ProxyUnderTest> {
  const staff = folder.write("staff", `alice:${hash}\nbob:${hash}\n`);
  const guests = folder.write("guests", `carol:${hash}\n`);
  const keys = folder.write("keys", `robot:${digest}\n`);
  const certificate = { cert: folder.write("a.pem", before.cert), key: folder.write("a.key", before.key) };
  const clientCa = folder.write("clients.pem", new Authority().cert);
  const life = { name: "A CA", lifeMs: 86_400_000, hosts: [], networks: [] };
  const authority = await makeAuthority(life, Date.now());
  folder.write("ca.pem", authority.cert);
  folder.write("ca.key", authority.key);
  const tls = { certificates: [certificate], clientAuth: { ca: clientCa, mode: "optional" } };
  return ProxyUnderTest.start({
    servers: {
      web: { listen: "127.0.0.1:0", use: [{ basicAuth: { file: staff } }], respond: 204 },
      guest: { listen: "127.0.0.1:0", use: [{ basicAuth: { file: guests } }], respond: 204 },
      machine: { listen: "127.0.0.1:0", use: [{ apiKey: { file: keys } }], respond: 204 },
      secure: { listen: { address: "127.0.0.1:0", tls }, respond: 204 },
      egress: {
        listen: "127.0.0.1:0",
        forward: { intercept: { hosts: ["*.example"], ca: folder.path, cache: folder.file("leaves") } },
      },
    },
  });
}

async function login(port: number, name: string, password: string): Promise<number> {
  using client = await RawClient.connect(port);
  const credentials = Buffer.from(`${name}:${password}`).toString("base64");
  const head = `GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ${credentials}\r\n\r\n`;
  return (await client.send(head).answer()).status;
}

async function statusOverTls(port: number, ca: string): Promise<number> {
  using client = await RawClient.connect({ port, tls: { ca, servername: "a.test" } });
  return (await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").answer()).status;
}

const mistakes: readonly [string, (folder: TestFolder) => void, RegExp][] = [
  ["a certificate whose key is still the old one", (folder) => folder.write("a.pem", after.cert), /a\.(key|pem): /],
  ["a certificate that is no PEM", (folder) => folder.write("a.pem", "nothing"), /a\.pem: /],
  ["a list of users with a wrong line", (folder) => folder.write("guests", "carol:oops\n"), /guests: line 1: /],
  ["a list of keys with a wrong line", (folder) => folder.write("keys", "robot:oops\n"), /keys: line 1: /],
  ["authorities of clients that are none", (folder) => folder.write("clients.pem", ""), /clients\.pem: /],
  ["a CA of interception without its key", (folder) => folder.write("ca.key", "nothing"), /ca\.key: /],
];

describe("a file that cannot be used any more", { timeout: 60_000 }, () => {
  for (const [mistake, make, words] of mistakes) {
    test(`${mistake}: who is taken from another file is not let in`, async () => {
      using folder = new TestFolder();
      await using proxy = await start(folder);
      make(folder);
      const { msg } = await proxy.untilLogged(REFUSED);
      assert.match(msg.slice(REFUSED.length), words);
      assert.equal(msg.split("\n").length, 1);
      assert.ok(!proxy.logged.some((entry) => entry.msg.startsWith(READ)), "nothing else has changed");

      const staff = folder.write("staff", `bob:${renewed}\n`);
      await proxy.untilLogged(`${READ}${staff}`);
      assert.equal(await login(proxy.port("web"), "alice", "wonderland"), 401);
      assert.equal(await login(proxy.port("web"), "bob", "wonderland"), 401);
      assert.equal(await login(proxy.port("web"), "bob", "looking-glass"), 204);
      // And what was there before is served on.
      assert.equal(await statusOverTls(proxy.port("secure"), before.cert), 204);
      assert.equal(await login(proxy.port("guest"), "carol", "wonderland"), 204);
    });
  }

  test("two that change at once: the good one is taken, the bad one told of", async () => {
    using folder = new TestFolder();
    await using proxy = await start(folder);
    folder.write("guests", "carol:oops\n");
    const staff = folder.write("staff", `bob:${hash}\n`);
    await proxy.untilLogged(`${READ}${staff}`);
    await proxy.untilLogged(`${REFUSED}${folder.file("guests")}: line 1: `);
    assert.equal(await login(proxy.port("web"), "alice", "wonderland"), 401);
  });

  test("is taken when it is mended, and refuses a reload until then", async () => {
    using folder = new TestFolder();
    await using proxy = await start(folder);
    folder.write("a.pem", after.cert);
    await proxy.untilLogged(REFUSED);
    folder.write("staff", `bob:${hash}\n`);
    await proxy.untilLogged(READ);
    await assert.rejects(
      proxy.reload({
        servers: {
          secure: {
            listen: {
              address: "127.0.0.1:0",
              tls: { certificates: [{ cert: folder.file("a.pem"), key: folder.file("a.key") }] },
            },
            respond: 200,
          },
        },
      }),
      /a\.(key|pem)/,
    );
    const key = folder.write("a.key", after.key);
    await proxy.untilLogged(`${READ}${key}`);
    assert.equal(await statusOverTls(proxy.port("secure"), after.cert), 204);
  });

  test("one that is away is not missed until another one changes, and then told of", async () => {
    using folder = new TestFolder();
    await using proxy = await start(folder);
    rmSync(folder.file("guests"));
    const staff = folder.write("staff", `bob:${hash}\n`);
    await proxy.untilLogged(`${READ}${staff}`);
    await proxy.untilLogged(`${REFUSED}${folder.file("guests")}: cannot be read: there is no such file`);
    assert.equal(await login(proxy.port("guest"), "carol", "wonderland"), 204);
    const guests = folder.write("guests", `carol:${renewed}\n`);
    await proxy.untilLogged(`${READ}${guests}`);
    assert.equal(await login(proxy.port("guest"), "carol", "wonderland"), 401);
  });
});
