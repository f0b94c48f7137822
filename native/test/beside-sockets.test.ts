// Sockets are not all that a thread has: what else happens in it gets its turn while they rest, and while they are never at rest.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, describe, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { READ } from "../../src/io/native/wire.ts";
import { Driver, ownsThread, withoutAddon } from "./driver.ts";

const program = path.join(import.meta.dirname, "programs", "resting-thread.ts");

/** All kinds of it, one after another: each must come by itself, with nothing else to wake the thread. */
async function everythingElse(): Promise<void> {
  await sleep(2);
  await nextTurn();
  assert.ok((await readFile(import.meta.filename, "utf8")).includes("everythingElse"));
  const { port1, port2 } = new MessageChannel();
  port2.postMessage("message");
  assert.deepEqual(await once(port1, "message"), ["message"]);
  port1.close();
  const isSignalled = once(process, "SIGHUP");
  process.kill(process.pid, "SIGHUP");
  await isSignalled;
  assert.deepEqual(await once(spawn("true"), "exit"), [0, null]);
  assert.deepEqual(await once(new Worker("", { eval: true }), "exit"), [0]);
}

describe("beside sockets", { skip: withoutAddon }, () => {
  const driver = withoutAddon ? null! : new Driver();
  const listener = withoutAddon ? null! : driver.listen();
  after(() => driver.destroyAll());

  /** Two that answer each other without an end. */
  async function talkForEver(): Promise<{
    stop(): void;
    messages(): number;
    whenAt(count: number, reached: () => void): void;
  }> {
    const { dialed, accepted } = await driver.pair(listener.port);
    let messages = 0;
    let wanted = { count: Number.POSITIVE_INFINITY, reached: () => {} };
    driver.onBatch = (batch) => {
      for (const { kind, slot } of batch) {
        if (kind !== READ) continue;
        if (++messages === wanted.count) wanted.reached();
        driver.write(slot, Buffer.from("x"));
      }
      driver.events.length = 0;
    };
    driver.write(dialed, Buffer.from("x"));
    driver.submit();
    const stop = (): void => {
      driver.onBatch = null;
      driver.destroy(dialed, accepted);
    };
    const whenAt = (count: number, reached: () => void): void => {
      wanted = { count, reached };
    };
    return { stop, messages: () => messages, whenAt };
  }

  test("everything else happens while they rest", everythingElse);

  test("everything else happens while they never rest", async () => {
    const talk = await talkForEver();
    await everythingElse();
    const before = talk.messages();
    while (talk.messages() === before) await nextTurn();
    talk.stop();
  });

  test("libuv has a turn for each of theirs, and none in a thread of their own", async () => {
    const talk = await talkForEver();
    const before = performance.nodeTiming.uvMetricsInfo.loopCount;
    // No turn of libuv is asked for meanwhile, but by who compiles this code, which on a busy machine takes a while.
    const messages = 10_000;
    await new Promise<void>((resolve) => talk.whenAt(messages, resolve));
    const turns = performance.nodeTiming.uvMetricsInfo.loopCount - before;
    talk.stop();
    assert.ok(ownsThread ? turns < messages / 4 : turns > messages / 2, `${turns}`);
  });

  test("they have their turn while something is to be done at once, without an end", async () => {
    let isOver = false;
    const again = (): void => {
      if (!isOver) setImmediate(again);
    };
    again();
    const talk = await talkForEver();
    while (talk.messages() < 1_000) await nextTurn();
    talk.stop();
    isOver = true;
  });

  test("a timer that is due when a turn ends is not waited for any more", async () => {
    const { dialed, accepted } = await driver.pair(listener.port);
    const ms = 300;
    let turnEnded = Number.NaN;
    driver.onBatch = () => {
      driver.onBatch = null;
      // Longer than the timer, from the beginning of the turn on; code that runs so long is compiled meanwhile, and wakes the thread.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms + 10);
      turnEnded = performance.now();
    };
    const timer = sleep(ms);
    driver.write(dialed, Buffer.from("x"));
    driver.submit();
    await timer;
    const late = performance.now() - turnEnded;
    assert.ok(late < ms / 2, `${late}`);
    driver.destroy(dialed, accepted);
  });

  test("the thread sleeps while nothing happens", async () => {
    await nextTurn();
    const before = process.threadCpuUsage();
    await sleep(100);
    const { user, system } = process.threadCpuUsage(before);
    // Microseconds; one that never sleeps has most of the time that there is.
    assert.ok(user + system < 30_000, `${user + system}`);
  });

  test("a thread that rests is terminated", async () => {
    const worker = new Worker(program);
    assert.deepEqual(await once(worker, "message"), ["rests"]);
    assert.equal(await worker.terminate(), 1);
  });

  test("a process lives as long as there is a listener", async () => {
    const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    await once(child.stdout, "data");
    child.kill("SIGHUP");
    assert.deepEqual(await once(child, "close"), [0, null]);
    assert.equal(said, "rests\ncloses\nleaves\n");
  });
});
