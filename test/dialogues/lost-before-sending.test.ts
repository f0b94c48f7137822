// A connection that is lost while a hook still looks at the request has carried nothing of it: another one takes its place,
// whatever the method, and the hooks run for it as for the first.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createStage, type Stage } from "../support/stage.ts";

const OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";

/** Waits in `upstreamRequest`, the first time that it is asked for this path. */
function waitingOnce(path: string, calls: string[] = []) {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  let waited = false;
  const feature: Feature = {
    name: "waiting",
    upstreamRequest: (exchange) => {
      if (exchange.request.path !== path) return;
      calls.push("waiting");
      if (waited) return;
      waited = true;
      return promise;
    },
  };
  return { feature, release };
}

async function isServedByAnother(stage: Stage, client: ReturnType<Stage["client"]>, release: () => void) {
  stage.network.run();
  release();
  await stage.network.settle();
  const another = stage.origin.accepts();
  another.receivesHead();
  another.takes();
  another.sends(OK);
  client.receives(OK);
  assert.equal(stage.ended.at(-1)?.error, null);
}

describe("a connection that is lost before anything was sent", () => {
  for (const request of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", POST]) {
    const method = request.slice(0, request.indexOf(" "));

    it(`is replaced for ${method}: the upstream closed it`, async () => {
      const { feature, release } = waitingOnce("/");
      const stage = createStage({ use: [feature] });
      const client = stage.client().sends(request);
      stage.origin.accepts().closes();
      await isServedByAnother(stage, client, release);
    });

    it(`is replaced for ${method}: the upstream closed it after it had served others`, async () => {
      const { feature, release } = waitingOnce("/");
      const stage = createStage({ use: [feature] });
      const client = stage.client().sends("GET /before HTTP/1.1\r\nHost: a\r\n\r\n");
      const server = stage.origin.accepts();
      server.sends(OK);
      client.receives(OK);
      client.sends(request);
      stage.network.run();
      server.closes();
      await isServedByAnother(stage, client, release);
    });

    it(`is replaced for ${method}: the upstream spoke before it was asked`, async () => {
      const { feature, release } = waitingOnce("/");
      const stage = createStage({ use: [feature] });
      const client = stage.client().sends(request);
      const server = stage.origin.accepts();
      server.sends("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      await isServedByAnother(stage, client, release);
    });
  }

  it("has all its hooks run again for the next one", async () => {
    const calls: string[] = [];
    const { feature, release } = waitingOnce("/", calls);
    const first: Feature = { name: "first", upstreamRequest: () => void calls.push("first") };
    const stage = createStage({ use: [first, feature] });
    const client = stage.client().sends(POST);
    stage.origin.accepts().closes();
    await isServedByAnother(stage, client, release);
    assert.deepEqual(calls, ["first", "waiting", "first", "waiting"]);
  });
});
