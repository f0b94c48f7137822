/** Files on the disk: where they are found, how they are read, what secrets and programs among them may do. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";
import { diffConfig } from "./diff.ts";
import { CONFIG_FILE_NAMES, findConfigFile, loadConfig, loadProgram } from "./load.ts";
import type { ParseResult } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const folder = mkdtempSync(path.join(tmpdir(), "headgate-config-"));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function lines(result: ParseResult): readonly string[] {
  return result.ok ? ["ok"] : result.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ""));
}

const SERVER = 'servers: { web: { listen: ":80", respond: 204 } }\n';

describe("finding the file", () => {
  it("takes the first of the names", () => {
    mkdirSync(path.join(folder, "names/headgate.yaml"), { recursive: true });
    assert.equal(findConfigFile(path.join(folder, "names")), null);
    for (const name of CONFIG_FILE_NAMES.slice(1).toReversed()) {
      const file = write(`names/${name}`, SERVER);
      assert.equal(findConfigFile(path.join(folder, "names")), file);
    }
  });
});

describe("reading the file", () => {
  it("takes YAML and JSON by the name", async () => {
    assert.equal((await loadConfig(write("a.yml", SERVER))).ok, true);
    assert.equal((await loadConfig(write("a.json", '{"servers":{"web":{"listen":":80","respond":204}}}'))).ok, true);
    assert.deepEqual(lines(await loadConfig(write("b.json", SERVER))), [
      'b.json:1:1: not valid JSON: expected a value, got "s"',
    ]);
  });

  it("says why it cannot", async () => {
    assert.deepEqual(lines(await loadConfig(path.join(folder, "none.yaml"))), [
      "none.yaml: cannot read the file: there is no such file",
    ]);
    assert.deepEqual(lines(await loadConfig(folder)), [`${folder}: cannot read the file: it is a folder`]);
    const large = write("large.yaml", "#".repeat(2 ** 20 + 1));
    assert.deepEqual(lines(await loadConfig(large)), ["large.yaml: cannot read the file: it is larger than 1024 KiB"]);
  });

  it("makes paths absolute, from the folder of the file", async () => {
    const file = write(
      "sub/paths.yaml",
      `log: { access: { output: logs/access.log } }
upstreams: { a: { servers: ["https://a", "unix:run/a.sock"], tls: { ca: ca.pem, cert: c.pem, key: /k.pem } } }
servers: { web: { listen: [{ address: ":443", tls: { certificates: [{ cert: ../x.pem, key: x.key }] } }, "unix:w.sock"], proxy: a } }
`,
    );
    const result = await loadConfig(file);
    assert.ok(result.ok, lines(result).join("\n"));
    const { log, upstreams, servers } = result.config;
    const at = (name: string) => path.join(folder, name);
    assert.deepEqual(log.access?.output, { kind: "file", path: at("sub/logs/access.log") });
    assert.deepEqual(
      [upstreams[0]!.tls.ca, upstreams[0]!.tls.cert, upstreams[0]!.tls.key, upstreams[0]!.servers[1]!.host],
      [at("sub/ca.pem"), at("sub/c.pem"), "/k.pem", at("sub/run/a.sock")],
    );
    assert.deepEqual(
      servers[0]!.listen.map(({ text }) => text),
      [":443", `unix:${at("sub/w.sock")}`],
    );
    assert.deepEqual(servers[0]!.listen[0]!.tls?.certificates, [{ cert: at("x.pem"), key: at("sub/x.key") }]);
  });
});

describe("secrets", () => {
  const withToken = (value: string) =>
    `servers: { web: { listen: ":80", use: [{ headers: { request: { set: { authorization: ${value} } } } }], proxy: "http://a" } }`;

  it("are read from files of their own, without their last line break", async () => {
    for (const ending of ["", "\n", "\r\n"]) {
      write("secrets/token", `Bearer abc${ending}`);
      const result = await loadConfig(write("secrets/a.yaml", withToken("{ file: token }")));
      assert.ok(result.ok, lines(result).join("\n"));
      const [use] = result.config.servers[0]!.routes[0]!.use;
      assert.ok(use?.feature === "headers");
      assert.equal(use.options.request.set.authorization, "Bearer abc");
    }
  });

  it("that cannot be read, or are none, are problems that never show them", async () => {
    write("secrets/two-lines", "Bearer abc\nX: y\n");
    write("secrets/huge", "x".repeat(65_537));
    const place = "secrets/b.yaml:1:86: servers.web.use[0].headers.request.set.authorization:";
    const file = (value: string) => write("secrets/b.yaml", withToken(value));
    assert.deepEqual(lines(await loadConfig(file("{ file: nowhere }"))), [
      `${place} cannot read the secret file "nowhere": there is no such file`,
    ]);
    assert.deepEqual(lines(await loadConfig(file("{ file: huge }"))), [
      `${place} cannot read the secret file "huge": it is larger than 64 KiB`,
    ]);
    assert.deepEqual(lines(await loadConfig(file("{ file: two-lines }"))), [
      `${place} expected the value of a header field (visible ASCII, no line break, no space at either end), got other text`,
    ]);
    assert.deepEqual(lines(await loadConfig(file("{ fle: token }"))), [
      `secrets/b.yaml:1:88: servers.web.use[0].headers.request.set.authorization.fle: unknown field; did you mean "file"?`,
    ]);
  });

  it("in a file without permission are problems", {
    skip: process.getuid?.() === 0 ? "root may read everything" : false,
  }, async () => {
    chmodSync(write("secrets/closed", "x"), 0o000);
    const [line] = lines(await loadConfig(write("secrets/c.yaml", withToken("{ file: closed }"))));
    assert.match(line ?? "", /permission denied$/);
  });
});

describe("programs", () => {
  const program = (body: string) => `interface Options { readonly port: number }
const options: Options = { port: 8080 };
const plugin = { name: "stamp", request(): void {} };
${body}
export default { servers: { web: { listen: \`:\${options.port}\`, use: [plugin, { compress: true }], handle: () => {} } } };
`;

  it("are imported, types and all, and imported again when they change", async () => {
    const first = await loadConfig(write("headgate.ts", program("")));
    const again = await loadConfig(path.join(folder, "headgate.ts"));
    const changed = await loadConfig(write("headgate.ts", program("// changed")));
    assert.ok(first.ok && again.ok && changed.ok, lines(first).join("\n"));
    assert.equal(first.config.servers[0]!.listen[0]!.text, ":8080");
    assert.deepEqual(
      first.config.servers[0]!.routes[0]!.use.map(({ feature }) => feature),
      ["plugin", "compress"],
    );
    assert.equal(diffConfig(first.config, again.config).same, true);
    assert.deepEqual(diffConfig(first.config, changed.config).servers.changed, ["web"]);
  });

  it("can be imported as their files were, with what they import", async () => {
    write("text/port.ts", "export const port: number = 8081;\n");
    write("text/path.cjs", 'module.exports = require("node:path").basename(__dirname);\n');
    const text = `import { port } from "./port.ts";
import name from "./path.cjs";
export default { servers: { [name]: { listen: \`:\${port as number}\`, handle: () => {} } } };
`;
    const file = write("text/headgate.ts", "export default 1;\n");
    for (const lose of [() => {}, () => rmSync(file)]) {
      lose();
      const result = await loadProgram(file, `// ${lose}\n${text}`);
      assert.ok(result.ok, lines(result).join("\n"));
      const [server] = result.config.servers;
      assert.deepEqual([server!.name, server!.listen[0]!.text], ["text", ":8081"]);
    }
    assert.deepEqual(lines(await loadProgram(file, "throw new Error('as it was');\n")), [
      "text/headgate.ts:1:7: cannot be imported: as it was",
    ]);
  });

  it("have problems without places", async () => {
    const file = write(
      "wrong.ts",
      "export default { servers: { web: { lsten: ':80', respond: 204, use: [{ name: 'no hooks' }] } } };\n",
    );
    assert.deepEqual(lines(await loadConfig(file)), [
      "wrong.ts: servers.web.use[0].name: only a plugin has a name, and at least one hook, which is a function, in a headgate.ts or a program",
      'wrong.ts: servers.web.lsten: unknown field; did you mean "listen"?',
    ]);
  });

  it("that cannot be imported are problems, at their place where it is known", async () => {
    assert.deepEqual(lines(await loadConfig(write("throws.ts", "\nthrow new TypeError('no luck');\n"))), [
      "throws.ts:2:7: cannot be imported: TypeError: no luck",
    ]);
    const [syntax] = lines(await loadConfig(write("syntax.ts", "export default {\n  a: [1,\n};\n")));
    assert.match(syntax ?? "", /^syntax\.ts:\d+:\d+: cannot be imported: SyntaxError: /);
    const [missing] = lines(await loadConfig(write("missing.ts", "import './not-there.ts';\nexport default {};\n")));
    assert.match(missing ?? "", /^missing\.ts: cannot be imported: Cannot find module /);
    assert.deepEqual(lines(await loadConfig(write("nothing.ts", "export const config = {};\n"))), [
      "nothing.ts: has no default export: write export default defineConfig({ ... })",
    ]);
  });
});
