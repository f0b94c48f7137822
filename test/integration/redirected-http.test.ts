// Plain HTTP that a firewall redirects here: it goes where it was headed, whatever its Host says, and its Host is believed only
// where it leads there.

import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, test } from "node:test";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { ANYWHERE, Origin } from "../support/forward-stage.ts";
import { ScriptedParent, tunnelTo } from "../support/parents.ts";
import { type LogLine, RedirectedStage } from "../support/redirected-stage.ts";

const TIMEOUT = { timeout: 30_000 };
const SAY_HOST: RequestListener = (request, response) => response.end(`for ${request.headers.host}`);

/** Sees what the cache of a forward proxy will see. */
function witness() {
  const seen: string[] = [];
  const plugin = {
    name: "witness",
    request({ forward }: Exchange) {
      seen.push(`${forward!.destination.host} ${forward!.isHostVerified}`);
    },
  };
  return { seen, use: [plugin] };
}

const reasonOf = ({ error }: LogLine) => JSON.stringify(error);

describe("the Host of a redirected request", () => {
  test("is believed where it leads to what the traffic was headed for", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    const { seen, use } = witness();
    await using stage = await RedirectedStage.start({ use });
    using client = await stage.headedFor(origin.port);
    for (let count = 0; count < 3; count++) {
      client.send(`GET /a?b HTTP/1.1\r\nHost: Origin.Example:${origin.port}\r\n\r\n`);
      const answer = await client.answer();
      assert.equal(answer.status, 200);
      assert.equal(answer.body, `for Origin.Example:${origin.port}`);
    }
    assert.deepEqual(seen, Array(3).fill("origin.example true"));
    assert.deepEqual(stage.dns.questions.toSorted(), ["A origin.example", "AAAA origin.example"], "asked for once");
    assert.equal(origin.accepted, 1, "one connection to the origin");
    const [line] = await stage.lines();
    assert.equal(line!.destination, `origin.example:${origin.port}`);
    assert.equal(line!.upstreamAddress, `127.0.0.1:${origin.port}`);
    assert.equal(line!.rule, "allow[0]");
  });

  test(
    "is not believed where it leads elsewhere, nowhere, or to another port: the address is all that counts",
    TIMEOUT,
    async () => {
      await using origin = await Origin.start(SAY_HOST);
      const { seen, use } = witness();
      await using stage = await RedirectedStage.start({ use });
      stage.dns.script = (name, type) => {
        if (name === "none.test") return { code: "NXDOMAIN" };
        return { addresses: type === "A" ? ["192.0.2.1"] : [] };
      };
      using client = await stage.headedFor(origin.port);
      for (const host of [
        `other.test:${origin.port}`,
        `none.test:${origin.port}`,
        "127.0.0.1",
        `192.0.2.1:${origin.port}`,
      ]) {
        client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        const answer = await client.answer();
        assert.equal(answer.body, `for ${host}`, "the client's Host, untouched");
      }
      assert.deepEqual(seen, Array(4).fill("127.0.0.1 false"));
      for (const line of await stage.lines()) assert.equal(line.destination, `127.0.0.1:${origin.port}`);
    },
  );

  test("is that of each request by itself", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    const { seen, use } = witness();
    await using stage = await RedirectedStage.start({ use });
    using client = await stage.headedFor(origin.port);
    for (const host of ["origin.example", "other.test", "origin.example"]) {
      client.send(`GET / HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`);
      assert.equal((await client.answer()).status, 200);
    }
    assert.deepEqual(seen, ["origin.example true", "127.0.0.1 false", "origin.example true"]);
  });

  test("is not needed in HTTP/1.0, and may be the address itself", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    const { seen, use } = witness();
    await using stage = await RedirectedStage.start({ use });
    using old = await stage.headedFor(origin.port);
    assert.equal((await old.send("GET / HTTP/1.0\r\n\r\n").answer()).body, `for 127.0.0.1:${origin.port}`);
    using literal = await stage.headedFor(origin.port);
    literal.send(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n\r\n`);
    assert.equal((await literal.answer()).status, 200);
    assert.deepEqual(seen, Array(2).fill("127.0.0.1 true"));
    assert.deepEqual(stage.dns.questions, []);
  });

  test("is waited for, and a client that leaves meanwhile is not", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    await using stage = await RedirectedStage.start();
    const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    stage.dns.script = async (_name, type) => {
      isAsked();
      await answered;
      return { addresses: type === "A" ? ["127.0.0.1"] : [] };
    };
    const head = `GET / HTTP/1.1\r\nHost: origin.example:${origin.port}\r\n\r\n`;
    using staying = (await stage.headedFor(origin.port)).send(head);
    const leaving = (await stage.headedFor(origin.port)).send(head);
    await asked;
    leaving.reset();
    await leaving.untilClosed();
    answer();
    assert.equal((await staying.answer()).status, 200);
    const lines = await stage.lines();
    assert.deepEqual(lines.map(({ status }) => status).toSorted(), [200, 499]);
    assert.equal(origin.asked.length, 1);
  });
});

describe("rules", () => {
  const allow = [{ ...ANYWHERE, name: "known", hosts: ["origin.example"] }];

  test("for hosts allow whom the Host leads to, and nobody who only says so", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    await using stage = await RedirectedStage.start({ allow });
    const ask = async (host: string) => {
      using client = await stage.headedFor(origin.port);
      return (await client.send(`GET / HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`).answer()).status;
    };
    assert.equal(await ask("origin.example"), 200);
    stage.dns.script = (_name, type) => ({ addresses: type === "A" ? ["192.0.2.1"] : [] });
    await stage.proxy.reload(stage.config({ allow, dns: { servers: [stage.dns.address], minTtl: "2s" } }));
    assert.equal(await ask("origin.example"), 403);
    assert.equal(await ask("other.test"), 403);
    const [, claimed, other] = await stage.lines();
    assert.match(reasonOf(claimed!), /unverified_host|does not resolve to where/);
    assert.match(reasonOf(other!), /no rule of `allow` allows it/);
    assert.equal(origin.asked.length, 1);
  });

  test("that refuse a host refuse whoever names it, true or not", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    await using stage = await RedirectedStage.start({ deny: [{ name: "ads", hosts: ["*.ads.test"] }] });
    using client = await stage.headedFor(origin.port);
    client.send(`GET / HTTP/1.1\r\nHost: www.ads.test:${origin.port}\r\n\r\n`);
    assert.equal((await client.answer()).status, 403);
    const [line] = await stage.lines();
    assert.equal(line!.rule, "ads");
    assert.equal(origin.asked.length, 0);
  });

  test("take its port for one of requests, and ask about the very address", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    const ask = async (forward: object, host: string) => {
      await using stage = await RedirectedStage.start(forward as Record<string, unknown>);
      using client = await stage.headedFor(origin.port);
      return (await client.send(`GET / HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`).answer()).status;
    };
    const { networks, ports } = ANYWHERE;
    assert.equal(await ask({ allow: [{ networks, ports }] }, "origin.example"), 200);
    assert.equal(await ask({ allow: [{ networks, ports: 80 }] }, "origin.example"), 403);
    assert.equal(await ask({ allow: [{ ports }] }, "origin.example"), 403, "a private address");
    assert.equal(await ask({ allow: [{ ports }] }, "other.test"), 403);
  });

  test("for users let nobody in, whom nobody can ask, and what they refuse is refused to all", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    const auth = {
      optional: true,
      basic: { users: { ci: "$2b$04$abcdefghijklmnopqrstuuTb3nyXKNmcf8.CFPLpLRVmhNbPm1Hty" } },
    };
    const login = `Proxy-Authorization: Basic ${Buffer.from("ci:x").toString("base64")}\r\n`;
    const ask = async (forward: object) => {
      await using stage = await RedirectedStage.start({ auth, ...forward });
      using client = await stage.headedFor(origin.port);
      return (await client.send(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${login}\r\n`).answer()).status;
    };
    assert.equal(await ask({ allow: [{ ...ANYWHERE, users: "ci" }] }), 403, "and not 407");
    assert.equal(await ask({ allow: [{ ...ANYWHERE, users: "ci" }, ANYWHERE] }), 200);
    assert.equal(await ask({ deny: [{ users: "ci" }] }), 403);
    assert.equal(origin.asked[0]!.headers["proxy-authorization"], undefined);
  });
});

describe("through a proxy of somebody else", () => {
  test("a Host that leads there is asked for by its name, any other by a tunnel to the address", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    await using parent = await ScriptedParent.start((socket, received) => {
      if (received.startsWith("CONNECT ")) return tunnel(socket, received);
      if (received.endsWith("\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const tunnel = tunnelTo(origin.port);
    await using stage = await RedirectedStage.start({ via: [{ proxy: parent.url() }] });
    using client = await stage.headedFor(origin.port);
    const at = origin.port;
    client.send(`GET /a HTTP/1.1\r\nHost: origin.example:${at}\r\n\r\n`);
    assert.equal((await client.answer()).body, "ok");
    assert.match(parent.received[0]!, new RegExp(`^GET http://origin\\.example:${at}/a HTTP/1\\.1\r\n`));
    client.send(`GET /b HTTP/1.1\r\nHost: other.test:${at}\r\n\r\n`);
    assert.equal((await client.answer()).body, `for other.test:${at}`);
    assert.match(parent.received[1]!, new RegExp(`^CONNECT 127\\.0\\.0\\.1:${at} HTTP/1\\.1\r\n`));
  });
});

describe("what is no request for where it was headed", () => {
  test("CONNECT, https in plain text, two hosts, garbage", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    await using stage = await RedirectedStage.start({}, { limits: { headTimeout: "20s" } });
    for (const [head, status] of [
      ["CONNECT origin.example:443 HTTP/1.1\r\nHost: origin.example:443\r\n\r\n", 405],
      ["GET https://origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n", 421],
      ["GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\n\r\n", 400],
      ["TRACE / HTTP/1.1\r\nHost: origin.example\r\n\r\n", 405],
      ["\x00\x01\x02\x03\r\n\r\n", 400],
      ["SSH-2.0-x\r\n\r\n", 400],
    ] as const) {
      using client = await stage.headedFor(origin.port);
      assert.equal((await client.send(head).answer()).status, status, head);
    }
    assert.equal(origin.asked.length, 0);
  });

  test("the absolute form goes where it was headed, too", TIMEOUT, async () => {
    await using origin = await Origin.start(SAY_HOST);
    const { seen, use } = witness();
    await using stage = await RedirectedStage.start({ use });
    using client = await stage.headedFor(origin.port);
    client.send(`GET http://other.test:${origin.port}/x HTTP/1.1\r\nHost: other.test:${origin.port}\r\n\r\n`);
    assert.equal((await client.answer()).status, 200);
    assert.equal(origin.asked[0]!.url, "/x");
    assert.deepEqual(seen, ["127.0.0.1 false"]);
  });
});

describe("who was not redirected", () => {
  test("is told so, and goes nowhere", TIMEOUT, async () => {
    await using stage = await RedirectedStage.start();
    using client = await stage.headedFor(null);
    const answer = await client.send("GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n").answer();
    assert.equal(answer.status, 400);
    assert.match(answer.body, /traffic that a firewall redirects/);
    using secure = await stage.headedFor(null);
    secure.send(Buffer.of(0x16, 3, 1));
    await secure.untilEnded();
    assert.equal(secure.received, "");
    secure.socket.end();
    const lines = await stage.lines();
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(reasonOf(line), /was not redirected here/);
    assert.deepEqual(stage.dns.questions, []);
  });

  test("a client that says nothing is closed in time, without a line", TIMEOUT, async () => {
    await using stage = await RedirectedStage.start({}, { limits: { headTimeout: "100ms" } });
    for (const port of [null, 80]) {
      using client = await stage.headedFor(port);
      await client.untilEnded();
      assert.equal(client.received, "");
      client.socket.end();
    }
    assert.deepEqual(await stage.lines(), []);
  });
});
