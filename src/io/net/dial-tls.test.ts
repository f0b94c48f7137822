import assert from "node:assert/strict";
import { mock, test } from "node:test";
import tls from "node:tls";
import type { DialTls } from "../../core/ports.ts";
import { ClientContexts } from "./dial-tls.ts";

const CA = tls.rootCertificates[0]!;

function options(serverName: string, more: Partial<DialTls> = {}): DialTls {
  const base = { verify: true, ca: CA, cert: null, key: null, minVersion: "TLSv1.2", alpn: [] } as const;
  return { serverName, ...base, ...more };
}

test("servers with the same authorities share a context, and nothing else", (t) => {
  const made = t.mock.method(tls, "createSecureContext");
  const contexts = new ClientContexts();
  const first = options("a.example");
  const clients = [first, options("b.example"), options("c.example", { ca: `${CA.slice(0, 5)}${CA.slice(5)}` })];
  assert.equal(new Set(clients.map((client) => contexts.of(client))).size, 3);
  assert.equal(contexts.of(first), contexts.of(first));
  assert.equal(made.mock.callCount(), 1);
  contexts.of(options("a.example", { ca: null }));
  contexts.of(options("a.example", { minVersion: "TLSv1.3" }));
  assert.equal(made.mock.callCount(), 3);
  contexts.of(options("d.example"));
  assert.equal(made.mock.callCount(), 3);
});

test("contexts that were not wanted lately are made again", () => {
  const made = mock.method(tls, "createSecureContext", () => ({}) as tls.SecureContext);
  const contexts = new ClientContexts();
  for (let count = 0; count < 40; count++) {
    contexts.of(options("a.example", { ca: String(count) }));
    contexts.of(options("b.example"));
  }
  assert.equal(made.mock.callCount(), 41);
  contexts.of(options("a.example", { ca: "0" }));
  assert.equal(made.mock.callCount(), 42);
  made.mock.restore();
});
