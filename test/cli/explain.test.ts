// `headgate explain`: what a request would meet and why, as a person reads it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ExplainOptions, explain } from "../../src/cli/explain.ts";
import { Folder, headgate } from "./headgate.ts";

const CONFIG = `
caches: { artifacts: { directory: cache } }
trustedProxies: [10.0.0.0/8]
upstreams:
  cyrus:
    servers: ["https://cyrus-1.internal:8443", { url: "https://cyrus-2.internal:8443", weight: 2 }]
    balance: least-connections
servers:
  web:
    listen: [":8080"]
    routes:
      - match: { host: mail.example.org, path: /jmap/* }
        use:
          - ipAllow: [192.0.2.0/24]
          - forwardAuth: { address: "http://auth.internal/verify?key=hidden" }
          - headers: { request: { set: { x-secret: hidden } }, response: { remove: [server] } }
        proxy: { to: cyrus, host: upstream }
      - match: { path: /up, websocket: true }
        upgrade: []
        proxy: http://127.0.0.1:3000
      - match: { method: [POST, PUT], header: { x-key: wanted }, pathRegex: "^/api/" }
        use: [{ stripPrefix: /api }, { rewrite: { match: "^/v1", to: /v2 } }, { compress: true }]
        proxy: http://127.0.0.1:5000
      - match: { client: 127.0.0.0/8, scheme: https }
        respond: 204
      - match: { path: /old/* }
        redirect: https://example.org{uri}
      - match: { path: /guarded }
        use:
          - jwt: { algorithm: ES256, jwks: "https://login.example.org/keys" }
          - credentials:
              token: { cookie: session, query: t, algorithm: HS256, key: hidden-and-long-enough }
              session: { store: "redis://user:hidden@127.0.0.1:6379" }
              decrypt: { key: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
        proxy: http://127.0.0.1:5000
      - match: { path: /files/* }
        use:
          - cache:
              store: artifacts
              key: { headers: [accept-language], cookies: [region], query: { exclude: [utm_*] } }
              rules:
                - { path: /files/live/*, never: true }
                - { status: [200, "3xx"], type: image/*, for: 7d, ignore: [cache-control] }
                - { max: 1m }
              bypass: [{ header: { x-no-cache: true } }]
        proxy: http://127.0.0.1:5000
  other:
    listen: ["127.0.0.1:9090"]
    respond: 404
`;

const folder = new Folder();

before(() => {
  folder.file("headgate.yaml", CONFIG);
});

after(() => folder[Symbol.dispose]());

/** What the command prints; one of the tests below runs it as a process. */
async function explained(method: string, url: string, options: Partial<ExplainOptions> = {}): Promise<string> {
  const config = folder.file("headgate.yaml");
  return lines(...(await explain(method, url, { client: "127.0.0.1", header: [], config, ...options })));
}

function lines(...text: readonly string[]): string {
  return `${text.join("\n")}\n`;
}

describe("headgate explain", () => {
  test("names the route, its features in their order, and the upstream", async () => {
    const url = "http://mail.example.org:8080/jmap/../jmap/x?y";
    const told = await explained("GET", url, { client: "10.0.0.1", header: ["X-Forwarded-For: 192.0.2.9"] });
    assert.equal(
      told,
      lines(
        "GET http://mail.example.org:8080/jmap/../jmap/x?y from 10.0.0.1",
        "server    web, which listens on :8080",
        "client    192.0.2.9",
        "path      /jmap/x",
        "route     web.routes[0]",
        "use       ipAllow 192.0.2.0/24",
        "use       forwardAuth asks http://auth.internal/verify",
        "use       headers (request: x-secret; response: server)",
        "proxy     cyrus: https://cyrus-1.internal:8443, https://cyrus-2.internal:8443 (weight 2) (least-connections)",
        "host      that of the server's URL",
      ),
    );
    const args = ["explain", "GET", url, "--client", "10.0.0.1", "--header", "X-Forwarded-For: 192.0.2.9"];
    assert.deepEqual(headgate(folder.path, ...args), { status: 0, stdout: told, stderr: "" });
  });

  test("asks for the server as a whole", async () => {
    assert.equal(
      await explained("OPTIONS", "*", { server: "other" }),
      lines(
        "OPTIONS * from 127.0.0.1",
        "server    other, which listens on 127.0.0.1:9090",
        "client    127.0.0.1",
        "path      *",
        "route     other",
        "respond   404",
      ),
    );
    await assert.rejects(explained("GET", "*", { server: "other" }), /only OPTIONS asks for \*/);
  });

  test("says how the features that authenticate are asked, and none of their secrets", async () => {
    const told = await explained("GET", "/guarded", { server: "web" });
    assert.match(told, /^use +credentials \(token: cookie session, query t; session: redis:\/\/127\.0\.0\.1:6379\)$/m);
    assert.match(told, /^use +jwt \(token: bearer\)$/m);
    assert.doesNotMatch(told, /hidden|0011/);
  });

  test("says under which key a cache looks, which rules hold there, and why a request passes it", async () => {
    const told = await explained("GET", "http://a.example:8080/files/x.png?b=1&utm_source=c");
    assert.match(
      told,
      /^cache +artifacts, under the key http:\/\/a\.example:8080\/files\/x\.png\?b=1, and by header accept-language, cookie region$/m,
    );
    assert.match(
      told,
      /^ +rules\[1\], for status 200, 3xx and type image\/\*: fresh for 7d, whatever it says in cache-control$/m,
    );
    assert.match(told, /^ +rules\[2\]: fresh for 1m at most$/m);
    assert.doesNotMatch(told, /rules\[0\]|answer says/);
    const live = await explained("GET", "http://a.example:8080/files/live/1");
    assert.match(live, /^ +rules\[0\]: not stored$/m);
    const passed = await explained("GET", "http://a.example:8080/files/x", { header: ["X-No-Cache: 1"] });
    assert.match(passed, /^cache +artifacts: passed by \(bypass\): An item of `bypass` matches the request\.$/m);
    assert.match(await explained("POST", "http://a.example:8080/files/x"), /passed by \(method\)/);
  });

  test("says why no earlier route took it", async () => {
    assert.equal(
      await explained("POST", "http://a.example:8080/api/v1/x", { header: ["X-Key: wanted"] }),
      lines(
        "POST http://a.example:8080/api/v1/x from 127.0.0.1",
        "server    web, which listens on :8080",
        "client    127.0.0.1",
        "path      /api/v1/x",
        'no match  web.routes[0]: the host "a.example" is not mail.example.org',
        "no match  web.routes[1]: the path is not /up",
        "route     web.routes[2]",
        "use       stripPrefix /api",
        'use       rewrite ^/v1 to "/v2"',
        "use       compress zstd, br, gzip",
        "proxy     http://127.0.0.1:5000",
      ),
    );
    const passedOver = async (method: string, url: string, options: Partial<ExplainOptions> = {}) =>
      (await explained(method, url, { server: "web", ...options }))
        .split("\n")
        .filter((line) => line.startsWith("no match"))
        .map((line) => line.slice("no match  web.".length));
    assert.deepEqual(await passedOver("GET", "/none"), [
      'routes[0]: the host "" is not mail.example.org',
      "routes[1]: the path is not /up",
      "routes[2]: the method is not POST or PUT",
      "routes[3]: the scheme is not https",
      "routes[4]: the path is not /old/*",
      "routes[5]: the path is not /guarded",
      "routes[6]: the path is not /files/*",
    ]);
    const other = await passedOver("POST", "https://mail.example.org:1/up", { client: "::1" });
    assert.deepEqual(other.slice(0, 4), [
      "routes[0]: the path is not /jmap/*",
      "routes[1]: it is no upgrade to WebSocket",
      "routes[2]: the header fields are not as wanted: x-key",
      "routes[3]: the client ::1 is not in 127.0.0.0/8",
    ]);
    const [, , third] = await passedOver("PUT", "/x", { header: ["x-key: wanted"] });
    assert.equal(third, "routes[2]: the path /x does not match /^/api//");
  });

  test("knows upgrades, by their header fields or by the URL", async () => {
    const header = ["Connection: keep-alive, Upgrade", "Upgrade: websocket"];
    for (const [url, options] of [
      ["http://a:8080/up", { header }],
      ["ws://a:8080/up", {}],
    ] as const) {
      const told = await explained("GET", url, options);
      assert.match(told, /^GET \S+ from 127\.0\.0\.1 \(upgrade to websocket\)\n/);
      const end = ["route     web.routes[1]", "proxy     http://127.0.0.1:3000", "upgrade   websocket does not pass"];
      assert.ok(told.endsWith(lines(...end)), told);
    }
    const without = await explained("GET", "http://a:8080/up", { header: ["Upgrade: websocket"] });
    assert.match(without, /routes\[1\]: it is no upgrade to WebSocket/);
  });

  test("tells what is answered without an upstream", async () => {
    for (const [url, end] of [
      ["http://a:8080/old/x", "redirect  308 https://example.org{uri}"],
      ["http://a:9090/", "respond   404"],
      ["http://a:8080/none", "route     none: the answer is 404"],
      ["http://a:8080/a/%00", "refused   400: the path holds an invalid or unsafe encoding"],
    ] as const) {
      const told = await explained("GET", url);
      assert.ok(told.endsWith(`\n${end}\n`), told);
    }
    assert.match(await explained("TRACE", "http://a:8080/"), /\nrefused {3}405: /);
  });

  test("looks for the server where the URL points, as a client does that names another host", async () => {
    const told = await explained("GET", "http://127.0.0.1:8080/jmap/x", { header: ["Host: mail.example.org"] });
    assert.match(told, /\nserver {4}web, .*\nroute {5}web\.routes\[0\]\n/s);
    const byHost = await explained("GET", "/", { header: ["Host: a:9090"] });
    assert.match(byHost, /\nserver {4}other, /);
  });

  test("takes a path alone as asked for by TLS where the server speaks nothing else", async () => {
    const tls = "tls: { certificates: [{ cert: a.pem, key: a.key }] }";
    const routes = "routes: [{ match: { scheme: https }, respond: 204 }, { respond: 404 }]";
    for (const [listen, status] of [
      [`{ address: ":8443", ${tls} }`, "204"],
      [`[{ address: ":8443", ${tls} }, ":8080"]`, "404"],
    ] as const) {
      const config = folder.file("secure.yaml", `servers: { web: { listen: ${listen}, ${routes} } }`);
      assert.match(await explained("GET", "/", { config }), new RegExp(`\nrespond {3}${status}\n$`));
    }
  });

  test("asks which server is meant when the URL leaves it open", async () => {
    await assert.rejects(explained("GET", "http://a/"), {
      lines: ["error: more than one server could be meant: name one with --server (web or other)"],
      status: 2,
    });
    await assert.rejects(explained("GET", "/", { server: "wbe" }), {
      lines: ['error: no server has the name "wbe"; there is web or other'],
    });
  });
});
