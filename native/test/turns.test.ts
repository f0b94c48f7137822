// A turn takes of ready sockets on both sides: thousands of those that were accepted do not make the dialled ones wait, nor the other way
// round; and it begins less than it ends.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ACCEPTED, CLOSED, END, PAUSE, READ, RECEIVE_BYTES, RESUME, WATCH } from "../../src/io/native/wire.ts";
import { Driver, type Event, ownsThread, withoutAddon } from "./driver.ts";

/** More than two turns take from one side (kReadyMax of native/src/interest.h is 128). */
const CROWD = 300;
/** kReadBytesMax of the same, and as many of them as the receive slab holds, and more. */
const READ_BYTES_MAX = 64 * 1024;
const SLAB_FULL = RECEIVE_BYTES / READ_BYTES_MAX + 8;

describe("a turn", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  const listener = withoutAddon ? null! : driver.listen();
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-turns-"));
  after(() => {
    driver.destroyAll();
    rmSync(folder, { recursive: true });
  });

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

  test("takes fewer accepted sockets than dialled ones where many of both are ready, and no fewer than three quarters", async () => {
    const crowd = await openCrowd();
    const accepted = new Set(crowd.map((pair) => pair.accepted));
    const batches = await heardOf([...crowd.map(({ dialed }) => dialed), ...crowd.map((pair) => pair.accepted)]);
    for (const batch of batches.slice(0, 2)) {
      const fromAccepted = batch.filter((slot) => accepted.has(slot)).length;
      assert.equal(fromAccepted, 96);
      // In a thread of its own it has room for two that are no sockets.
      const fromDialled = batch.length - fromAccepted;
      assert.ok(fromDialled >= 128 && fromDialled <= (ownsThread ? 130 : 128), `${fromDialled}`);
    }
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

  test("does not come again and again for a connection that is over in both directions while nobody reads it", async () => {
    const socket = path.join(folder, "over");
    const { slot: listening } = driver.listen(socket);
    const from = driver.events.length;
    const peer = net.connect(socket).pause();
    await once(peer, "connect");
    const isClosed = once(peer, "close");
    const { slot } = await driver.next(ACCEPTED, undefined, from);
    // It cannot take everything once.
    const wanted = Buffer.alloc(RECEIVE_BYTES);
    driver.write(slot, wanted);
    driver.submit();
    assert.ok(driver.queued[slot]! > 0);
    // Paused when more, and the end, are there already: all that there is to tell of it from then on is that it is over.
    const isPaused = Promise.withResolvers<void>();
    driver.onBatch = (batch) => {
      if (!batch.some((event) => event.kind === READ && event.slot === slot)) return;
      driver.onBatch = null;
      driver.command(PAUSE, slot);
      isPaused.resolve();
    };
    const sent = Buffer.alloc(READ_BYTES_MAX + 1, "unread");
    let left = wanted.length;
    // Answered in the turn in which the last of it is read.
    peer.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left === 0) peer.write(sent, () => peer.destroy());
    });
    peer.resume();
    await Promise.all([isPaused.promise, isClosed]);
    const usedIn = async (ms: number): Promise<number> => {
      const before = process.threadCpuUsage();
      await sleep(ms);
      const { user, system } = process.threadCpuUsage(before);
      return user + system;
    };
    await usedIn(5);
    // Microseconds. One that comes again and again leaves the thread no rest.
    const used = await usedIn(100);
    assert.ok(used < 30_000, `${used}`);
    driver.command(RESUME, slot);
    driver.submit();
    await driver.next(END, slot, from);
    assert.ok(driver.received(slot, from).equals(sent));
    driver.addon.closeListener(listening);
    driver.destroy(slot);
  });
});
