// Origins that authenticate a connection (NTLM, Negotiate): nobody gets what another client's connection is allowed, and the handshake
// of a client works, which needs one connection for all of its requests.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { forwardConfig } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };

/** As IIS does: the third message authenticates the connection, if the second one was given on it. */
function startOrigin(challenges: readonly string[] = ["Negotiate", "NTLM"]): Promise<Origin> {
  const challenged = new Set<Socket>();
  const users = new Map<Socket, string>();
  return Origin.start(({ headers, socket }, response) => {
    const [, scheme, message] = /^(ntlm|negotiate) (\S+)$/i.exec(headers.authorization ?? "") ?? [];
    if (message === "t1") {
      challenged.add(socket);
      response.writeHead(401, { "WWW-Authenticate": `${scheme} t2` }).end();
    } else {
      if (message !== undefined && challenged.has(socket)) users.set(socket, message);
      const user = users.get(socket);
      if (user === undefined) response.writeHead(401, { "WWW-Authenticate": [...challenges] }).end();
      else response.end(`secret of ${user}`);
    }
  });
}

interface Stage extends AsyncDisposable {
  readonly origin: Origin;
  connect(): Promise<RawClient>;
  ask(client: RawClient, lines?: string): Promise<string>;
}

const KINDS = {
  "reverse proxy": (origin: Origin, more = {}) => ({
    servers: { egress: { listen: "127.0.0.1:0", proxy: origin.url } },
    ...more,
  }),
  "forward proxy": (_origin: Origin, more = {}) => ({ ...forwardConfig(), ...more }),
} as const;

async function start(kind: keyof typeof KINDS, more = {}, challenges?: readonly string[]): Promise<Stage> {
  const origin = await startOrigin(challenges);
  const proxy = await ProxyUnderTest.start(KINDS[kind](origin, more));
  const clients: RawClient[] = [];
  const target = kind === "forward proxy" ? origin.url : "";
  return {
    origin,
    async connect() {
      const client = await RawClient.connect(proxy.port("egress"));
      clients.push(client);
      return client;
    },
    async ask(client, lines = "") {
      client.send(`GET ${target}/ HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${lines}\r\n`);
      const { status, body } = await client.answer();
      return body === "" ? String(status) : body;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client[Symbol.dispose]();
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

for (const kind of ["reverse proxy", "forward proxy"] as const) {
  describe(kind, () => {
    test("the handshake works on one connection of the client, whoever else comes in between", TIMEOUT, async () => {
      await using stage = await start(kind);
      const ann = await stage.connect();
      const bob = await stage.connect();
      assert.equal(await stage.ask(ann), "401");
      assert.equal(await stage.ask(bob), "401");
      for (const [scheme, client, user] of [
        ["NTLM", ann, "ann"],
        ["negotiate", bob, "bob"],
      ] as const) {
        assert.equal(await stage.ask(client, `Authorization: ${scheme} t1\r\n`), "401");
        assert.equal(await stage.ask(await stage.connect()), "401");
        assert.equal(await stage.ask(client, `Authorization: ${scheme} ${user}\r\n`), `secret of ${user}`);
      }
      assert.equal(await stage.ask(ann), "secret of ann", "it stays authenticated");
      assert.equal(await stage.ask(bob), "secret of bob");
      assert.equal(await stage.ask(await stage.connect()), "401", "and nobody else is");
    });

    test("a client that has left leaves its connection to nobody", TIMEOUT, async () => {
      await using stage = await start(kind);
      const ann = await stage.connect();
      await stage.ask(ann, "Authorization: nTlM t1\r\n");
      assert.equal(await stage.ask(ann, "aUTHORIZATION:  ntlm ann\r\n"), "secret of ann");
      ann[Symbol.dispose]();
      const bob = await stage.connect();
      for (let count = 0; count < 3; count++) assert.equal(await stage.ask(bob), "401");
    });

    test("what asks for such a proof is kept for whom it asked, the scheme standing anywhere", TIMEOUT, async () => {
      await using stage = await start(kind, {}, ['Basic realm="a, b"', "Digest x=y, NEGOTIATE"]);
      const [ann, bob] = [await stage.connect(), await stage.connect()];
      for (const client of [ann, bob, ann, bob]) assert.equal(await stage.ask(client), "401");
      assert.equal(stage.origin.accepted, 2);
    });

    test("connections of other authentication are everybody's", TIMEOUT, async () => {
      await using stage = await start(kind, {}, ['Basic realm="x"']);
      const [ann, bob] = [await stage.connect(), await stage.connect()];
      for (const client of [ann, bob]) assert.equal(await stage.ask(client, "Authorization: Basic eDp5\r\n"), "401");
      assert.equal(stage.origin.accepted, 1);
    });

    test("a proxy that is trusted sends the requests of many: nothing is kept for it", TIMEOUT, async () => {
      await using stage = await start(kind, { trustedProxies: ["127.0.0.0/8"] });
      const front = await stage.connect();
      const from = (user: number) => `X-Forwarded-For: 192.0.2.${user}\r\n`;
      assert.equal(await stage.ask(front, `${from(1)}Authorization: NTLM t1\r\n`), "401");
      assert.equal(await stage.ask(front, `${from(1)}Authorization: NTLM ann\r\n`), "401", "on another connection");
      assert.equal(await stage.ask(front, from(2)), "401");
      assert.equal(stage.origin.accepted, 3);
    });
  });
}

test("with a maximum of connections, what rests for one client makes room for others", TIMEOUT, async () => {
  await using origin = await startOrigin();
  await using proxy = await ProxyUnderTest.start({
    upstreams: { app: { servers: [origin.url], maxConnections: 1 } },
    servers: { web: { listen: "127.0.0.1:0", proxy: "app" } },
  });
  using ann = await RawClient.connect(proxy.port("web"));
  using bob = await RawClient.connect(proxy.port("web"));
  const ask = async (client: RawClient, lines: string) =>
    (await client.send(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`).answer()).status;
  assert.equal(await ask(ann, "Authorization: NTLM t1\r\n"), 401);
  assert.equal(await ask(bob, "Authorization: NTLM t1\r\n"), 401);
  assert.equal(await ask(bob, "Authorization: NTLM bob\r\n"), 200);
  assert.equal(await ask(ann, ""), 401);
});

test("a connection that rests for a client is no load of its server", TIMEOUT, async () => {
  const counts = [0, 0];
  const start = (index: number): Promise<Origin> =>
    Origin.start(({ url }, response) => {
      if (url === "/login") return void response.writeHead(401, { "WWW-Authenticate": "NTLM" }).end();
      counts[index]!++;
      response.end("hi");
    });
  await using one = await start(0);
  await using two = await start(1);
  const upstreams = { both: { servers: [one.url, two.url], balance: "least-connections" } };
  await using proxy = await ProxyUnderTest.start({
    upstreams,
    servers: { egress: { listen: "127.0.0.1:0", proxy: "both" } },
  });
  using known = await RawClient.connect(proxy.port("egress"));
  assert.equal((await known.send("GET /login HTTP/1.1\r\nHost: a\r\n\r\n").answer()).status, 401);
  using other = await RawClient.connect(proxy.port("egress"));
  for (let count = 0; count < 10; count++) await other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  assert.deepEqual(counts, [5, 5]);
});
