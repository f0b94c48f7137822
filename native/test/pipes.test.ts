// A splice needs a pipe only while bytes wait for a slow receiver. When no more pipes can be had, the bytes are copied
// instead: the same bytes, the same counts. Over unix sockets, whose buffers are small and do not grow.

import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { CLOSED, END, FINISH, PAUSE, READ, RESUME, SPLICED } from "../../src/io/native/wire.ts";
import { Driver, withoutAddon } from "./driver.ts";

/** kPipesMax of native/src/pipes.h. */
const PIPES_MAX = 128;
/** kPipesIdleMax of the same. */
const PIPES_IDLE_MAX = 8;
/** More than the sockets before and behind a splice hold together, so that some of it waits in the pipe. */
const BODY_BYTES = 1 << 20;

/** Two connections of which the inner ends are spliced; nobody reads at the far end yet. */
interface Way {
  readonly source: number;
  readonly from: number;
  readonly to: number;
  readonly target: number;
}

describe("pipes", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-pipes-"));
  const socket = path.join(folder, "socket");
  if (!withoutAddon) driver.listen(socket);
  after(() => {
    driver?.destroyAll();
    rmSync(folder, { recursive: true });
  });

  const received = (slot: number) => new Float64Array(driver.memory.received)[slot];
  const sent = (slot: number) => new Float64Array(driver.memory.sent)[slot];

  async function open(bytes: number): Promise<Way> {
    const [first, second] = [await driver.pair(socket), await driver.pair(socket)];
    driver.command(PAUSE, second.dialed);
    driver.submit();
    assert.equal(driver.addon.splice(first.accepted, second.accepted, bytes), 0);
    return { source: first.dialed, from: first.accepted, to: second.accepted, target: second.dialed };
  }

  const bodyOf = (way: Way) => Buffer.alloc(BODY_BYTES, `body of ${way.source} `);

  function send(way: Way): void {
    driver.write(way.source, bodyOf(way));
    driver.submit();
  }

  /** Everybody reads; resolves when all have it, with what each of them got. */
  async function readAll(ways: readonly Way[]): Promise<Map<number, string>> {
    const hashes = new Map<number, Hash>(ways.map(({ target }) => [target, createHash("sha256")]));
    let bytes = 0;
    driver.onBatch = (batch) => {
      for (const event of batch) {
        if (event.kind !== READ) continue;
        hashes.get(event.slot)?.update(event.bytes);
        bytes += event.bytes.length;
      }
      driver.events.length = 0;
    };
    for (const { target } of ways) driver.command(RESUME, target);
    driver.submit();
    await driver.until(() => bytes === ways.length * BODY_BYTES);
    driver.onBatch = null;
    return new Map([...hashes].map(([slot, hash]) => [slot, hash.digest("hex")]));
  }

  /** Until nothing moves any more: what the kernel's buffers take, they have taken. */
  async function untilStalled(ways: readonly Way[]): Promise<void> {
    const moved = () => ways.reduce((sum, { from }) => sum + received(from)!, 0);
    for (let before = -1, turns = 0; turns < 50; turns++) {
      const now = moved();
      if (now !== before) turns = 0;
      before = now;
      await new Promise((done) => setImmediate(done));
    }
  }

  const close = (ways: readonly Way[]) => driver.destroy(...ways.flatMap((way) => Object.values(way) as number[]));

  test("none is held by splices over which nothing passes", async () => {
    const ways = [await open(Number.POSITIVE_INFINITY), await open(BODY_BYTES)];
    assert.equal(driver.addon.inspect().pipes, 0);
    close(ways);
  });

  test("one is held while a slow receiver leaves bytes in it, which count as queued", async () => {
    const way = await open(BODY_BYTES);
    send(way);
    await untilStalled([way]);
    assert.equal(driver.addon.inspect().pipes, 1);
    assert.ok(driver.queued[way.to]! > 0);
    assert.equal(received(way.from)! - sent(way.from)!, driver.queued[way.to]);
    const from = driver.events.length;
    const spliced = driver.next(SPLICED, way.from, from);
    driver.command(RESUME, way.target);
    driver.submit();
    await spliced;
    await driver.until(() => driver.received(way.target, from).length === BODY_BYTES);
    assert.ok(driver.received(way.target, from).equals(bodyOf(way)));
    assert.deepEqual([received(way.from), sent(way.from), driver.queued[way.to]], [BODY_BYTES, BODY_BYTES, 0]);

    // What comes behind is seen again.
    driver.write(way.source, Buffer.from("behind"));
    driver.submit();
    assert.equal((await driver.next(READ, way.from, from)).bytes.toString(), "behind");
    close([way]);
  });

  test("with more slow receivers than pipes, the rest is copied", async () => {
    const ways: Way[] = [];
    for (let count = 0; count < PIPES_MAX + 12; count++) ways.push(await open(BODY_BYTES));
    for (const way of ways) send(way);
    await untilStalled(ways);
    assert.equal(driver.addon.inspect().pipes, PIPES_MAX);
    const digests = await readAll(ways);
    for (const way of ways) {
      assert.equal(digests.get(way.target), createHash("sha256").update(bodyOf(way)).digest("hex"));
      assert.deepEqual([received(way.from), sent(way.from)], [BODY_BYTES, BODY_BYTES]);
    }
    close(ways);
    assert.ok(driver.addon.inspect().pipes <= PIPES_IDLE_MAX, `${driver.addon.inspect().pipes} pipes are kept`);
  });

  test("one that still holds bytes goes with its connection, whichever end that is", async () => {
    const idle = driver.addon.inspect().pipes;
    for (const end of ["from", "to"] as const) {
      const way = await open(Number.POSITIVE_INFINITY);
      send(way);
      await untilStalled([way]);
      driver.destroy(way[end]);
      assert.ok(driver.queued[way.to]! === 0, `queued: ${driver.queued[way.to]}`);
      close([way]);
    }
    assert.ok(driver.addon.inspect().pipes <= Math.max(idle, 1));
  });

  test("the end of the source passes when everything before it has passed, and FIN can follow", async () => {
    const way = await open(Number.POSITIVE_INFINITY);
    const from = driver.events.length;
    send(way);
    driver.command(FINISH, way.source);
    driver.submit();
    await untilStalled([way]);
    assert.ok(!driver.events.slice(from).some(({ kind, slot }) => kind === END && slot === way.from));
    driver.command(RESUME, way.target);
    driver.submit();
    await driver.next(END, way.from, from);
    assert.equal(sent(way.from), BODY_BYTES);
    driver.command(FINISH, way.to);
    driver.submit();
    await driver.next(END, way.target, from);
    assert.ok(driver.received(way.target, from).equals(bodyOf(way)));
    for (const slot of [way.to, way.source, way.from]) driver.command(FINISH, slot);
    driver.command(FINISH, way.target);
    driver.submit();
    await Promise.all(Object.values(way).map((slot) => driver.next(CLOSED, slot, from)));
  });
});
