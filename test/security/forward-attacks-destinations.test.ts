// Attacks by the destination: addresses that are not public in every disguise, names that lead there, and names that change. Nothing is
// connected to that no rule allows, whatever it is called.

import assert from "node:assert/strict";
import http from "node:http";
import os from "node:os";
import { describe, test } from "node:test";
import { type DnsScript, DnsServer } from "../support/dns-server.ts";
import { AttackedProxy, type Attempt, assertRefused, EVERY_PORT, Forbidden } from "../support/forward-attack.ts";
import { Origin } from "../support/origin.ts";

const TIMEOUT = { timeout: 120_000 };

/** As the target names them; refused because they are not public. */
const PRIVATE = [
  ...["127.0.0.1", "127.0.0.3", "127.255.255.254", "127.0.0.1.", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.31.255.255"],
  ...["192.168.0.1", "100.64.0.1", "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "198.18.0.1"],
  ...["224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1"],
  ...["[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000::0001]", "[fd00:ec2::254]", "[FD20:CE::254]", "[fe80::1]"],
  ...["[ff02::1]", "[fec0::1]", "[100::1]", "[2001:db8::1]"],
  // IPv4-mapped.
  ...[
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0.0.0.0]",
  ],
  // IPv4-compatible, IPv4-translated.
  ...["[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:7f00:1]"],
  // NAT64, 6to4, Teredo.
  ...["[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[0064:FF9B:0:0:0:0:a9fe:a9fe]", "[64:ff9b::10.0.0.1]"],
  ...[
    "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:7F00:0001::1]",
    "[2002:a9fe:a9fe::1]",
    "[2002:a00:1::]",
  ],
  ...["[2001:0:7f00:1::1]"],
];

/** What some programs read as an address, and others do not. */
const AMBIGUOUS = [
  ...[
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "017700000001",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0x7f.1",
    "0x7f.0.0.0x1",
  ],
  ...["127.0.0.01", "127.0.0.1.1", "256.0.0.1", "1", "0", "0x", "00", "127.0.0.0x1", "a.127", "4294967297"],
];

/** What is no authority at all. */
const MALFORMED = [
  ...["[::ffff:127.0.0.1", "[127.0.0.1]", "[fe80::1%25lo]", "[fe80::1%lo]", "[::1]a", "[v1.a]", "[]", "[:]", "[:::1]"],
  ...[
    "127.0.0.1%00",
    "127.0.0.1%2ea",
    "%31%32%37.0.0.1",
    "a@127.0.0.1",
    "a:b@127.0.0.1",
    "a\\@127.0.0.1",
    "127.0.0.1\\",
    "1\xb27.0.0.1",
  ],
  ...["\xef\xbc\x91", "a,b", "a;b", "", "[::1"],
];

describe("addresses", () => {
  test("that are not public, in every spelling: nothing is connected to", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using attacked = await AttackedProxy.start();
    for (const host of PRIVATE) {
      const tunnel = await attacked.tunnel(`${host}:${forbidden.port}`);
      assertRefused(tunnel, 403, "private_destination", `CONNECT ${host}`);
      assert.match(tunnel.line.destination ?? "", new RegExp(`:${forbidden.port}$`));
      assertRefused(
        await attacked.get(`http://${host}:${forbidden.port}/`),
        403,
        "private_destination",
        `GET http://${host}`,
      );
    }
    assert.equal(forbidden.connections, 0);
  });

  test("that two programs read in two ways, and what is none, are no destinations", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using attacked = await AttackedProxy.start({ allow: [{ ...EVERY_PORT, networks: ["0.0.0.0/0"] }] });
    for (const host of AMBIGUOUS) {
      assertRefused(
        await attacked.tunnel(`${host}:${forbidden.port}`),
        400,
        /names no host|is no host/,
        `CONNECT ${host}`,
      );
      assertRefused(
        await attacked.get(`http://${host}:${forbidden.port}/`),
        400,
        /names no host|is no host/,
        `GET ${host}`,
      );
    }
    for (const host of MALFORMED) {
      assertRefused(
        await attacked.tunnel(`${host}:${forbidden.port}`),
        400,
        /target|names no host|is no host/,
        `CONNECT ${host}`,
      );
      assertRefused(await attacked.get(`http://${host}:${forbidden.port}/`), 400, /target/, `GET ${host}`);
    }
    assert.equal(forbidden.connections, 0);
  });

  test("that are public in another form are not refused as private", TIMEOUT, async () => {
    // Judged, and then refused by another rule, so that nothing leaves this machine.
    await using attacked = await AttackedProxy.start({
      deny: [{ name: "all", networks: ["0.0.0.0/0", "::/0"] }],
    });
    for (const host of [
      "8.8.8.8",
      "[::ffff:8.8.8.8]",
      "[64:ff9b::8.8.8.8]",
      "[2002:808:808::1]",
      "[2606:4700::1111]",
    ]) {
      assertRefused(await attacked.tunnel(`${host}:443`), 403, "rule_denied", host);
    }
  });
});

/** Every name is this machine, or what is private, in another way. */
const DNS_PRIVATE: Readonly<Record<string, readonly [type: "A" | "AAAA", address: string]>> = {
  "loop.example": ["A", "127.0.0.1"],
  "metadata.example": ["A", "169.254.169.254"],
  "zero.example": ["A", "0.0.0.0"],
  "loop6.example": ["AAAA", "::1"],
  "mapped.example": ["AAAA", "::ffff:127.0.0.1"],
  "nat64.example": ["AAAA", "64:ff9b::7f00:1"],
  "ula.example": ["AAAA", "fd00:ec2::254"],
};

const privateNames: DnsScript = (name, type) => {
  const [answers, address] = DNS_PRIVATE[name] ?? ["A", "127.0.0.1"];
  return answers === type ? { addresses: [address] } : {};
};

describe("names", () => {
  test("that lead to this machine or to what is private", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using dns = await DnsServer.start(privateNames);
    await using attacked = await AttackedProxy.start({ dns: { servers: [dns.address] } });
    // That of this machine stands in the hosts file of most systems.
    const ownName = /^[a-z][a-z0-9.-]*$/i.test(os.hostname()) ? [os.hostname()] : [];
    const names = [
      ...ownName,
      ...["localhost", "localhost.", "LOCALHOST", "LocalHost.", "a.localhost", "a.b.localhost."],
      ...Object.keys(DNS_PRIVATE),
      ...["LOOP.example", "loop.example.", "127.0.0.1.nip.example", "169-254-169-254.example"],
    ];
    for (const name of names) {
      const tunnel = await attacked.tunnel(`${name}:${forbidden.port}`);
      assertRefused(tunnel, 403, "private_destination", `CONNECT ${name}`);
      const get = await attacked.get(`http://${name}:${forbidden.port}/`);
      assertRefused(get, 403, "private_destination", `GET ${name}`);
    }
    assert.equal(forbidden.connections, 0);
  });

  test("a rule that allows a name does not allow what it resolves to", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using dns = await DnsServer.start(privateNames);
    await using attacked = await AttackedProxy.start({
      dns: { servers: [dns.address] },
      allow: [
        { ...EVERY_PORT, hosts: ["loop.example"] },
        { ...EVERY_PORT, networks: ["10.0.0.0/8"] },
      ],
    });
    for (const name of ["loop.example", "other.example"]) {
      assertRefused(await attacked.tunnel(`${name}:${forbidden.port}`), 403, "private_destination", name);
    }
    assert.equal(forbidden.connections, 0);
  });

  test("that are refused are not even asked for", TIMEOUT, async () => {
    await using dns = await DnsServer.start(privateNames);
    await using attacked = await AttackedProxy.start({
      dns: { servers: [dns.address] },
      deny: [{ name: "exfiltration", hosts: ["*.exfiltration.example"] }],
      allow: [{ ...EVERY_PORT, hosts: ["*.example"] }],
    });
    const denied = await attacked.tunnel("c2VjcmV0.exfiltration.example:443");
    assertRefused(denied, 403, "rule_denied", "denied");
    assertRefused(await attacked.tunnel("secret.evil.test:443"), 403, "nothing_allows", "not allowed");
    assert.deepEqual(dns.questions, []);
  });
});

/** Allowed: 127.0.0.2 and nothing else, as a public address would be. */
const ALLOWED = { allow: [{ ...EVERY_PORT, name: "two", networks: ["127.0.0.2"] }] };

/** A server on 127.0.0.2 at a port of which 127.0.0.1 and 127.0.0.3 have a forbidden one. */
async function allowedOrigin(port: number, answer: http.RequestListener): Promise<http.Server & AsyncDisposable> {
  const server = http.createServer(answer);
  // Connections to it rest for as long as the proxy wants.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.2", resolve));
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}

describe("names that change, or have several addresses", () => {
  test("only the allowed one of several addresses is ever connected to", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using _origin = await allowedOrigin(forbidden.port, (_request, response) => response.end("two"));
    for (const addresses of [
      ["127.0.0.1", "127.0.0.2", "127.0.0.3"],
      ["127.0.0.2", "127.0.0.1"],
    ]) {
      await using dns = await DnsServer.start((_name, type) => (type === "A" ? { addresses } : { addresses: ["::1"] }));
      await using attacked = await AttackedProxy.start({ ...ALLOWED, dns: { servers: [dns.address] } });
      for (let count = 0; count < 3; count++) {
        const { answer, line } = await attacked.get(`http://both.example:${forbidden.port}/`);
        assert.equal(answer.body, "two");
        assert.deepEqual([line.upstreamAddress, line.rule], [`127.0.0.2:${forbidden.port}`, "two"]);
      }
    }
    assert.equal(forbidden.connections, 0);
  });

  test("and when it cannot be connected to, no other one is tried", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using dns = await DnsServer.start((_name, type) =>
      type === "A" ? { addresses: ["127.0.0.1", "127.0.0.2", "127.0.0.3"] } : {},
    );
    await using attacked = await AttackedProxy.start({ ...ALLOWED, dns: { servers: [dns.address] } });
    const { answer, line } = await attacked.tunnel(`both.example:${forbidden.port}`);
    assert.equal(answer.status, 502);
    assert.equal(line.error?.type, "connection_refused");
    assert.equal(forbidden.connections, 0);
  });

  test("rebinding: an allowed address first, a private one at the next connection", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using _origin = await allowedOrigin(forbidden.port, (_request, response) => {
      response.setHeader("Connection", "close").end("two");
    });
    let address = "127.0.0.2";
    await using dns = await DnsServer.start((_name, type) => (type === "A" ? { addresses: [address], ttl: 0 } : {}));
    const servers = [dns.address];
    await using attacked = await AttackedProxy.start({ ...ALLOWED, dns: { servers, minTtl: "1ms", maxTtl: "1ms" } });
    const url = `http://rebinding.example:${forbidden.port}/`;
    const first = await attacked.get(url);
    assert.equal(first.answer.body, "two");
    for (address of ["127.0.0.1", "127.0.0.3"]) {
      // Until the answer of before is believed no more.
      let attempt: Attempt;
      do attempt = await attacked.get(url);
      while (attempt.answer.status === 200);
      assertRefused(attempt, 403, "private_destination", `GET, ${address}`);
      const tunnel = await attacked.tunnel(`rebinding.example:${forbidden.port}`);
      assertRefused(tunnel, 403, "private_destination", `CONNECT, ${address}`);
    }
    assert.equal(forbidden.connections, 0);
  });

  test(
    "a pooled connection serves only those whom the same rules let there, whatever the name is by now",
    TIMEOUT,
    async () => {
      await using forbidden = await Forbidden.start();
      const peers = new Set<number | undefined>();
      await using _origin = await allowedOrigin(forbidden.port, (request, response) => {
        peers.add(request.socket.remotePort);
        response.end("two");
      });
      let address = "127.0.0.2";
      await using dns = await DnsServer.start((_name, type) => (type === "A" ? { addresses: [address], ttl: 0 } : {}));
      await using attacked = await AttackedProxy.start(
        {
          dns: { servers: [dns.address], minTtl: "1ms", maxTtl: "1ms" },
          allow: [
            { ...EVERY_PORT, name: "insiders", clients: ["192.0.2.0/24"], networks: ["127.0.0.2"] },
            { ...EVERY_PORT, name: "public" },
          ],
        },
        {},
        { trustedProxies: ["127.0.0.1"] },
      );
      const url = `http://rebinding.example:${forbidden.port}/`;
      const insider = "X-Forwarded-For: 192.0.2.7\r\n";
      assert.equal((await attacked.get(url, insider)).answer.body, "two");
      address = "127.0.0.1";
      const again = await attacked.get(url, insider);
      assert.deepEqual([again.answer.body, again.line.upstreamAddress], ["two", `127.0.0.2:${forbidden.port}`]);
      assert.equal(peers.size, 1, "on the connection that rests");
      // The connection is there, and the name is known: neither helps somebody else.
      assertRefused(await attacked.get(url), 403, "private_destination", "an outsider");
      assert.equal(forbidden.connections, 0);
    },
  );

  test("a name that is cached is judged for each one that asks", TIMEOUT, async () => {
    await using forbidden = await Forbidden.start();
    await using _origin = await allowedOrigin(forbidden.port, (_request, response) => response.end("two"));
    await using dns = await DnsServer.start((_name, type) => (type === "A" ? { addresses: ["127.0.0.2"] } : {}));
    await using attacked = await AttackedProxy.start(
      {
        dns: { servers: [dns.address] },
        allow: [
          { ...EVERY_PORT, name: "insiders", clients: ["192.0.2.0/24"], networks: ["127.0.0.2"] },
          { ...EVERY_PORT, name: "public" },
        ],
      },
      {},
      { trustedProxies: ["127.0.0.1"] },
    );
    const url = `http://cached.example:${forbidden.port}/`;
    assert.equal((await attacked.get(url, "X-Forwarded-For: 192.0.2.7\r\n")).answer.status, 200);
    const asked = dns.questions.length;
    assertRefused(await attacked.get(url, "X-Forwarded-For: 198.51.100.1\r\n"), 403, "private_destination", "GET");
    const tunnel = await attacked.tunnel(`cached.example:${forbidden.port}`);
    assertRefused(tunnel, 403, "private_destination", "CONNECT");
    assert.equal(dns.questions.length, asked);
  });
});

test("a redirect is the client's to follow, and what it asks for next is judged", TIMEOUT, async () => {
  await using forbidden = await Forbidden.start();
  const inside = `http://127.0.0.1:${forbidden.port}/admin`;
  await using _origin = await allowedOrigin(forbidden.port, (_request, response) => {
    response.writeHead(302, { Location: inside }).end();
  });
  await using attacked = await AttackedProxy.start(ALLOWED);
  const { answer } = await attacked.get(`http://127.0.0.2:${forbidden.port}/`);
  assert.deepEqual([answer.status, answer.fields.get("location")], [302, inside]);
  assertRefused(await attacked.get(inside), 403, "private_destination", "the next request");
  assert.equal(forbidden.connections, 0);
});

describe("ports", () => {
  test("those of mail, shells and databases are refused without a rule of their own", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start({ allow: [{ name: "default" }] });
    for (const port of [1, 22, 25, 80, 587, 3306, 6379, 8080, 11211, 65_535]) {
      assertRefused(await attacked.tunnel(`a.example:${port}`), 403, "nothing_allows", `CONNECT :${port}`);
    }
    for (const port of [22, 25, 6379, 8443, 65_535]) {
      assertRefused(await attacked.get(`http://a.example:${port}/`), 403, "nothing_allows", `GET :${port}`);
    }
  });

  test("that are none", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start();
    for (const port of ["0", "65536", "99999", "00443", "-1", "+443", "443a", "4 43", " 443", "0x1bb", "443:443", ""]) {
      const attempt = await attacked.ask(`CONNECT a.example:${port} HTTP/1.1\r\nHost: a\r\n\r\n`);
      assertRefused(attempt, 400, /./, `CONNECT :${port}`);
      if (port === "") continue;
      assertRefused(
        await attacked.ask(`GET http://a.example:${port}/ HTTP/1.1\r\nHost: a\r\n\r\n`),
        400,
        /./,
        `:${port}`,
      );
    }
  });
});

describe("sockets and addresses of the proxy itself", () => {
  test("a unix socket is no destination, in no way", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start({ allow: [{ ...EVERY_PORT, networks: ["0.0.0.0/0", "::/0"] }] });
    for (const target of [
      "unix:/run/headgate.sock",
      "unix:/run/headgate.sock:1",
      "/run/headgate.sock",
      "/:443",
      "%2frun:1",
    ]) {
      assertRefused(await attacked.ask(`CONNECT ${target} HTTP/1.1\r\nHost: a\r\n\r\n`), 400, /target/, target);
    }
    for (const target of [
      "unix:/run/headgate.sock",
      "unix:///run/headgate.sock",
      "http+unix://%2frun%2fheadgate.sock/status",
    ]) {
      assertRefused(await attacked.ask(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`), 400, /target/, target);
    }
  });

  test("schemes besides http and https are none", TIMEOUT, async () => {
    await using attacked = await AttackedProxy.start();
    for (const url of [
      "ftp://a.example/",
      "file:///etc/passwd",
      "gopher://a.example/1",
      "javascript:1",
      "ws://a.example/",
    ]) {
      assertRefused(await attacked.ask(`GET ${url} HTTP/1.1\r\nHost: a.example\r\n\r\n`), 400, /target/, url);
    }
  });

  test("the admin interface on a port of loopback is not reached", TIMEOUT, async () => {
    await using admin = await Origin.start((_request, response) => response.end("drained"));
    await using attacked = await AttackedProxy.start();
    for (const host of ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]) {
      const answer = await attacked.ask(
        `POST http://${host}:${admin.port}/drain HTTP/1.1\r\nHost: ${host}:${admin.port}\r\nContent-Length: 0\r\n\r\n`,
      );
      assertRefused(answer, 403, "private_destination", host);
    }
  });
});
