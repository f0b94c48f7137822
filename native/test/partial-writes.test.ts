// Bytes that the kernel takes in small pieces arrive whole and in order, whatever they were written in, and DRAIN comes when
// the last of them was taken.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { after, describe, test } from "node:test";
import { ACCEPTED, CLOSED, COMMANDS_MAX, DRAIN, FINISH, FLAG_WATCH } from "../../src/io/native/wire.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { needs } from "../../test/support/requirements.ts";
import { replayHint, seed } from "../../test/support/seed.ts";
import { Driver, withoutAddon } from "./driver.ts";

/** The least that Linux allows (socket(7): twice this is kept), so that nearly every write is a partial one. */
const SEND_BUFFER_BYTES = 2304;

function randomBytes(chance: SeededRandom, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, () => chance.below(256)));
}

/** Accepted sockets inherit it. Node cannot set it on a descriptor, but a child process shares the socket with us. */
function shrinkSendBuffer(descriptor: number): void {
  const program = `use Socket; open(my $s, "+<&=", 3) or die $!; setsockopt($s, SOL_SOCKET, SO_SNDBUF, ${SEND_BUFFER_BYTES}) or die $!`;
  const { status, stderr } = spawnSync("perl", ["-e", program], { stdio: ["ignore", "ignore", "pipe", descriptor] });
  assert.equal(status, 0, stderr.toString());
}

describe("with a send buffer of four kilobytes", { skip: withoutAddon || needs("perl") }, () => {
  const driver = withoutAddon ? null! : new Driver();
  after(() => driver.destroyAll());

  /** Two ends: a slot that was accepted with the small buffer, and Node's socket, which does not read yet. */
  async function connect(): Promise<{ slot: number; peer: net.Socket }> {
    const listener = driver.listen();
    shrinkSendBuffer(listener.descriptor);
    const from = driver.events.length;
    const peer = net.connect({ port: listener.port, host: "127.0.0.1", allowHalfOpen: true }).pause();
    await once(peer, "connect");
    const { slot } = await driver.next(ACCEPTED, undefined, from);
    driver.addon.closeListener(listener.slot);
    return { slot, peer };
  }

  async function digestOf(peer: net.Socket): Promise<string> {
    const hash = createHash("sha256");
    for await (const chunk of peer) hash.update(chunk as Buffer);
    return hash.digest("hex");
  }

  test(`writes of every size arrive as they were written (${replayHint})`, async () => {
    const chance = new SeededRandom(seed);
    const { slot, peer } = await connect();
    const from = driver.events.length;
    const hash = createHash("sha256");
    const write = (bytes: Buffer) => {
      hash.update(bytes);
      driver.write(slot, bytes);
    };
    for (let submits = 0; submits < 12; submits++) {
      // Neighbours leave in one call, of which the kernel takes a part that ends anywhere.
      for (let writes = chance.below(100); writes >= 0; writes--) write(randomBytes(chance, chance.between(1, 8_000)));
      driver.submit();
    }
    assert.ok(driver.queued[slot]! > 100_000, `queued: ${driver.queued[slot]}`);
    write(Buffer.from("the end"));
    driver.command(FINISH, slot);
    driver.submit();
    assert.equal(await digestOf(peer), hash.digest("hex"));
    assert.equal(driver.queued[slot], 0);
    peer.end();
    assert.equal((await driver.next(CLOSED, slot, from)).a, 0);
  });

  test("what waits byte by byte takes little more memory than it has bytes", async () => {
    const { slot, peer } = await connect();
    const hash = createHash("sha256");
    const write = (bytes: Buffer) => {
      hash.update(bytes);
      driver.write(slot, bytes);
    };
    write(Buffer.alloc(100_000, "first"));
    driver.submit();
    const letters = Buffer.from("abcdefghij");
    const before = process.memoryUsage.rss();
    for (let submits = 0; submits < 200; submits++) {
      for (let index = 0; index < COMMANDS_MAX - 1; index++) write(letters.subarray(index % 10, (index % 10) + 1));
      driver.submit();
    }
    const grownBytes = process.memoryUsage.rss() - before;
    assert.ok(driver.queued[slot]! > 800_000, `queued: ${driver.queued[slot]}`);
    // As pieces of their own they took 48 bytes each.
    assert.ok(grownBytes < 15_000_000, `${grownBytes} bytes`);
    driver.command(FINISH, slot);
    driver.submit();
    assert.equal(await digestOf(peer), hash.digest("hex"));
    peer.end();
  });

  test("DRAIN comes once, when everything was taken", async () => {
    const { slot, peer } = await connect();
    const from = driver.events.length;
    driver.write(slot, Buffer.alloc(500_000, "a"), FLAG_WATCH);
    driver.write(slot, Buffer.alloc(400_000, "b"), FLAG_WATCH);
    driver.submit();
    const queued = driver.queued[slot]!;
    assert.ok(queued > 0 && queued < 900_000, `queued: ${queued}`);
    let bytes = 0;
    peer.on("data", (chunk: Buffer) => {
      // Whoever is told that it is drained must be right: what has not arrived is in the kernel.
      if (driver.events.slice(from).some(({ kind }) => kind === DRAIN)) assert.equal(driver.queued[slot], 0);
      bytes += chunk.length;
    });
    peer.resume();
    await driver.next(DRAIN, slot, from);
    driver.command(FINISH, slot);
    driver.submit();
    await once(peer, "end");
    assert.equal(bytes, 900_000);
    assert.equal(driver.events.slice(from).filter(({ kind }) => kind === DRAIN).length, 1);
    peer.destroy();
    await driver.next(CLOSED, slot, from);
  });

  test("a peer that goes away takes what was queued with it, and how much that was is told", async () => {
    const { slot, peer } = await connect();
    const from = driver.events.length;
    driver.write(slot, Buffer.alloc(900_000), FLAG_WATCH);
    driver.submit();
    const queued = driver.queued[slot]!;
    assert.ok(queued > 0);
    peer.resetAndDestroy();
    assert.notEqual((await driver.next(CLOSED, slot, from)).a, 0);
    const lost = driver.queued[slot]!;
    assert.ok(lost > 0 && lost <= queued, `${lost} of ${queued}`);
  });
});
