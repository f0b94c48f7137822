/** References to the environment: what they are replaced by, and what they can never do. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { interpolate } from "./interpolate.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const file = "headgate.yaml";
/** "$" in front of braces, which a template literal would take for its own. */
const ref = (content: string) => `\${${content}}`;

function routeOf(text: string, env: Readonly<Record<string, string>>) {
  const result = parseConfig(text, { file, env });
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
  return result.config.servers[0]!.routes[0]!;
}

function linesFor(text: string, env: Readonly<Record<string, string>>): readonly string[] {
  const result = parseConfig(text, { file, env });
  assert.ok(!result.ok);
  return result.problems.map(formatProblem);
}

describe("references in one text", () => {
  const env = { A: "a", EMPTY: "", NESTED: ref("A") };
  const cases: readonly [source: string, text: string][] = [
    [ref("A"), "a"],
    [`x${ref("A")}y${ref("A")}`, "xaya"],
    [ref("B:-b c"), "b c"],
    [ref("A:-b"), "a"],
    [ref("EMPTY"), ""],
    [ref("EMPTY:-b"), "b"],
    [ref("B:-"), ""],
    [`$${ref("A")}`, ref("A")],
    [`$$${ref("A")}`, `$${ref("A")}`],
    ["$A $1 $$ {A} $", "$A $1 $$ {A} $"],
    // What a variable holds is not read again.
    [ref("NESTED"), ref("A")],
  ];
  for (const [source, text] of cases) it(source, () => assert.deepEqual(interpolate(source, env).text, text));

  it("are errors when they are no names, or nothing is set", () => {
    assert.equal(interpolate(ref("B"), env).errors.length, 1);
    assert.equal(interpolate(`${ref("B")}${ref("C")}`, env).errors.length, 2);
    for (const content of ["", "1", "a b", "A:b", "A-b", " A"])
      assert.equal(interpolate(ref(content), env).errors.length, 1);
    assert.equal(interpolate("a ${A", env).errors.length, 1);
    // Names that every object has are not variables.
    assert.equal(interpolate(ref("constructor"), env).errors.length, 1);
  });
});

describe("references in a file", () => {
  it("never add structure", () => {
    const env = { X: "a\nrespond: 500\n", Y: "{ status: 500 }", Z: "*anchor" };
    const text = `servers: { web: { listen: ":80", respond: { body: "${ref("X")}${ref("Y")}${ref("Z")}" } } }`;
    const { action } = routeOf(text, env);
    assert.ok(action.kind === "respond");
    assert.deepEqual([action.status, action.body], [200, "a\nrespond: 500\n{ status: 500 }*anchor"]);
    assert.deepEqual(linesFor(`servers: { web: { listen: ":80", respond: "${ref("Y")}" } }`, env), [
      "headgate.yaml:1:43: servers.web.respond: expected a number or a mapping, got text: a text is { body: TEXT }",
    ]);
  });

  it("are never told of: they may be secrets", () => {
    const env = { SECRET: "hunter2-secret", SHORT: "30 sec" };
    for (const [text, message] of [
      [
        `drainTimeout: ${ref("SECRET")}`,
        "drainTimeout: expected a duration such as 30s, got a value of the environment",
      ],
      [
        `drainTimeout: ${ref("SHORT")}`,
        "drainTimeout: expected a duration such as 30s, got a value of the environment",
      ],
    ] as const) {
      const lines = linesFor(`servers: { web: { listen: ":80", respond: 204 } }\n${text}`, env);
      assert.deepEqual(lines, [`headgate.yaml:2:15: ${message}`]);
    }
    const long = linesFor(`servers: { web: { listen: ":80", respond: 204 } }\ndrainTimeout: ${ref("LONG")}`, {
      LONG: "hunter2-".repeat(10),
    });
    assert.deepEqual(long, [
      "headgate.yaml:2:15: drainTimeout: expected a duration such as 30s, got a value of the environment",
    ]);
    const url = linesFor(`servers: { web: { listen: ":80", redirect: "https://${ref("SECRET")}:99999{uri}" } }`, env);
    assert.deepEqual(url, [
      "headgate.yaml:1:44: servers.web.redirect: a value of the environment is no URL, whatever is filled in",
    ]);
    for (const field of ["listen", "proxy", "redirect"]) {
      const lines = linesFor(`servers: { web: { listen: ":80", respond: 204, ${field}: "${ref("SECRET")} x" } }`, env);
      assert.doesNotMatch(lines.join("\n"), /hunter2/);
    }
  });

  it("are numbers and switches where only those will do, and text elsewhere", () => {
    const env = { N: "404", T: "true", W: "0012", F: "0.25" };
    assert.deepEqual(routeOf(`servers: { web: { listen: ":80", respond: "${ref("N")}" } }`, env).action, {
      kind: "respond",
      status: 404,
      headers: [],
      body: null,
    });
    const text = `log: { access: { sample: "${ref("F")}" } }
servers:
  web:
    listen: ":1${ref("W")}"
    halfClose: ${ref("T")}
    respond: { body: "${ref("N:-x")}", headers: { a: "${ref("T")}" } }
`;
    const result = parseConfig(text, { file, env });
    assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
    const [server] = result.config.servers;
    assert.deepEqual(
      [server!.listen[0]!.text, server!.halfClose, result.config.log.access?.sample],
      [":10012", true, 0.25],
    );
    assert.deepEqual(server!.routes[0]!.action, {
      kind: "respond",
      status: 200,
      headers: [
        ["a", "true"],
        ["content-type", "text/plain; charset=utf-8"],
      ],
      body: "404",
    });
  });

  it("work in JSON", () => {
    const text = `{ "servers": { "web": { "listen": ":${ref("P")}", "respond": "${ref("S")}" } } }`;
    const result = parseConfig(text, { file: "headgate.json", env: { P: "80", S: "204" } });
    assert.ok(result.ok && result.config.servers[0]!.listen[0]!.text === ":80");
  });

  it("do not work in names", () => {
    assert.deepEqual(linesFor(`servers:\n  ${ref("A")}: { listen: ":80", respond: 204 }\n`, { A: "web" }), [
      `headgate.yaml:2:3: servers["${ref("A")}"]: expected a name of letters, digits, dots, hyphens and underscores, got "${ref("A")}"`,
    ]);
  });

  it("are one problem each when they cannot be replaced, at their place", () => {
    const text = `drainTimeout: ${ref("DRAIN")}
via: "${ref("a b")}"
servers:
  web: { listen: ":80", respond: 204 }
`;
    assert.deepEqual(linesFor(text, {}), [
      `headgate.yaml:1:15: drainTimeout: the environment variable DRAIN is not set; ${ref("DRAIN:-default")} would give it a default`,
      `headgate.yaml:2:6: via: ${ref("a b")} is not ${ref("NAME")} or ${ref("NAME:-default")}; write $\${ for the characters themselves`,
    ]);
  });

  it("are checked like any value", () => {
    assert.deepEqual(
      linesFor(`servers: { web: { listen: ":${ref("PORT")}", respond: "${ref("STATUS")}" } }`, {
        PORT: "99999",
        STATUS: "1000",
      }),
      [
        "headgate.yaml:1:27: servers.web.listen: the port is 99999, the highest one is 65535",
        "headgate.yaml:1:48: servers.web.respond: expected a number of at most 599, got 1000",
      ],
    );
  });

  it("without quotes inside a flow mapping are explained", () => {
    assert.deepEqual(linesFor(`servers: { web: { listen: ":80", respond: { body: ${ref("A")} } } }`, { A: "x" }), [
      "headgate.yaml:1:52: a reference to the environment is put in quotes inside { } and [ ]",
    ]);
  });
});
