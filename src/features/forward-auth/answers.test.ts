// What the service's answer does.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ForwardAuthInput, ForwardAuthStage, LETS_GO } from "../../../test/support/forward-auth-stage.ts";
import type { Feature } from "../../pipeline/phases.ts";

const UNAUTHORIZED =
  'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\n' +
  "Connection: x-hop\r\nX-Hop: 1\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nno\n";

describe("an answer of 2xx", () => {
  for (const status of ["200 OK", "201 Created", "204 No Content", "299 Own"]) {
    it(`${status} lets the request go on`, async () => {
      const stage = new ForwardAuthStage();
      const client = stage.client("Cookie: a=b\r\nX-Own: 1\r\n");
      await stage.answers(
        `HTTP/1.1 ${status}\r\nX-User: ann\r\nSet-Cookie: a=1\r\n${status.startsWith("204") ? "" : "Content-Length: 0\r\n"}\r\n`,
      );
      const head = stage.goesOn();
      assert.equal(head.startLine, "GET /app?a=b HTTP/1.1");
      assert.deepEqual([head.get("cookie"), head.get("x-own"), head.get("x-user")], ["a=b", "1", null]);
      const answer = client.receivesHead();
      assert.deepEqual([answer.startLine, answer.get("set-cookie")], ["HTTP/1.1 200 OK", null]);
      client.takes();
      assert.equal(stage.proxy.ended[0]?.error, null);
      await stage.finish();
    });
  }

  async function passedOn(input: ForwardAuthInput, lines: string, answer: string, body = "") {
    const stage = new ForwardAuthStage(input);
    stage.client(lines + (body === "" ? "" : `\r\n${body}`), body === "" ? undefined : "POST / HTTP/1.1");
    await stage.answers(`HTTP/1.1 200 OK\r\n${answer}Content-Length: 0\r\n\r\n`);
    const head = stage.goesOn();
    const { identity } = stage.proxy.ended[0]!;
    await stage.finish();
    const own = head.fields.filter(([name]) => !/^(host|x-forwarded-.*|content-length)$/i.test(name));
    return { lines: own.map(([name, value]) => `${name}: ${value}`), identity };
  }

  it("gives the upstream the fields that were asked for, each line of them, in place of the client's", async () => {
    const { lines } = await passedOn(
      { responseHeaders: ["X-User", "x-groups", "authorization"] },
      "Authorization: Basic old\r\nX-User: eve\r\nx-user: mal\r\nX-Groups: admin\r\nX-Other: 1\r\n",
      "X-User: ann\r\nX-Groups: a\r\nX-Groups: b\r\nAuthorization: Bearer new\r\nX-Secret: s\r\n",
    );
    assert.deepEqual(lines, ["X-Other: 1", "X-User: ann", "X-Groups: a", "X-Groups: b", "Authorization: Bearer new"]);
  });

  it("removes the client's fields also when the service says nothing of them", async () => {
    const { lines } = await passedOn({ responseHeaders: ["x-user"] }, "X-User: eve\r\nX-Other: 1\r\n", "");
    assert.deepEqual(lines, ["X-Other: 1"]);
  });

  it("is matched by regular expressions too, which never stand for what frames or describes a message", async () => {
    const { lines } = await passedOn(
      { responseHeaders: ["/./"] },
      "X-Auth-Old: 1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n",
      "X-Auth-A: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=b\r\nContent-Type: text/html\r\n",
      "x",
    );
    assert.deepEqual(lines, ["Content-Type: text/plain", "X-Auth-A: 1"]);
    const some = await passedOn(
      { responseHeaders: ["/^x-auth-/", "x-user"] },
      "X-Auth-Admin: 1\r\nX_Auth_Groups: 1\r\nY-X-Auth-: 1\r\n",
      "X-AUTH-Id: 7\r\nX-Own-Auth: 2\r\nX-User: ann\r\n",
    );
    assert.deepEqual(some.lines, ["Y-X-Auth-: 1", "X-AUTH-Id: 7", "X-User: ann"]);
  });

  it("says who the client is, and only the service does", async () => {
    const input = { identityHeader: "X-User" };
    assert.deepEqual((await passedOn(input, "X-User: eve\r\n", "X-User: ann\r\n")).identity, {
      subject: "ann",
      by: "forwardAuth",
    });
    for (const nobody of ["", "X-User:\r\n"]) {
      assert.equal((await passedOn(input, "X-User: eve\r\n", nobody)).identity, null);
    }
  });

  it("gives the client the cookies that were asked for, in place of the upstream's", async () => {
    const stage = new ForwardAuthStage({ responseCookies: ["session"] });
    const client = stage.client();
    const cookies = ["session=new; HttpOnly", "other=1", "session2=1", " session =again"];
    await stage.answers(
      `HTTP/1.1 200 OK\r\n${cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join("")}Content-Length: 0\r\n\r\n`,
    );
    stage.goesOn("HTTP/1.1 200 OK\r\nSet-Cookie: session=old\r\nSet-Cookie: app=1\r\nContent-Length: 0\r\n\r\n");
    const set = client.receivesHead().fields.filter(([name]) => name.toLowerCase() === "set-cookie");
    assert.deepEqual(
      set.map(([, value]) => value),
      ["app=1", "session=new; HttpOnly", "session =again"],
    );
    await stage.finish();
  });

  it("gives the cookies also with the answer to a request that then fails", async () => {
    const stage = new ForwardAuthStage({ responseCookies: ["session"] });
    const client = stage.client();
    await stage.answers("HTTP/1.1 204 No\r\nSet-Cookie: session=new\r\n\r\n");
    stage.goesOn("garbage\r\n\r\n");
    const head = client.receivesHead();
    assert.match(head.startLine, / 502 /);
    assert.equal(head.get("set-cookie"), "session=new");
    await stage.finish();
  });
});

describe("any other answer", () => {
  it("is the client's as it came, without what belonged to the connection", async () => {
    const stage = new ForwardAuthStage({ responseHeaders: ["x-user"], responseCookies: ["a"] });
    const client = stage.client();
    await stage.answers(UNAUTHORIZED);
    const head = client.receivesHead();
    assert.equal(head.startLine, "HTTP/1.1 401 Unauthorized");
    assert.deepEqual(
      head.fields.filter(([name]) => name !== "Date"),
      [
        ["WWW-Authenticate", 'Basic realm="x"'],
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2; Path=/"],
        ["Content-Type", "text/html"],
        ["Content-Length", "3"],
      ],
    );
    client.receives("no\n");
    client.staysOpen();
    await stage.stops();
    const error = stage.proxy.ended[0]!.error!;
    assert.deepEqual([error.reason, error.side], ["auth_service_refused", "client"]);
    await stage.finish();
  });

  for (const [answer, expected] of [
    ["HTTP/1.1 302 Found\r\nLocation: /login?rd=%2F\r\nContent-Length: 0\r\n\r\n", "302 Found"],
    ["HTTP/1.1 303 See Other\r\nLocation: http://10.0.0.1/login\r\nContent-Length: 0\r\n\r\n", "303 See Other"],
    ["HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "403 Forbidden"],
    ["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "404 Not Found"],
    ["HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "429 Too Many Requests"],
    ["HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "500 Internal Server Error"],
    ["HTTP/1.1 304 Same\r\n\r\n", "304 Not Modified"],
  ] as const) {
    it(`such as ${expected}`, async () => {
      const stage = new ForwardAuthStage();
      const client = stage.client();
      await stage.answers(answer);
      const head = client.receivesHead();
      assert.equal(head.startLine, `HTTP/1.1 ${expected}`);
      assert.equal(head.get("location"), /Location: (.*)\r/.exec(answer)?.[1] ?? null);
      assert.equal(head.get("retry-after"), /Retry-After: (.*)\r/.exec(answer)?.[1] ?? null);
      await stage.stops();
      await stage.finish();
    });
  }

  it("to HEAD has no body", async () => {
    const stage = new ForwardAuthStage();
    const client = stage.client("", "HEAD / HTTP/1.1");
    await stage.answers(UNAUTHORIZED);
    client.receives(/Content-Length: 3\r\n\r\n$/);
    await stage.finish();
  });

  it("passes the features in front of this one", async () => {
    const front = {
      name: "front",
      response: (_exchange: unknown, { fields }: import("../../core/message.ts").ResponseMessage) =>
        fields.set("X-Front", "1"),
    };
    const stage = new ForwardAuthStage({}, { use: [front] });
    const client = stage.client();
    await stage.answers(UNAUTHORIZED);
    assert.equal(client.receivesHead().get("x-front"), "1");
    client.takes();
    await stage.finish();
  });
});

describe("signIn", () => {
  const page = "Accept: text/html,application/xhtml+xml;q=0.9\r\n";
  const input = { signIn: "https://login.example.org/start?rd={url}" };

  async function answer(lines: string, start?: string, service = UNAUTHORIZED, use: readonly Feature[] = []) {
    const stage = new ForwardAuthStage(input, { use });
    const client = stage.client(lines, start);
    await stage.answers(service);
    const head = client.receivesHead();
    client.takes();
    await stage.finish();
    return head;
  }

  it("redirects a browser that gets 401, with the service's cookies, and no cache keeps that", async () => {
    const head = await answer(page);
    assert.equal(head.startLine, "HTTP/1.1 302 Found");
    assert.equal(head.get("location"), "https://login.example.org/start?rd=http%3A%2F%2Fexample.org%2Fapp%3Fa%3Db");
    assert.deepEqual([head.get("set-cookie"), head.get("cache-control")], ["a=1, b=2; Path=/", "no-store"]);
    assert.equal(head.get("www-authenticate"), null);
  });

  it("leads back to what was asked for, whatever features in front have made of it", async () => {
    const rewriting: Feature = {
      name: "rewriting",
      request({ request }) {
        request.setTarget("/", "a=b");
        request.fields.set("X-Forwarded-Proto", "https, http");
        request.fields.set("X-Forwarded-Host", "www.example.org, inner.example.org");
      },
    };
    const head = await answer(page, "GET /app?key=secret&a=b HTTP/1.1", UNAUTHORIZED, [rewriting]);
    const url = new URL(head.get("location")!).searchParams.get("rd");
    assert.equal(url, "https://www.example.org/app?a=b");
  });

  it("leaves programs, upgrades, other methods and other answers alone", async () => {
    assert.match((await answer("Accept: application/json\r\n")).startLine, / 401 /);
    assert.match((await answer("")).startLine, / 401 /);
    assert.match((await answer(`${page}Connection: Upgrade\r\nUpgrade: websocket\r\n`)).startLine, / 401 /);
    assert.match((await answer(`${page}Content-Length: 0\r\n`, "POST / HTTP/1.1")).startLine, / 401 /);
    assert.match((await answer(page, undefined, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")).startLine, / 403 /);
  });
});

describe("without an answer", () => {
  const faults: readonly (readonly [name: string, answer: string | null, ends: "closes" | "resets" | "stays"])[] = [
    ["that comes in time", null, "stays"],
    ["that is HTTP", "-ERR unknown command\r\n\r\n", "stays"],
    ["that ends", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "closes"],
    ["that is whole", "HTTP/1.1 200 OK\r\nContent-Len", "resets"],
    ["that may be so long", "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\nab", "stays"],
    ["with a status that there is", "HTTP/1.1 700 What\r\nContent-Length: 0\r\n\r\n", "stays"],
    ["without two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n", "stays"],
  ];
  for (const [name, answer, ends] of faults) {
    it(`${name} the client gets 503, and nothing passes`, async () => {
      const stage = new ForwardAuthStage({ timeout: "1s", maxResponseBody: "1KiB" });
      const client = stage.client();
      const { peer } = await stage.asked();
      if (answer !== null) peer.sends(answer);
      stage.calls.network.run();
      if (ends === "closes") peer.ends();
      if (ends === "resets") peer.resets();
      await stage.settles();
      if (answer === null) stage.calls.passes(1_200);
      await stage.settles();
      const head = client.receivesHead();
      assert.equal(head.startLine, "HTTP/1.1 503 Service Unavailable");
      assert.equal(head.get("retry-after"), "5");
      await stage.stops();
      const error = stage.proxy.ended[0]!.error!;
      assert.deepEqual([error.reason, error.side], ["auth_service_unavailable", "proxy"]);
      assert.ok(error.cause instanceof Error);
      client.takes();
      await stage.finish();
    });
  }

  it("because nobody listens the client gets 503, and the next request passes when the service is back", async () => {
    const stage = new ForwardAuthStage();
    stage.calls.network.failDials("auth:80");
    const client = stage.client();
    await stage.settles();
    client.receives(/^HTTP\/1\.1 503 /);
    await stage.stops();
    stage.calls.network.healDials("auth:80");
    const second = stage.client();
    await stage.answers(LETS_GO);
    stage.goesOn();
    second.receives(/^HTTP\/1\.1 200 /);
    await stage.finish();
  });
});

describe("a client that leaves", () => {
  it("takes its check with it", async () => {
    const stage = new ForwardAuthStage();
    const client = stage.client();
    const { peer } = await stage.asked();
    client.resets();
    await stage.settles();
    assert.ok(peer.closed || peer.ended, "the call is given up");
    await stage.stops();
    await stage.finish();
  });

  it("while its connection to the service is made leaves nothing behind", async () => {
    const stage = new ForwardAuthStage();
    stage.calls.network.latencyMs = 10;
    const client = stage.client();
    stage.calls.passes(35);
    client.resets();
    stage.calls.passes(1_000);
    await stage.stops();
    await stage.finish();
  });
});
