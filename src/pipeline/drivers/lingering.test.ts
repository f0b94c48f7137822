import assert from "node:assert/strict";
import { it } from "node:test";
import { DeadlineWheel } from "../../core/deadlines.ts";
import { BODY_PROGRESS_TIMEOUT_MS, LINGER_MS_MAX, LINGER_TIMEOUT_MS } from "../../core/limits.ts";
import { SimulatedNetwork } from "../../testing/network.ts";
import { linger } from "./lingering.ts";

/** A client to whom "bye" is said, and no more. */
function farewell(said = "bye", kernelBufferBytes = 1_000) {
  const network = new SimulatedNetwork({ kernelBufferBytes });
  const deadlines = new DeadlineWheel(network.clock);
  const state = { gone: 0 };
  network.listen("proxy:80", (connection) => {
    connection.writeLatin1(said);
    linger(connection, deadlines, () => state.gone++);
  });
  return { network, state, client: network.connect("proxy:80") };
}

it("a client that closes when it has read ends it at once", () => {
  const { network, state, client } = farewell();
  client.receivesFirst("bye").seesEnd();
  assert.equal(state.gone, 0);
  client.ends();
  network.run();
  assert.equal(state.gone, 1);
  assert.deepEqual(network.leftovers(), []);
});

it("what still comes is read, so that nothing is reset: as long as more comes, and for a time", () => {
  for (const isTooLong of [false, true]) {
    const { network, state, client } = farewell();
    network.run();
    const times = Math.floor(LINGER_MS_MAX / LINGER_TIMEOUT_MS) - 1;
    for (let time = 0; time < times; time++) {
      for (let part = 0; part < 32; part++) client.sends("x".repeat(64 * 1024));
      network.advance(LINGER_TIMEOUT_MS);
      network.run();
    }
    client.receivesFirst("bye").seesEnd();
    assert.equal(state.gone, 0);
    if (isTooLong) client.sends("x");
    network.advance(2 * LINGER_TIMEOUT_MS);
    network.run();
    assert.equal(state.gone, 1);
    assert.equal(network.clock.pendingTimers, 0);
  }
});

it("a client that neither reads nor closes holds it for a while only", () => {
  const { network, state, client } = farewell();
  client.receivesFirst("bye");
  network.advance(LINGER_TIMEOUT_MS - 1_000);
  assert.equal(state.gone, 0);
  // The first while may have begun before all had left.
  network.advance(LINGER_TIMEOUT_MS + 2_000);
  network.run();
  assert.equal(state.gone, 1);
});

it("what is queued leaves as slowly as the client reads, and what stands still is cut by a reset", () => {
  const said = "x".repeat(10_000);
  const { network, state, client } = farewell(said);
  client.stopsReading();
  network.run();
  let read = 0;
  for (let i = 0; i < 4; i++) {
    network.advance(LINGER_TIMEOUT_MS - 1_000);
    client.readsOn();
    assert.ok(network.step());
    client.stopsReading();
    read += client.takes().length;
  }
  assert.ok(read > 0 && read < said.length);
  assert.equal(state.gone, 0);
  network.advance(BODY_PROGRESS_TIMEOUT_MS + 3 * LINGER_TIMEOUT_MS);
  network.run();
  assert.equal(state.gone, 1);
  client.readsOn().takes();
  client.seesReset();
});
