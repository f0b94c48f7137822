// A forward proxy serves its PAC file on its own port, in front of its routes.

import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";
import { forwardProxy } from "../support/forward-stage.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 30_000 };
const ROUTES = { routes: [{ respond: { body: "a route's" } }] };

const wayTo = (script: string, host: string): unknown =>
  vm.runInNewContext(`${script}; FindProxyForURL("http://${host}/", "${host}")`);

test("under the host that it was asked for, without a proof of who asks", TIMEOUT, async () => {
  const auth = { basic: { users: { ci: "$2b$04$abcdefghijklmnopqrstuuGSfcUS1fMFtHTWXOSLdsLLTmMWyGBQe" } } };
  await using proxy = await forwardProxy({ auth, pac: { direct: ["*.corp.example"] } }, ROUTES);
  const port = proxy.port("egress");
  using client = await RawClient.connect(port);
  for (const [host, named] of [
    [`proxy.example.org:${port}`, `proxy.example.org:${port}`],
    ["proxy.example.org", "proxy.example.org:80"],
    ["[::1]", "[::1]:80"],
  ] as const) {
    const answer = await client.send(`GET /proxy.pac HTTP/1.1\r\nHost: ${host}\r\n\r\n`).answer();
    assert.equal(answer.status, 200);
    assert.equal(answer.fields.get("content-type"), "application/x-ns-proxy-autoconfig");
    assert.equal(wayTo(answer.body, "example.org"), `PROXY ${named}`);
    assert.equal(wayTo(answer.body, "a.corp.example"), "DIRECT");
  }
  for (const request of ["POST /proxy.pac", "GET /proxy.pac/x"]) {
    const answer = await client.send(`${request} HTTP/1.1\r\nHost: a\r\n\r\n`).answer();
    assert.equal(answer.body, "a route's", request);
  }
});

test("with a path and a proxy of its own; an HTTP/1.0 client names no host", TIMEOUT, async () => {
  await using proxy = await forwardProxy({ pac: { path: "/wpad.dat", proxy: "proxy.example.org:3128" } }, ROUTES);
  using client = await RawClient.connect(proxy.port("egress"));
  const answer = await client.send("GET /wpad.dat HTTP/1.1\r\nHost: wpad\r\n\r\n").answer();
  assert.equal(wayTo(answer.body, "example.org"), "PROXY proxy.example.org:3128");
  assert.equal((await client.send("GET /proxy.pac HTTP/1.1\r\nHost: wpad\r\n\r\n").answer()).body, "a route's");
  await using unnamed = await forwardProxy({ pac: {} });
  using old = await RawClient.connect(unnamed.port("egress"));
  assert.equal((await old.send("GET /proxy.pac HTTP/1.0\r\n\r\n").answer()).status, 400);
});
