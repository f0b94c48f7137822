// What the service is told of a request.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ForwardAuthInput, ForwardAuthStage, LETS_GO } from "../../../test/support/forward-auth-stage.ts";
import type { TestProxyOptions } from "../../testing/index.ts";

/** The question about a request with these lines, without the line of Host. */
async function question(input: ForwardAuthInput, lines: string, start?: string, options?: TestProxyOptions) {
  const stage = new ForwardAuthStage(input, options);
  stage.client(lines, start);
  const head = await stage.answers(LETS_GO);
  stage.goesOn();
  await stage.finish();
  assert.equal(head.get("host"), "auth:80");
  const fields = head.fields.filter(([name]) => name !== "Host").map(([name, value]) => `${name}: ${value}`);
  return { startLine: head.startLine, fields };
}

const FORWARDED = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: example.org"];
const ABOUT_GET = ["X-Forwarded-Method: GET", "X-Forwarded-Uri: /app?a=b"];

describe("the service", () => {
  it("is asked by GET, with the path and query of its address", async () => {
    const { startLine, fields } = await question({ address: "http://auth/verify?realm=x" }, "");
    assert.equal(startLine, "GET /verify?realm=x HTTP/1.1");
    assert.deepEqual(fields, [...FORWARDED, ...ABOUT_GET]);
  });

  it("gets all fields but those of the connection, the body, conditions and ranges", async () => {
    const gone = [
      "Connection: x-hop, keep-alive",
      "X-Hop: 1",
      "TE: trailers",
      "Proxy-Authorization: Basic eA==",
      "Content-Length: 1",
      "Content-Type: text/plain",
      "Content-Encoding: gzip",
      "Content_Type: text/plain",
      "Expect: 100-continue",
      "Trailer: x",
      "If-None-Match: x",
      "If-Modified-Since: x",
      "If-Range: x",
      "Range: bytes=0-1",
      "X-Forwarded-Method: DELETE",
      "X_Forwarded_Uri: /public",
      "X-Forwarded-For: 10.0.0.1",
      "X-Forwarded-User: eve",
      "X-Real-IP: 10.0.0.1",
      "Forwarded: for=10.0.0.1",
    ];
    const stays = ["Cookie: a=b", "Authorization: Bearer x", "Accept: text/html", "X-Own: 1", "X-Own: 2"];
    const lines = [...gone, ...stays].map((line) => `${line}\r\n`).join("");
    const { startLine, fields } = await question({}, `${lines}\r\nx`, "POST /app?a=b HTTP/1.1");
    assert.equal(startLine, "GET /verify HTTP/1.1");
    assert.deepEqual(fields, [...stays, ...FORWARDED, "X-Forwarded-Method: POST", "X-Forwarded-Uri: /app?a=b"]);
  });

  it("sees what features in front have made of the request, and Connection cannot take that away", async () => {
    const front = {
      name: "front",
      request({ request }: { request: import("../../core/message.ts").RequestMessage }) {
        request.fields.set("X-Tenant", "one");
        request.setTarget("/made", null);
      },
    };
    const { fields } = await question({}, "Connection: x-tenant\r\nX-Tenant: two\r\n", undefined, { use: [front] });
    assert.deepEqual(fields, [...FORWARDED, "X-Tenant: one", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /made"]);
  });

  it("gets the path as it goes on, not as a client may write it to mislead", async () => {
    const { fields } = await question({}, "", "GET /public/../admin/%61 HTTP/1.1");
    assert.ok(fields.includes("X-Forwarded-Uri: /admin/a"));
  });

  it("gets the chosen fields alone, and the forwarding ones", async () => {
    const lines = "Cookie: a=b\r\nAuthorization: x\r\nX-Own: 1\r\nx-own: 2\r\nX-Forwarded-Uri: /other\r\n";
    const { fields } = await question({ requestHeaders: ["X-Own", "cookie", "x-missing", "X-Forwarded-Uri"] }, lines);
    assert.deepEqual(fields, ["X-Own: 1", "x-own: 2", "Cookie: a=b", ...FORWARDED, ...ABOUT_GET]);
  });

  it("may choose none", async () => {
    assert.deepEqual((await question({ requestHeaders: [] }, "Cookie: a=b\r\n")).fields, [...FORWARDED, ...ABOUT_GET]);
  });

  for (const [method, framing] of [
    ["GET", ""],
    ["DELETE", ""],
    ["HEAD", ""],
    ["POST", "Content-Length: 1\r\n\r\nx"],
  ] as const) {
    it(`is asked by ${method} where the method is preserved`, async () => {
      const { startLine, fields } = await question({ method: "preserve" }, framing, `${method} / HTTP/1.1`);
      assert.equal(startLine, `${method} /verify HTTP/1.1`);
      assert.equal(fields.includes("Content-Length: 0"), method === "POST");
    });
  }

  it("is asked about an upgrade to WebSocket as about anything else, and the upgrade then passes", async () => {
    const stage = new ForwardAuthStage({ responseCookies: ["session"], responseHeaders: ["x-user"] });
    const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nX-User: eve\r\n";
    const client = stage.client(upgrade);
    const head = await stage.answers(
      "HTTP/1.1 200 OK\r\nX-User: ann\r\nSet-Cookie: session=1\r\nContent-Length: 0\r\n\r\n",
    );
    assert.equal(head.get("upgrade"), null);
    assert.equal(head.get("connection"), null);
    const sent = stage.goesOn("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert.deepEqual([sent.get("upgrade"), sent.get("x-user")], ["websocket", "ann"]);
    const switched = client.receivesHead();
    assert.equal(switched.startLine, "HTTP/1.1 101 Switching Protocols");
    assert.equal(switched.get("set-cookie"), "session=1");
    client.closes();
    await stage.finish();
  });
});

describe("the body", () => {
  const POST = "POST / HTTP/1.1";
  const TEXT = "Content-Type: text/plain\r\nContent-Encoding: x\r\n";

  for (const [framing, body] of [
    ["a length", "Content-Length: 3\r\n\r\nabc"],
    ["chunks", "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"],
  ] as const) {
    it(`is sent along where it is to be, and then to the upstream, with ${framing}`, async () => {
      const stage = new ForwardAuthStage({ body: { forward: true } });
      const client = stage.proxy.connect().sends(`${POST}\r\nHost: a\r\n${TEXT}${body}`);
      const { head, peer } = await stage.asked();
      assert.equal(head.startLine, "GET /verify HTTP/1.1");
      assert.deepEqual([head.get("content-length"), head.get("content-type")], ["3", "text/plain"]);
      assert.deepEqual([head.get("content-encoding"), head.get("transfer-encoding")], ["x", null]);
      peer.receives("abc");
      await stage.stops();
      peer.sends(LETS_GO);
      await stage.settles();
      const origin = stage.proxy.origin.accepts();
      origin.receives(/\r\n\r\n(?:abc|3\r\nabc\r\n0\r\n\r\n)$/);
      origin.sends("HTTP/1.1 204 No Content\r\n\r\n");
      client.receives(/^HTTP\/1\.1 204 /);
      await stage.finish();
    });
  }

  it("of chosen fields has its length all the same", async () => {
    const stage = new ForwardAuthStage({ body: { forward: true }, requestHeaders: ["cookie"], method: "preserve" });
    stage.client("Content-Length: 3\r\n\r\nabc", POST);
    const { head, peer } = await stage.asked();
    assert.deepEqual([head.startLine, head.get("content-length")], ["POST /verify HTTP/1.1", "3"]);
    peer.receives("abc");
    peer.sends(LETS_GO);
    await stage.settles();
    stage.goesOn();
    await stage.finish();
  });

  it("is answered with 413 when it is longer than its limit, and nobody is asked", async () => {
    const stage = new ForwardAuthStage({ body: { forward: true, max: 3 } });
    const client = stage.client("Content-Length: 4\r\n\r\nabcd", POST);
    await stage.asksNothing();
    client.receives(/^HTTP\/1\.1 413 /);
    await stage.stops();
    await stage.finish();
  });

  it("stays with the client while the service decides, where it is not sent along", async () => {
    const stage = new ForwardAuthStage();
    const client = stage.client("Content-Length: 3\r\nExpect: 100-continue\r\n", POST);
    await stage.answers("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    client.receives(/^HTTP\/1\.1 401 /);
    await stage.finish();
  });
});
