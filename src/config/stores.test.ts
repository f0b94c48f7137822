/** Stores in the file: their forms, what features say of them, and that no message tells a password. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replayHint, seed } from "../../test/support/seed.ts";
import type { StoreConfig } from "../identity/stores/options.ts";
import { type StoreByUrl, storeOptions, storeReference } from "../identity/stores/options.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import type { UseConfig } from "./config.ts";
import { takesKind } from "./known-fields.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";
import { resolveStores, Stores } from "./stores.ts";

const SERVER = "servers: { web: { listen: ':80', respond: 204 } }\n";
const files = {
  resolvePath: (path: string) => (path.startsWith("/") ? path : `/etc/headgate/${path}`),
  readSecret: (path: string) => `text of ${path}`,
  readSecretBytes: () => Buffer.alloc(0),
};

function parse(stores: string) {
  return parseConfig(`${SERVER}stores:\n  s: ${stores}\n`, { file: "headgate.yaml", files });
}

function parsed(stores: string): StoreConfig {
  const result = parse(stores);
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  assert.equal(result.config.stores.length, 1);
  return result.config.stores[0]!;
}

function problems(stores: string): readonly string[] {
  const result = parse(stores);
  return result.ok ? [] : result.problems.map(formatProblem);
}

const REDIS_DEFAULTS: StoreConfig = {
  name: "s",
  kind: "redis",
  nodes: [{ host: "redis.internal", port: 6379 }],
  isCluster: false,
  sentinel: null,
  database: 0,
  username: null,
  password: null,
  tls: null,
  tracking: "auto",
  cacheEntriesMax: 65_536,
  cacheTtlMs: 1_000,
  connectTimeoutMs: 3_000,
  commandTimeoutMs: 1_000,
  graceMs: null,
};

describe("a store", () => {
  it("is a URL, with defaults for all else", () => {
    assert.deepEqual(parsed("redis://redis.internal"), REDIS_DEFAULTS);
    assert.deepEqual(parsed("valkey://redis.internal:6379/"), REDIS_DEFAULTS);
    assert.deepEqual(parsed("{ url: 'redis://redis.internal:6379/0' }"), REDIS_DEFAULTS);
    assert.deepEqual(parsed("rediss://user:p%40ss%3A%2F@[::1]:7000/3"), {
      ...REDIS_DEFAULTS,
      nodes: [{ host: "::1", port: 7000 }],
      database: 3,
      username: "user",
      password: "p@ss:/",
      tls: { ca: null, cert: null, key: null, serverName: null },
    });
    assert.deepEqual(parsed("redis+unix:/run/redis.sock"), { ...REDIS_DEFAULTS, nodes: [{ path: "/run/redis.sock" }] });
    assert.deepEqual(parsed("redis+unix:///run/redis.sock"), {
      ...REDIS_DEFAULTS,
      nodes: [{ path: "/run/redis.sock" }],
    });
  });

  it("may be a folder, relative to that of the file", () => {
    assert.deepEqual(parsed("lmdb:/var/lib/headgate"), { name: "s", kind: "lmdb", path: "/var/lib/headgate" });
    assert.deepEqual(parsed("lmdb:sessions"), { name: "s", kind: "lmdb", path: "/etc/headgate/sessions" });
    assert.deepEqual(parsed("{ url: lmdb:sessions }"), { name: "s", kind: "lmdb", path: "/etc/headgate/sessions" });
  });

  it("may be a cluster, or a group of sentinels", () => {
    const cluster = "{ url: redis://a, cluster: true, nodes: [b, 'c:7000'] }";
    assert.deepEqual(parsed(cluster), {
      ...REDIS_DEFAULTS,
      isCluster: true,
      nodes: [
        { host: "a", port: 6379 },
        { host: "b", port: 6379 },
        { host: "c", port: 7000 },
      ],
    });
    const sentinel =
      "{ url: redis://ignored/2, sentinel: { name: main, nodes: [s1, 's2:1'], password: { file: pw } } }";
    assert.deepEqual(parsed(sentinel), {
      ...REDIS_DEFAULTS,
      nodes: [{ host: "ignored", port: 6379 }],
      database: 2,
      sentinel: {
        name: "main",
        nodes: [
          { host: "s1", port: 26_379 },
          { host: "s2", port: 1 },
        ],
        username: null,
        password: "text of /etc/headgate/pw",
      },
    });
  });

  it("has its other options beside the URL", () => {
    const text = `{ url: 'rediss://redis.internal', username: u, password: { file: pw }, tls: { ca: ca.pem },
      tracking: off, cache: { entries: 10, ttl: 5s }, timeouts: { connect: 2s, command: 200ms }, grace: 5m }`;
    assert.deepEqual(parsed(text), {
      ...REDIS_DEFAULTS,
      username: "u",
      password: "text of /etc/headgate/pw",
      tls: { ca: "/etc/headgate/ca.pem", cert: null, key: null, serverName: null },
      tracking: "off",
      cacheEntriesMax: 10,
      cacheTtlMs: 5_000,
      connectTimeoutMs: 2_000,
      commandTimeoutMs: 200,
      graceMs: 300_000,
    });
  });

  for (const [text, problem] of [
    ["{ url: lmdb:x, password: y }", "password: only has a meaning with Redis"],
    ["{ url: redis://a, tls: {} }", "tls: only has a meaning with a URL that begins with rediss://"],
    ["{ url: redis://a, nodes: [b] }", 'nodes: only has a meaning with "cluster: true"'],
    ["{ url: redis://a/1, cluster: true }", "url: a cluster has no databases but 0"],
    ["{ url: redis+unix:/a, cluster: true }", "cluster: cannot be reached by a unix socket"],
    ["{ url: redis://a, cluster: true, sentinel: { name: m, nodes: [b] } }", 'cannot stand beside "cluster: true"'],
    ["{ url: redis://a, tls: { cert: x } }", 'tls.cert: needs "key" beside it'],
    ["{ password: y }", "this field is required"],
    ["7", "expected a URL such as redis://127.0.0.1:6379 or lmdb:/var/lib/headgate/sessions"],
    ["127.0.0.1:6379", 'did you mean "redis://127.0.0.1:6379"?'],
  ] as const) {
    it(`is refused as ${text}`, () => assert.match(problems(text).join("\n"), new RegExp(escaped(problem))));
  }

  it("that no feature uses is warned of", () => {
    const result = parse("redis://a");
    assert.ok(result.ok);
    assert.deepEqual(result.warnings.map(formatProblem), ["headgate.yaml:3:3: stores.s: no feature or cache uses it"]);
  });
});

describe("no message tells a password", () => {
  for (const text of [
    "redis://user:hunter2secret@",
    "redis:/user:hunter2secret@host",
    "redis://user:hunter2secret@host:99999",
    "redis://user:%hunter2secret@host",
    "http://user:hunter2secret@host",
    "user:hunter2secret@host:6379",
    "{ url: 'redis://user:hunter2secret@host/x' }",
    "{ url: redis://a, password: [hunter2secret] }",
    "{ url: redis://a, cluster: true, nodes: ['u:hunter2secret@h'] }",
    "['redis://user:hunter2secret@host']",
  ]) {
    it(text, () => {
      const messages = problems(text).join("\n");
      assert.notEqual(messages, "");
      assert.doesNotMatch(messages, /hunter2/);
    });
  }

  it("of what names a store", () => {
    for (const text of [
      "redis://u:hunter2secret@",
      "u:hunter2secret@h",
      "redis:/u:hunter2secret@h",
      "hunter2 secret@h",
    ]) {
      const { error } = storeReference().safeParse(text);
      assert.ok(error !== undefined, text);
      assert.doesNotMatch(error.message, /hunter2/);
    }
  });
});

it("a URL gives back what was put into it, and its mistakes never show a password", () => {
  const random = new SeededRandom(seed);
  const characters = ["a", "Z", "9", ":", "@", "/", "?", "#", "%", "é", "🔑", " ", "[", "]", "\\", "."];
  const textOf = (length: number): string =>
    Array.from({ length }, () => characters[Math.floor(random.next() * characters.length)]).join("");
  for (let round = 0; round < 2_000; round++) {
    const [username, password] = [textOf(1 + random.next() * 6), textOf(1 + random.next() * 6)];
    const host = ["a.example", "10.0.0.1", "[2001:db8::1]", "localhost"][Math.floor(random.next() * 4)]!;
    const port = 1 + Math.floor(random.next() * 65_535);
    const database = Math.floor(random.next() * 16);
    const scheme = random.next() < 0.5 ? "redis" : "rediss";
    const secret = encodeURIComponent(password);
    const url = `${scheme}://${encodeURIComponent(username)}:${secret}@${host}:${port}/${database}`;
    const { settings, name } = storeReference().parse(url) as StoreByUrl;
    assert.ok(settings.kind === "redis", replayHint);
    const [node] = settings.nodes as readonly { host: string; port: number }[];
    assert.deepEqual(
      [settings.username, settings.password, node!.port, settings.database, settings.tls !== null],
      [username, password, port, database, scheme === "rediss"],
      replayHint,
    );
    assert.equal(name, `${scheme}://${host}:${port}${database === 0 ? "" : `/${database}`}`, replayHint);
    // One character of it is another, or gone.
    const at = Math.floor(random.next() * url.length);
    const marked = url.replace(secret, "hunter2hunter2");
    const wrong = marked.slice(0, at) + (random.next() < 0.5 ? "" : textOf(1)) + marked.slice(at + 1);
    for (const type of [storeReference(), storeOptions]) {
      const { error } = type.safeParse(wrong);
      assert.doesNotMatch(error?.message ?? "", /hunter2/, replayHint);
    }
  }
});

describe("what a feature says of its store", () => {
  const stores = () => new Stores({ logins: storeAt("redis://a") });
  const storeAt = (url: string) => (storeReference().parse(url) as StoreByUrl).settings;
  const use = (options: unknown) => ({ feature: "headers", options }) as unknown as UseConfig;

  it("becomes a name among the stores, wherever it stands", () => {
    const all = stores();
    const resolved = resolveStores(
      use({ session: [{ store: storeReference().parse("redis://b/1") }], store: storeReference().parse("logins") }),
      all,
    );
    assert.deepEqual(resolved, use({ session: [{ store: { name: "redis://b:6379/1" } }], store: { name: "logins" } }));
    assert.deepEqual(
      all.all().map(({ name }) => name),
      ["logins", "redis://b:6379/1"],
    );
  });

  it("is one store when two say the same, and never has credentials in its name", () => {
    const all = stores();
    const names = [
      "redis://h",
      "redis://:hunter2@h",
      "redis://h:6379/0",
      "redis://:hunter3@h",
      "redis://:hunter2@h",
    ].map((url) => all.share(storeReference().parse(url) as StoreByUrl).name);
    assert.deepEqual(names, [
      "redis://h:6379",
      "redis://h:6379#2",
      "redis://h:6379",
      "redis://h:6379#3",
      "redis://h:6379#2",
    ]);
  });

  it("leaves options without a store as they are", () => {
    const options = { list: [1, { a: null }], when: new Date(0), regex: /x/ };
    const resolved = resolveStores(use(options), stores()) as unknown as { options: unknown };
    assert.equal(resolved.options, options);
  });

  it("is known by the kind of the field", () => {
    assert.equal(takesKind(["stores", "any"], "storeUrl"), true);
    assert.equal(takesKind(["stores", "any", "url"], "storeUrl"), true);
    assert.equal(takesKind(["stores", "any", "username"], "storeUrl"), false);
  });
});

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
