// A turn takes as many ready sockets of those that were dialled as of those that were accepted: thousands on the one side do not
// make the other one wait.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, describe, test } from "node:test";
import { ACCEPTED, CLOSED, PAUSE, READ, RECEIVE_BYTES, WATCH } from "../../src/io/native/wire.ts";
import { Driver, type Event, withoutAddon } from "./driver.ts";

/** More than two turns take from one side (kReadyMax of native/src/loop.cc is 128). */
const CROWD = 300;
/** kReadBytesMax of the same, and as many of them as the receive slab holds, and more. */
const READ_BYTES_MAX = 64 * 1024;
const SLAB_FULL = RECEIVE_BYTES / READ_BYTES_MAX + 8;

describe("a turn", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  const listener = withoutAddon ? null! : driver.listen();
  after(() => driver.destroyAll());

  /** The slots from which bytes came, batch by batch, after `speakers` have been made to speak in their order. */
  async function heardOf(speakers: readonly number[]): Promise<number[][]> {
    const batches: number[][] = [];
    driver.onBatch = (batch: readonly Event[]) => {
      batches.push(batch.filter(({ kind }) => kind === READ).map(({ slot }) => slot));
    };
    for (const slot of speakers) driver.write(slot, Buffer.from("x"));
    driver.submit();
    await driver.until(() => batches.flat().length === speakers.length);
    driver.onBatch = null;
    return batches;
  }

  async function openCrowd(): Promise<{ dialed: number; accepted: number }[]> {
    const pairs = [];
    for (let count = 0; count < CROWD; count++) pairs.push(await driver.pair(listener.port));
    return pairs;
  }

  test("takes from dialled sockets although many more accepted ones were ready before, and the other way round", async () => {
    const crowd = await openCrowd();
    const late = await driver.pair(listener.port);
    const toAccepted = await heardOf([...crowd.map(({ dialed }) => dialed), late.accepted]);
    assert.ok(toAccepted[0]!.includes(late.dialed), "an answer waits behind requests");
    assert.ok(toAccepted.length > 2, `one turn took all: ${toAccepted.map(({ length }) => length).join(", ")}`);

    const toDialled = await heardOf([...crowd.map(({ accepted }) => accepted), late.dialed]);
    assert.ok(toDialled[0]!.includes(late.accepted), "a request waits behind answers");
    assert.ok(toDialled.length > 2, `one turn took all: ${toDialled.map(({ length }) => length).join(", ")}`);
  });

  test("that leaves events waiting loses no reset of a socket that nobody reads", async () => {
    const clients: { readonly socket: net.Socket; readonly slot: number }[] = [];
    for (let count = 0; count <= SLAB_FULL; count++) {
      const from = driver.events.length;
      const socket = net.connect(listener.port, "127.0.0.1").on("error", () => {});
      await once(socket, "connect");
      clients.push({ socket, slot: (await driver.next(ACCEPTED, undefined, from)).slot });
    }
    const victim = clients.pop()!;
    driver.command(PAUSE, victim.slot);
    driver.submit();
    const from = driver.events.length;
    // In the middle of the turn: a command of which an event comes that is not taken up before the turn goes on.
    driver.submits = false;
    driver.onBatch = () => {
      driver.onBatch = null;
      driver.command(WATCH, clients[0]!.slot);
      assert.equal(driver.handOver(), 1);
      setImmediate(() => {
        driver.submits = true;
        driver.submit();
      });
    };
    for (const { socket } of clients) socket.write(Buffer.alloc(READ_BYTES_MAX));
    victim.socket.resetAndDestroy();
    await driver.next(CLOSED, victim.slot, from);
    for (const { socket } of clients) socket.destroy();
  });
});
