// Rules over the addon's C++: only interfaces that are the same in every Node, no state outside of an instance, nothing that
// ends the process or writes without a bound, and one place in src that loads it.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { readSourceTexts, repositoryRoot } from "./source-tree.ts";

interface Rule {
  pattern: RegExp;
  reason: string;
}

/** Applied line by line, to code without its comments. */
const rules: readonly Rule[] = [
  {
    pattern: /#include\s*["<](?:v8|node\.h|node_buffer|node_object_wrap|nan|cppgc|libplatform|openssl)/,
    reason: "only Node-API is stable",
  },
  { pattern: /\b(?:v8|node)::/, reason: "only Node-API is stable" },
  { pattern: /\bNAPI_EXPERIMENTAL\b/, reason: "an interface that may change" },
  {
    pattern: /\bthread_local\b|\bstatic\s+(?!constexpr\b|const\b)[\w:<>*& ]+[=;]/,
    reason: "no state but an instance's",
  },
  { pattern: /\b(?:throw|try|catch)\b|\bdynamic_cast\b|\btypeid\b/, reason: "neither exceptions nor RTTI" },
  { pattern: /\b(?:strcpy|strcat|sprintf|vsprintf|gets|alloca|strtok)\s*\(/, reason: "writes without a bound" },
  {
    pattern: /\b(?:exit|_exit|abort|system|popen|fork|sleep|usleep|printf|puts|raise)\s*\(/,
    reason: "a failure is a result",
  },
];

function violations(file: string, text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  return code.split("\n").flatMap((line, index) => {
    const broken = rules.find(({ pattern }) => pattern.test(line.replace(/"(?:[^"\\]|\\.)*"(?=.*[;,)])/g, '""')));
    return broken === undefined ? [] : [`${file}:${index + 1}: ${broken.reason}: ${line.trim()}`];
  });
}

describe("native/src", () => {
  const folder = path.join(repositoryRoot, "native", "src");
  const files = readdirSync(folder);

  test("holds C++ and nothing else", () => {
    assert.deepEqual(
      files.filter((file) => !/\.(?:cc|h)$/.test(file)),
      [],
    );
  });

  test("keeps to its rules", () => {
    assert.deepEqual(
      files.flatMap((file) => violations(file, readFileSync(path.join(folder, file), "utf8"))),
      [],
    );
  });

  test("each header says at its top what it is for", () => {
    const silent = files.filter(
      (file) => file.endsWith(".h") && !readFileSync(path.join(folder, file), "utf8").startsWith("// "),
    );
    assert.deepEqual(silent, []);
  });
});

test("violations are found where they are planted, and nowhere else", () => {
  const planted = [
    "#include <v8.h>",
    '#include "node.h"',
    "  v8::Isolate* isolate;",
    "static int connections;",
    "thread_local Loop* loop;",
    "  static int counter = 0;",
    "  static std::vector<int> all;",
    "  throw 1;",
    "  strcpy(to, from);",
    "  abort();",
    '  printf("x");',
  ];
  for (const line of planted) assert.equal(violations("a.cc", line).length, 1, line);
  const lawful = [
    "#include <node_api.h>",
    "#include <uv.h>",
    "  static constexpr int kMax = 1;",
    "  static Loop* of(napi_env env);",
    "  return static_cast<char*>(data);",
    "  napi_throw_type_error(env, nullptr, text);",
    "  snprintf(text, bytes, format);",
    "  // abort() is not called",
    'throw_type(env, "try a number");',
  ];
  for (const line of lawful) assert.deepEqual(violations("a.cc", line), [], line);
});

test("there is no binding.gyp, for which npm would run node-gyp and download headers", () => {
  assert.equal(existsSync(path.join(repositoryRoot, "binding.gyp")), false);
});

test("one file of src loads addons", () => {
  const loading = [...readSourceTexts()].filter(([, text]) => /\bcreateRequire\b|\bdlopen\b/.test(text));
  assert.deepEqual(
    loading.map(([file]) => file),
    ["io/native/addon.ts"],
  );
});
