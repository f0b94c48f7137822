/** Files that would take the machine down: by size, by depth, by what their aliases expand to. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { FILE_BYTES_MAX } from "./document.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

function onlyLine(text: string, file = "headgate.yaml"): string {
  const result = parseConfig(text, { file });
  assert.ok(!result.ok);
  assert.equal(result.problems.length, 1, result.problems.map(formatProblem).join("\n"));
  return formatProblem(result.problems[0]!);
}

it("refuses a file of more than 1 MiB without parsing it", () => {
  assert.equal(onlyLine("#".repeat(FILE_BYTES_MAX + 1)), "headgate.yaml:1:1: the file is larger than 1 MiB");
  assert.equal(onlyLine(`# ${"é".repeat(FILE_BYTES_MAX / 2)}`), "headgate.yaml:1:1: the file is larger than 1 MiB");
});

it("refuses aliases that expand to billions of values", () => {
  const names = [..."abcdefghi"];
  const lines = names.map((name, index) => {
    const items = Array(10).fill(index === 0 ? "lol" : `*${names[index - 1]}`);
    return `${name}: &${name} [${items.join(", ")}]`;
  });
  const started = performance.now();
  assert.match(
    onlyLine(lines.join("\n")),
    /^headgate.yaml:\d+:\d+: the file has more than 100000 values, its aliases expanded$/,
  );
  assert.ok(performance.now() - started < 20_000);
});

it("refuses an alias inside what it names", () => {
  const result = parseConfig("servers: &s { web: *s }", { file: "headgate.yaml" });
  assert.ok(!result.ok);
  assert.ok(result.problems.some((problem) => problem.message === "the alias *s stands inside what it names"));
});

it("refuses blocks that are nested too deep, however deep", () => {
  for (const depth of [40, 5_000, 50_000]) {
    assert.match(onlyLine(`a: ${"[".repeat(depth)}${"]".repeat(depth)}`), /: blocks are nested more than 32 deep$/);
    const json = `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
    if (json.length <= FILE_BYTES_MAX) assert.match(onlyLine(json, "a.json"), /: blocks are nested more than 32 deep$/);
  }
});

it("reads an alias as the last anchor before it", () => {
  const text = `log: { level: &x debug, access: { format: &y "{client}" } }
upstreams: { a: { servers: ["http://a"], balance: &x random } }
via: *x
servers: { web: { listen: ":80", proxy: a } }
`;
  const result = parseConfig(text, { file: "headgate.yaml" });
  assert.ok(result.ok);
  assert.deepEqual(result.config.via, { kind: "name", name: "random" });
});

it("takes an alias that is only a repetition", () => {
  const text = `upstreams:
  a: &a { servers: ["http://127.0.0.1:1"], timeouts: &slow { response: 5m } }
  b: { servers: ["http://127.0.0.1:2"], timeouts: *slow }
  c: *a
servers: { web: { listen: ":80", proxy: a } }
`;
  const result = parseConfig(text, { file: "headgate.yaml" });
  assert.ok(result.ok);
  assert.deepEqual(
    result.config.upstreams.map(({ name }) => name),
    ["a", "b", "c"],
  );
});

it("says a hundred things at most, and is quick about it", () => {
  const started = performance.now();
  const unset = ["a#: $", "{NOT_SET}\n"].join("");
  for (const line of ["a#: 1\n", unset, "- #\n", "a#: *b\n"]) {
    const lines = Array.from({ length: 20_000 }, (_, index) => line.replace("#", String(index)));
    const result = parseConfig(`servers:\n${lines.join("").replaceAll(/^/gm, "  ")}`, { file: "headgate.yaml" });
    assert.ok(!result.ok && result.problems.length <= 100);
  }
  const many = Array.from({ length: 300 }, (_, index) => `a${index}: 1\n`);
  const result = parseConfig(many.join(""), { file: "headgate.yaml" });
  assert.ok(!result.ok);
  assert.equal(result.problems.length, 100);
  assert.equal(formatProblem(result.problems[99]!), "headgate.yaml:99:1: and 202 problems more, from here on");
  assert.ok(performance.now() - started < 30_000);
});
