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

describe("what is wrong with the URL of a proxy is said, without its password", () => {
  for (const [url, expected] of [
    ["parent:3128", /no scheme; did you mean http:\/\/parent:3128\?/],
    [`u:${SECRET}@parent:3128`, /it has no scheme, as in http:/],
    ["socks://a", /socks:\/\/ is socks5:\/\/ here/],
    ["socks4://a", /socks5:\/\/ is/],
    ["ftp://a", /ftp:\/\/ is no proxy's: a proxy is http:/],
    [`http://u:${SECRET}@a/path`, /a path or a query cannot stand here/],
    ["http://a?x", /a path or a query cannot stand here/],
    [`http://u:${SECRET}%@a`, /the password has a "%" that begins no percent-encoding/],
    [`http://u%zz:${SECRET}@a`, /the user has a "%" that begins/],
    [`http://u:${SECRET}%ff@a`, /the password is percent-encoded, but not in UTF-8/],
    [`http://u:${SECRET}%0d@a`, /the password has a control character/],
    [`http://u:${SECRET.repeat(20)}@a`, /the password has more than 255 bytes/],
    [`http://u:${SECRET}@a:99999`, /the port is 99999, the highest one is 65535/],
    ["http://a:0", /the port is 0/],
    ["http://a:x", /what stands for the port is none/],
    ["http://a b:3128", /there is a space in it/],
    [`http://ci:${"7".repeat(9)}`, /the port is above 65535$/],
    [SECRET, /no scheme, as in/],
    [`http://u:x@${SECRET}@a`, /"@" is %40/],
    [`http://u:x/${SECRET}@a`, /"\/" is %2F/],
    [`http://:${SECRET}@a`, /no user in front/],
    [`http://u%3A:${SECRET}@a`, /the user has a colon/],
    ["socks5h://u@a", /SOCKS5 has no user without a password/],
    [`http://u:${SECRET}@`, /the host is missing/],
    [`http://u:${SECRET}@[::1`, /what stands for the host is none/],
  ] as const) {
    it(url.replaceAll(SECRET, "..."), () => {
      const told = problemsOf(`{ proxy: ${JSON.stringify(url)} }`);
      assert.match(told, expected);
      assert.ok(!told.includes(SECRET), told);
    });
  }

  it("and whatever is wrong has a reason of its own", () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    let state = seed;
    const below = (count: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >> 8) % count;
    };
    const parts = [
      "http://",
      "socks5://",
      "u",
      ":",
      "@",
      "%",
      "%41",
      "/",
      "?",
      "[::1]",
      "a.example",
      "3128",
      "99999",
      " ",
    ];
    for (let round = 0; round < 500; round++) {
      const url = Array.from({ length: 1 + below(8) }, () => parts[below(parts.length)]).join("");
      if (parseParentUrl(url) !== null) continue;
      const told = problemsOf(`{ proxy: ${JSON.stringify(url)} }`);
      assert.doesNotMatch(told, /got other text/, `seed ${seed}: ${url}`);
    }
  });
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
