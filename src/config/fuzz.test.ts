/** Whatever a file holds, the answer is a configuration or a list of problems with places in that file; never a throw. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../test/support/seed.ts";
import { diffConfig } from "./diff.ts";
import { DOCS_SECTIONS } from "./docs-sections.ts";
import { type ParseResult, parseConfig, parseConfigObject } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const env = { A: "a", PORT: "8080", N: "3", NESTED: "{ a: b }" };

/** "$" in front of braces, which the linter would take for a template literal's. */
const ref = (content: string) => `\${${content}}`;

/** What a hand, an editor or a generator does to a file. */
const pieces = [
  ...[
    "",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "-",
    "- ",
    ":",
    ": ",
    ",",
    "{",
    "}",
    "[",
    "]",
    "#",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "?",
  ],
  ...[
    "'",
    '"',
    "\\",
    "\0",
    "\uFEFF",
    "\u2028",
    "é",
    "😀",
    "\ud800",
    "%",
    "@",
    "`",
    "<<: *a",
    "---",
    "...",
    "null",
    "~",
    "true",
    "off",
  ],
  ...[
    "0",
    "-1",
    "1e9",
    ".nan",
    ".inf",
    "0x10",
    "1.2",
    "9999999999999999999",
    ref("A"),
    ref("PORT"),
    ref("N"),
    "${",
    `$${ref("A")}`,
    ref("NO:-x"),
  ],
  ...[
    "servers",
    "routes",
    "proxy",
    "respond",
    "use",
    "match",
    "to",
    "name",
    "constructor",
    "__proto__",
    "toString",
    "/*",
    "http://a",
  ],
  ...[
    "[::]:80",
    "*:80",
    "$host",
    "{uri}",
    "{http.request.host} ",
    "%h ",
    "/api/",
    "gzip",
    "tls",
    "location",
    "proxy_pass",
  ],
];

const mutation = fc.record({ at: fc.nat(), drop: fc.nat({ max: 12 }), insert: fc.constantFrom(...pieces) });
const file = fc
  .tuple(fc.constantFrom(...DOCS_SECTIONS.map(({ example }) => example)), fc.array(mutation, { maxLength: 6 }))
  .map(([example, mutations]) =>
    mutations.reduce((text, { at, drop, insert }) => {
      const offset = at % (text.length + 1);
      return text.slice(0, offset) + insert + text.slice(offset + drop);
    }, example),
  );

function check(result: ParseResult, text: string | null): void {
  const problems = result.ok ? result.warnings : result.problems;
  if (!result.ok) assert.ok(problems.length > 0, "refused without a problem");
  const lines = text?.split("\n") ?? [];
  for (const problem of problems) {
    const line = formatProblem(problem);
    assert.ok(problem.message !== "" && !line.includes("undefined") && !line.includes("[object"), line);
    assert.equal(problem.line === null, text === null);
    if (text === null) continue;
    assert.ok(problem.line! >= 1 && problem.line! <= lines.length + 1, line);
    assert.ok(problem.column! >= 1 && problem.column! <= (lines[problem.line! - 1]?.length ?? 0) + 2, line);
  }
  if (result.ok && text !== null) assert.equal(diffConfig(result.config, structuredClone(result.config)).same, true);
}

it(`examples with random changes (${replayHint})`, () => {
  let taken = 0;
  fc.assert(
    fc.property(file, fc.boolean(), (text, isJson) => {
      const result = parseConfig(text, { file: isJson ? "headgate.json" : "headgate.yaml", env });
      check(result, text);
      if (result.ok) taken++;
    }),
    { numRuns: 1_500, seed },
  );
  assert.ok(taken > 20, `only ${taken} files were taken: the changes are too wild to test anything`);
});

it(`values of any kind at any place (${replayHint})`, () => {
  const value = fc.oneof(
    fc.constantFrom<unknown>(
      null,
      true,
      false,
      0,
      -1,
      1.5,
      Number.NaN,
      Infinity,
      "",
      "a",
      "off",
      ":80",
      "http://a",
      "/a",
      [],
      {},
    ),
    fc.constantFrom<unknown>(
      () => {},
      { name: "p" },
      { name: "p", request() {} },
      [[]],
      [{}],
      { a: {} },
      Symbol.iterator,
      3n,
    ),
    fc.object({ maxDepth: 2 }),
  );
  const key = fc.constantFrom(
    ...[
      "servers",
      "web",
      "listen",
      "routes",
      "match",
      "use",
      "proxy",
      "to",
      "respond",
      "status",
      "redirect",
      "handle",
      "limits",
    ],
    ...[
      "log",
      "access",
      "headers",
      "request",
      "set",
      "compress",
      "upstreams",
      "timeouts",
      "tls",
      "address",
      "path",
      "body",
    ],
  );
  const block: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
    block: fc.dictionary(
      key,
      fc.oneof({ depthSize: "small" }, value, tie("block"), fc.array(tie("block"), { maxLength: 3 })),
      {
        maxKeys: 5,
      },
    ),
  })).block;
  const around = fc.tuple(block, block).map(([server, rest]) => ({ servers: { web: server }, ...(rest as object) }));
  fc.assert(
    fc.property(fc.oneof(around, block, value), (input) => {
      check(parseConfigObject(input, { file: "headgate.ts" }), null);
    }),
    { numRuns: 1_500, seed },
  );
});
