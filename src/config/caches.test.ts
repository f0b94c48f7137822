/** Caches in the file: what they are without a word, which one a `cache` means, and what cannot be. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheConfig } from "../caching/options.ts";
import type { Config } from "./config.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const files = {
  resolvePath: (path: string) => (path.startsWith("/") ? path : `/etc/headgate/${path}`),
  readSecret: (path: string) => `text of ${path}`,
  readSecretBytes: () => Buffer.alloc(0),
};

const DEFAULTS: CacheConfig = {
  name: "default",
  directory: null,
  bytesMax: 10 * 2 ** 30,
  inactiveMs: 30 * 86_400_000,
  hotBytesMax: 64 * 2 ** 20,
  freeBytesMin: 2 ** 30,
  objectBytesMax: 10 * 2 ** 30,
  shared: null,
};

/** A file whose server has this in `use`, and these lines on top. */
function parse(use: string, top = "") {
  const server = `servers: { web: { listen: ":80", use: [${use}], proxy: "http://127.0.0.1:3000" } }`;
  return parseConfig(`${top}\n${server}\n`, { file: "headgate.yaml", files });
}

function parsed(use: string, top?: string): Config {
  const result = parse(use, top);
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  return result.config;
}

function problems(use: string, top?: string): readonly string[] {
  const result = parse(use, top);
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

function cacheMeant(use: string, top?: string): string {
  const [item] = parsed(use, top).servers[0]!.routes[0]!.use;
  assert.equal(item?.feature, "cache");
  return item.cache;
}

describe("a cache", () => {
  it("has defaults for everything", () => {
    const [cache] = parsed("{ cache: true }", "caches: { artifacts: {} }").caches;
    assert.deepEqual(cache, { ...DEFAULTS, name: "artifacts" });
  });

  it("says where it is and what it may take", () => {
    const block = "{ directory: here, size: 50GiB, inactive: off, memory: 1MiB, minFree: 0, maxObject: 1GiB }";
    assert.deepEqual(parsed("{ cache: true }", `caches: { artifacts: ${block} }`).caches, [
      {
        name: "artifacts",
        directory: "/etc/headgate/here",
        bytesMax: 50 * 2 ** 30,
        inactiveMs: null,
        hotBytesMax: 2 ** 20,
        freeBytesMin: 0,
        objectBytesMax: 2 ** 30,
        shared: null,
      },
    ]);
  });

  it("stores no body that is larger than itself", () => {
    assert.equal(parsed("{ cache: true }", "caches: { c: { size: 1MiB } }").caches[0]!.objectBytesMax, 2 ** 20);
  });

  it("is there without a word when a `cache` names none", () => {
    const config = parsed("{ cache: {} }");
    assert.deepEqual(config.caches, [DEFAULTS]);
    assert.deepEqual(parsed("{ compress: true }").caches, []);
  });
});

describe("a `cache`", () => {
  it("means the cache that it names, or the only one, or the one of the name `default`", () => {
    assert.equal(cacheMeant("{ cache: b }", "caches: { a: {}, b: {} }"), "b");
    assert.equal(cacheMeant("{ cache: { store: b } }", "caches: { a: {}, b: {} }"), "b");
    assert.equal(cacheMeant("{ cache: true }", "caches: { a: {} }"), "a");
    assert.equal(cacheMeant("{ cache: true }", "caches: { a: {}, default: {} }"), "default");
    assert.equal(cacheMeant("{ cache: true }"), "default");
  });

  it("of `forward` is the last of its features", () => {
    const text =
      'servers: { egress: { listen: "127.0.0.1:3128", forward: { use: [{ headers: { request: { set: { x-a: b } } } }], cache: artifacts } } }\ncaches: { artifacts: {} }\n';
    const result = parseConfig(text, { file: "headgate.yaml", files });
    assert.ok(result.ok);
    assert.deepEqual(
      result.config.servers[0]!.forward!.use.map(({ feature }) => feature),
      ["headers", "cache"],
    );
    assert.deepEqual(result.warnings, []);
  });

  it("that names what is not there is refused, with the nearest name", () => {
    const result = parse("{ cache: artefacts }", "caches: { artifacts: {} }");
    assert.ok(!result.ok);
    assert.deepEqual(result.problems.map(formatProblem), [
      'headgate.yaml:2:49: servers.web.use[0].cache: no cache has the name "artefacts"; did you mean "artifacts"?',
    ]);
    assert.deepEqual(problems("{ cache: artifacts }"), [
      'servers.web.use[0].cache: no cache has the name "artifacts": "caches" says what it is: caches: { artifacts: { directory: PATH } }',
    ]);
    assert.deepEqual(problems("{ cache: true }", "caches: { a: {}, b: {} }"), [
      "servers.web.use[0].cache: more than one cache could be meant: name one (a, b)",
    ]);
  });

  it("that stands beside routes, as in other proxies, is told where it belongs", () => {
    const cached = "listen: 127.0.0.1:1, cache: a, proxy: http://127.0.0.1:2";
    const text = `caches: { a: {} }\nservers: { web: { ${cached} } }`;
    const result = parseConfig(text, { file: "headgate.yaml", files });
    assert.ok(!result.ok);
    assert.deepEqual(result.problems.map(formatProblem), [
      'headgate.yaml:2:40: servers.web.cache: is a feature, which stands in "use": write use: [{ cache: ... }]',
    ]);
  });

  it("that nobody needs is told of", () => {
    const result = parse("{ cache: a }", "caches: { a: {}, b: {} }");
    assert.ok(result.ok);
    assert.deepEqual(
      result.warnings.map(({ path, message }) => `${path}: ${message}`),
      ["caches.b: no `cache` uses it"],
    );
  });

  it("may not stand before what asks who it is, nor twice", () => {
    const auth = "{ basicAuth: { file: users } }";
    const behind = "stands behind the cache, which gives what it keeps to everybody: put it before cache";
    assert.deepEqual(problems(`{ cache: true }, ${auth}`), [`servers.web.use[1].basicAuth: ${behind}`]);
    assert.deepEqual(problems("{ cache: true }, { ipAllow: [10.0.0.0/8] }"), [`servers.web.use[1].ipAllow: ${behind}`]);
    assert.deepEqual(problems(`${auth}, { cache: true }`), []);
    assert.deepEqual(problems("{ cache: true }, { cache: true }"), [
      "servers.web.use[1].cache: stands behind another cache, which answers in its place",
    ]);
  });
});

describe("what has no effect is told of:", () => {
  const warnings = (use: string, top: string) => {
    const result = parse(use, top);
    assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
    return result.warnings.map(({ path, message }) => `${path}: ${message}`);
  };

  it("more memory than the cache may have", () => {
    assert.deepEqual(warnings("{ cache: true }", "caches: { a: { size: 1GiB, memory: 2GiB } }"), [
      "caches.a.memory: is more than the whole cache may have (size: 1GiB)",
    ]);
    assert.deepEqual(warnings("{ cache: true }", "caches: { a: { size: 10MiB } }"), []);
  });

  it("a home that is none", () => {
    assert.deepEqual(warnings("{ cache: true }", "caches: { a: { directory: ~/cache } }"), [
      'caches.a.directory: a folder of the name "~" is meant: this is no shell, write the path of the home',
    ]);
    assert.deepEqual(warnings("{ cache: true }", "caches: { a: { directory: /c~/a } }"), []);
  });

  it("a larger object than the cache stores", () => {
    const void1 = "has no effect: caches.a stores no body of more than";
    const use = "{ cache: { maxObject: 2GiB } }";
    assert.deepEqual(warnings(use, "caches: { a: { size: 1GiB } }"), [
      `servers.web.use[0].cache.maxObject: ${void1} 1GiB`,
    ]);
    assert.deepEqual(warnings(use, "caches: { a: { maxObject: 1MiB } }"), [
      `servers.web.use[0].cache.maxObject: ${void1} 1MiB`,
    ]);
    assert.deepEqual(warnings(use, "caches: { a: {} }"), []);
    assert.deepEqual(warnings("{ cache: {} }", "caches: { a: { size: 1GiB } }"), []);
  });

  it("a rule behind one for every answer", () => {
    assert.deepEqual(warnings("{ cache: { rules: [{ for: 1m }, { status: 200, for: 1d }] } }", "caches: { a: {} }"), [
      "servers.web.use[0].cache.rules[1]: never reached: rules[0] is for every answer",
    ]);
    assert.deepEqual(
      warnings("{ cache: { rules: [{ status: 200, for: 1d }, { for: 1m }] } }", "caches: { a: {} }"),
      [],
    );
  });
});

describe("what a cache is shared by", () => {
  const shared = (stores: string, by: string): string =>
    `stores: ${stores}\ncaches: { artifacts: { shared: ${JSON.stringify(by)} } }`;

  it("is a store by its name, or a URL, which no session is looked for in", () => {
    const named = parsed("{ cache: true }", shared('{ farm: { url: "redis://a", cluster: true } }', "farm"));
    assert.deepEqual(named.stores, []);
    assert.equal(named.caches[0]!.shared?.name, "farm");
    assert.equal(named.caches[0]!.shared?.isCluster, true);
    const byUrl = parsed("{ cache: true }", shared("{}", "rediss://:hunter2@a/2"));
    assert.deepEqual(byUrl.stores, []);
    const { name, database, password, tls } = byUrl.caches[0]!.shared!;
    assert.deepEqual([name, database, password, tls === null], ["rediss://a:6379/2", 2, "hunter2", false]);
  });

  it("may be what sessions are in too", () => {
    const key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const oidc = `{ issuer: "https://id.example", clientId: c, clientSecret: s, key: ${key}, session: { store: farm } }`;
    const config = parsed(`{ oidc: ${oidc} }, { cache: true }`, shared("{ farm: redis://a }", "farm"));
    assert.deepEqual(
      config.stores.map(({ name }) => name),
      ["farm"],
    );
    assert.deepEqual(config.caches[0]!.shared, config.stores[0]);
  });

  it("is asked for as what machines can share", () => {
    assert.deepEqual(problems("{ cache: true }", shared("{}", "redis.internal:6379")), [
      "caches.artifacts.shared: expected the name of a store or a URL such as redis://127.0.0.1:6379, got other text",
    ]);
    assert.deepEqual(problems("{ cache: true }", shared("{}", "lmdb")), [
      'caches.artifacts.shared: no store has the name "lmdb": "stores" says what it is: stores: { lmdb: URL }',
    ]);
  });

  it("is there, and no LMDB", () => {
    assert.deepEqual(problems("{ cache: true }", shared("{ farm: redis://a }", "frm")), [
      'caches.artifacts.shared: no store has the name "frm"',
    ]);
    const lmdb = "caches.artifacts.shared: must be a Redis or Valkey: an LMDB is on this machine alone";
    assert.deepEqual(problems("{ cache: true }", shared("{ farm: lmdb:/x }", "farm")), [lmdb]);
    assert.deepEqual(problems("{ cache: true }", shared("{}", "lmdb:/x")), [lmdb]);
  });
});

describe("caches that cannot be", () => {
  const twoAt = (one: string, other: string) =>
    problems("{ cache: a }, { compress: true }", `caches: { a: { directory: ${one} }, b: { directory: ${other} } }`);

  it("two in one folder, or one within the other", () => {
    assert.deepEqual(twoAt("/var/c", "/var/c"), ["caches.b.directory: caches.a has this folder already"]);
    assert.deepEqual(twoAt("here", "/etc/headgate/here/"), [
      "caches.b.directory: caches.a has /etc/headgate/here, and one would lie within the other",
    ]);
    assert.deepEqual(twoAt("/var/c/a", "/var/c"), [
      "caches.b.directory: caches.a has /var/c/a, and one would lie within the other",
    ]);
    assert.deepEqual(twoAt("/var/c", "/var/cc"), []);
  });

  it("objects that are larger than the cache", () => {
    assert.deepEqual(problems("{ cache: true }", "caches: { a: { size: 1GiB, maxObject: 2GiB } }"), [
      "caches.a.maxObject: is more than the whole cache may have (size: 1GiB)",
    ]);
  });

  it("a size that holds nothing", () => {
    assert.deepEqual(problems("{ cache: true }", "caches: { a: { size: 1KiB } }"), [
      "caches.a.size: expected a size from 1MiB to 1024TiB, got 1KiB",
    ]);
  });
});
