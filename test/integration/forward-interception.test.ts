// HTTPS that is opened with certificates of an internal authority: what is opened and what is left alone, what the client and the
// origin see, and everything that does not agree.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { describe, test } from "node:test";
import type tls from "node:tls";
import { hash } from "@node-rs/bcrypt";
import { FORWARD_REFUSALS } from "../../src/forward/refusal.ts";
import { curl } from "../support/curl.ts";
import { ANYWHERE, EchoServer } from "../support/forward-stage.ts";
import { askOn, authority, interceptionStage } from "../support/interception-stage.ts";
import { onceHead, ScriptedParent, tunnelTo } from "../support/parents.ts";
import { RawClient } from "../support/raw-client.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };

describe("a host that is intercepted", () => {
  test("is served with our certificate, and its requests go on, verified and kept alive", TIMEOUT, async () => {
    const seen: string[] = [];
    await using stage = await interceptionStage((request, response) => {
      seen.push(`${request.url} ${request.headers.host} ${request.socket.remotePort}`);
      response.end("inside");
    });
    const to = `origin.example:${stage.origin.port}`;
    for (let count = 0; count < 2; count++) {
      const socket = await stage.secured(to, "origin.example", [stage.ca]);
      assert.equal(socket.alpnProtocol, "http/1.1");
      assert.equal(new X509Certificate(socket.getPeerCertificate().raw).issuer, "CN=Inner");
      const answer = await askOn(socket, to);
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(answer, /\r\nvia: 1\.1 /i);
      assert.ok(answer.endsWith("inside"));
    }
    assert.equal(seen.length, 2);
    assert.equal(seen[0], seen[1], "one connection to the origin");
    assert.match(seen[0]!, /^\/a origin\.example:\d+ /);
  });

  test(
    "is reached with the head and the beginning of TLS in one piece, in two, and byte by byte",
    TIMEOUT,
    async () => {
      await using stage = await interceptionStage((_request, response) => response.end("inside"));
      const to = `origin.example:${stage.origin.port}`;
      for (const cut of ["none", "in the head", "in the ClientHello", "everywhere"] as const) {
        assert.ok((await askOn(await stage.inPieces(to, cut), to)).endsWith("inside"), cut);
      }
    },
  );

  test("whose certificate is not good is never made to look good: 502, and the page says why", TIMEOUT, async () => {
    const past = new Date(Date.now() - 86_400_000);
    for (const [certificate, why] of [
      [{ names: ["origin.example"] }, /not issued by an authority that this proxy trusts/],
      [{ names: ["origin.example"], issuer: authority, notBefore: new Date(0), notAfter: past }, /has expired/],
      [{ names: ["other.example"], issuer: authority }, /is for another name/],
    ] as const) {
      await using stage = await interceptionStage((_request, response) => response.end("never"), { certificate });
      const to = `origin.example:${stage.origin.port}`;
      const answer = await askOn(await stage.secured(to, "origin.example", [stage.ca]), to);
      assert.match(answer, /^HTTP\/1\.1 502 /);
      assert.match(answer, /\r\nproxy-status: [^\r]*error=tls_certificate_error/i);
      assert.match(answer, why);
    }
  });

  test("what was asked for, SNI and Host must agree: 421", TIMEOUT, async () => {
    let asked = 0;
    await using stage = await interceptionStage((_request, response) => {
      asked++;
      response.end("never");
    });
    const { port } = stage.origin;
    const to = `origin.example:${port}`;
    const byHost = await askOn(await stage.secured(to, "origin.example", [stage.ca]), `evil.example:${port}`);
    assert.match(byHost, /^HTTP\/1\.1 421 /);
    const byPort = await askOn(await stage.secured(to, "origin.example", [stage.ca]), "origin.example");
    assert.match(byPort, /^HTTP\/1\.1 421 /);
    const { client } = await connectTo(stage.port, to);
    client[Symbol.dispose]();
    const socket = await stage.secured(to, "origin.example", [stage.ca]);
    socket.write(`GET https://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n`);
    const [chunk] = (await new Promise<Buffer[]>((resolve) =>
      socket.once("data", (data: Buffer) => resolve([data])),
    )) as [Buffer];
    assert.match(chunk.toString("latin1"), /^HTTP\/1\.1 421 /);
    socket.destroy();
    assert.equal(asked, 0);
  });

  test("that is asked for over plain text, or not at all: the connection ends", TIMEOUT, async () => {
    await using stage = await interceptionStage((_request, response) => response.end());
    const to = `origin.example:${stage.origin.port}`;
    const { client } = await connectTo(stage.port, to);
    client.send("GET / HTTP/1.1\r\n\r\n");
    await client.untilClosed();
    const leaving = await connectTo(stage.port, to);
    leaving.client.reset();
    await stage.proxy.untilConnections(0);
  });
});

test(
  "a host that the CA may not certify is refused before anything is opened: 502, and the log says why",
  TIMEOUT,
  async () => {
    await using stage = await interceptionStage((_request, response) => response.end("x"), {
      certified: ["origin.example"],
      hosts: ["*"],
      log: { access: { format: "json" } },
    });
    const { port } = stage.origin;
    const { client } = await connectTo(stage.port, `other.example:${port}`);
    assert.match(client.received, /^HTTP\/1\.1 502 /);
    client[Symbol.dispose]();
    const [line] = await stage.proxy.untilAccess(1);
    const { type, reason, message } = line!.error as Record<string, string>;
    assert.deepEqual(
      [type, reason, message],
      ["proxy_configuration_error", "ca_may_not_certify", "the CA of interception may not certify other.example"],
    );
    const opened = await stage.secured(`origin.example:${port}`, "origin.example", [stage.ca]);
    opened.destroy();
  },
);

test("a client that does not trust the CA: the log says so, and what to do", {
  ...TIMEOUT,
  skip: needs("curl"),
}, async () => {
  await using stage = await interceptionStage((_request, response) => response.end("never"), {
    log: { access: { format: "json" } },
  });
  const url = `https://origin.example:${stage.origin.port}/`;
  const ca = stage.folder.file("world.pem");
  const { status } = await curl(["--proxy", `http://127.0.0.1:${stage.port}`, "--cacert", ca, url]);
  assert.equal(status, 60, "the certificate is not accepted");
  const [line] = await stage.proxy.untilAccess(1);
  assert.deepEqual(line!.error, {
    type: "tls_alert_received",
    side: "client",
    reason: "ca_not_trusted",
    message: `forward: ${FORWARD_REFUSALS.ca_not_trusted}`,
  });
});

describe("what is left alone", () => {
  test("a host of `except` shows its own certificate", TIMEOUT, async () => {
    await using stage = await interceptionStage((_request, response) => response.end("own"), {
      certificate: { names: ["bank.example"], issuer: authority },
    });
    const to = `bank.example:${stage.origin.port}`;
    const socket = await stage.secured(to, "bank.example", [authority.cert]);
    assert.ok((await askOn(socket, to)).endsWith("own"));
  });

  test("behind an address the ClientHello decides", TIMEOUT, async () => {
    await using stage = await interceptionStage((_request, response) => response.end("x"), {
      certificate: { names: ["origin.example", "bank.example"], issuer: authority },
    });
    const to = `127.0.0.1:${stage.origin.port}`;
    const opened = await stage.secured(to, "origin.example", [stage.ca]);
    assert.match(await askOn(opened, `origin.example:${stage.origin.port}`), /^HTTP\/1\.1 200 /);
    const alone = await stage.secured(to, "bank.example", [authority.cert]);
    assert.match(await askOn(alone, "bank.example"), /^HTTP\/1\.1 200 /);
    assert.equal(stage.dns.questions.length, 0, "connected to where the client wanted");
  });

  test("behind an address what is no TLS is a tunnel", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using stage = await interceptionStage((_request, response) => response.end());
    const { client } = await connectTo(stage.port, echo.authority);
    client.send("SSH-2.0-x\r\n");
    await client.untilText("SSH-2.0-x");
    client[Symbol.dispose]();
  });
});

async function connectTo(port: number, to: string) {
  const client = await RawClient.connect(port);
  client.send(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
  await client.untilText("\r\n\r\n");
  return { client };
}

test(
  "who is inside a tunnel is whoever was let in: nothing that is said there counts, and nobody is asked",
  TIMEOUT,
  async () => {
    const auth = { optional: true, basic: { users: { ann: await hash("secret", 4) } } };
    const forward = {
      auth,
      allow: [
        { ...ANYWHERE, methods: ["CONNECT"] },
        { ...ANYWHERE, users: ["ann"] },
      ],
    };
    const told: (string | undefined)[] = [];
    await using stage = await interceptionStage(
      (request, response) => {
        told.push(request.headers["proxy-authorization"]);
        response.end("ok");
      },
      { forward },
    );
    const to = `origin.example:${stage.origin.port}`;
    const line = `Proxy-Authorization: Basic ${Buffer.from("ann:secret").toString("base64")}\r\n`;
    assert.match(await askOn(await stage.secured(to, "origin.example"), to, line), /^HTTP\/1\.1 403 /);
    const known = await stage.secured(to, "origin.example", [stage.ca], line);
    assert.match(await askOn(known, to, line), /^HTTP\/1\.1 200 /);
    assert.deepEqual(told, [undefined]);
  },
);

test("a tunnel that is left alone says in the log where it went, and by which rule", TIMEOUT, async () => {
  await using stage = await interceptionStage((_request, response) => response.end("never"));
  await using echo = await EchoServer.start();
  const file = stage.folder.file("access.log");
  await stage.proxy.reload({
    log: { access: { output: file } },
    servers: {
      egress: {
        listen: "127.0.0.1:0",
        forward: {
          allow: [{ ...ANYWHERE, networks: ["10.0.0.0/8"] }, ANYWHERE],
          intercept: { hosts: ["*.example"], ca: stage.folder.path },
        },
      },
    },
  });
  const { client } = await connectTo(stage.port, echo.authority);
  client.send("no TLS");
  await client.untilText("no TLS");
  client.socket.end();
  await client.untilClosed();
  await stage.proxy.server.close(0);
  const { upstreamAddress, rule } = JSON.parse(readFileSync(file, "latin1")) as Record<string, unknown>;
  assert.deepEqual({ upstreamAddress, rule }, { upstreamAddress: echo.authority, rule: "allow[1]" });
});

describe("through a parent", () => {
  test(
    "an origin is verified inside the parent's tunnel, and what is left alone goes through it as it is",
    TIMEOUT,
    async () => {
      const seen: string[] = [];
      await using inner = await interceptionStage((_request, response) => response.end("inside"));
      const { port } = inner.origin;
      await using echo = await EchoServer.start();
      await using parent = await ScriptedParent.start(
        onceHead((socket, head) => {
          seen.push(head.split(" ")[1]!);
          if (head.includes(`:${echo.port} `)) socket.write("HTTP/1.1 200 OK\r\n\r\nwelcome");
          else tunnelTo(port)(socket, head);
        }),
      );
      const forward = { via: [{ proxy: parent.url() }] };
      await using stage = await interceptionStage((_request, response) => response.end("never"), { forward });
      const to = `origin.example:${port}`;
      const answer = await askOn(await stage.secured(to, "origin.example", [stage.ca]), to);
      assert.ok(answer.endsWith("inside"), answer);
      const bank = await stage.secured(`bank.example:${port}`, "origin.example", [authority.cert]);
      assert.equal(new X509Certificate(bank.getPeerCertificate().raw).issuer, "CN=The World");
      bank.destroy();
      // Behind an address any name may stand: it is looked into, and is no TLS; who speaks first is heard all the same.
      const { client } = await connectTo(stage.port, `127.0.0.1:${echo.port}`);
      await client.send("SSH-2.0-x\r\n").untilText("welcome");
      client[Symbol.dispose]();
      assert.deepEqual(seen, [to, `bank.example:${port}`, `127.0.0.1:${echo.port}`]);
    },
  );
});

describe("behind an address", () => {
  test("`*` is every name, but for those of `except`", TIMEOUT, async () => {
    await using stage = await interceptionStage((_request, response) => response.end("x"), {
      certificate: { names: ["origin.example", "bank.example"], issuer: authority },
      hosts: ["*"],
    });
    const to = `127.0.0.1:${stage.origin.port}`;
    const opened = await stage.secured(to, "origin.example", [stage.ca]);
    assert.match(await askOn(opened, `origin.example:${stage.origin.port}`), /^HTTP\/1\.1 200 /);
    const alone = await stage.secured(to, "bank.example", [authority.cert]);
    assert.match(await askOn(alone, "bank.example"), /^HTTP\/1\.1 200 /);
  });

  test("a server that speaks first is heard, and half an end passes", TIMEOUT, async () => {
    await using stage = await interceptionStage((_request, response) => response.end());
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.write("220 ready\r\n");
      socket.on("data", (bytes: Buffer) => socket.write(bytes));
      socket.on("end", () => socket.end("bye"));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const to = `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    const { client } = await connectTo(stage.port, to);
    await client.untilText("220 ready");
    client.send("HELO");
    await client.untilText("HELO");
    const half = await connectTo(stage.port, to);
    half.client.socket.end();
    await half.client.untilText("bye");
    client[Symbol.dispose]();
    half.client[Symbol.dispose]();
    await new Promise((resolve) => server.close(resolve));
  });
});

test("a WebSocket inside is one of the tunnels that a client may have", TIMEOUT, async () => {
  await using stage = await interceptionStage((_request, response) => response.end("inside"), {
    forward: { tunnelsPerClient: 1 },
  });
  stage.origin.server.on("upgrade", (_request, socket: net.Socket) => {
    socket.on("error", () => {});
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  });
  const to = `origin.example:${stage.origin.port}`;
  const statusOf = async (socket: tls.TLSSocket, lines = ""): Promise<string> => {
    socket.write(`GET / HTTP/1.1\r\nHost: ${to}\r\n${lines}\r\n`);
    const [chunk] = (await once(socket, "data")) as [Buffer];
    return chunk.toString("latin1", 9, 12);
  };
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const opened: tls.TLSSocket[] = [];
  for (let count = 0; count < 2; count++) {
    const socket = await stage.secured(to, "origin.example", [stage.ca]);
    // Its tunnel is over for the count when it is answered inside.
    assert.equal(await statusOf(socket), "200");
    opened.push(socket);
  }
  const [one, other] = opened as [tls.TLSSocket, tls.TLSSocket];
  assert.equal(await statusOf(one, upgrade), "101");
  assert.equal(await statusOf(other, upgrade), "429");
  await assert.rejects(stage.secured(to, "origin.example", [stage.ca]), /CONNECT: 429/);
  one.destroy();
  other.destroy();
});

describe("what changes while a connection is inside", () => {
  const LOCAL = { servers: { egress: { listen: "127.0.0.1:0", respond: { body: "local" } } } };

  test("without `forward` its requests meet no route of the server", TIMEOUT, async () => {
    await using stage = await interceptionStage((_request, response) => response.end("never"));
    const to = `origin.example:${stage.origin.port}`;
    const socket = await stage.secured(to, "origin.example", [stage.ca]);
    await stage.proxy.reload(LOCAL);
    assert.match(await askOn(socket, to), /^HTTP\/1\.1 421 [\s\S]*connection: close/i);
  });

  test("one that rests is closed, and one that waits for an answer has it and is closed then", TIMEOUT, async () => {
    const asked = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    await using stage = await interceptionStage((request, response) => {
      if (request.url !== "/held") return void response.end("inside");
      asked.resolve();
      void held.promise.then(() => response.end("inside"));
    });
    const to = `origin.example:${stage.origin.port}`;
    const begin = async (path: string) => {
      const socket = await stage.secured(to, "origin.example", [stage.ca]);
      const received = { text: "" };
      socket.on("data", (chunk: Buffer) => {
        received.text += chunk.toString("latin1");
      });
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
      return { socket, received, ended: once(socket, "end") };
    };
    const resting = await begin("/");
    while (!resting.received.text.endsWith("inside")) await once(resting.socket, "data");
    const waiting = await begin("/held");
    await asked.promise;
    await stage.proxy.reload(LOCAL);
    await resting.ended;
    assert.doesNotMatch(resting.received.text, /connection: close|421/i);
    held.resolve();
    await waiting.ended;
    assert.match(waiting.received.text, /^HTTP\/1\.1 200 [\s\S]*\r\nconnection: close\r\n[\s\S]*inside$/i);
  });

  test("forwarding fields inside a tunnel are nobody's word", TIMEOUT, async () => {
    const allow = [
      { ...ANYWHERE, clients: ["127.0.0.1"], methods: ["CONNECT"] },
      { ...ANYWHERE, clients: ["10.9.0.0/16"], methods: ["GET"] },
    ];
    await using stage = await interceptionStage((_request, response) => response.end("inside"), {
      forward: { allow },
      trustedProxies: ["127.0.0.0/8"],
    });
    const to = `origin.example:${stage.origin.port}`;
    const socket = await stage.secured(to, "origin.example", [stage.ca]);
    assert.match(await askOn(socket, to, "X-Forwarded-For: 10.9.9.9\r\n"), /^HTTP\/1\.1 403 /);
  });
});
