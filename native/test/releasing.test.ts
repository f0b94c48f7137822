// A slot that gives its descriptor away: when it may, what is left of it, and that nothing of it is told afterwards.

import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import net from "node:net";
import { constants } from "node:os";
import { after, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ACCEPTED, CLOSED, DRAIN, FINISH, PAUSE, READ, RESUME, WATCH } from "../../src/io/native/wire.ts";
import { checked, Driver, withoutAddon } from "./driver.ts";

const { EAGAIN, EBADF, EBUSY, EPIPE } = constants.errno;

describe("release", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  after(() => driver.destroyAll());

  function text(socket: net.Socket): Promise<string> {
    return new Promise((resolve) => {
      let all = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => (all += chunk));
      socket.once("end", () => resolve(all));
    });
  }

  test("the descriptor lives on, and the slot is nobody's", async () => {
    const { port, slot } = driver.listen();
    const { dialed, accepted } = await driver.pair(port);
    const { sockets } = driver.addon.inspect();
    driver.command(PAUSE, accepted);
    driver.submit();
    driver.write(dialed, Buffer.from("unread"));
    driver.submit();
    const from = driver.events.length;
    const descriptor = checked(driver.addon.release(accepted));
    assert.equal(driver.addon.inspect().sockets, sockets - 1);
    assert.equal(driver.addon.release(accepted), -EBADF);
    // Commands for it are those of a closed slot.
    driver.command(RESUME, accepted);
    driver.write(accepted, Buffer.from("nobody"));
    driver.destroy(accepted);
    const socket = new net.Socket({ fd: descriptor, readable: true, writable: true });
    const said = text(socket);
    socket.end("from Node");
    driver.command(FINISH, dialed);
    driver.submit();
    assert.equal(await said, "unread");
    await driver.next(CLOSED, dialed, from);
    assert.equal(driver.received(dialed, from).toString(), "from Node");
    assert.deepEqual(
      driver.events.slice(from).filter((event) => event.slot === accepted),
      [],
    );
    driver.addon.closeListener(slot);
  });

  test("not while something waits to leave; afterwards the peer has all of it", async () => {
    const { port, slot } = driver.listen();
    const client = net.connect(port, "127.0.0.1").pause();
    const from = driver.events.length;
    const { slot: accepted } = await driver.next(ACCEPTED, undefined, from);
    const bytes = Buffer.alloc(1_000_000, 7);
    let written = 0;
    for (; driver.queued[accepted]! === 0; written += bytes.length) {
      driver.write(accepted, bytes);
      driver.submit();
    }
    assert.equal(driver.addon.release(accepted), -EBUSY);
    driver.command(WATCH, accepted);
    driver.submit();
    let read = 0;
    client.on("data", (chunk) => (read += chunk.length)).resume();
    await driver.next(DRAIN, accepted, from);
    closeSync(checked(driver.addon.release(accepted)));
    await new Promise((resolve) => client.once("end", resolve));
    assert.equal(read, written);
    client.destroy();
    driver.addon.closeListener(slot);
  });

  test("not while it is spliced, nor when its end was asked for, nor what is no connection", async () => {
    const { port, slot } = driver.listen();
    const first = await driver.pair(port);
    const second = await driver.pair(port);
    assert.equal(driver.addon.splice(first.accepted, second.dialed, Number.POSITIVE_INFINITY), 0);
    assert.equal(driver.addon.release(first.accepted), -EBUSY);
    assert.equal(driver.addon.release(second.dialed), -EBUSY);
    driver.command(FINISH, first.dialed);
    driver.submit();
    assert.equal(driver.addon.release(first.dialed), -EPIPE);
    assert.equal(driver.addon.release(slot), -EBADF);
    driver.destroy(first.dialed, first.accepted, second.dialed, second.accepted);
    driver.addon.closeListener(slot);
  });

  test("not while events wait that may be its own", async () => {
    const { port, slot } = driver.listen();
    const { dialed, accepted } = await driver.pair(port);
    driver.command(WATCH, accepted);
    assert.equal(driver.handOver(), 1);
    assert.equal(driver.addon.release(accepted), -EAGAIN);
    driver.submit();
    const descriptor = checked(driver.addon.release(accepted));
    closeSync(descriptor);
    driver.destroy(dialed);
    driver.addon.closeListener(slot);
  });

  test("from inside the call that tells of events, and its number is taken again only later", async () => {
    const { port, slot } = driver.listen();
    const { dialed, accepted } = await driver.pair(port);
    const from = driver.events.length;
    let descriptor = -1;
    driver.onBatch = (batch) => {
      if (descriptor < 0 && batch.some((event) => event.kind === READ && event.slot === accepted)) {
        descriptor = checked(driver.addon.release(accepted));
      }
    };
    driver.write(dialed, Buffer.from("x"));
    driver.submit();
    await driver.next(READ, accepted, from);
    driver.onBatch = null;
    driver.write(dialed, Buffer.from("more"));
    driver.submit();
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    assert.equal(driver.received(accepted, from).toString(), "x");
    closeSync(descriptor);
    driver.destroy(dialed);
    driver.addon.closeListener(slot);
  });

  test("an original destination is known of redirected connections alone", async () => {
    // What is redirected is tested in test/transport/transparent.test.ts.
    const { port, slot, descriptor } = driver.listen();
    const { dialed, accepted } = await driver.pair(port);
    for (const one of [dialed, accepted, slot, 1_000]) assert.equal(driver.addon.originalOf(one), null);
    for (const one of [descriptor, 0, 2 ** 31 - 1]) assert.equal(driver.addon.originalOfDescriptor(one), null);
    driver.destroyAll();
  });
});
