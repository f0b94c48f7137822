// Attacks by what becomes of a tunnel: more of them than a client may have, halves that are closed and then silent, peers that vanish,
// that never read or never stop writing. Each is bounded, counted down exactly once, and logged with its bytes.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import { Folder } from "../cli/headgate.ts";
import { DnsServer } from "../support/dns-server.ts";
import { AttackedProxy } from "../support/forward-attack.ts";
import { ANYWHERE } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { LOOK_MS, untilTrue } from "../support/soak-wait.ts";

const TIMEOUT = { timeout: 120_000 };
const MiB = 1024 * 1024;
/** A connection may hold what its sockets' buffers do, on two hops, and what the proxy's own queue does: not what was sent. */
const HELD_BYTES_MAX = 24 * MiB;

/** A server whose connections a test holds. */
class HeldServer {
  readonly #server: net.Server;
  readonly #sockets: net.Socket[] = [];
  readonly #all = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      socket.on("error", () => {});
      this.#sockets.push(socket);
      this.#all.add(socket);
      server.emit("held");
    });
  }

  static async start(): Promise<HeldServer> {
    const server = net.createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new HeldServer(server);
  }

  get authority(): string {
    return `127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  /** The next one that was accepted. */
  async next(): Promise<net.Socket> {
    while (this.#sockets.length === 0) await once(this.#server, "held");
    return this.#sockets.shift()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#all) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

interface Open {
  readonly client: RawClient;
  readonly upstream: net.Socket;
}

async function openTunnel(attacked: AttackedProxy, server: HeldServer): Promise<Open> {
  const client = await attacked.connect();
  client.send(`CONNECT ${server.authority} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const upstream = await server.next();
  await client.untilText("\r\n\r\n");
  assert.match(client.received, /^HTTP\/1\.1 200 /);
  client.received = "";
  return { client, upstream };
}

const ONE = { allow: [ANYWHERE], tunnelsPerClient: 1 };

describe("the number of tunnels of a client", () => {
  /** How one ends; what its line says. */
  const ends: readonly [what: string, end: (open: Open) => void, error: string | null][] = [
    [
      "both close",
      ({ client, upstream }) => {
        upstream.on("end", () => upstream.end()).resume();
        client.socket.end();
      },
      null,
    ],
    [
      "the server closes first",
      ({ client, upstream }) => {
        client.socket.on("end", () => client.socket.end());
        upstream.end();
        upstream.resume();
      },
      null,
    ],
    ["the client resets", ({ client }) => client.reset(), "connection_terminated"],
    ["the server resets", ({ upstream }) => void upstream.resetAndDestroy(), "connection_terminated"],
  ];

  test("goes down by one however a tunnel ends, and its bytes are logged", TIMEOUT, async (t) => {
    await using server = await HeldServer.start();
    await using attacked = await AttackedProxy.start(ONE);
    for (const [what, end, error] of ends) {
      await t.test(what, async () => {
        const open = await openTunnel(attacked, server);
        open.client.send("12345");
        await once(open.upstream, "data");
        open.upstream.write("123");
        await open.client.untilText("123");
        const refused = await attacked.tunnel(server.authority);
        assert.equal(refused.answer.status, 429);
        assert.deepEqual([refused.line.error?.reason, refused.line.status], ["too_many_tunnels", 429]);
        assert.equal(refused.line.error?.type, "http_request_denied");
        end(open);
        const line = await attacked.nextLine();
        assert.deepEqual([line.requestBytes, line.responseBytes], [5, 3]);
        assert.equal(line.error?.type ?? null, error);
        open.client[Symbol.dispose]();
        open.upstream.destroy();
      });
    }
    const last = await openTunnel(attacked, server);
    last.client.reset();
    await attacked.nextLine();
    last.upstream.destroy();
  });

  test(
    "goes down within the idle time of those whose peers have vanished, or have closed a half and are silent",
    TIMEOUT,
    async () => {
      await using server = await HeldServer.start();
      await using attacked = await AttackedProxy.start(
        { allow: [ANYWHERE], tunnelsPerClient: 3 },
        // Longer than a machine may be busy with other things: all of them have to stand at the same time.
        { limits: { tunnelIdle: "4s" } },
      );
      const opens: Open[] = [];
      for (let count = 0; count < 3; count++) opens.push(await openTunnel(attacked, server));
      assert.equal((await attacked.tunnel(server.authority)).answer.status, 429);
      // Of the third one neither side says anything any more, as when a machine is switched off.
      opens[0]!.client.socket.end();
      opens[1]!.upstream.end();
      for (const { client } of opens) {
        const line = await attacked.nextLine();
        assert.deepEqual([line.error?.type, line.error?.message], ["connection_timeout", "no byte passed the tunnel"]);
        assert.ok(line.durationMs >= 4_000, String(line.durationMs));
        await client.untilEnded();
      }
      for (const { upstream } of opens) upstream.destroy();
      const { client, upstream } = await openTunnel(attacked, server);
      client.reset();
      assert.equal((await attacked.nextLine()).error?.type, "connection_terminated");
      upstream.destroy();
    },
  );

  test("goes down also when there is no tunnel in the end", TIMEOUT, async () => {
    await using server = await HeldServer.start();
    const held = Promise.withResolvers<null>();
    await using dns = await DnsServer.start(() => held.promise);
    await using attacked = await AttackedProxy.start({ ...ONE, dns: { servers: [dns.address] } });
    const isFree = async () => {
      const { client, upstream } = await openTunnel(attacked, server);
      client.reset();
      await attacked.nextLine();
      upstream.destroy();
    };
    assert.equal((await attacked.tunnel("127.0.0.1:9")).answer.status, 502);
    await isFree();
    // It leaves while the name is being resolved.
    const left = await attacked.connect();
    left.send("CONNECT slow.example:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    await untilTrue(
      () => dns.questions.length > 0,
      () => "nothing was asked",
    );
    assert.equal((await attacked.tunnel(server.authority)).answer.status, 429, "it is being made");
    left.reset();
    assert.equal((await attacked.nextLine()).status, 499);
    await isFree();
    held.resolve(null);
  });

  test("counts WebSockets, and no other request", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("ok"));
    origin.server.on("upgrade", (_request, socket: net.Socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      socket.on("data", (bytes: Buffer) => socket.write(bytes));
    });
    await using attacked = await AttackedProxy.start(ONE);
    const url = `http://127.0.0.1:${origin.port}/`;
    const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    using client = await attacked.connect();
    client.send(`GET ${url} HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${upgrade}\r\n`);
    await client.untilText("\r\n\r\n");
    for (const attempt of [await attacked.get(url, upgrade), await attacked.tunnel(`127.0.0.1:${origin.port}`)]) {
      assert.deepEqual([attempt.answer.status, attempt.line.error?.reason], [429, "too_many_tunnels"]);
    }
    assert.equal((await attacked.get(url)).line.status, 200);
    assert.equal((await attacked.get(url, "Connection: Upgrade\r\nUpgrade: h2c\r\n")).line.status, 200);
    client.send("echo");
    await client.untilText("echo");
    client.reset();
    const line = await attacked.nextLine();
    assert.deepEqual([line.status, line.requestBytes, line.responseBytes], [101, 4, 4]);
    // An upgrade that the origin does not grant is none.
    origin.server.removeAllListeners("upgrade");
    for (let count = 0; count < 3; count++) assert.equal((await attacked.get(url, upgrade)).line.status, 200);
  });

  test("is each client's own, as a trusted proxy tells of it", TIMEOUT, async () => {
    await using server = await HeldServer.start();
    await using attacked = await AttackedProxy.start(ONE, {}, { trustedProxies: ["127.0.0.1"] });
    const ask = async (client: string) => {
      const connection = await attacked.connect();
      connection.send(`CONNECT ${server.authority} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${client}\r\n\r\n`);
      await connection.untilText("\r\n\r\n");
      return { connection, status: Number(connection.received.slice(9, 12)) };
    };
    const asked = [
      await ask("192.0.2.1"),
      await ask("192.0.2.2"),
      await ask("192.0.2.1"),
      await ask("2001:db8::1"),
      await ask("2001:db8::ffff:1"),
    ];
    assert.deepEqual(
      asked.map(({ status }) => status),
      [200, 200, 429, 200, 429],
    );
    for (const { connection } of asked) connection.reset();
    for (const _ of asked) await attacked.nextLine();
  });
});

test("clients without an address, on a unix socket, are not limited: all of them would be one", TIMEOUT, async () => {
  using folder = new Folder();
  await using server = await HeldServer.start();
  const listen = ["127.0.0.1:0", `unix:${folder.file("proxy.sock")}`];
  await using attacked = await AttackedProxy.start(ONE, { listen });
  const clients: RawClient[] = [];
  for (let count = 0; count < 3; count++) {
    const client = await RawClient.connect({ path: folder.file("proxy.sock") });
    client.send(`CONNECT ${server.authority} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.untilText("\r\n\r\n");
    assert.match(client.received, /^HTTP\/1\.1 200 /);
    clients.push(client);
  }
  for (const client of clients) {
    client.socket.destroy();
    (await server.next()).destroy();
  }
  for (const _ of clients) assert.equal((await attacked.nextLine()).client, "unix:");
});

/** What was written and has left this process. */
function sentBytes(socket: net.Socket): number {
  return socket.bytesWritten - socket.writableLength;
}

/** Waits until no more of what was written leaves; gives how much has. */
async function untilStuck(socket: net.Socket): Promise<number> {
  let last = -1;
  let looks = 0;
  await untilTrue(
    () => {
      const now = sentBytes(socket);
      looks = now === last ? looks + 1 : 0;
      last = now;
      return looks > 100 / LOOK_MS;
    },
    () => "it goes on and on",
  );
  return last;
}

describe("endless bytes", () => {
  const all = Buffer.alloc(64 * MiB, 1);

  test("of a client whose tunnel is never there are not taken", TIMEOUT, async () => {
    const held = Promise.withResolvers<null>();
    await using dns = await DnsServer.start(() => held.promise);
    await using attacked = await AttackedProxy.start({
      allow: [ANYWHERE],
      dns: { servers: [dns.address] },
      // Longer than a machine may be busy with other things: what comes behind the refusal is taken, and dropped.
      timeouts: { connect: "4s" },
    });
    using client = await attacked.connect();
    client.send("CONNECT slow.example:443 HTTP/1.1\r\nHost: a\r\n\r\n").send(all);
    assert.ok((await untilStuck(client.socket)) < HELD_BYTES_MAX);
    client.reset();
    // Node's own sockets do not see the end of what is not read: there the deadline of the connection ends it.
    const { status, error } = await attacked.nextLine();
    assert.ok([499, 504].includes(status), JSON.stringify(error));
    held.resolve(null);
  });

  for (const side of ["client", "server"] as const) {
    test(
      `for a ${side} that never reads are not taken, and the tunnel is gone within its idle time`,
      TIMEOUT,
      async () => {
        await using server = await HeldServer.start();
        await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] }, { limits: { tunnelIdle: "400ms" } });
        let passed: number;
        // On a busy machine the idle time may be over before the first byte.
        do {
          const { client, upstream } = await openTunnel(attacked, server);
          const [reader, writer] = side === "client" ? [client.socket, upstream] : [upstream, client.socket];
          reader.pause();
          writer.on("error", () => {});
          writer.write(all);
          const line = await attacked.nextLine();
          assert.equal(line.error?.type, "connection_timeout");
          passed = side === "client" ? line.responseBytes : line.requestBytes;
          client[Symbol.dispose]();
          upstream.destroy();
        } while (passed === 0);
        assert.ok(passed <= HELD_BYTES_MAX, String(passed));
      },
    );
  }

  test("a reader that is slow and reads at all keeps its tunnel", TIMEOUT, async () => {
    await using server = await HeldServer.start();
    await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] }, { limits: { tunnelIdle: "400ms" } });
    const { client, upstream } = await openTunnel(attacked, server);
    client.keep = false;
    // What there is longer than the idle time, in steps.
    const begun = performance.now();
    client.socket.on("data", () => {
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 2);
    });
    upstream.end(all.subarray(0, 24 * MiB));
    client.socket.on("end", () => client.socket.end());
    await client.untilEnded();
    const line = await attacked.nextLine();
    assert.equal(line.error, undefined);
    assert.equal(line.responseBytes, 24 * MiB);
    assert.ok(performance.now() - begun > 400);
    upstream.destroy();
  });
});

test("bytes of a tunnel that is cut off are those that passed", TIMEOUT, async () => {
  await using server = await HeldServer.start();
  await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
  const { client, upstream } = await openTunnel(attacked, server);
  client.keep = false;
  client.receivedBytes = 0;
  upstream.pipe(upstream);
  const bytes = Buffer.alloc(3 * MiB + 7, 2);
  client.send(bytes);
  await client.until(() => client.receivedBytes === bytes.length, "all of it");
  client.reset();
  const line = await attacked.nextLine();
  assert.deepEqual([line.requestBytes, line.responseBytes], [bytes.length, bytes.length]);
  upstream.destroy();
});

test("a tunnel has an end where its lifetime has one, also when it is busy", TIMEOUT, async () => {
  await using server = await HeldServer.start();
  await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] }, { limits: { tunnelLifetime: "200ms" } });
  // On a busy machine it may be over before the first byte.
  for (let isBusy = false; !isBusy; ) {
    const { client, upstream } = await openTunnel(attacked, server);
    upstream.pipe(upstream);
    client.socket.on("data", (bytes: Buffer) => client.socket.write(bytes));
    client.send("ping");
    const line = await attacked.nextLine();
    assert.deepEqual([line.error?.type, line.error?.message], ["connection_timeout", "the tunnel's lifetime ended"]);
    isBusy = line.requestBytes > 0;
    client[Symbol.dispose]();
    upstream.destroy();
  }
});

test("a proxy that is closed cuts its tunnels, and each has its line", TIMEOUT, async () => {
  await using server = await HeldServer.start();
  await using attacked = await AttackedProxy.start({ allow: [ANYWHERE] });
  const opens = [await openTunnel(attacked, server), await openTunnel(attacked, server)];
  await attacked.proxy.server.close(0);
  for (const { client, upstream } of opens) {
    await client.untilEnded();
    client[Symbol.dispose]();
    assert.ok((await attacked.nextLine()).error !== undefined);
    upstream.destroy();
  }
});
