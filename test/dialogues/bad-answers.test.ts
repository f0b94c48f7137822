// What a server is told to have answered badly: what is its own fault, and nothing else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStage, type Stage } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";

type Server = ReturnType<Stage["origin"]["accepts"]>;

/** A request that the server has. */
function asked(stage = createStage({ upstreamUse: { retriesMax: 0 } })): { stage: Stage; server: Server } {
  stage.client().sends(GET);
  const server = stage.origin.accepts();
  server.receivesHead();
  return { stage, server };
}

describe("a bad answer of a server", () => {
  const bad: [what: string, does: (server: Server, stage: Stage) => void][] = [
    ["none in time", (_server, stage) => stage.passes(31_000)],
    ["none at all", (server) => server.closes()],
    ["one that is no HTTP", (server) => server.sends("220 smtp.example\r\n")],
    ["one that is cut", (server) => void server.sends(OK.slice(0, -1)).closes()],
    [
      "one that stands still",
      (server, stage) => {
        server.sends(OK.slice(0, -1));
        stage.passes(61_000);
      },
    ],
  ];
  for (const [what, does] of bad) {
    it(`is ${what}`, () => {
      const { stage, server } = asked();
      assert.equal(stage.report().badAnswers, 0);
      does(server, stage);
      stage.passes(0);
      assert.deepEqual([stage.report().badAnswers, stage.report().failures], [1, 0]);
    });
  }

  const fine: [what: string, does: (server: Server, stage: Stage) => void][] = [
    ["a good one", (server) => server.sends(OK)],
    ["an error that it tells itself", (server) => server.sends(OK.replace("200 OK", "500 Oops"))],
    ["a proxy that ends", (_server, stage) => stage.driver.destroy()],
    ["an upstream that is taken away", (_server, stage) => stage.pool.destroy()],
  ];
  for (const [what, does] of fine) {
    it(`is not ${what}`, () => {
      const { stage, server } = asked();
      does(server, stage);
      stage.passes(0);
      assert.equal(stage.report().badAnswers, 0);
    });
  }

  it("is not that of a connection that had died while it rested", () => {
    const stage = createStage();
    const client = stage.client().sends(GET);
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends(OK);
    client.receives(OK);
    client.sends(GET);
    server.receivesHead();
    server.closes();
    const next = stage.origin.accepts();
    next.receivesHead();
    next.sends(OK);
    client.receives(OK);
    assert.deepEqual([stage.report().badAnswers, stage.report().requests], [0, 3]);
  });
});
