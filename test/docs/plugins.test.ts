// docs/plugins.md says of every hook what its comment says, and its examples work as they are written.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readHooks, withHookReference } from "../../scripts/hook-reference.ts";
import { PHASES } from "../../src/pipeline/phases.ts";
import { TestFolder } from "../support/folder.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const document = read("docs/plugins.md");
const source = read("src/pipeline/phases.ts");

test("every phase has its section, in the order of an exchange's life", () => {
  assert.deepEqual(
    readHooks(source).map(({ name }) => name),
    PHASES,
  );
});

test("the reference is current: npm run docs", () => {
  assert.equal(withHookReference(document, source), document);
});

test("a hook without a comment is refused", () => {
  assert.throws(
    () => readHooks("export interface Feature {\n  log?(exchange: Exchange): void;\n}\n"),
    /log has no comment/,
  );
});

const blocks = [...document.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ""]) => code);

/** Runs it beside a package that is this tree; resolves with what it prints. */
async function run(folder: TestFolder, file: string): Promise<string> {
  folder.write("package.json", '{ "type": "module" }');
  mkdirSync(folder.file("node_modules"));
  symlinkSync(fileURLToPath(new URL("../..", import.meta.url)), folder.file("node_modules/headgate"));
  return (await promisify(execFile)(process.execPath, ["--conditions=headgate-source", file])).stdout;
}

test("the example of a plugin and of its test, as they are written", async () => {
  using folder = new TestFolder();
  const plugin = blocks.find((code) => code.startsWith("// tenant.ts\n"));
  const itsTest = blocks.find((code) => code.includes('from "headgate/testing"'));
  assert.ok(plugin !== undefined && itsTest !== undefined);
  folder.write("tenant.ts", plugin);
  const more = `client.sends("GET / HTTP/1.1\\r\\nHost: www.example.org\\r\\n\\r\\n");
client.receives(/^HTTP\\/1\\.1 404 .*no such tenant\\n$/s);
console.log("both answered");`;
  const file = folder.write("test.ts", `${itsTest}\n${more}`);
  assert.equal(await run(folder, file), "both answered\n");
});

test("the pages for errors, as they are written", async () => {
  using folder = new TestFolder();
  const plugin = blocks.find((code) => code.startsWith("// error-pages.ts\n"));
  assert.ok(plugin !== undefined);
  folder.write("error-pages.ts", plugin);
  const file = folder.write(
    "test.ts",
    `import { createTestProxy } from "headgate/testing";
import { errorPages } from "./error-pages.ts";
import { ProxyError } from "headgate";
const guard = {
  name: "guard",
  request(exchange) {
    const fields = [["WWW-Authenticate", "Basic"]];
    if (exchange.request.path === "/guarded") exchange.fail(new ProxyError("http_request_denied", "who?", { status: 401, fields }));
  },
};
const proxy = createTestProxy({ use: [errorPages, guard] });
const client = proxy.connect();
client.sends("GET /guarded HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
client.receives(/^HTTP\\/1\\.1 401 .*\\r\\nWWW-Authenticate: Basic\\r\\n.*<h1>Sorry<\\/h1>/s);
function answered(answer: string): void {
  client.sends("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
  const server = proxy.origin.accepts();
  server.receivesHead();
  server.sends(answer);
}
answered("HTTP/1.1 500 Internal Server Error\\r\\nConnection: close\\r\\nContent-Length: 3\\r\\n\\r\\nbug");
client.receives(/^HTTP\\/1\\.1 500 .*\\r\\n<h1>Sorry<\\/h1>\\n\\r\\n0/s);
answered("HTTP/1.1 503 Service Unavailable\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n");
client.receives(/^HTTP\\/1\\.1 503 .*<h1>Sorry<\\/h1>/s);
answered("no HTTP\\r\\n\\r\\n");
client.receives(/^HTTP\\/1\\.1 502 .*<h1>Sorry<\\/h1>/s);
answered("HTTP/1.1 404 Not Found\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nno");
client.receives(/^HTTP\\/1\\.1 404 .*\\r\\n\\r\\nno$/s);
console.log("all answered");`,
  );
  assert.equal(await run(folder, file), "all answered\n");
});
