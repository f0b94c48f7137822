// The ClientHellos of real clients, taken from their connections: node:tls, openssl, curl. Each is read as it came, byte by
// byte, and in records of other sizes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { after, before, describe, it } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { messageOf, records } from "../../../test/support/client-hello-bytes.ts";
import { curl } from "../../../test/support/curl.ts";
import { findCommand, needs } from "../../../test/support/requirements.ts";
import { ClientHello, parseClientHello } from "./parse.ts";

interface Taken {
  readonly bytes: Buffer;
  readonly length: number;
}

let server: Server;
let port = 0;
/** Told of the first bytes of the next connection, as far as the ClientHello goes. */
let take: (taken: Taken) => void = () => {};

before(async () => {
  server = createServer((socket) => {
    let held = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      const length = parseClientHello(held, 0, held.length, new ClientHello());
      if (length === 0) return;
      socket.destroy();
      take({ bytes: held, length });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
after(() => new Promise((resolve) => server.close(resolve)));

function nextHello(): Promise<Taken> {
  return new Promise((resolve) => {
    take = resolve;
  });
}

function assertSays({ bytes, length }: Taken, serverName: string | null, alpn: readonly string[]): void {
  const says = { serverName, alpn, hasEncryptedClientHello: false };
  const read = (given: Buffer, end: number) => {
    const hello = new ClientHello();
    return { length: parseClientHello(given, 0, end, hello), ...hello };
  };
  assert.deepEqual(read(bytes, bytes.length), { length, ...says });
  for (let end = 0; end < length; end++) assert.equal(read(bytes, end).length, 0, `after ${end} bytes`);
  const message = messageOf(bytes.subarray(0, length));
  for (const sizes of [[1], [3, 100], [message.length - 1], [50]]) {
    const cut = records(message, sizes);
    assert.deepEqual(read(cut, cut.length), { length: cut.length, ...says });
  }
}

describe("node:tls", () => {
  const hellos: [options: ConnectionOptions, serverName: string | null, alpn: readonly string[]][] = [
    [{}, null, []],
    [{ servername: "A.Example" }, "a.example", []],
    [{ servername: "a.example", ALPNProtocols: ["h2", "http/1.1"] }, "a.example", ["h2", "http/1.1"]],
    [{ servername: "a.example", maxVersion: "TLSv1.2" }, "a.example", []],
    [{ servername: "a.example", minVersion: "TLSv1.3" }, "a.example", []],
  ];
  for (const [options, serverName, alpn] of hellos) {
    it(`says ${serverName} and ${alpn.join(", ") || "nothing"}, with ${JSON.stringify(options)}`, async () => {
      const taken = nextHello();
      const socket = connect({ ...options, host: "127.0.0.1", port });
      socket.on("error", () => {});
      const closed = new Promise((resolve) => socket.once("close", resolve));
      assertSays(await taken, serverName, alpn);
      await closed;
    });
  }
});

async function takeFromOpenssl(options: readonly string[]): Promise<Taken> {
  const taken = nextHello();
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, ...options];
  const child = spawn(findCommand("openssl")!, args, { stdio: ["pipe", "ignore", "ignore"] });
  const closed = once(child, "close");
  // It may end before its input is closed.
  child.stdin.on("error", () => {});
  child.stdin.end();
  const silent = closed.then(() => assert.fail("openssl sent no ClientHello"));
  const found = await Promise.race([taken, silent]);
  await closed;
  return found;
}

describe("openssl s_client", { skip: needs("openssl") }, () => {
  const hellos: [options: readonly string[], serverName: string | null, alpn: readonly string[]][] = [
    [["-noservername"], null, []],
    [["-servername", "a.example", "-alpn", "h2,http/1.1"], "a.example", ["h2", "http/1.1"]],
    [["-servername", "a.example", "-tls1_2"], "a.example", []],
    [["-servername", "a.example", "-tls1_3"], "a.example", []],
  ];
  for (const [options, serverName, alpn] of hellos) {
    it(`says ${serverName} with ${options.join(" ")}`, async () => {
      assertSays(await takeFromOpenssl(options), serverName, alpn);
    });
  }

  it("may say it in several records", async () => {
    const names = Array.from({ length: 80 }, (_, index) => `protocol-${index}`);
    const args = ["-servername", "a.example", "-alpn", names.join(","), "-max_send_frag", "512"];
    const taken = await takeFromOpenssl(args);
    assert.equal(taken.bytes.readUInt16BE(3), 512);
    assert.ok(taken.length > 2 * 512);
    assertSays(taken, "a.example", names);
  });
});

describe("curl", { skip: needs("curl") }, () => {
  const hellos: [options: readonly string[], serverName: string | null, alpn: readonly string[]][] = [
    [[], "a.example", ["h2", "http/1.1"]],
    [["--http1.1"], "a.example", ["http/1.1"]],
    [["--no-alpn"], "a.example", []],
  ];
  for (const [options, serverName, alpn] of hellos) {
    it(`says ${serverName} and ${alpn.join(", ") || "nothing"}, with ${options.join(" ") || "no options"}`, async () => {
      const taken = nextHello();
      const run = curl(["--resolve", `a.example:${port}:127.0.0.1`, ...options, `https://a.example:${port}/`]);
      assertSays(await taken, serverName, alpn);
      assert.equal((await run).status, 35);
    });
  }
});
