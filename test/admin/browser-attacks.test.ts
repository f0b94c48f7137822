// A page of a stranger, in the browser of somebody on this machine, tries to use the admin interface: by a form, by fetch,
// by a name of its own that leads to 127.0.0.1.

import assert from "node:assert/strict";
import type { OutgoingHttpHeaders } from "node:http";
import { describe, test } from "node:test";
import { AdminStage } from "./admin-stage.ts";

const JSON_TYPE = { "content-type": "application/json" };

describe("DNS rebinding: a Host that is not this machine's, on a port", () => {
  const strangers = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example#localhost",
    "localhost:80:80",
    "10.0.0.1",
    "[::2]",
    "[::ffff:127.0.0.1]",
  ];
  for (const host of strangers) {
    test(JSON.stringify(host), async () => {
      using stage = await AdminStage.start("tcp");
      for (const asked of [
        await stage.ask("GET", "/status", { headers: { host } }),
        await stage.post("/stop", "", { host }),
      ]) {
        assert.equal(asked.status, 403);
        assert.match(String(asked.json.error), /^the Host field must name this machine/);
      }
      assert.deepEqual(stage.control.calls, []);
    });
  }

  test("a request without any Host is none", async () => {
    using stage = await AdminStage.start("tcp");
    assert.match(await stage.raw("GET /status HTTP/1.1\r\nConnection: close\r\n\r\n"), /^HTTP\/1\.1 400 /);
    assert.match(await stage.raw("GET /status HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 403 /);
    assert.match(await stage.raw("GET /status HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"), /^HTTP\/1\.1 403 /);
    assert.deepEqual(stage.control.calls, []);
  });

  for (const host of ["localhost", "LocalHost:1", "127.0.0.1", "127.9.9.9:9000", "[::1]", "[::1]:9000"]) {
    test(`${host} is this machine`, async () => {
      using stage = await AdminStage.start("tcp");
      assert.equal((await stage.ask("GET", "/status", { headers: { host } })).status, 200);
    });
  }

  test("behind a unix socket any name will do: no browser gets there", async () => {
    using stage = await AdminStage.start("unix");
    assert.equal((await stage.ask("GET", "/status", { headers: { host: "headgate" } })).status, 200);
  });
});

describe("cross-site requests", () => {
  const forged: readonly (readonly [what: string, headers: OutgoingHttpHeaders])[] = [
    ["fetch from another site", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }],
    ["an older browser, which says only Origin", { origin: "https://evil.example" }],
    ["a sandboxed frame", { origin: "null" }],
    ["another port of this machine", { origin: "http://localhost:3000" }],
    ["the same place by TLS, which is not this one", { origin: "https://localhost" }],
    ["another port, as newer browsers say it", { "sec-fetch-site": "same-site" }],
    ["an image or a link", { "sec-fetch-site": "cross-site" }],
  ];
  for (const [what, headers] of forged) {
    test(`${what}: 403`, async () => {
      using stage = await AdminStage.start("tcp");
      const all = { host: "localhost", ...headers };
      assert.equal((await stage.ask("GET", "/status", { headers: all })).status, 403);
      assert.equal((await stage.post("/drain", "", all)).status, 403);
      assert.deepEqual(stage.control.calls, []);
    });
  }

  test("what a page of ours and a person at the address bar send is answered", async () => {
    using stage = await AdminStage.start("tcp");
    const host = `LOCALHOST:${stage.port}`;
    const own = { host, origin: `http://localhost:${stage.port}`, "sec-fetch-site": "same-origin" };
    assert.equal((await stage.post("/reload", "", own)).status, 200);
    assert.equal((await stage.ask("GET", "/status", { headers: { host, "sec-fetch-site": "none" } })).status, 200);
  });
});

describe("a change by what a form can send: 415", () => {
  const types = [
    undefined,
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain; application/json",
    "application/jsonp",
    "text/plain, application/json",
  ];
  for (const type of types) {
    test(String(type), async () => {
      using stage = await AdminStage.start("tcp");
      const headers = type === undefined ? {} : { "content-type": type };
      for (const target of ["/reload", "/drain", "/stop"]) {
        const { status, json } = await stage.ask("POST", target, { headers, body: "{}" });
        assert.equal(status, 415);
        assert.match(String(json.error), /Content-Type: application\/json$/);
      }
      assert.deepEqual(stage.control.calls, []);
    });
  }

  test("a preflight gets no permission", async () => {
    using stage = await AdminStage.start("tcp");
    const headers = { "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
    const asked = await stage.ask("OPTIONS", "/stop", { headers });
    assert.equal(asked.status, 405);
    assert.deepEqual(
      Object.keys(asked.headers).filter((name) => name.startsWith("access-control-")),
      [],
    );
  });

  for (const type of ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=utf-8"]) {
    test(`${type} is no form's`, async () => {
      using stage = await AdminStage.start("tcp");
      assert.equal((await stage.post("/reload", "{}", { "content-type": type })).status, 200);
      assert.deepEqual(stage.control.calls, ["reload"]);
    });
  }
});

test("a method in the query or in a field does not make a change of a GET", async () => {
  using stage = await AdminStage.start("tcp");
  const headers = { "x-http-method-override": "POST", ...JSON_TYPE };
  assert.equal((await stage.ask("GET", "/stop?_method=POST", { headers })).status, 405);
  assert.deepEqual(stage.control.calls, []);
});
