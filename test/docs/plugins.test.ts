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

test("the example of a plugin and of its test, as they are written", async () => {
  using folder = new TestFolder();
  const blocks = [...document.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ""]) => code);
  const plugin = blocks.find((code) => code.startsWith("// tenant.ts\n"));
  const itsTest = blocks.find((code) => code.includes('from "headgate/testing"'));
  assert.ok(plugin !== undefined && itsTest !== undefined);
  folder.write("package.json", '{ "type": "module" }');
  folder.write("tenant.ts", plugin);
  const more = `client.sends("GET / HTTP/1.1\\r\\nHost: www.example.org\\r\\n\\r\\n");
client.receives(/^HTTP\\/1\\.1 404 .*no such tenant\\n$/s);
console.log("both answered");`;
  const file = folder.write("test.ts", `${itsTest}\n${more}`);
  mkdirSync(folder.file("node_modules"));
  symlinkSync(fileURLToPath(new URL("../..", import.meta.url)), folder.file("node_modules/headgate"));
  const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=headgate-source", file]);
  assert.equal(stdout, "both answered\n");
});
