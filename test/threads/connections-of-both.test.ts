// Two workers listen on one address, and the kernel gives both of them connections: plain, with TLS, on a port that the system
// chose. A unix socket has one worker, and the start-up line says so.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Folder, headgate, Running } from "../cli/headgate.ts";
import { issueCertificate } from "../support/certificates.ts";
import { RawClient } from "../support/raw-client.ts";
import { bodyFrom, Clients, program } from "./workers.ts";

describe("two workers", () => {
  test("share the one port that the system chose, and each has a plugin of its own", async () => {
    using folder = new Folder();
    folder.file("headgate.ts", program(""));
    await using running = await Running.start(folder.path, "run");
    assert.match(running.stderr, /\(transport (net|native), 2 workers, Node /);
    using clients = await Clients.connect(running.port("web"));
    assert.equal(clients.bodies.length, 2, clients.bodies.join());
    assert.deepEqual(await clients.bodiesNow(), clients.bodies, "a connection stays where it is");
  });

  test("share a port that speaks TLS", async () => {
    using folder = new Folder();
    const { cert, key } = issueCertificate({ names: ["a.test"] });
    folder.file("a.crt", cert);
    folder.file("a.key", key);
    const listen = '{ address: "127.0.0.1:0", tls: { certificates: [{ cert: "a.crt", key: "a.key" }] } }';
    folder.file("headgate.ts", program("").replace('"127.0.0.1:0"', listen));
    await using running = await Running.start(folder.path, "run");
    const tls = { servername: "a.test", rejectUnauthorized: false };
    using clients = await Clients.connect({ port: running.port("web"), tls });
    assert.equal(clients.bodies.length, 2, clients.bodies.join());
  });

  test("leave a unix socket to one of them, and its file is gone in the end", async () => {
    using folder = new Folder();
    const path = folder.file("web.sock");
    folder.file("headgate.ts", program("").replace("127.0.0.1:0", `unix:${path}`));
    {
      await using running = await Running.start(folder.path, "run");
      assert.ok(running.stderr.includes(`web on unix:${path} (one worker accepts here) (transport`), running.stderr);
      using clients = await Clients.connect({ path }, 4);
      assert.equal(clients.bodies.length, 1);
    }
    await assert.rejects(RawClient.connect({ path }), { code: "ENOENT" });
  });

  test("are as many as --workers says", async () => {
    using folder = new Folder();
    const flags = ["--listen", "127.0.0.1:0", "--to", "http://127.0.0.1:1", "--workers"];
    await using running = await Running.start(folder.path, "proxy", ...flags, "3");
    assert.match(running.stderr, /, 3 workers, Node /);
    const { stderr, status } = headgate(folder.path, "proxy", ...flags, "none");
    assert.deepEqual([stderr, status], ['error: --workers: expected auto or a number, got "none"\n', 2]);
  });

  test("are started on another address by a reload, and leave the old one", async () => {
    using folder = new Folder();
    const yaml = (address: string) =>
      `workers: 2\nlog: { access: "off" }\nservers: { web: { listen: "${address}", respond: 200 } }\n`;
    folder.file("headgate.yaml", yaml("127.0.0.1:0"));
    await using running = await Running.start(folder.path, "run");
    const port = running.port("web");
    // An address that overlaps the old one: the port is ours, and stays so.
    folder.file("headgate.yaml", yaml(`:${port}`));
    running.signal("SIGHUP");
    await running.untilLogged(/loaded again: opened :\d+; closed 127\.0\.0\.1:0/);
    using client = await RawClient.connect(port);
    assert.equal(await bodyFrom(client), "");
  });
});
