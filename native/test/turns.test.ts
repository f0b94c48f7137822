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
import { ACCEPTED, CLOSED, DESTROY, END, PAUSE, READ, RECEIVE_BYTES, RESUME, WATCH } from "../../src/io/native/wire.ts";
import { checked, Driver, type Event, withoutAddon } from "./driver.ts";

/** More than two turns take from one side (kReadyMax of native/src/loop.cc is 128). */
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
      assert.deepEqual([fromAccepted, batch.length - fromAccepted], [96, 128]);
    }
  });

  test("takes those first that have waited longest: nobody is heard twice before all were heard", async () => {
    const crowd = await openCrowd();
    const peers = new Map(crowd.map(({ dialed, accepted }) => [accepted, dialed]));
    const heard: number[] = [];
    driver.onBatch = (batch) => {
      for (const { kind, slot } of batch) {
        if (kind !== READ || heard.length >= CROWD) continue;
        heard.push(slot);
        // It is ready again while others have not had a turn yet.
        driver.write(peers.get(slot)!, Buffer.from("x"));
      }
    };
    for (const { dialed } of crowd) driver.write(dialed, Buffer.from("x"));
    driver.submit();
    await driver.until(() => heard.length === CROWD);
    driver.onBatch = null;
    assert.equal(new Set(heard).size, CROWD);
    driver.destroy(...crowd.flatMap(({ dialed, accepted }) => [dialed, accepted]));
  });

  test("knows nothing of a socket that was closed before its turn when another one has its number by then", async () => {
    // It takes no more connections, so that the one below is neither made nor refused.
    const descriptor = checked(driver.addon.bind("127.0.0.1", 0, false, false, 1));
    const port = Number(driver.addon.nameOf(descriptor)!.split(" ")[1]);
    const fillers = Array.from({ length: 8 }, () => checked(driver.addon.connect("127.0.0.1", port, 0)));
    const crowd = await openCrowd();
    const from = driver.events.length;
    const isGiven = Promise.withResolvers<{ closed: number; given: number }>();
    driver.onBatch = (batch) => {
      const heard = new Set(batch.filter(({ kind }) => kind === READ).map(({ slot }) => slot));
      if (heard.size === 0) return;
      driver.onBatch = null;
      // More were ready than have been heard.
      const closed = crowd.findLast(({ dialed }) => !heard.has(dialed))!.dialed;
      driver.command(DESTROY, closed);
      // Behind this turn, and before the next.
      setImmediate(() => isGiven.resolve({ closed, given: checked(driver.addon.connect("127.0.0.1", port, 0)) }));
    };
    for (const { accepted } of crowd) driver.write(accepted, Buffer.from("x"));
    driver.submit();
    const { closed, given } = await isGiven.promise;
    assert.equal(given, closed);
    const others = crowd.map(({ dialed }) => dialed).filter((slot) => slot !== closed);
    await driver.until(() => others.every((slot) => driver.received(slot, from).length === 1));
    const told = driver.events.slice(from).filter(({ slot }) => slot === given);
    assert.deepEqual(told, []);
    driver.addon.closeDescriptor(descriptor);
    driver.destroy(given, ...fillers, ...others, ...crowd.map(({ accepted }) => accepted));
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
