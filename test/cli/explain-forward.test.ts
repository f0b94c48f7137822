// `headgate explain` about a forward proxy: which rule decides, why no other one does, and what the address decides.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ExplainOptions, explain } from "../../src/cli/explain.ts";
import { internalAuthority } from "../support/interception-stage.ts";
import { Folder } from "./headgate.ts";

const CONFIG = `
servers:
  web: { listen: ":8080", respond: 404 }
  egress:
    listen: "127.0.0.1:3128"
    forward:
      auth:
        optional: true
        basic: { users: { ci: "$2b$04$abcdefghijklmnopqrstuuGSfcUS1fMFtHTWXOSLdsLLTmMWyGBQe" } }
      deny:
        - { name: ads, hosts: ["*.ads.example"] }
        - { name: vault, networks: 10.9.0.0/16 }
        - { name: mail, ports: [25, 465] }
      allow:
        - { name: builds, users: [ci], hosts: [registry.example.org] }
        - { networks: [10.0.0.0/8], clients: [127.0.0.0/8], connectPorts: [443, 8000-8999] }
        - { name: web, clients: [127.0.0.0/8], methods: [GET, CONNECT] }
      via: [{ hosts: ["*.partner.example"], ports: 80, proxy: ["http://u:hidden@192.0.2.7:3128", "http://192.0.2.8:3128"] }]
      use: [{ headers: { request: { remove: [referer] } } }]
      pac: {}
`;

const folder = new Folder();

before(() => {
  folder.file("headgate.yaml", CONFIG);
});

after(() => folder[Symbol.dispose]());

const SERVER = "server    egress, which listens on 127.0.0.1:3128";
const NO_ADS = (host: string) => `no match  ads (deny): the host "${host}" is not *.ads.example`;

async function explained(method: string, url: string, options: Partial<ExplainOptions> = {}) {
  const config = folder.file("headgate.yaml");
  return await explain(method, url, { client: "127.0.0.1", header: [], config, ...options });
}

describe("headgate explain, of a forward proxy", () => {
  for (const url of ["http://u:topsecret@a.example/", "u:topsecret@a.example:80", "http://u:top/secret@a.example/"]) {
    test(`never shows a password: ${url.replace(/top\/?secret/, "...")}`, async () => {
      const message = "error: a URL has no user and no password here: --user NAME says who asks";
      await assert.rejects(explained("GET", url), { message });
      await assert.rejects(explained("CONNECT", url), { message });
    });
  }

  test("an @ in a path is no user, and a host without a scheme is told its URL", async () => {
    const [first] = await explained("GET", "https://registry.example.org/@scope/x@1");
    assert.equal(first, "GET https://registry.example.org/@scope/x@1 from 127.0.0.1");
    const message = /neither an http or ws URL nor a path; did you mean http:\/\/localhost:28000\?$/;
    await assert.rejects(explained("GET", "localhost:28000"), { message });
  });

  test("of a name the address decides", async () => {
    assert.deepEqual(await explained("GET", "http://example.org/"), [
      "GET http://example.org/ from 127.0.0.1",
      SERVER,
      "client    127.0.0.1",
      "to        example.org, port 80",
      NO_ADS("example.org"),
      "no match  mail (deny): the port 80 is not 25 or 465",
      'no match  builds (allow): the host "example.org" is not registry.example.org',
      "address   in 10.9.0.0/16: refused by vault",
      "address   in 10.0.0.0/8: allowed by allow[1]",
      "address   any public one: allowed by web",
      "address   any other one: refused, 403: it is private and no rule names its network",
      "use       headers (request: referer)",
    ]);
  });

  test("https is asked for by CONNECT; of an address the rule is known", async () => {
    assert.deepEqual(await explained("GET", "https://10.1.1.1:8443/x?y"), [
      "GET https://10.1.1.1:8443/x?y from 127.0.0.1",
      SERVER,
      "asked as  CONNECT 10.1.1.1:8443, as clients do for https",
      "client    127.0.0.1",
      "to        10.1.1.1, port 8443",
      NO_ADS("10.1.1.1"),
      "no match  vault (deny): the address 10.1.1.1 is not in 10.9.0.0/16",
      "no match  mail (deny): the port 8443 is not 25 or 465",
      "no match  builds (allow): tunnels may go to port 443, not to 8443",
      "no match  web (allow): tunnels may go to port 443, not to 8443",
      "rule      allow[1] allows it",
      "use       headers (request: referer)",
    ]);
    const refused = await explained("CONNECT", "10.9.1.1:443");
    assert.equal(refused.at(-1), "refused   403: a rule of `deny` refuses it (vault)");
    const metadata = await explained("GET", "http://169.254.169.254/");
    for (const line of [
      "no match  allow[1]: the address 169.254.169.254 is not in 10.0.0.0/8",
      "no match  web (allow): the address 169.254.169.254 is no public one, and the rule names no network",
    ]) {
      assert.ok(metadata.includes(line), metadata.join("\n"));
    }
    assert.equal(metadata.at(-1), "refused   403: the destination is no public address, and no rule names its network");
  });

  test("what is refused, and what has to be said first", async () => {
    for (const [method, url, options, last] of [
      ["GET", "http://www.ads.example/", {}, "refused   403: a rule of `deny` refuses it (ads)"],
      ["POST", "http://example.org:81/", {}, "refused   403: no rule of `allow` allows it"],
      [
        "CONNECT",
        "registry.example.org:443",
        { client: "192.0.2.1" },
        "refused   407: nobody has said who it is; --user asks as somebody",
      ],
      [
        "GET",
        "http://0x7f.1/",
        {},
        "refused   400: 0x7f.1 is no host: some programs take it for an address, others for a name",
      ],
      ["GET", "http://a/", { header: ["Host: b"] }, "refused   400: Host b is not the target's a"],
    ] as const) {
      assert.equal((await explained(method, url, options)).at(-1), last, url);
    }
    const perhaps = await explained("POST", "http://registry.example.org/");
    assert.ok(perhaps.includes("no match  builds (allow): nobody has said who it is, and it is for ci"));
    assert.ok(perhaps.includes("address   any other one: 407: some user might be allowed to go there"));
    const asUser = await explained("CONNECT", "registry.example.org:443", { user: "ci", client: "192.0.2.1" });
    assert.equal(asUser[0], "CONNECT registry.example.org:443 from 192.0.2.1, as ci");
    assert.ok(asUser.includes("address   any public one: allowed by builds"));
    assert.ok(asUser.includes("no match  web (allow): the client 192.0.2.1 is not in 127.0.0.0/8"));
    const asOther = await explained("GET", "http://registry.example.org/", { user: "ann" });
    assert.ok(asOther.includes("no match  builds (allow): the user is not ci"));
    const posted = await explained("POST", "http://registry.example.org/", { user: "ann" });
    assert.ok(posted.includes("no match  web (allow): the method POST is not GET or CONNECT"));
  });

  test("at another time: when the rule holds, and what time it is here", async () => {
    // Never today, nor a minute later.
    const day = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][(new Date().getDay() + 3) % 7]!;
    const times = `{ days: [${day}], from: "08:00", to: "17:30" }`;
    const rule = `{ name: office, clients: [127.0.0.0/8], times: ${times} }`;
    folder.file("times.yaml", `servers: { egress: { listen: "127.0.0.1:3128", forward: { allow: [${rule}] } } }`);
    const rows = await explained("GET", "http://example.org/", { config: folder.file("times.yaml") });
    const said = new RegExp(
      `^no match  office \\(allow\\): it holds on ${day} from 08:00 to 17:30, and it is [a-z]{3} \\d\\d:\\d\\d \\(.+\\)$`,
    );
    assert.ok(
      rows.some((row) => said.test(row)),
      rows.join("\n"),
    );
  });

  test("through another proxy, which resolves the name", async () => {
    const through = await explained("GET", "http://www.partner.example/");
    assert.deepEqual(through.slice(-3), [
      "rule      allow[1] allows it",
      "via       http://192.0.2.7:3128, else http://192.0.2.8:3128, which resolves the name",
      "use       headers (request: referer)",
    ]);
    assert.ok(!(await explained("CONNECT", "www.partner.example:443")).some((line) => line.startsWith("via")));
  });

  test("a path alone is asked of the server itself, whatever host is named beside it", async () => {
    const header = ["Host: example.org"];
    for (const options of [{ header }, { header, server: "egress" }]) {
      const config = folder.file(
        "own.yaml",
        'servers: { egress: { listen: "127.0.0.1:1", forward: {}, respond: 404 } }',
      );
      assert.equal((await explained("GET", "/x", { config, ...options })).at(-1), "respond   404");
    }
  });

  test("what points at a server is asked of that server itself", async () => {
    assert.equal((await explained("GET", "http://a:8080/")).at(-1), "respond   404");
    for (const [url, server] of [
      ["http://127.0.0.1:3128/proxy.pac", undefined],
      ["/proxy.pac", "egress"],
    ] as const) {
      const told = await explained("GET", url, server === undefined ? {} : { server });
      assert.equal(told.at(-1), "route     the PAC file of egress", url);
    }
    assert.equal((await explained("GET", "/x", { server: "egress" })).at(-1), "route     none: the answer is 404");
    const wrong = await explained("CONNECT", "a:443", { server: "web" });
    assert.equal(wrong.at(-1), "refused   405: method CONNECT is not served here");
    await assert.rejects(explained("CONNECT", "example.org"), {
      lines: ['error: CONNECT names a host and a port, such as example.org:443, got "example.org"'],
      status: 2,
    });
    await assert.rejects(explained("GET", "http://a/", { header: ["X: a\r\nY: b"] }), { status: 2 });
  });
});

test("of HTTPS that is opened, the caches that the request inside meets", async () => {
  const { folder: place } = await internalAuthority(["example.org"]);
  using _place = place;
  using own = new Folder();
  const forward = `
      allow: [{ methods: [GET, CONNECT] }]
      intercept: { hosts: ["*.example.org"], except: [bank.example.org], ca: "${place.path}" }
      use:
        - cache:
            key: { headers: [accept-language] }
            rules: [{ path: "/pool/*", for: 7d }, { for: 1m }]`;
  const config = own.file(
    "headgate.yaml",
    `servers:\n  egress:\n    listen: "127.0.0.1:3128"\n    forward:${forward}\n`,
  );
  const said = async (method: string, url: string, ...header: string[]): Promise<readonly string[]> => {
    const lines = await explain(method, url, { client: "127.0.0.1", header, config });
    const from = lines.findIndex((line) => line.startsWith("cache "));
    return from < 0 ? [] : lines.slice(from);
  };
  const key = "cache     default, under the key https://www.example.org";
  assert.deepEqual(await said("GET", "https://www.example.org/pool/a.deb?b=1"), [
    `${key}/pool/a.deb?b=1, and by header accept-language`,
    "          rules[0]: fresh for 7d",
  ]);
  // As plain HTTP says it.
  const plain = await said("GET", "http://www.example.org/a");
  const inside = await said("GET", "https://www.example.org/a");
  assert.deepEqual(
    inside,
    plain.map((line) => line.replace("http:", "https:")),
  );
  assert.match((await said("GET", "wss://www.example.org/a"))[0]!, /^cache {5}default: passed by \(upgrade\): /);
  // Nobody looks into it, nothing is asked for inside, or the rules refuse what is.
  assert.deepEqual(await said("GET", "https://bank.example.org/a"), []);
  assert.deepEqual(await said("CONNECT", "www.example.org:443"), []);
  assert.deepEqual(await said("PUT", "https://www.example.org/a"), []);
});

test("what the rules say of the request inside of HTTPS that is opened", async () => {
  const { folder: place } = await internalAuthority(["example.org"]);
  using _place = place;
  using own = new Folder();
  const config = own.file(
    "headgate.yaml",
    `servers:
  egress:
    listen: "127.0.0.1:3128"
    forward:
      deny: [{ name: no-uploads, methods: [PUT, POST], hosts: ["*.example.org"] }]
      allow: [{ name: reads, methods: [GET, PUT, CONNECT] }]
      intercept: { hosts: ["*.example.org"], except: [bank.example.org], ca: "${place.path}" }
`,
  );
  const said = async (method: string, url: string) => {
    const lines = await explain(method, url, { client: "127.0.0.1", header: [], config });
    return lines.find((line) => line.startsWith("inside "))?.slice("inside    ".length);
  };
  assert.equal(
    await said("PUT", "https://www.example.org/"),
    "PUT is refused, 403: a rule of `deny` refuses it (no-uploads)",
  );
  assert.equal(
    await said("DELETE", "https://www.example.org/"),
    "DELETE is refused, 403: no rule of `allow` allows it",
  );
  assert.equal(await said("GET", "https://www.example.org/"), undefined);
  assert.equal(await said("PUT", "https://bank.example.org/"), undefined, "nobody sees it");
});

test("whether the HTTPS of a host is opened, and why", async () => {
  const { folder: place } = await internalAuthority(["example.org"]);
  using _place = place;
  using own = new Folder();
  const intercept = `{ hosts: ["*.example.org", a.example], except: [bank.example.org], ca: "${place.path}" }`;
  const forward = `{ allow: [{ connectPorts: [443, 8443] }], intercept: ${intercept} }`;
  const config = own.file("headgate.yaml", `servers: { egress: { listen: "127.0.0.1:3128", forward: ${forward} } }`);
  const said = async (method: string, url: string): Promise<string | undefined> => {
    const lines = await explain(method, url, { client: "127.0.0.1", header: [], config });
    return lines.find((line) => line.startsWith("https "))?.slice("https     ".length);
  };
  const hosts = "*.example.org or a.example";
  assert.equal(
    await said("GET", "https://www.example.org/"),
    `opened, as ${hosts} (intercept.hosts), with a certificate of the CA in ${place.path}`,
  );
  assert.equal(
    await said("CONNECT", "bank.example.org:443"),
    'left alone: the host "bank.example.org" is bank.example.org (intercept.except)',
  );
  assert.equal(
    await said("CONNECT", "b.example:443"),
    `left alone: the host "b.example" is not ${hosts} (intercept.hosts)`,
  );
  assert.equal(await said("CONNECT", "www.example.org:8443"), "left alone: the port 8443 is not 443 (intercept.ports)");
  assert.equal(await said("CONNECT", "192.0.2.1:443"), undefined, "refused: a private address");
  assert.equal(
    await said("CONNECT", "1.1.1.1:443"),
    `the name that TLS is begun for decides: opened for ${hosts}, but not for bank.example.org`,
  );
  assert.equal(
    await said("CONNECT", "a.example:443"),
    `refused, 502: it is to be opened, and the CA in ${place.path} cannot serve it: ` +
      "it may not certify this host, but only example.org and below",
  );
  assert.equal(await said("GET", "http://www.example.org/"), undefined);
});
