// What a handler may do from within its own calls: hand the connection to another handler, end it or destroy it, and
// destroy others that have events of the same turn before them. Nothing is told after onClose, which comes once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Connection, ConnectionHandler } from "../../src/core/ports.ts";
import { type Recording, TransportStage } from "../support/transport-stage.ts";

const QUIET: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** Makes the far end's handler get the call. */
function provoke(call: "onBytes" | "onDrain" | "onEnd", near: Recording, far: Connection): void {
  if (call === "onBytes") near.connection.writeLatin1("x");
  else if (call === "onEnd") near.connection.end();
  else {
    near.connection.pause();
    far.write(Buffer.alloc(20_000_000));
    near.connection.resume();
  }
}

for (const call of ["onBytes", "onDrain", "onEnd"] as const) {
  for (const action of ["destroy", "reset", "end and destroy", "write and destroy"] as const) {
    test(`${action} within ${call}: onClose follows once, in a later call, and nothing else`, async () => {
      await using stage = new TransportStage();
      const { near, far } = await stage.pair();
      const calls: string[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      const { connection } = far;
      const note = (name: string) => () => {
        calls.push(name);
        if (name !== call) return;
        if (action === "end and destroy") connection.end();
        if (action === "write and destroy") connection.writeLatin1("last words");
        connection.destroy(undefined, action === "reset");
        assert.equal(connection.closed, true);
        assert.ok(!calls.includes("onClose"), "not within the call");
      };
      connection.handler = {
        onBytes: note("onBytes"),
        onDrain: note("onDrain"),
        onEnd: note("onEnd"),
        onClose: (error) => {
          calls.push("onClose");
          assert.equal(error, null);
          resolve();
        },
      };
      provoke(call, near, connection);
      await promise;
      near.connection.writeLatin1("late");
      await turns(5);
      assert.deepEqual(calls, [call, "onClose"]);
      near.connection.destroy();
    });
  }
}

test("within onClose every call does nothing, and the counts are right already", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const { promise, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  far.connection.handler = {
    ...QUIET,
    onClose: () => {
      calls++;
      const { connection } = far;
      assert.equal(connection.closed, true);
      connection.write(Buffer.alloc(100_000));
      connection.writeLatin1("x");
      connection.end();
      connection.destroy(undefined, true);
      connection.pause();
      connection.resume();
      assert.equal(connection.queuedBytes, 0);
      resolve();
    },
  };
  near.connection.destroy();
  far.connection.end();
  await promise;
  await turns(5);
  assert.equal(calls, 1);
});

test("a handler hands over to another one within onBytes: the bytes of this call are the old one's, the next are not", async () => {
  await using stage = new TransportStage();
  const { near, far } = await stage.pair();
  const calls: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const second: ConnectionHandler = {
    onBytes: (buffer, start, end) => {
      calls.push(`second ${buffer.toString("latin1", start, end)}`);
    },
    onDrain: () => {},
    onEnd: () => {
      calls.push("second end");
      far.connection.end();
    },
    onClose: () => {
      calls.push("second close");
      resolve();
    },
  };
  far.connection.handler = {
    ...QUIET,
    onBytes: (buffer, start, end) => {
      calls.push(`first ${buffer.toString("latin1", start, end)}`);
      far.connection.handler = second;
      near.connection.writeLatin1("b");
      near.connection.end();
    },
    onClose: () => calls.push("first close"),
  };
  near.connection.writeLatin1("a");
  await promise;
  assert.deepEqual(calls, ["first a", "second b", "second end", "second close"]);
});

test("connections that destroy one another within one turn: each is closed once", async () => {
  await using stage = new TransportStage();
  const pairs = await Promise.all(Array.from({ length: 40 }, () => stage.pair()));
  let closes = 0;
  let bytesAfterClose = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const [index, { far }] of pairs.entries()) {
    let closed = false;
    far.connection.handler = {
      ...QUIET,
      onBytes: () => {
        if (closed) bytesAfterClose++;
        // Whoever comes first destroys all others but its neighbour, whose events are in the same batch.
        for (const [other, pair] of pairs.entries()) {
          if (other !== index && other !== (index + 1) % pairs.length) pair.far.connection.destroy();
        }
        far.connection.destroy();
        pairs[(index + 1) % pairs.length]!.far.connection.destroy(undefined, true);
      },
      onClose: () => {
        assert.equal(closed, false);
        closed = true;
        if (++closes === pairs.length) resolve();
      },
    };
  }
  for (const { near } of pairs) near.connection.writeLatin1("x");
  await promise;
  await turns(3);
  assert.deepEqual([closes, bytesAfterClose], [pairs.length, 0]);
});

test("one end destroys the other within its own calls, over and over", async () => {
  await using stage = new TransportStage();
  for (let round = 0; round < 100; round++) {
    const { near, far } = await stage.pair();
    far.react = () => {
      if (round % 2 === 0) near.connection.destroy();
      else far.connection.destroy(undefined, round % 4 === 1);
      near.connection.writeLatin1("into the void");
      far.connection.writeLatin1("into the void");
    };
    near.connection.writeLatin1("x");
    near.connection.end();
    await (round % 2 === 0 ? near : far).untilClosed();
    (round % 2 === 0 ? far : near).connection.destroy();
  }
});

test("a connection whose slot is used again by the next one is not confused with it", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve();
  const old: Recording[] = [];
  for (let round = 0; round < 50; round++) {
    const [near, far] = await Promise.all([stage.dial({ port: served.port }), served.next()]);
    old.push(near, far);
    far.connection.writeLatin1(`${round}`);
    await near.untilText(`${round}`);
    near.connection.destroy();
    // Calls on connections that are gone must not reach whoever is new.
    for (const { connection } of old) {
      if (!connection.closed) continue;
      connection.writeLatin1("stray");
      connection.end();
      connection.destroy(undefined, true);
      connection.pause();
    }
    far.connection.destroy();
  }
  const { near, far } = await stage.pair();
  near.connection.writeLatin1("clean");
  await far.untilText("clean");
});

test("dialling and writing within onClose, and listening to the answer", async () => {
  await using stage = new TransportStage();
  const served = await stage.serve({}, (far) => {
    far.react = (bytes) => {
      far.connection.write(bytes);
      far.connection.end();
    };
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const first = await stage.dial({ port: served.port });
  first.connection.handler = {
    ...QUIET,
    onClose: () => {
      stage.dial({ port: served.port }).then(async (second) => {
        second.connection.writeLatin1("again");
        await second.until(() => second.events.includes("end"));
        resolve(second.text);
      }, reject);
    },
  };
  first.connection.destroy();
  assert.equal(await promise, "again");
});
