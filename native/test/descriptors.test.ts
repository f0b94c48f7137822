// Descriptors: what happens when there are none left, and what the addon does with those that came from elsewhere.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { constants } from "node:os";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ACCEPTED, CLOSED, DESTROY, PAUSE, RESUME } from "../../src/io/native/wire.ts";
import { needs } from "../../test/support/requirements.ts";
import { checked, Driver, withoutAddon } from "./driver.ts";

/** Node itself opens some thirty; the program wants about as many. */
const DESCRIPTORS_MAX = 100;
/** Of a tenth of a second: it waits for one timer, and the machine may have other things to do. */
const IDLE_TURNS_MAX = 100;

test("when there are no more descriptors, accepting is suspended and splices copy", { skip: withoutAddon }, () => {
  const program = path.join(import.meta.dirname, "programs", "few-descriptors.ts");
  const { status, signal, stdout, stderr } = spawnSync(
    "/bin/sh",
    ["-c", `ulimit -n ${DESCRIPTORS_MAX}; exec "$0" "$@"`, process.execPath, program],
    { env: { ...process.env, NODE_TEST_CONTEXT: undefined }, encoding: "utf8", timeout: 120_000 },
  );
  assert.deepEqual([status, signal, stdout], [0, null, "done\n"], stderr);
});

describe("listening sockets", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  after(() => driver.destroyAll());

  /** Turns of the event loop when nothing happens: thousands when a socket is reported in every one of them. */
  async function idleTurns(): Promise<number> {
    const before = performance.nodeTiming.uvMetricsInfo.loopCount;
    await pause(100);
    return performance.nodeTiming.uvMetricsInfo.loopCount - before;
  }

  async function connectTo(port: number): Promise<net.Socket> {
    const client = net.connect(port, "127.0.0.1");
    await once(client, "connect");
    return client;
  }

  test("one that blocks blocks nobody", { skip: needs("perl") }, async () => {
    const descriptor = checked(driver.addon.bind("127.0.0.1", 0, false, false, 16));
    const port = Number(driver.addon.nameOf(descriptor)?.split(" ")[1]);
    // As one that another program has made; a child process shares the socket's flags with us.
    const program = 'use Fcntl; open(my $s, "+<&=", 3) or die $!; fcntl($s, F_SETFL, 0) or die $!';
    const { status } = spawnSync("perl", ["-e", program], { stdio: ["ignore", "ignore", "inherit", descriptor] });
    assert.equal(status, 0);
    const slot = checked(driver.addon.listen(descriptor, true, 0));
    const from = driver.events.length;
    const client = await connectTo(port);
    const accepted = await driver.next(ACCEPTED, undefined, from);
    client.destroy();
    assert.equal(driver.addon.closeListener(slot), 0);
    driver.destroy(accepted.slot);
  });

  test("one that is alone at its address lets others in from when it shares it, and keeps who waits there", async () => {
    const { addon } = driver;
    const first = checked(addon.bind("127.0.0.1", 0, false, false, 16));
    const port = Number(addon.nameOf(first)?.split(" ")[1]);
    const bind = (reusePort: boolean) => addon.bind("127.0.0.1", port, reusePort, false, 16);
    assert.equal(bind(true), -constants.errno.EADDRINUSE);
    const client = await connectTo(port);
    assert.equal(addon.shareAddress(first), 0);
    const second = checked(bind(true));
    assert.equal(bind(false), -constants.errno.EADDRINUSE);
    const slot = checked(addon.listen(first, true, 0));
    const accepted = await driver.next(ACCEPTED, undefined, 0);
    client.destroy();
    assert.equal(addon.closeListener(slot), 0);
    assert.equal(addon.closeDescriptor(second), 0);
    driver.destroy(accepted.slot);
  });

  test("one whose second descriptor lives on is reported no more once it is closed", async () => {
    const listener = driver.listen();
    const second = checked(driver.addon.duplicate(listener.descriptor));
    assert.equal(driver.addon.closeListener(listener.slot), 0);
    // Nobody accepts it, so the socket stays ready.
    const client = await connectTo(listener.port);
    assert.ok((await idleTurns()) < IDLE_TURNS_MAX);
    const again = checked(driver.addon.listen(second, true, 0));
    const from = driver.events.length;
    const waiting = await connectTo(listener.port);
    await driver.until(() => driver.events.slice(from).filter(({ kind }) => kind === ACCEPTED).length === 2);
    client.destroy();
    waiting.destroy();
    driver.addon.closeListener(again);
    for (const { kind, slot } of driver.events.slice(from)) if (kind === ACCEPTED) driver.destroy(slot);
  });

  test("a descriptor that is listened on already stays with its slot", async () => {
    const listener = driver.listen();
    assert.ok(driver.addon.listen(listener.descriptor, true, 0) < 0);
    const from = driver.events.length;
    const client = await connectTo(listener.port);
    await driver.next(ACCEPTED, undefined, from);
    client.destroy();
    driver.addon.closeListener(listener.slot);
  });

  test("what is no listening socket is neither listened on nor closed", async () => {
    const { port, slot } = driver.listen();
    const client = await connectTo(port);
    const { fd } = (client as unknown as { _handle: { fd: number } })._handle;
    for (const descriptor of [0, fd, 2 ** 31 - 1]) {
      assert.ok(driver.addon.listen(descriptor, true, 0) < 0);
      assert.ok(driver.addon.closeDescriptor(descriptor) < 0);
    }
    assert.ok(!client.destroyed);
    client.destroy();
    driver.addon.closeListener(slot);
  });

  test("a dialled one that broke while it is paused costs nothing until somebody reads it", async () => {
    const { port, slot } = driver.listen();
    const { dialed, accepted } = await driver.pair(port);
    driver.command(PAUSE, dialed);
    driver.write(accepted, Buffer.from("unread"));
    driver.submit();
    const from = driver.events.length;
    driver.command(DESTROY, accepted, 1);
    driver.submit();
    assert.ok((await idleTurns()) < IDLE_TURNS_MAX);
    assert.deepEqual(driver.events.slice(from), []);
    driver.command(RESUME, dialed);
    driver.submit();
    await driver.next(CLOSED, dialed, from);
    assert.equal(driver.received(dialed, from).toString(), "unread");
    driver.addon.closeListener(slot);
  });

  test("an accepted one that broke while it is paused is told at once: nobody is there to be answered", async () => {
    const { port, slot } = driver.listen();
    const from = driver.events.length;
    const client = await connectTo(port);
    const accepted = await driver.next(ACCEPTED, undefined, from);
    driver.command(PAUSE, accepted.slot);
    driver.submit();
    client.write("unread");
    client.resetAndDestroy();
    assert.equal((await driver.next(CLOSED, accepted.slot, from)).a, constants.errno.ECONNRESET);
    assert.equal(driver.received(accepted.slot, from).length, 0);
    driver.addon.closeListener(slot);
  });
});
