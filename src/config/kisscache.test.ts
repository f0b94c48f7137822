/** `handle: kisscache` in a file: what it becomes, and what it needs. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const files = {
  resolvePath: (path: string) => path,
  readSecret: (path: string) => path,
  readSecretBytes: () => Buffer.alloc(0),
};

function parse(server: string, top = "") {
  return parseConfig(`${top}\nservers: { web: { listen: "127.0.0.1:80", ${server} } }\n`, {
    file: "headgate.yaml",
    files,
  });
}

function problems(server: string, top?: string): readonly string[] {
  const result = parse(server, top);
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

function actionOf(server: string, top?: string) {
  const result = parse(server, top);
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  const { action } = result.config.servers[0]!.routes[0]!;
  assert.ok(action.kind === "kisscache");
  return { action, caches: result.config.caches.map(({ name }) => name), warnings: result.warnings };
}

describe("handle: kisscache", () => {
  it("has defaults for everything, and a cache that keeps what origins would not have kept", () => {
    const { action, caches } = actionOf("forward: {}, handle: kisscache");
    assert.deepEqual(action.options, {
      store: null,
      ttl: 864_000_000,
      passHeaders: ["authorization", "authentication", "authorisation"],
      quota: null,
    });
    assert.deepEqual(caches, ["default"]);
    assert.equal(action.cache.cache, "default");
    assert.deepEqual(action.cache.options.key.headers, ["authorization", "headgate-passed"]);
    const [kept, others] = action.cache.options.rules;
    assert.deepEqual(
      [kept?.status, kept?.ignore, others?.isNever],
      [["200"], ["cache-control", "expires", "pragma", "set-cookie", "vary"], true],
    );
  });

  it("has a long form, also on one of many routes, and names its cache", () => {
    const block = "{ kisscache: { store: a, ttl: 1h, passHeaders: [X-Token], quota: 1GiB } }";
    const { action, caches, warnings } = actionOf(`forward: {}, routes: [{ handle: ${block} }]`, "caches: { a: {} }");
    assert.deepEqual(action.options, { store: "a", ttl: 3_600_000, passHeaders: ["x-token"], quota: 2 ** 30 });
    assert.deepEqual(caches, ["a"]);
    assert.equal(action.cache.cache, "a");
    assert.deepEqual(warnings, []);
  });

  it("needs a forward proxy, whose rules hold for it", () => {
    assert.deepEqual(problems("handle: kisscache"), [
      'servers.web.handle: needs "forward" in the same server, whose rules say who may download from where',
    ]);
  });

  it("needs a cache that is there", () => {
    assert.deepEqual(problems("forward: {}, handle: { kisscache: { store: b } }", "caches: { bb: {} }"), [
      'servers.web.handle.kisscache.store: no cache has the name "b"',
    ]);
    assert.deepEqual(problems("forward: {}, handle: kisscache", "caches: { a: {}, b: {} }"), [
      "servers.web.handle: more than one cache could be meant: name one (a, b)",
    ]);
  });
});
