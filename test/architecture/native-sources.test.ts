// Rules over the addon's C++: only interfaces that are the same in every Node, no state outside of an instance, nothing that
// ends the process or writes without a bound, parts that know only what is below them, and one place in src that loads it.

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

/** The rows of the table of native/README.md, from top to bottom, each with the parts that it names. */
function partsByRow(readme: string): string[][] {
  const rows = readme.match(/^\| `src\/.*$/gm) ?? [];
  return rows.map((row) =>
    [...row.split(" | ")[0]!.matchAll(/`(?:src\/)?([\w-]+)\.(?:cc|h)`/g)].map(([, part]) => part!),
  );
}

/** Of what includes a part that stands in a row above its own, or in none. */
function climbing(rows: readonly (readonly string[])[], part: string, text: string): string[] {
  const rowOf = (name: string): number => rows.findIndex((row) => row.includes(name));
  const included = [...text.matchAll(/^#include "([\w-]+)\.h"/gm)].map(([, name]) => name!);
  return included.filter((name) => rowOf(name) < rowOf(part)).map((name) => `${part} includes ${name}`);
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

  test("is what the table of native/README.md names, and each part includes only what stands below it there", () => {
    const rows = partsByRow(readFileSync(path.join(repositoryRoot, "native", "README.md"), "utf8"));
    const partOf = (file: string): string => path.parse(file).name;
    assert.deepEqual(rows.flat().sort(), [...new Set(files.map(partOf))].sort());
    const found = files.flatMap((file) => climbing(rows, partOf(file), readFileSync(path.join(folder, file), "utf8")));
    assert.deepEqual(found, []);
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

test("an include that points upwards is found, and one to a part that no row names", () => {
  const rows = partsByRow("| `src/top.cc`, `beside.cc` | `src/other.cc` |\n| `src/bottom.h` | bytes |\n");
  assert.deepEqual(rows, [["top", "beside"], ["bottom"]]);
  const text = '#include <vector>\n#include "top.h"\n#include "bottom.h"\n#include "unknown.h"\n';
  assert.deepEqual(climbing(rows, "beside", text), ["beside includes unknown"]);
  assert.deepEqual(climbing(rows, "bottom", text), ["bottom includes top", "bottom includes unknown"]);
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
