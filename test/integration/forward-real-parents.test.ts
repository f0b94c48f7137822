// The forward proxy through proxies that others have made: Squid, tinyproxy and Dante, and another one of its own kind.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE, connectThrough, EchoServer, forwardConfig, forwardProxy } from "../support/forward-stage.ts";
import { bodyOf, Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { PARENT_LOGIN, RealParent, type RealParentName } from "../support/real-parents.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
/** By name: an address of loopback would be refused before any parent is asked. */
const ALLOW = { hosts: ["localhost"], ports: "1-65535", connectPorts: "1-65535" };

const authority = new Authority();
const identity = issueCertificate({ names: ["localhost"], issuer: authority });

/** All that clients do, through `proxy`, which listens on that port. */
async function everything(port: number): Promise<void> {
  await using origin = await Origin.start(async (request, response) => {
    const body = await bodyOf(request);
    assert.equal(request.headers["proxy-authorization"], undefined);
    response.end(`${request.method} ${request.url} ${body.length}`);
  });
  using client = await RawClient.connect(port);
  const host = `localhost:${origin.port}`;
  for (const path of ["/a", "/b?c=d"]) {
    client.send(`GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const answer = await client.answer();
    assert.deepEqual([answer.status, answer.body], [200, `GET ${path} 0`]);
  }
  const body = "x".repeat(300_000);
  client.send(`POST http://${host}/p HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  assert.equal((await client.answer()).body, "POST /p 300000");
  client.send(`HEAD http://${host}/h HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  assert.equal((await client.answer(true)).status, 200);

  await using echo = await EchoServer.start();
  const tunnel = await connectThrough(port, `localhost:${echo.port}`);
  assert.equal(tunnel.status, 200);
  const bytes = randomBytes(1_000_000).toString("latin1");
  tunnel.client.send(bytes);
  await tunnel.client.until(() => tunnel.client.received.endsWith(bytes), "all of it");
  tunnel.client.socket.end();
  await tunnel.client.untilEnded();
  tunnel.client[Symbol.dispose]();

  await using secure = await Origin.start((_request, response) => response.end("secure"), { tls: identity });
  client.send(`GET https://localhost:${secure.port}/ HTTP/1.1\r\nHost: localhost:${secure.port}\r\n\r\n`);
  assert.equal((await client.answer()).body, "secure");

  const dead = await connectThrough(port, "localhost:1");
  dead.client[Symbol.dispose]();
  assert.ok([502, 503, 504].includes(dead.status), `${dead.status}`);
}

for (const name of ["squid", "tinyproxy", "danted"] as const satisfies readonly RealParentName[]) {
  test(`through ${name}`, { ...TIMEOUT, skip: needs(name) }, async (context) => {
    using folder = new TestFolder();
    const ca = folder.write("ca.pem", authority.cert);
    await using parent = await RealParent.start(name);
    await using proxy = await forwardProxy({ allow: [ALLOW], tls: { ca }, via: [{ proxy: parent.url }] });
    try {
      await everything(proxy.port("egress"));
    } catch (error) {
      context.diagnostic(`${name} said:\n${parent.said}`);
      throw error;
    }
    if (name === "danted") return;
    const wrong = parent.url.replace(PARENT_LOGIN, "ci:wrong");
    await using refused = await forwardProxy({ allow: [ALLOW], via: [{ proxy: wrong }] });
    const { client, status } = await connectThrough(refused.port("egress"), "localhost:443");
    client[Symbol.dispose]();
    assert.equal(status, 502);
    using plain = await RawClient.connect(refused.port("egress"));
    const answer = await plain.send("GET http://localhost:1/ HTTP/1.1\r\nHost: localhost:1\r\n\r\n").answer();
    // tinyproxy answers wrong credentials with 401, which could as well be the origin's.
    assert.equal(answer.status, name === "tinyproxy" ? 401 : 502);
    assert.equal(answer.fields.get("proxy-authenticate"), undefined);
  });
}

describe("through another one of our own", () => {
  test("each asks its own clients who they are", TIMEOUT, async () => {
    const auth = async (password: string) => ({ basic: { users: { ci: await hash(password, 4) } } });
    using folder = new TestFolder();
    const ca = folder.write("ca.pem", authority.cert);
    const listen = ["127.0.0.1:0", { address: "127.0.0.1:0", protocol: "socks" }];
    await using parent = await forwardProxy({ auth: await auth("inner"), allow: [ANYWHERE] }, { listen });
    const [http, socks] = parent.ports("egress");
    const via = [{ proxy: `http://ci:inner@127.0.0.1:${http}` }];
    for (const way of [via, [{ proxy: `socks5://ci:inner@127.0.0.1:${socks}` }]]) {
      await using proxy = await forwardProxy({ allow: [ALLOW], tls: { ca }, via: way });
      await everything(proxy.port("egress"));
    }
    await using asking = await forwardProxy({ auth: await auth("outer"), allow: [ALLOW], via });
    await using echo = await EchoServer.start();
    for (const [password, status] of [
      ["outer", 200],
      ["inner", 407],
    ] as const) {
      const login = Buffer.from(`ci:${password}`).toString("base64");
      const line = `Proxy-Authorization: Basic ${login}\r\n`;
      const got = await connectThrough(asking.port("egress"), `localhost:${echo.port}`, line);
      got.client[Symbol.dispose]();
      assert.equal(got.status, status, password);
    }
  });

  test("a way that leads back here ends where it begins, for requests and for tunnels", TIMEOUT, async () => {
    await using echo = await EchoServer.start();
    await using first = await forwardProxy({ allow: [ALLOW] });
    await using second = await forwardProxy({
      allow: [ALLOW],
      via: [{ proxy: `http://127.0.0.1:${first.port("egress")}` }],
    });
    // Both keep their addresses: the first one now goes through the second.
    const port = first.port("egress");
    await first.reload(
      forwardConfig({ allow: [ALLOW], via: [{ proxy: `http://127.0.0.1:${second.port("egress")}` }] }),
    );
    const { client, status } = await connectThrough(port, `localhost:${echo.port}`);
    client[Symbol.dispose]();
    assert.equal(status, 502);
    using plain = await RawClient.connect(port);
    const answer = await plain.send("GET http://localhost:1/ HTTP/1.1\r\nHost: localhost:1\r\n\r\n").answer();
    assert.equal(answer.status, 502);
    assert.match(answer.fields.get("proxy-status") ?? "", /proxy_loop_detected/);
    assert.equal(echo.sockets.size, 0);
  });
});
