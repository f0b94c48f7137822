// TLS that a firewall redirects here: a tunnel to where it was headed, by the rules for the name that it asks for where that leads
// there; opened where it is to be intercepted.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import type tls from "node:tls";
import { CLIENT_HELLO_BYTES_MAX } from "../../src/protocol/client-hello/parse.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { clientHello, records, serverName } from "../support/client-hello-bytes.ts";
import { ANYWHERE, EchoServer, Origin } from "../support/forward-stage.ts";
import { askOn, internalAuthority } from "../support/interception-stage.ts";
import { RedirectedStage } from "../support/redirected-stage.ts";

const TIMEOUT = { timeout: 30_000 };

const world = new Authority("The World");
const names = ["origin.example", "bank.example", "other.test"];
const issued = issueCertificate({ names, issuer: world });
const trust = [world.cert];

const secureOrigin = () => Origin.start((_request, response) => response.end("inside"), { tls: issued });

/** An echo server sends back the ClientHello that reaches it. */
const helloFor = (name: string | null) => records(clientHello({ extensions: name === null ? [] : [serverName(name)] }));

describe("a tunnel", () => {
  test(
    "goes where the client was headed, by the name that leads there, and nothing of it is changed",
    TIMEOUT,
    async () => {
      await using origin = await secureOrigin();
      await using stage = await RedirectedStage.start();
      const socket = await stage.securedTo(origin.port, "origin.example", trust);
      assert.equal(new X509Certificate(socket.getPeerCertificate().raw).issuer, "CN=The World");
      assert.match(await askOn(socket, "origin.example"), /^HTTP\/1\.1 200 OK[\s\S]*inside$/);
      const [line, ...others] = await stage.lines();
      assert.equal(others.length, 0);
      assert.equal(line!.method, "CONNECT");
      assert.equal(line!.protocol, "TLS");
      assert.equal(line!.status, 200);
      assert.equal(line!.destination, `origin.example:${origin.port}`);
      assert.equal(line!.upstreamAddress, `127.0.0.1:${origin.port}`);
      assert.equal(line!.rule, "allow[0]");
      assert.ok((line!.requestBytes as number) > 200, "the ClientHello is counted");
      assert.ok((line!.responseBytes as number) > 200);
    },
  );

  test("for a name that leads elsewhere, or for none, is one to the address", TIMEOUT, async () => {
    await using origin = await secureOrigin();
    await using stage = await RedirectedStage.start();
    for (const name of ["other.test", null]) {
      const socket = await stage.securedTo(origin.port, name, trust);
      assert.match(await askOn(socket, "other.test"), /inside$/);
    }
    for (const line of await stage.lines()) assert.equal(line.destination, `127.0.0.1:${origin.port}`);
  });

  test("begins when the ClientHello is whole, in whatever pieces it comes, with all that came", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using stage = await RedirectedStage.start();
    const bytes = Buffer.concat([helloFor("origin.example"), Buffer.from("early data")]);
    using client = await stage.headedFor(echo.port);
    client.socket.setNoDelay(true);
    for (const byte of bytes) client.send(Buffer.of(byte));
    await client.untilText("early data");
    assert.equal(client.received, bytes.toString("latin1"));
    client.socket.end();
    await client.untilClosed();
  });

  test("by rules for hosts: to whom the name leads, and refused to who only says so", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    const { networks, connectPorts } = ANYWHERE;
    await using stage = await RedirectedStage.start({
      deny: [{ name: "ads", hosts: ["*.ads.test"] }],
      allow: [{ networks, connectPorts, hosts: ["origin.example", "other.test"] }],
    });
    using allowed = await stage.headedFor(echo.port);
    allowed.send(helloFor("origin.example"));
    await allowed.until(() => allowed.receivedBytes > 0, "the echo");
    for (const name of ["other.test", "www.ads.test", "nobody.test", null]) {
      using client = await stage.headedFor(echo.port);
      client.send(helloFor(name));
      await client.untilEnded();
      assert.equal(client.received, "", "nothing is answered");
      client.socket.end();
      await client.untilClosed();
      assert.equal(client.error, null);
    }
    allowed.socket.end();
    await allowed.untilClosed();
    const refused = (await stage.lines()).filter(({ status }) => status === 403);
    assert.deepEqual(
      refused.map(({ error }) => (error as { reason: string }).reason),
      ["unverified_host", "rule_denied", "nothing_allows", "nothing_allows"],
    );
    assert.equal(refused[1]!.rule, "ads");
    assert.equal(refused[1]!.host, `www.ads.test:${echo.port}`);
    assert.equal(refused[1]!.destination, `127.0.0.1:${echo.port}`, "what it says is not believed");
    assert.equal(refused[1]!.responseBytes, 0);
  });

  test(
    "to a port for requests only, to a private address, and to nobody: closed, and the log says why",
    TIMEOUT,
    async () => {
      const { networks, ports, connectPorts } = ANYWHERE;
      for (const [forward, reason] of [
        [{ allow: [{ networks, ports }] }, /no rule of `allow`/],
        [{ allow: [{ connectPorts }] }, /no public address/],
        [{}, /connection refused/i],
      ] as const) {
        await using stage = await RedirectedStage.start(forward);
        using client = await stage.headedFor(1);
        client.send(helloFor("origin.example"));
        await client.untilEnded();
        assert.equal(client.received, "");
        client.socket.end();
        const [line] = await stage.lines();
        assert.match(JSON.stringify(line!.error), reason);
      }
    },
  );

  const nothingLike: readonly (readonly [what: string, limits: object, status: number, hellos: readonly Buffer[]])[] = [
    [
      "malformed, too large",
      {},
      400,
      [
        Buffer.of(0x16, 3, 1, 0, 0),
        Buffer.of(0x16, 3, 1, 0, 5, 2, 0, 0, 1, 0),
        records(clientHello({ extensions: [serverName("a..b")] })),
        records(clientHello({ extensions: [serverName("x.example")], behind: Buffer.alloc(CLIENT_HELLO_BYTES_MAX) })),
      ],
    ],
    ["too slow", { headTimeout: "1s" }, 408, [Buffer.of(0x16), helloFor("origin.example").subarray(0, 40)]],
  ];
  for (const [what, limits, status, hellos] of nothingLike) {
    test(`is not to be had without a ClientHello: ${what}`, TIMEOUT, async () => {
      await using echo = await EchoServer.start();
      await using stage = await RedirectedStage.start({}, { limits });
      const refuse = async (bytes: Buffer): Promise<void> => {
        using client = await stage.headedFor(echo.port);
        client.send(bytes);
        await client.untilEnded();
        assert.equal(client.received, "");
        client.socket.end();
      };
      await Promise.all(hellos.map(refuse));
      const lines = await stage.lines();
      assert.deepEqual(
        lines.map((line) => line.status),
        hellos.map(() => status),
      );
      assert.equal(echo.sockets.size, 0);
    });
  }

  test("ends with a client that leaves, at any time", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using stage = await RedirectedStage.start();
    const hello = helloFor("origin.example");
    for (const sent of [0, 1, 60, hello.length]) {
      const client = await stage.headedFor(echo.port);
      client.send(hello.subarray(0, sent));
      if (sent === hello.length) await client.until(() => client.receivedBytes > 0, "the echo");
      client.reset();
      await client.untilClosed();
    }
    await stage.proxy.untilConnections(0);
    await echo.untilEmpty();
  });

  test("goes on through a reload, and is cut with the proxy", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using stage = await RedirectedStage.start();
    using client = await stage.headedFor(echo.port);
    client.send(helloFor("origin.example"));
    await client.until(() => client.receivedBytes > 0, "the echo");
    await stage.proxy.reload(stage.config({}, { listen: [{ address: "127.0.0.1:0", protocol: "http" }] }));
    client.send("and on");
    await client.untilText("and on");
    await stage.proxy[Symbol.asyncDispose]();
    await client.untilEnded();
  });
});

describe("interception", () => {
  async function intercepting(forward: Record<string, unknown> = {}) {
    const inner = await internalAuthority();
    inner.folder.write("world.pem", world.cert);
    const stage = await RedirectedStage.start({
      tls: { ca: inner.folder.file("world.pem") },
      intercept: {
        hosts: ["*.example", "other.test"],
        ports: "1-65535",
        except: ["bank.example"],
        ca: inner.folder.path,
        cache: inner.folder.file("leaves"),
      },
      ...forward,
    });
    return {
      stage,
      ca: [inner.cert],
      async [Symbol.asyncDispose]() {
        await stage[Symbol.asyncDispose]();
        inner.folder[Symbol.dispose]();
      },
    };
  }

  const issuerOf = (socket: tls.TLSSocket) => new X509Certificate(socket.getPeerCertificate().raw).issuer;

  test(
    "opens the hosts that it is for: their requests are exchanges, and go where the client was headed",
    TIMEOUT,
    async () => {
      await using origin = await secureOrigin();
      await using opened = await intercepting();
      const { stage, ca } = opened;
      const socket = await stage.securedTo(origin.port, "origin.example", ca);
      assert.equal(issuerOf(socket), "CN=Inner");
      assert.equal(socket.alpnProtocol, "http/1.1");
      assert.match(await askOn(socket, `origin.example:${origin.port}`), /^HTTP\/1\.1 200 OK[\s\S]*inside$/);
      assert.equal(origin.asked.length, 1);
      const lines = await stage.lines();
      const inside = lines.find(({ method }) => method === "GET")!;
      assert.equal(inside.destination, `origin.example:${origin.port}`);
      assert.equal(inside.upstreamAddress, `127.0.0.1:${origin.port}`);
      assert.equal(inside.scheme, "https");
    },
  );

  test("answers 421 to a Host that the client did not ask TLS for", TIMEOUT, async () => {
    await using origin = await secureOrigin();
    await using opened = await intercepting();
    const socket = await opened.stage.securedTo(origin.port, "origin.example", opened.ca);
    assert.match(await askOn(socket, `bank.example:${origin.port}`), /^HTTP\/1\.1 421 /);
    assert.equal(origin.asked.length, 0);
  });

  test("leaves alone what it is not for, and who names nobody", TIMEOUT, async () => {
    await using origin = await secureOrigin();
    await using opened = await intercepting();
    for (const name of ["bank.example", null]) {
      const socket = await opened.stage.securedTo(origin.port, name, trust);
      assert.equal(issuerOf(socket), "CN=The World");
      assert.match(await askOn(socket, "bank.example"), /inside$/);
    }
  });

  test("believes no name that leads elsewhere, but the certificate of the address", TIMEOUT, async () => {
    await using opened = await intercepting();
    await using good = await secureOrigin();
    const trusted = await opened.stage.securedTo(good.port, "other.test", opened.ca);
    assert.match(await askOn(trusted, `other.test:${good.port}`), /^HTTP\/1\.1 200 /);
    await using bad = await Origin.start((_request, response) => response.end("never"), {
      tls: issueCertificate({ names: ["origin.example"], issuer: world }),
    });
    const refused = await opened.stage.securedTo(bad.port, "other.test", opened.ca);
    assert.match(await askOn(refused, `other.test:${bad.port}`), /^HTTP\/1\.1 502 [\s\S]*is for another name/);
    assert.equal(bad.asked.length, 0);
  });

  test("asks the rules about each request inside, where nobody can say who they are", TIMEOUT, async () => {
    await using origin = await secureOrigin();
    const auth = {
      optional: true,
      basic: { users: { ci: "$2b$04$abcdefghijklmnopqrstuuTb3nyXKNmcf8.CFPLpLRVmhNbPm1Hty" } },
    };
    await using opened = await intercepting({ auth, deny: [{ name: "writers", methods: ["POST"] }] });
    const socket = await opened.stage.securedTo(origin.port, "origin.example", opened.ca);
    const answer = askOn(socket, `origin.example:${origin.port}`);
    assert.match(await answer, /^HTTP\/1\.1 200 /);
    const posting = await opened.stage.securedTo(origin.port, "origin.example", opened.ca);
    posting.end(`POST / HTTP/1.1\r\nHost: origin.example:${origin.port}\r\nContent-Length: 0\r\n\r\n`);
    const [first] = (await new Promise((resolve) => posting.once("data", (bytes: Buffer) => resolve([bytes])))) as [
      Buffer,
    ];
    assert.match(first.toString("latin1"), /^HTTP\/1\.1 403 /);
    posting.destroy();
  });
});
