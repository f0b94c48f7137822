// Closing every client connection at once leaves nothing behind on the upstreams' side either, and waits for nobody.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStage } from "../support/stage.ts";

const UPGRADE = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

describe("closing at once", () => {
  it("cuts an answer that only its end would end, so that it does not look complete", () => {
    const stage = createStage();
    const client = stage.client().sends("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    const server = stage.origin.accepts();
    server.receivesHead();
    server.sends("HTTP/1.0 200 OK\r\n\r\nhalf of it");
    client.receivesHead();
    client.receives("half of it");
    stage.driver.destroy();
    client.seesReset();
    assert.deepEqual([stage.driver.size, stage.pool.connections, stage.deadlines.armedCount], [0, 0, 0]);
  });

  for (const half of ["neither side has", "the client has", "the server has"]) {
    it(`ends a tunnel of which ${half} ended`, () => {
      const stage = createStage();
      const client = stage.client().sends(UPGRADE);
      const server = stage.origin.accepts();
      server.receivesHead();
      server.sends(SWITCH);
      client.receivesHead();
      if (half === "the client has") client.ends();
      if (half === "the server has") server.ends();
      stage.driver.destroy();
      stage.network.run();
      assert.deepEqual([stage.driver.size, stage.pool.connections, stage.deadlines.armedCount], [0, 0, 0]);
      assert.equal(stage.ended.length, 1);
    });
  }
});
