// Five thousand clients that keep their connections and do nothing: all are held, all can be used again, each costs little, and
// each is closed at the idle limit, never before it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin } from "../support/origin.ts";
import type { RawClient } from "../support/raw-client.ts";
import { affordableConnections, openClients } from "../support/soak-clients.ts";
import { needsProc, ProxyProcess } from "../support/soak-process.ts";
import { inTime, untilTrue } from "../support/soak-wait.ts";

const KiB = 1024;
const WANTED = 5_000;
/** Resident memory of an idle connection, of which most is Node's socket. One that keeps a buffer of reads would show. */
const BYTES_PER_CONNECTION_MAX = 16 * KiB;
const IDLE_MS = 1_500;
/** Above the limit: how late the last one may be on a machine that has other things to do. */
const LATE_MS_MAX = 25_000;
const AT_THE_SAME_TIME = 100;

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function request(client: RawClient): Promise<void> {
  const answer = await client.send(GET).answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.body, "here");
}

interface Kept {
  /** From the request to the close, and from the answer to the close: the limit counts from somewhere in between. */
  readonly mostMs: number;
  readonly leastMs: number;
}

async function untilClosed(client: RawClient, askedMs: number): Promise<Kept> {
  const answeredMs = performance.now();
  await client.untilEnded();
  const endedMs = performance.now();
  client.socket.end();
  return { mostMs: endedMs - askedMs, leastMs: endedMs - answeredMs };
}

/** Uses every connection once more, some at the same time; resolves when the proxy has closed all of them. */
async function useAll(clients: readonly RawClient[]): Promise<Kept[]> {
  const closed: Promise<Kept>[] = [];
  for (let at = 0; at < clients.length; at += AT_THE_SAME_TIME) {
    const uses = clients.slice(at, at + AT_THE_SAME_TIME).map(async (client) => {
      const askedMs = performance.now();
      await request(client);
      closed.push(untilClosed(client, askedMs));
    });
    await Promise.all(uses);
  }
  return inTime(Promise.all(closed), "idle connections are still open");
}

test("idle connections are held, can be used, and are closed at their limit", {
  skip: needsProc,
  timeout: 90_000,
}, async (context) => {
  const { count, reason } = affordableConnections(WANTED);
  if (reason !== null) context.diagnostic(reason);
  await using origin = await Origin.start((_, response) => void response.end("here"));
  await using proxy = await ProxyProcess.start({ proxy: origin.url });
  using stack = new DisposableStack();
  // Who looks between two turns of the loops may see one side of a connection alone, and one that nobody waits for may still be under way.
  const untilKept = (clients: number): Promise<void> =>
    untilTrue(
      () => proxy.connections === clients + origin.sockets.size,
      () =>
        `the proxy holds ${proxy.connections} connections, of ${clients} clients and ${origin.sockets.size} to the origin`,
    );
  // What the first requests cost once is not the connections'.
  for (const client of await openClients(proxy.port, 200, stack, request)) client.socket.destroy();
  await untilKept(0);

  const before = proxy.residentBytes;
  const clients = await openClients(proxy.port, count, stack, request);
  const perConnection = (proxy.residentBytes - before) / count;
  context.diagnostic(`${count} idle connections, ${(perConnection / KiB).toFixed(1)} KiB each`);
  assert.ok(perConnection < BYTES_PER_CONNECTION_MAX, `an idle connection costs ${perConnection} bytes`);
  await untilKept(count);
  assert.equal(clients.filter(({ ended, closed }) => ended || closed).length, 0);

  await proxy.reload({ proxy: origin.url, limits: { idle: `${IDLE_MS}ms` } });
  assert.equal(clients.filter(({ ended, closed }) => ended || closed).length, 0, "closed by a reload");
  // The limit of the new configuration counts from the next answer on.
  const kept = await useAll(clients);
  assert.equal(kept.length, count);
  const shortest = Math.min(...kept.map(({ mostMs }) => mostMs));
  const longest = Math.max(...kept.map(({ leastMs }) => leastMs));
  context.diagnostic(
    `closed ${shortest.toFixed(0)} to ${longest.toFixed(0)} ms after use, at a limit of ${IDLE_MS} ms`,
  );
  assert.ok(shortest >= IDLE_MS, `closed after ${shortest} ms`);
  assert.ok(longest < IDLE_MS + LATE_MS_MAX, `closed after ${longest} ms`);
  assert.equal(clients.filter(({ error }) => error !== null).length, 0);
  await untilKept(0);
  await proxy.stop();
});
