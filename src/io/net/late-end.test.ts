// A peer's last bytes and its end that are read before the first of them are handed out, as happens where the loop finds more than a
// thousand sockets ready: a connection that pauses meanwhile is told of the rest when it is resumed, and of the end behind it.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { beforeEach, describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Connection } from "../../core/ports.ts";
import { SystemClock } from "../clock.ts";
import { NetTransport } from "./transport.ts";

describe("a connection that is paused with its peer's end at hand", () => {
  let events: string[];
  let connection: Connection;
  let closed: Promise<void>;

  /** Resolves when the connection has paused at the first of two pieces, and the rest has been read. */
  async function pauseBeforeEnd(t: TestContext, isEnded: boolean): Promise<void> {
    const accepted = Promise.withResolvers<Connection>();
    const transport = new NetTransport(new SystemClock());
    const listener = await transport.listen({ host: "127.0.0.1", port: 0, path: null, tls: null }, accepted.resolve);
    const peer = net.connect({ port: listener.address.port, host: "127.0.0.1", allowHalfOpen: true });
    t.after(() => {
      peer.destroy();
      return listener.close();
    });
    connection = await accepted.promise;
    const paused = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    closed = ended.promise;
    connection.handler = {
      onBytes(buffer, start, end) {
        if (events.push(buffer.toString("latin1", start, end)) > 1) return;
        connection.pause();
        paused.resolve();
      },
      onDrain() {},
      onEnd: () => events.push("end"),
      onClose(error) {
        events.push(error === null ? "close" : error.type);
        ended.resolve();
      },
    };
    if (isEnded) {
      connection.end();
      peer.resume();
      await once(peer, "end");
    }
    // The turns of the loop in between stand for its further looks at what is ready.
    let onTurn = (): void => assert.fail("nothing was scheduled");
    const scheduled = t.mock.method(globalThis, "setImmediate", (callback: () => void) => {
      onTurn = callback;
    });
    peer.write("first ");
    while (scheduled.mock.callCount() === 0) await nextTurn();
    peer.end("last");
    await paused.promise;
    scheduled.mock.restore();
    onTurn();
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  }

  beforeEach(() => {
    events = [];
  });

  test("is told of the bytes, then of the end", async (t) => {
    await pauseBeforeEnd(t, false);
    assert.deepEqual(events, ["first "]);
    connection.resume();
    await nextTurn();
    await nextTurn();
    assert.deepEqual(events, ["first ", "last", "end"]);
    connection.end();
    await closed;
    assert.deepEqual(events, ["first ", "last", "end", "close"]);
  });

  test("is told of both before it is closed", async (t) => {
    await pauseBeforeEnd(t, true);
    assert.deepEqual(events, ["first "]);
    assert.equal(connection.closed, false);
    connection.resume();
    await closed;
    assert.deepEqual(events, ["first ", "last", "end", "close"]);
    assert.equal(connection.closed, true);
  });

  test("is closed when it is destroyed instead", async (t) => {
    for (const isEnded of [false, true]) {
      events = [];
      await pauseBeforeEnd(t, isEnded);
      connection.destroy();
      assert.deepEqual(events, ["first "]);
      await closed;
      assert.deepEqual(events, ["first ", "close"]);
    }
  });
});
