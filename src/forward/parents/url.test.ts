// URLs of proxies: what they say, what is none, and that no message ever shows one, since it may hold a password.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "../../config/parse.ts";
import { formatProblem } from "../../config/problems.ts";
import { parentName } from "./proxy.ts";
import { parseParentUrl } from "./url.ts";

const SECRET = "0123456789abcdef";

/** What the configuration says of these rules of `via`; "" when nothing is wrong. */
function problemsOf(via: string, listen = "127.0.0.1:1"): string {
  const text = `servers: { egress: { listen: "${listen}", forward: { auth: { basic: { file: users } }, via: [${via}] } } }`;
  const result = parseConfig(text, { file: "headgate.yaml" });
  return result.ok ? "" : result.problems.map(formatProblem).join("\n");
}

describe("the URL of a proxy", () => {
  for (const [text, name, credentials] of [
    ["http://proxy.example", "http://proxy.example:3128", null],
    ["HTTP://Proxy.Example:8080/", "http://proxy.example:8080", null],
    ["https://proxy.example", "https://proxy.example:443", null],
    ["socks5://[2001:DB8::1]:9050", "socks5://[2001:db8::1]:9050", null],
    ["socks5h://10.0.0.1", "socks5://10.0.0.1:1080", null],
    ["http://us%20er:p%40ss%3A%2F@p.example:1", "http://p.example:1", { user: "us er", password: "p@ss:/" }],
    ["http://%C3%A9:@p.example", "http://p.example:3128", { user: "é", password: "" }],
    ["http://only@p.example", "http://p.example:3128", { user: "only", password: "" }],
  ] as const) {
    it(`${text} is ${name}`, () => {
      const parsed = parseParentUrl(text);
      assert.ok(parsed !== null);
      assert.equal(parentName(parsed), name);
      assert.deepEqual(parsed.credentials, credentials);
    });
  }

  for (const text of [
    "",
    "proxy.example:3128",
    "ftp://proxy.example",
    "socks4://proxy.example",
    "http://",
    "http://:3128",
    "http://proxy.example:0",
    "http://proxy.example:65536",
    "http://proxy.example/path",
    "http://proxy.example?x",
    "http://a b",
    "http://:secret@proxy.example",
    "http://a%3Ab:secret@proxy.example",
    "http://a:%ff@proxy.example",
    "http://a:%0d%0aX:1@proxy.example",
    `http://a:${"x".repeat(256)}@proxy.example`,
    "socks5://a@proxy.example",
    "socks5://a:@proxy.example",
    "http://2130706433",
    "http://[::1",
  ]) {
    it(`${JSON.stringify(text.slice(0, 60))} is none`, () => assert.equal(parseParentUrl(text), null));
  }
});

describe("a rule of `via`", () => {
  it("is of one kind of proxies, and says whom to trust only where there is TLS", () => {
    assert.equal(
      problemsOf('direct, { proxy: ["http://a", "https://b:8443"] }, { proxy: ["socks5://a", "socks5://b"] }'),
      "",
    );
    assert.equal(
      problemsOf('{ hosts: "*.a.example", ports: [80, "8000-8999"], proxy: "https://a", tls: { ca: a.pem } }'),
      "",
    );
    assert.match(
      problemsOf('{ proxy: ["http://a", "socks5://b"] }'),
      /via\[0\]\.proxy.*SOCKS proxies and others in one list/,
    );
    assert.match(
      problemsOf('{ proxy: "http://a", tls: { ca: a.pem } }'),
      /via\[0\]\.tls.*no proxy of this rule is https/,
    );
  });

  it("does not lead back to its own server", () => {
    for (const [proxy, listen] of [
      ["http://127.0.0.1:3128", "127.0.0.1:3128"],
      ["socks5://localhost:1080", ":1080"],
      ["http://[::1]:3128", "[::]:3128"],
      ["http://10.0.0.1:3128", "10.0.0.1:3128"],
    ] as const) {
      const told = problemsOf(`{ proxy: ["${proxy.replace(/:\d+$/, ":9")}", "${proxy}"] }`, listen);
      assert.match(told, /via\[0\]\.proxy: this way leads back to this very server/, `${proxy} on ${listen}`);
    }
    assert.equal(problemsOf('{ proxy: "http://127.0.0.1:3129" }', "127.0.0.1:3128"), "");
    assert.equal(problemsOf('{ proxy: "http://10.0.0.2:3128" }', ":3128"), "");
  });

  for (const via of [
    `"http://u:${SECRET}@a"`,
    `{ proxy: "http://u:${SECRET}@a:0" }`,
    `{ proxy: ["http://a", "http://u:${SECRET}@"] }`,
    `{ proxy: { url: "http://u:${SECRET}@a" } }`,
    `{ proxy: "socks4://u:${SECRET}@a" }`,
    `{ proxy: ["socks5://u:${SECRET}@a", "http://b"] }`,
    `{ proxy: "http://u:${SECRET}@a", tls: { ca: a.pem } }`,
    `{ hosts: "http://u:${SECRET}@a", proxy: "http://a" }`,
    `{ proxy: "http://u:${SECRET}@a", prxy: 1 }`,
    `{ proxies: "http://u:${SECRET}@a" }`,
  ]) {
    it(`that is wrong shows no password: ${via.replace(SECRET, "...")}`, () => {
      const told = problemsOf(via);
      assert.notEqual(told, "");
      assert.ok(!told.includes(SECRET), told);
    });
  }
});
