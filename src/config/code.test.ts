// Plugins as a program's configuration has them: what is one, and one that would do nothing, which is a mistake.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfigObject } from "./parse.ts";

function problemsOf(plugin: unknown): readonly string[] {
  const value = { servers: { web: { listen: ":80", use: [plugin], respond: 204 } } };
  const result = parseConfigObject(value, { file: "headgate.ts" });
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

class Base {
  readonly name = "class";
  log(): void {}
}
class Derived extends Base {
  help(): void {}
}

describe("a plugin", () => {
  test("has a name and a hook, its own or its class's, beside whatever it needs besides", () => {
    for (const plugin of [
      { name: "p", request() {} },
      { name: "p", count: 1, help() {}, log: () => {} },
      new Derived(),
    ]) {
      assert.deepEqual(problemsOf(plugin), []);
    }
  });

  test("without a name, or with a hook that is no function, is a mistake", () => {
    for (const plugin of [
      { request() {}, help() {} },
      { name: 5, request() {}, help() {} },
    ]) {
      assert.deepEqual(problemsOf(plugin), [
        'servers.web.use[0]: a plugin needs a name beside request, help: { name: "mine", ... }',
      ]);
    }
    assert.deepEqual(problemsOf({ name: "guard", request: 5, log() {}, response: undefined }), [
      'servers.web.use[0]: request of the plugin "guard" is not a function',
    ]);
  });

  test("is no list: what stands in one would not be asked", () => {
    assert.deepEqual(problemsOf([{ ipAllow: ["10.0.0.0/8"] }]), [
      "servers.web.use[0]: expected a mapping, got a list: write its items here, one by one",
    ]);
    const [text = ""] = problemsOf([{ name: "p", request() {} }]);
    assert.match(text, /^servers\.web\.use\[0\]: expected a mapping, got a list/);
  });

  test("without a hook that is called is a mistake, with the hook that was meant", () => {
    class Misspelt {
      readonly name = "guard";
      onRequest(): void {}
    }
    const only = 'servers.web.use[0]: the plugin "guard" has only';
    const none = "and none of the hooks that are called";
    assert.deepEqual(problemsOf({ name: "guard", onRequest() {} }), [
      `${only} onRequest, ${none}; did you mean "request"?`,
    ]);
    assert.deepEqual(problemsOf(new Misspelt()), [`${only} onRequest, ${none}; did you mean "request"?`]);
    assert.deepEqual(problemsOf({ name: "guard", reponse() {}, help() {} }), [
      `${only} reponse, help, ${none}; did you mean "response"?`,
    ]);
    const [unlike = ""] = problemsOf({ name: "guard", before() {} });
    assert.ok(unlike.startsWith(`${only} before, ${none}: request, requestBody, `), unlike);
  });
});

test("a feature that is undefined is not said, and an item that says none is a mistake", () => {
  assert.deepEqual(problemsOf({ basicAuth: undefined, compress: true }), []);
  for (const item of [{}, { basicAuth: undefined }]) {
    const [text = ""] = problemsOf(item);
    assert.match(text, /^servers\.web\.use\[0\]: needs one of headers, /);
  }
});
