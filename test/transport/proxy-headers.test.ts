// PROXY headers at a listener: whose connection it is afterwards, which bytes are left for whoever takes it, and who is refused.

import assert from "node:assert/strict";
import net from "node:net";
import { describe } from "node:test";
import tls from "node:tls";
import type { ProxyError } from "../../src/core/errors.ts";
import type { Address } from "../../src/core/ports.ts";
import type { ListenOptions } from "../../src/io/transport.ts";
import { issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { proxyBinary, proxyHeader, proxyLine } from "../support/proxy-header.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnSockets } from "../support/transport-under-test.ts";

const SOURCE: Address = { family: 4, address: "192.0.2.7", port: 40_000 };
const DESTINATION: Address = { family: 4, address: "198.51.100.1", port: 443 };
const SOURCE_6: Address = { family: 6, address: "2001:db8::7", port: 40_001 };
const DESTINATION_6: Address = { family: 6, address: "2001:db8::1", port: 8443 };

const TIMEOUT = { timeout: 120_000 };

interface Refused {
  readonly error: ProxyError;
  readonly remote: Address;
}

/** Believes everybody, and notes whom it refused. */
function believing(more: { readonly expects?: boolean; readonly timeoutMs?: number } = {}) {
  const refused: Refused[] = [];
  let changed = Promise.withResolvers<void>();
  const options: Partial<ListenOptions> = {
    proxyHeaders: {
      expectsFrom: () => more.expects ?? true,
      timeoutMs: more.timeoutMs ?? 10_000,
      onRefused: (error, remote) => {
        refused.push({ error, remote });
        changed.resolve();
      },
    },
  };
  const untilRefused = async (): Promise<Refused> => {
    while (refused.length === 0) await changed.promise;
    changed = Promise.withResolvers();
    return refused.shift()!;
  };
  return { options, refused, untilRefused };
}

const { cert, key } = issueCertificate({ names: ["a.example"] });
const listenTls = { certificates: [{ cert, key }], minVersion: "TLSv1.2" } as const;

async function sendInPieces(socket: net.Socket, bytes: Uint8Array, length: number): Promise<void> {
  socket.setNoDelay(true);
  for (let at = 0; at < bytes.length; at += length) {
    await new Promise((resolve) => socket.write(bytes.subarray(at, at + length), resolve));
  }
}

/** The other side has ended the connection, one way or another. */
function gone(client: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    client
      .on("error", () => {})
      .once("end", resolve)
      .once("close", () => resolve());
    client.resume();
  });
}

/** TLS on a socket on which something was sent already. */
async function secure(socket: net.Socket): Promise<tls.TLSSocket> {
  const secured = tls.connect({ socket, ca: cert, servername: "a.example" });
  await new Promise<void>((resolve, reject) => {
    secured.once("secureConnect", resolve);
    secured.once("error", reject);
  });
  return secured;
}

describe("a header", TIMEOUT, () => {
  const headers: [name: string, header: Buffer, source: Address, destination: Address][] = [
    ["version 1", proxyLine(SOURCE, DESTINATION), SOURCE, DESTINATION],
    ["version 1, IPv6", proxyLine(SOURCE_6, DESTINATION_6), SOURCE_6, DESTINATION_6],
    ["version 2", proxyHeader(SOURCE, DESTINATION), SOURCE, DESTINATION],
    ["version 2, IPv6", proxyHeader(SOURCE_6, DESTINATION_6), SOURCE_6, DESTINATION_6],
  ];
  for (const [name, header, source, destination] of headers) {
    testOnSockets(`${name}: whole with what is behind it, and byte by byte`, async () => {
      await using stage = new TransportStage();
      const served = await stage.serve(believing().options);
      const bytes = Buffer.concat([header, Buffer.from("hello")]);
      for (const length of [bytes.length, 1, header.length]) {
        const client = await stage.client(served.port);
        await sendInPieces(client, bytes, length);
        const taken = await served.next();
        assert.deepEqual([taken.connection.remote, taken.connection.local], [source, destination]);
        await taken.untilText("hello");
        taken.connection.writeLatin1("answer");
        taken.connection.end();
        let answer = "";
        for await (const chunk of client) answer += chunk;
        assert.equal(answer, "answer");
      }
    });
  }

  testOnSockets("that says nothing leaves the connection its peer's", async () => {
    await using stage = new TransportStage();
    const served = await stage.serve(believing().options);
    for (const header of [Buffer.from("PROXY UNKNOWN\r\n"), proxyBinary(0x20, 0, Buffer.alloc(0))]) {
      const client = await stage.client(served.port);
      client.write(Buffer.concat([header, Buffer.from("x")]));
      const { connection } = await served.next();
      assert.deepEqual(connection.remote, { family: 4, address: "127.0.0.1", port: client.localPort });
      assert.deepEqual(connection.local, { family: 4, address: "127.0.0.1", port: served.port });
    }
  });

  testOnSockets("of somebody who is not expected to send one is what it is: bytes", async () => {
    await using stage = new TransportStage();
    const served = await stage.serve(believing({ expects: false }).options);
    const client = await stage.client(served.port);
    const line = proxyLine(SOURCE, DESTINATION);
    client.write(line);
    const taken = await served.next();
    await taken.untilText(line.toString());
    assert.equal(taken.connection.remote.address, "127.0.0.1");
  });

  testOnSockets("on a unix socket, where a connection can still be reset", async () => {
    using folder = new TestFolder();
    await using stage = new TransportStage();
    const path = folder.file("s.sock");
    const served = await stage.serve({ path, ...believing().options });
    const client = await stage.client(path);
    client.write(proxyHeader(SOURCE, DESTINATION));
    const { connection } = await served.next();
    assert.deepEqual([connection.remote, connection.local], [SOURCE, DESTINATION]);
    connection.destroy(undefined, true);
    await gone(client);
  });
});

describe("before TLS", TIMEOUT, () => {
  for (const [name, header] of [
    ["version 1", proxyLine(SOURCE, DESTINATION)],
    ["version 2", proxyHeader(SOURCE, DESTINATION)],
  ] as const) {
    testOnSockets(`${name}, with the ClientHello behind it or later`, async () => {
      await using stage = new TransportStage();
      const served = await stage.serve({ tls: listenTls, ...believing().options });
      for (const isTogether of [true, false]) {
        const client = await stage.client(served.port);
        if (isTogether) client.cork();
        client.write(header);
        const securing = secure(client);
        if (isTogether) process.nextTick(() => client.uncork());
        const secured = await securing;
        const taken = await served.next();
        assert.deepEqual([taken.connection.remote, taken.connection.local], [SOURCE, DESTINATION]);
        assert.equal(taken.connection.tls?.serverName, "a.example");
        secured.write("hello");
        await taken.untilText("hello");
        client.resetAndDestroy();
        await taken.untilClosed();
      }
    });
  }

  testOnSockets("a header in the same segment as a whole ClientHello is not lost", async () => {
    await using stage = new TransportStage();
    const served = await stage.serve({ tls: listenTls, ...believing().options });
    // Between the client and the listener, so that both leave in one write.
    const port = await stage.start(
      net.createServer((from) => {
        const to = net.connect(served.port, "127.0.0.1").on("error", () => {});
        from.once("data", (hello: Buffer) => {
          to.write(Buffer.concat([proxyLine(SOURCE, DESTINATION), hello]));
          from.pipe(to).pipe(from);
        });
        from.on("close", () => to.destroy());
      }),
    );
    const secured = await secure(await stage.client(port));
    secured.write("hello");
    const taken = await served.next();
    await taken.untilText("hello");
    assert.deepEqual(taken.connection.remote, SOURCE);
    secured.destroy();
  });

  testOnSockets(
    "who is not expected to send one begins with the handshake; certificates are chosen as ever",
    async () => {
      await using stage = new TransportStage();
      const served = await stage.serve({ tls: listenTls, ...believing({ expects: false }).options });
      const client = await stage.client(served.port);
      const secured = await secure(client);
      const taken = await served.next();
      assert.deepEqual(taken.connection.remote, { family: 4, address: "127.0.0.1", port: client.localPort });
      served.listener.updateTls({ ...listenTls, certificates: [issueCertificate({ names: ["b.example"] })] });
      secured.destroy();
      const other = await stage.client(served.port);
      await assert.rejects(secure(other), /self-signed certificate|unable to verify/);
    },
  );

  testOnSockets("a handshake that fails is told of as the client's", async () => {
    await using stage = new TransportStage();
    const failed = Promise.withResolvers<Refused>();
    const onTlsError = (error: ProxyError, remote: Address): void => failed.resolve({ error, remote });
    const served = await stage.serve({ tls: listenTls, onTlsError, ...believing().options });
    const client = await stage.client(served.port);
    client.write(Buffer.concat([proxyLine(SOURCE, DESTINATION), Buffer.from("GET / HTTP/1.1\r\n\r\n")]));
    const { error, remote } = await failed.promise;
    assert.deepEqual(remote, SOURCE);
    assert.match(error.message, /192\.0\.2\.7:40000/);
  });

  testOnSockets("a client that leaves within the header, or within the handshake, leaves nothing behind", async () => {
    await using stage = new TransportStage();
    const { options, untilRefused } = believing();
    const failed = Promise.withResolvers<void>();
    const served = await stage.serve({ tls: listenTls, onTlsError: () => failed.resolve(), ...options });
    const early = await stage.client(served.port);
    early.end("PROXY TCP4 ");
    assert.match((await untilRefused()).error.message, /ended the connection within it/);
    const later = await stage.client(served.port);
    later.end(Buffer.concat([proxyLine(SOURCE, DESTINATION), Buffer.of(22, 3, 1)]));
    await failed.promise;
  });
});

describe("refused", TIMEOUT, () => {
  testOnSockets("a connection that begins with something else", async () => {
    await using stage = new TransportStage();
    const { options, untilRefused } = believing();
    const served = await stage.serve(options, () => assert.fail("it was handed on"));
    const client = await stage.client(served.port);
    client.on("error", () => {});
    client.write("GET / HTTP/1.1\r\n\r\n");
    const { error, remote } = await untilRefused();
    assert.equal(remote.address, "127.0.0.1");
    assert.match(error.message, /^PROXY protocol header refused: the connection does not begin with one \(from 127\./);
  });

  testOnSockets("a header that does not come in time, or not to its end", async () => {
    await using stage = new TransportStage();
    const { options, untilRefused } = believing({ timeoutMs: 50 });
    const served = await stage.serve(options, () => assert.fail("it was handed on"));
    for (const beginning of ["", "PROXY TCP4 "]) {
      const client = await stage.client(served.port);
      if (beginning !== "") client.write(beginning);
      assert.match((await untilRefused()).error.message, /not complete within 50 ms/);
    }
  });

  testOnSockets("nobody is told of who connects only to see whether somebody listens", async () => {
    await using stage = new TransportStage();
    const { options, refused } = believing();
    const served = await stage.serve(options, () => assert.fail("it was handed on"));
    const client = await stage.client(served.port);
    client.end();
    await gone(client);
    assert.deepEqual(refused, []);
  });

  testOnSockets("whoever has not said it when the listener closes", async () => {
    await using stage = new TransportStage();
    for (const more of [{}, { tls: listenTls }]) {
      const { options, refused } = believing();
      const served = await stage.serve({ ...options, ...more }, () => assert.fail("it was handed on"));
      const client = await stage.client(served.port);
      client.write("PROXY ");
      // Accepted, since another one behind it is.
      const other = await stage.client(served.port);
      other.write("\r\n\r\nno");
      await gone(other);
      await served.listener.close();
      await gone(client);
      assert.equal(refused.length, 1);
    }
  });
});
