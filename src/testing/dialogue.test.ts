// A dialogue that goes another way than its test says fails, and its message shows where.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DialogueError } from "./difference.ts";
import { SimulatedNetwork } from "./network.ts";

function conversation() {
  const network = new SimulatedNetwork();
  const origin = network.origin("web");
  const client = network.connect("web");
  return { network, origin, client, server: origin.accepts() };
}

describe("a dialogue", () => {
  it("takes all that arrived, so that nothing is overlooked", () => {
    const { client, server } = conversation();
    client.sends("GET / HTTP/1.1\r\n\r\nrest");
    assert.throws(() => server.receives("GET / HTTP/1.1\r\n\r\n"), DialogueError);
    client.sends("more");
    assert.throws(() => server.seesEnd(), DialogueError);
  });

  it("takes the beginning where more may follow", () => {
    const { client, server } = conversation();
    client.sends("abcdef");
    server.receivesFirst("abc");
    assert.throws(() => server.receivesFirst("dxx"), DialogueError);
    server.receives("def");
    server.receivesNothing();
  });

  it("gives what an expression matched, and fails when it does not", () => {
    const { client, server } = conversation();
    client.sends("x-id: 42\r\n");
    assert.equal(server.receives(/x-id: (\d+)/)[1], "42");
    client.sends("y");
    assert.throws(() => server.receives(/^x$/), /does not match/);
  });

  it("reads a head and leaves what follows", () => {
    const { client, server } = conversation();
    client.sends("GET /a HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a:  2 \r\n\r\nbody");
    const head = server.receivesHead();
    assert.equal(head.startLine, "GET /a HTTP/1.1");
    assert.deepEqual(head.fields, [
      ["Host", "h"],
      ["X-A", "1"],
      ["x-a", "2"],
    ]);
    assert.equal(head.get("X-a"), "1, 2");
    assert.equal(head.get("absent"), null);
    server.receives("body");
    client.sends("half a head\r\n");
    assert.throws(() => server.receivesHead(), /no whole head/);
  });

  it("shows the difference line by line, with line endings spelled out", () => {
    const { client, server } = conversation();
    client.sends("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x00\xff");
    const message = messageOf(() => server.receives("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    assert.equal(
      message,
      [
        "web:80 (1) received something else:",
        "  first difference at byte 33 of 40 received, 38 expected",
        "    HTTP/1.1 200 OK\\r\\n",
        "  - Content-Length: 5\\r\\n",
        "  - \\r\\n",
        "  + Content-Length: 6\\r\\n",
        "  + \\r\\n",
        "  + \\x00\\xff",
      ].join("\n"),
    );
  });

  it("keeps the message short when bodies are long", () => {
    const { client, server } = conversation();
    client.sends("y".repeat(100_000));
    assert.ok(messageOf(() => server.receives("z\n".repeat(50_000))).length < 2_000);
  });

  it("tells the end from a reset and from neither", () => {
    const ended = conversation();
    assert.throws(() => ended.client.seesEnd(), /the connection is open/);
    ended.client.staysOpen();
    ended.server.ends();
    ended.client.seesEnd();
    assert.throws(() => ended.client.staysOpen(), /the other side has ended/);
    assert.throws(() => ended.client.seesReset(), /the other side has ended/);
    const cut = conversation();
    cut.server.resets();
    cut.client.seesReset();
    assert.throws(() => cut.client.seesEnd(), /was reset/);
  });

  it("counts connections, and says when none came", () => {
    const { network, origin } = conversation();
    origin.acceptsNothing();
    assert.throws(() => origin.accepts(), /nobody has connected to web:80/);
    network.connect("web", { from: "2001:db8::1" });
    assert.throws(() => origin.acceptsNothing(), /somebody has connected/);
    assert.equal(origin.accepts().connection.remote.family, 6);
    assert.equal(origin.acceptedCount, 2);
  });
});

function messageOf(fails: () => unknown): string {
  try {
    fails();
  } catch (error) {
    assert.ok(error instanceof DialogueError);
    return error.message;
  }
  return assert.fail("it did not fail");
}
