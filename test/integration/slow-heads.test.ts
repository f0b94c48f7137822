// A thousand clients that send a head byte by byte (Slowloris) take nothing from the others, and are answered 408 and closed at
// the deadline of heads, counted from their first byte.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { affordableConnections, openClients } from "../support/soak-clients.ts";
import { needsProc, ProxyProcess } from "../support/soak-process.ts";

const WANTED = 1_000;
/** Longer than a crowded machine takes to open all of them. */
const HEAD_TIMEOUT_MS = 6_000;
/** Above that: only a hang takes so long, and every other limit is longer. */
const LATE_MS_MAX = 40_000;
/** The head never ends: behind this line comes one field with a value of any length. */
const HEAD = Buffer.from("GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: ");

class SlowClient {
  readonly client: RawClient;
  #sent = 0;
  #startedMs = 0;

  constructor(client: RawClient) {
    this.client = client;
  }

  sendByte(): void {
    if (this.#sent === 0) this.#startedMs = performance.now();
    this.client.send(Buffer.of(HEAD[this.#sent++] ?? 0x61));
  }

  /** From its first byte to the end of its connection. */
  async refused(): Promise<number> {
    const { status, fields } = await this.client.answer();
    assert.equal(status, 408);
    assert.equal(fields.get("connection"), "close");
    await this.client.untilEnded();
    const ms = performance.now() - this.#startedMs;
    this.client.socket.end();
    return ms;
  }
}

test("heads that come byte by byte stop nobody and end at their deadline", {
  skip: needsProc,
  timeout: 120_000,
}, async (context) => {
  const { count, reason } = affordableConnections(WANTED);
  if (reason !== null) context.diagnostic(reason);
  await using origin = await Origin.start((_, response) => void response.end("here"));
  await using proxy = await ProxyProcess.start({
    proxy: origin.url,
    limits: { headTimeout: `${HEAD_TIMEOUT_MS}ms` },
  });
  using stack = new DisposableStack();
  const slow: SlowClient[] = [];
  const opened = await openClients(proxy.port, count, stack, async (client) => {
    const slowClient = new SlowClient(client);
    slow.push(slowClient);
    slowClient.sendByte();
  });
  assert.equal(opened.length, count);
  let refused = 0;
  const refusals = Promise.all(
    slow.map(async (client) => {
      const ms = await client.refused();
      refused++;
      return ms;
    }),
  );
  refusals.catch(() => {});

  // A byte of each for every request of another client, which paces them.
  const normal = stack.use(await RawClient.connect(proxy.port));
  const latencies: number[] = [];
  let before = 0;
  const giveUpMs = performance.now() + HEAD_TIMEOUT_MS + LATE_MS_MAX;
  while (refused < count) {
    assert.ok(performance.now() < giveUpMs, `${count - refused} heads are still waited for`);
    for (const client of slow) if (!client.client.ended) client.sendByte();
    const startedMs = performance.now();
    const answer = await normal.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
    latencies.push(performance.now() - startedMs);
    if (refused === 0) before++;
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "here");
  }
  const ends = await refusals;
  const [first, last] = [Math.min(...ends), Math.max(...ends)];
  latencies.sort((a, b) => a - b);
  const p99 = latencies[Math.floor(latencies.length * 0.99)]!;
  context.diagnostic(`${latencies.length} requests beside ${count} slow heads, p99 ${p99.toFixed(1)} ms`);
  context.diagnostic(`refused ${first.toFixed(0)} to ${last.toFixed(0)} ms after the first byte`);
  // Who waits for the slow ones has no answer before they are refused. How long one takes is the machine's affair.
  assert.ok(before > 0, "no request was answered before the first slow head was refused");
  assert.ok(first >= HEAD_TIMEOUT_MS && last < HEAD_TIMEOUT_MS + LATE_MS_MAX, `${first} to ${last} ms`);
  assert.equal(origin.asked.filter(({ url }) => url === "/slow").length, 0);
  normal.socket.destroy();
  await proxy.stop();
});
