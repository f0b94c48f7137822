// docs/plugins.md says of every hook what its comment says, and its examples work as they are written.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readHooks, withHookReference } from "../../scripts/hook-reference.ts";
import type { Feature } from "../../src/index.ts";
import { PHASES } from "../../src/pipeline/phases.ts";
import { createTestProxy } from "../../src/testing/index.ts";

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

test("the example of a plugin and of its test", () => {
  const tenant: Feature = {
    name: "tenant",
    request(exchange) {
      const [name = ""] = exchange.request.host.split(".");
      if (name === "www") exchange.respond({ status: 404, body: "no such tenant\n" });
      else exchange.request.fields.set("X-Tenant", name);
    },
  };
  const proxy = createTestProxy({ use: [tenant] });
  const client = proxy.connect().sends("GET / HTTP/1.1\r\nHost: acme.example.org\r\n\r\n");
  const server = proxy.origin.accepts();
  assert.equal(server.receivesHead().get("x-tenant"), "acme");
  server.sends("HTTP/1.1 204 No Content\r\n\r\n");
  client.receives(/^HTTP\/1\.1 204 /);
  client.sends("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
  client.receives(/^HTTP\/1\.1 404 .*no such tenant\n$/s);
});
